/**
 * Where bytes are read into. Node would allocate 64 KB for every read and copy what came; here all connections read into one
 * buffer, and the few that move much data have one of their own.
 */

/** All connections read into this one. What was read is copied out at once, before anything else can be read. */
export const commonBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** A connection that fills the common buffer gets a larger one: fewer calls for as many bytes. */
const OWN_BYTES = 256 * 1024;
/** Own buffers at one time; connections beyond that go on with the common one. 32 MB together. */
const MAX_OWN = 128;
/** Own buffers kept for the next connection. */
const MAX_KEPT = 8;
/** Copies are cut from slabs of this size. */
const SLAB_BYTES = 256 * 1024;

/** Chunks up to this length have their views kept, for as long as copies begin at one place; requests are alike in length. */
const MAX_VIEWED = 2048;

let inUse = 0;
const kept: Uint8Array[] = [];
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;
/** By length, of what begins at `used`. */
let views: (Uint8Array | undefined)[] = [];

/**
 * Copies what is in the common buffer to where it can stay.
 * @param count bytes, at most the common buffer's length
 */
export function copyOut(count: number): Uint8Array {
  if (used + count > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
    views = [];
  }
  commonBuffer.copy(slab, used, 0, count);
  if (count > MAX_VIEWED) return new Uint8Array(slab.buffer, used, count);
  views[count] ??= new Uint8Array(slab.buffer, used, count);
  return views[count];
}

/** The last copy is needed for longer: the next one goes behind it. */
export function keepCopy(count: number): void {
  used += count;
  views = [];
}

/** @returns undefined when there are enough already */
export function takeOwnBuffer(): Uint8Array | undefined {
  if (inUse >= MAX_OWN) return undefined;
  inUse++;
  return kept.pop() ?? Buffer.allocUnsafeSlow(OWN_BYTES);
}

/** @param lent some of it may still be waiting to be written, so that nobody else may have it */
export function giveOwnBuffer(buffer: Uint8Array, lent: boolean): void {
  inUse--;
  if (!lent && kept.length < MAX_KEPT) kept.push(buffer);
}
