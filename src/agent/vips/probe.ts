import { findHolders } from '../../forwarder/neighbours.ts';
import type { Placed } from './render.ts';

/** So long after a stranger was found the address is asked for again. */
const AGAIN_MS = 10_000;

/** Who has which address although none of the agents; each is asked for once, and those that a stranger has again and again. */
export class Strangers {
  readonly #asked = new Map<string, { readonly hardware?: string; readonly atMs: number }>();

  /** @returns address to the stranger's hardware address; rejects as `findHolders` */
  async among(places: readonly Placed[], agents: readonly string[], nowMs: number): Promise<ReadonlyMap<string, string>> {
    const wanted = new Set(places.map((one) => one.address));
    for (const address of this.#asked.keys()) if (!wanted.has(address)) this.#asked.delete(address);
    const due = places.filter(({ address }) => {
      const before = this.#asked.get(address);
      return !before || (before.hardware !== undefined && nowMs - before.atMs >= AGAIN_MS);
    });
    const found = due.length > 0 ? await findHolders(due, agents) : new Map<string, string>();
    for (const { address } of due) {
      const hardware = found.get(address);
      this.#asked.set(address, { atMs: nowMs, ...(hardware === undefined ? {} : { hardware }) });
    }
    return new Map([...this.#asked].flatMap(([address, { hardware }]) => (hardware === undefined ? [] : [[address, hardware]])));
  }
}
