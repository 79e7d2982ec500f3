/** A target that refuses is passed over for this long, doubled with each time that it refuses again. */
export const LEAST_MS = 1_000;
export const MOST_MS = 30_000;

/**
 * Targets that have refused datagrams of late (ICMP port unreachable). That says less than a check: kube-proxy refuses for the
 * moment between two pods as well. So they are passed over while there are others, for a time, and no verdict comes of it.
 */
export class Refusals<T> {
  readonly #refused = new Map<T, { untilMs: number; forMs: number }>();

  /** @returns true when the target was not passed over already */
  refused(target: T, nowMs: number): boolean {
    const had = this.#refused.get(target);
    if (had && had.untilMs > nowMs) return false;
    const forMs = had ? Math.min(had.forMs * 2, MOST_MS) : LEAST_MS;
    this.#refused.set(target, { untilMs: nowMs + forMs, forMs });
    return true;
  }

  /** It has sent something: whatever was before is over. */
  answered(target: T): void {
    if (this.#refused.size > 0) this.#refused.delete(target);
  }

  isPassedOver(target: T, nowMs: number): boolean {
    return this.#refused.size > 0 && (this.#refused.get(target)?.untilMs ?? 0) > nowMs;
  }

  /** Forgets the others. */
  keepOnly(targets: ReadonlySet<T>): void {
    for (const target of this.#refused.keys()) if (!targets.has(target)) this.#refused.delete(target);
  }
}
