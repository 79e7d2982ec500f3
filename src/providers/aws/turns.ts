/**
 * Work on what balancers share, one after another: the second sees what the first has made, and calls nobody for it. Holds as many names
 * as are being worked on.
 */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** @throws what `work` throws; the next has its turn all the same */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
