/**
 * Slots that the hash of a client's address falls into, for each set of targets. A power of two; with 100 targets each has about
 * ten, so that shares differ by a third at most.
 */
export const SLOTS = 1024;

/**
 * Pure. Which target each slot has, as an index: the one with the highest score there (rendezvous), so that a target that goes moves only
 * its own slots, and one that comes takes only its share.
 * @see https://www.cs.princeton.edu/courses/archive/fall09/cos518/papers/rendezvous.pdf
 */
export function fillSlots(targets: readonly string[], slots = SLOTS): readonly number[] {
  const seeds = targets.map(hash);
  return Array.from({ length: slots }, (_, slot) => bestOf(seeds, slot));
}

/** Pure. The target of one slot, as an index; 0 when there are none. */
export function fillSlot(targets: readonly string[], slot: number): number {
  return bestOf(targets.map(hash), slot);
}

/** Pure. The slot of a client in userspace; `::ffff:10.0.0.1` is 10.0.0.1. (nftables has a hash of its own.) */
export function slotOf(client: string): number {
  return mix(hash(client.replace(/^::ffff:(?=\d+\.)/i, ''))) % SLOTS;
}

/** Pure. 32 bits of any text, all of which its every character moves. */
export function hashOf(text: string): number {
  return mix(hash(text));
}

function bestOf(seeds: readonly number[], slot: number): number {
  let best = 0;
  let bestScore = -1;
  for (let i = 0; i < seeds.length; i++) {
    const score = mix(seeds[i]! ^ Math.imul(slot + 1, 0x9e3779b1));
    if (score > bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value;
}

/** The last steps of MurmurHash3: every bit of the input moves every bit of the result. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
