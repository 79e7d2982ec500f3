/** Clients remembered per listener; beyond that the one unused for longest is forgotten, and takes its turn like a new one. */
export const MAX_AFFINITY_CLIENTS = 10_000;

/** Which target a client address was sent to last, for a time that each connection begins anew. */
export class Affinity<T> {
  readonly #clients = new Map<string, { target: T; untilMs: number }>();

  /** @returns undefined when the client is new or was away for too long */
  find(client: string, nowMs: number): T | undefined {
    const entry = this.#clients.get(client);
    if (!entry) return undefined;
    if (entry.untilMs > nowMs) return entry.target;
    this.#clients.delete(client);
    return undefined;
  }

  keep(client: string, target: T, untilMs: number): void {
    this.#clients.delete(client);
    this.#clients.set(client, { target, untilMs });
    if (this.#clients.size <= MAX_AFFINITY_CLIENTS) return;
    for (const longestUnused of this.#clients.keys()) {
      this.#clients.delete(longestUnused);
      return;
    }
  }
}
