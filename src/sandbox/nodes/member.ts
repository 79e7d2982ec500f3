import type { NodeNetwork, NodeState } from './node.ts';
import type { PodPlace } from './pods.ts';

/** A node of the sandbox; what `state` means is told at `NodeState`. */
export interface SandboxNode {
  readonly name: string;
  /** InternalIP. */
  readonly address: string;
  readonly state: NodeState;
  /** The port of the node where a NodePort is really served: another one where it was taken. */
  servedAt(nodePort: number): number;
  /** Up again, refusing connections, or taking them and never answering. @param drainMs for established ones when refusing */
  become(state: NodeState, drainMs?: number): Promise<void>;
  /**
   * Takes the node out of the cluster as an autoscaler does: its Node object and its pods are deleted, and when nobody comes
   * any more the machine is off. Resolves then. @param limitMs for new connections to cease, and for established ones to end
   * @param quietMs without a new connection after which nobody comes any more; default 100
   */
  leave(limitMs: number, quietMs?: number): Promise<void>;
}

type Leave = (member: Member, limitMs: number, quietMs?: number) => Promise<void>;

/** A node as the sandbox keeps it: its network and its place for pods. */
export class Member implements SandboxNode {
  readonly network: NodeNetwork;
  readonly place: PodPlace;
  readonly #leave: Leave;

  constructor(network: NodeNetwork, place: PodPlace, leave: Leave) {
    this.network = network;
    this.place = place;
    this.#leave = leave;
  }

  get name(): string {
    return this.place.name;
  }

  get address(): string {
    return this.place.address;
  }

  get state(): NodeState {
    return this.network.state;
  }

  servedAt = (nodePort: number): number => this.network.servedAt(nodePort);

  become(state: NodeState, drainMs = 0): Promise<void> {
    return this.network.become(state, drainMs);
  }

  leave(limitMs: number, quietMs?: number): Promise<void> {
    return this.#leave(this, limitMs, quietMs);
  }
}
