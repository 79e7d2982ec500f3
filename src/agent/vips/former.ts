/** An agent that has left the list for one agent may be in another's for long: one that cannot reach the API server, above all. */
const TELL_MS = 3_600_000;
const MOST = 64;

/** Addresses of agents that are not in the list, or not any more, and hold addresses all the same: they are still told who holds what, or they would take it for theirs. */
export class Former {
  #present: ReadonlySet<string> = new Set();
  /** Address to when it is forgotten, in monotonic milliseconds; the oldest first. */
  readonly #left = new Map<string, number>();

  /** @param addresses of the agents in the list now. @returns those that were in it within the last hour, at most 64 */
  see(addresses: readonly string[], nowMs: number): readonly string[] {
    const present = new Set(addresses);
    for (const address of this.#present) if (!present.has(address)) this.#left.set(address, nowMs + TELL_MS);
    for (const [address, untilMs] of this.#left) if (untilMs <= nowMs || present.has(address)) this.#left.delete(address);
    for (const address of this.#left.keys()) if (this.#left.size > MOST) this.#left.delete(address);
    this.#present = present;
    return [...this.#left.keys()];
  }

  /** Somebody who is in no list of ours speaks as if it were. */
  add(address: string, nowMs: number): void {
    if (!this.#present.has(address)) this.#left.set(address, nowMs + TELL_MS);
  }

  has(address: string): boolean {
    return this.#present.has(address) || this.#left.has(address);
  }
}
