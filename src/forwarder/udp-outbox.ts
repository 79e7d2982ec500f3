/** At most so many wait: what came first leaves within some 0.5 ms, also while more comes without a pause. */
export const BATCH = 64;

/** Sends it. */
export type Deliver<F> = (flow: F, datagram: Uint8Array) => void;

/**
 * Datagrams that leave together, at the end of the event loop's turn in which they came: whoever receives them is woken once and not for
 * each, and the same few functions run again and again. They leave in the order in which they were posted.
 */
export class Outbox<F> {
  readonly #delivers: Deliver<F>[] = [];
  readonly #flows: (F | undefined)[] = [];
  readonly #datagrams: (Uint8Array | undefined)[] = [];
  #posted = 0;
  #delivered = 0;
  #isDue = false;
  readonly #onTurnEnd = (): void => {
    this.#isDue = false;
    this.flush();
  };

  post(deliver: Deliver<F>, flow: F, datagram: Uint8Array): void {
    const at = this.#posted++;
    this.#delivers[at] = deliver;
    this.#flows[at] = flow;
    this.#datagrams[at] = datagram;
    if (this.#posted >= BATCH) {
      this.flush();
    } else if (!this.#isDue) {
      this.#isDue = true;
      setImmediate(this.#onTurnEnd);
    }
  }

  /** At once. */
  flush(): void {
    while (this.#delivered < this.#posted) {
      const at = this.#delivered++;
      const flow = this.#flows[at]!;
      const datagram = this.#datagrams[at]!;
      this.#flows[at] = undefined; // the places are used again
      this.#datagrams[at] = undefined;
      this.#delivers[at]!(flow, datagram);
    }
    this.#posted = 0;
    this.#delivered = 0;
  }
}
