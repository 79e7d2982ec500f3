import type { KernelListener } from './listener.ts';

/** Listeners that are sent to the same targets whatever nodes come, go, live or fall silent. */
export type Peers = Set<KernelListener>;

/**
 * Who is to be described anew when nodes have changed: of listeners that have their targets in common one speaks for all, because what it
 * says changes the chain that they share; the others are asked one by one.
 */
export class Crowd {
  readonly #peers = new Map<string, Peers>();
  readonly #apart = new Set<KernelListener>();

  /** @param group that it has in common with others; undefined: none */
  place(listener: KernelListener, group: string | undefined): void {
    if (group !== undefined && listener.peers !== undefined && this.#peers.get(group) === listener.peers) return;
    this.drop(listener);
    if (group === undefined) this.#apart.add(listener);
    else listener.peers = this.#peersIn(group).add(listener);
  }

  drop(listener: KernelListener): void {
    this.#apart.delete(listener);
    listener.peers?.delete(listener);
    listener.peers = undefined;
  }

  /** Those to be described. */
  asked(): readonly KernelListener[] {
    const speakers: KernelListener[] = [];
    for (const [group, [speaker]] of this.#peers) {
      if (speaker) speakers.push(speaker);
      else this.#peers.delete(group);
    }
    return [...speakers, ...this.#apart];
  }

  #peersIn(group: string): Peers {
    const peers: Peers = this.#peers.get(group) ?? new Set();
    this.#peers.set(group, peers);
    return peers;
  }
}
