/** What has failed is tried again after this long, doubled each time. */
const RETRY_LEAST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

/** When to try again what has failed. */
export class Backoff {
  readonly #leastMs: number;
  #timer: NodeJS.Timeout | undefined;
  #waitMs: number;

  constructor(leastMs = RETRY_LEAST_MS) {
    this.#leastMs = leastMs;
    this.#waitMs = leastMs;
  }

  /** Calls once, later than the last time. */
  again(attempt: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(attempt, this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, RETRY_MOST_MS);
  }

  /** It is tried now, by whoever stops the waiting. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  succeeded(): void {
    this.stop();
    this.#waitMs = this.#leastMs;
  }
}
