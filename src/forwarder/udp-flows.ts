import { MAX_NEW_FLOWS_PER_SECOND } from './limits.ts';

/** What the table has to know of a flow. */
export interface Placed {
  /** When a datagram passed last, in either direction; the table's to write. Monotonic milliseconds. */
  lastMs: number;
  /** How long it may be silent; infinite: until its place is needed. */
  readonly idleMs: number;
  /** Where it is in the table, which alone writes it; undefined: not in it. */
  place: Place<this> | undefined;
}

export interface Place<F> {
  older: F | undefined;
  newer: F | undefined;
}

/**
 * The flows of a forwarder, the one that was silent for longest first. UDP has no end of a connection, so a flow goes when it has
 * been silent for its time, or when the table is full and a new one comes.
 */
export class FlowTable<F extends Placed> {
  readonly limit: number;
  #size = 0;
  /** Linked by their places: each datagram moves its flow to the end, which took a set ten times as long. */
  #oldest: F | undefined;
  #newest: F | undefined;
  /** No flow in the table may be silent for less than this. */
  #leastIdleMs = Number.POSITIVE_INFINITY;
  #second = 0;
  #begunInSecond = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** The flow that was silent for longest; undefined: there is none. */
  get oldest(): F | undefined {
    return this.#oldest;
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
    this.#size++;
    flow.lastMs = nowMs;
    flow.place = { older: undefined, newer: undefined };
    this.#append(flow, flow.place);
  }

  /** A datagram has passed. A flow that is not in the table stays out of it. */
  touch(flow: F, nowMs: number): void {
    const { place } = flow;
    if (!place) return;
    flow.lastMs = nowMs;
    if (flow === this.#newest) return;
    this.#takeOut(place);
    this.#append(flow, place);
  }

  delete(flow: F): boolean {
    const { place } = flow;
    if (!place) return false;
    this.#takeOut(place);
    flow.place = undefined;
    if (--this.#size === 0) this.#leastIdleMs = Number.POSITIVE_INFINITY;
    return true;
  }

  /** The flows' times have changed. */
  renewTimes(): void {
    this.#leastIdleMs = Number.POSITIVE_INFINITY;
    for (let flow = this.#oldest; flow; flow = flow.place?.newer) this.#leastIdleMs = Math.min(this.#leastIdleMs, flow.idleMs);
  }

  /** Those that have been silent for their time, the oldest first. */
  silent(nowMs: number): readonly F[] {
    const found: F[] = [];
    for (let flow = this.#oldest; flow; flow = flow.place?.newer) {
      const silentMs = nowMs - flow.lastMs;
      if (silentMs < this.#leastIdleMs) break;
      if (silentMs >= flow.idleMs) found.push(flow);
    }
    return found;
  }

  #append(flow: F, place: Place<F>): void {
    place.older = this.#newest;
    place.newer = undefined;
    if (this.#newest?.place) this.#newest.place.newer = flow;
    else this.#oldest = flow;
    this.#newest = flow;
  }

  #takeOut({ older, newer }: Place<F>): void {
    if (older?.place) older.place.newer = newer;
    else this.#oldest = newer;
    if (newer?.place) newer.place.older = older;
    else this.#newest = older;
  }
}
