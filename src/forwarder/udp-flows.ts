import { MAX_NEW_FLOWS_PER_SECOND } from './limits.ts';

/** What the table has to know of a flow. */
export interface Placed {
  /** When a datagram passed last, in either direction; the table's to write. Monotonic milliseconds. */
  lastMs: number;
  /** How long it may be silent; infinite: until its place is needed. */
  readonly idleMs: number;
}

/**
 * The flows of a forwarder, the one that was silent for longest first. UDP has no end of a connection, so a flow goes when it has
 * been silent for its time, or when the table is full and a new one comes.
 */
export class FlowTable<F extends Placed> {
  readonly limit: number;
  readonly #bySilence = new Set<F>();
  /** No flow in the table may be silent for less than this. */
  #leastIdleMs = Number.POSITIVE_INFINITY;
  #second = 0;
  #begunInSecond = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#bySilence.size;
  }

  /** The flow that was silent for longest; undefined: there is none. */
  get oldest(): F | undefined {
    for (const flow of this.#bySilence) return flow;
    return undefined;
  }

  /** Whether one more may begin in this second; each call that says so counts. */
  mayBegin(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) this.#begunInSecond = 0;
    this.#second = second;
    return ++this.#begunInSecond <= MAX_NEW_FLOWS_PER_SECOND;
  }

  /** @param nowMs never less than at an earlier call @throws {RangeError} when the table is full: something must go first */
  add(flow: F, nowMs: number): void {
    if (this.size >= this.limit) throw new RangeError(`there are ${this.size} flows already`);
    this.#leastIdleMs = Math.min(this.#leastIdleMs, flow.idleMs);
    flow.lastMs = nowMs;
    this.#bySilence.add(flow);
  }

  /** A datagram has passed. A flow that is not in the table stays out of it. */
  touch(flow: F, nowMs: number): void {
    if (!this.#bySilence.delete(flow)) return;
    flow.lastMs = nowMs;
    this.#bySilence.add(flow);
  }

  delete(flow: F): boolean {
    const had = this.#bySilence.delete(flow);
    if (this.size === 0) this.#leastIdleMs = Number.POSITIVE_INFINITY;
    return had;
  }

  /** The flows' times have changed. */
  renewTimes(): void {
    this.#leastIdleMs = Number.POSITIVE_INFINITY;
    for (const { idleMs } of this.#bySilence) this.#leastIdleMs = Math.min(this.#leastIdleMs, idleMs);
  }

  /** Those that have been silent for their time, the oldest first. */
  silent(nowMs: number): readonly F[] {
    const found: F[] = [];
    for (const flow of this.#bySilence) {
      const silentMs = nowMs - flow.lastMs;
      if (silentMs < this.#leastIdleMs) break;
      if (silentMs >= flow.idleMs) found.push(flow);
    }
    return found;
  }
}
