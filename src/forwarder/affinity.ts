import type { Attempt } from './dial.ts';
import { fillSlot, SLOTS, slotOf } from './kernel/slots.ts';
import type { NodeEntry } from './targets.ts';

/**
 * Which target a listener's clients go to, for a time that each connection begins anew: a table of SLOTS slots (1,024), into which
 * clients fall by the hash of their address, so that it takes some 16 KB however many come. A target that goes, or is not healthy when a
 * client comes, loses the slots that were its own; one that comes gets slots whose time is over, and takes none.
 */
export class Affinity {
  /** Made with the first client. */
  #targets: (NodeEntry | undefined)[] = [];
  #untilMs = new Float64Array(0);

  /**
   * The target of the client's slot. A slot that has none gets the one with the highest score there (rendezvous), so that a forwarder
   * that is started anew, and one on another machine, choose as this one did.
   * @returns undefined when no target is healthy
   */
  choose(client: string, healthy: readonly Attempt[], nowMs: number): Attempt | undefined {
    const slot = slotOf(client);
    const had = (this.#untilMs[slot] ?? 0) > nowMs ? this.#targets[slot] : undefined;
    const kept = had && healthy.find(({ node }) => node === had);
    return (
      kept ??
      healthy[
        fillSlot(
          healthy.map(({ node }) => node.id),
          slot,
        )
      ]
    );
  }

  /** The client has come to this target, and its slot has it until then. @param untilMs monotonic milliseconds */
  keep(client: string, target: NodeEntry, untilMs: number): void {
    if (this.#targets.length === 0) {
      this.#targets = new Array<NodeEntry | undefined>(SLOTS).fill(undefined);
      this.#untilMs = new Float64Array(SLOTS);
    }
    const slot = slotOf(client);
    this.#targets[slot] = target;
    this.#untilMs[slot] = untilMs;
  }
}
