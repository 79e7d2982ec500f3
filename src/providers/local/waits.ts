/** How long a step waits for the forwarder's answer. It answers within milliseconds; when it does not, people shall know. */
export const ANSWER_MS = 5_000;

interface Waiter {
  readonly id: string;
  isDone(): boolean;
  resolve(): void;
}

/** Steps that wait for the forwarder; as many as the controller has workers, and none for longer than `answerMs`. */
export class Waits {
  readonly #answerMs: number;
  readonly #waiters = new Set<Waiter>();

  constructor(answerMs: number) {
    this.#answerMs = answerMs;
  }

  /** Resolves as soon as a `check` finds it done. @throws {Error} when the time is over */
  until(id: string, isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { id, isDone, resolve: () => this.#finish(waiter, timer, resolve) };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`The forwarder has not answered for ${this.#answerMs / 1_000} s`));
      }, this.#answerMs);
      this.#waiters.add(waiter);
    });
  }

  /** Ids that somebody waits for. */
  ids(): ReadonlySet<string> {
    return new Set([...this.#waiters].map((waiter) => waiter.id));
  }

  check(): void {
    for (const waiter of this.#waiters) if (waiter.isDone()) waiter.resolve();
  }

  /** Nothing will come any more. */
  end(): void {
    for (const waiter of this.#waiters) waiter.resolve();
  }

  #finish(waiter: Waiter, timer: NodeJS.Timeout, resolve: () => void): void {
    clearTimeout(timer);
    this.#waiters.delete(waiter);
    resolve();
  }
}
