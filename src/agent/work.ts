import { claim, FINALIZER, HELD_BY } from '../controller/claim.ts';
import type { Followed } from '../controller/follow.ts';
import { decideIntent } from '../controller/intent.ts';
import { keepRefused } from '../controller/keep.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer, Listener, NodeTarget } from '../model.ts';
import { findNodes, type WantedListener } from '../providers/local/rules.ts';
import type { Orders } from './orders.ts';
import { type GivesOut, listenersHere, type Place, readGivesOut } from './place.ts';

/** Who takes the listeners; `providers/local/link.ts` fits. */
export interface Bench {
  put(listener: WantedListener, nodes: readonly NodeTarget[]): void;
  remove(id: string): void;
  /** Whether connections may still be accepted for the id. */
  isOpen(id: string): boolean;
}

/**
 * What this agent serves, by balancer key. Only what the Services of the cluster say decides: the same pure functions as the
 * controller's make balancers of them, and the addresses are those that the controller has recorded on them.
 */
export class Work {
  readonly #bench: Bench;
  readonly #balancers = new Map<string, Balancer>();
  readonly #listeners = new Map<string, ReadonlyMap<string, WantedListener>>();
  /** Leaving Services that the controller still holds: UID to key. */
  readonly #leaving = new Map<string, string>();
  /** Listeners that were taken away and may still be open: id to UID. */
  readonly #closing = new Map<string, string>();

  #given: { readonly pools: readonly string[]; readonly givesOut: GivesOut } | undefined;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  /** Every balancer that is served here or elsewhere. */
  balancers(): readonly Balancer[] {
    return [...this.#balancers.values()];
  }

  keys(): readonly string[] {
    return [...this.#balancers.keys()];
  }

  listeners(): readonly WantedListener[] {
    return [...this.#listeners.values()].flatMap((ofKey) => [...ofKey.values()]);
  }

  /** Id to UID of everything that is open or shall be. */
  holdings(): Readonly<Record<string, string>> {
    const open = this.listeners().map(({ id, uid }) => [id, uid] as const);
    return Object.fromEntries([...this.#stillClosing(), ...open]);
  }

  /** UIDs of leaving Services of which nothing is open here any more. */
  released(): readonly string[] {
    const busy = new Set(Object.values(this.holdings()));
    return [...this.#leaving.keys()].filter((uid) => !busy.has(uid)).sort();
  }

  /** Brings one balancer to what the cluster says. */
  take(key: string, { cluster, endpoints }: Pick<Followed, 'cluster' | 'endpoints'>, orders: Orders, place: Place): void {
    const members = cluster.membersOf(key).filter((service) => isHeldBy(service, orders.holder));
    const { loadBalancerClass, retired = false } = orders;
    const claims = { loadBalancerClass, claimUnset: false, retired }; // what is held is claimed already
    const provider = orders.holder.split('/')[0] ?? '';
    const { nodesFor, serviceNamed } = cluster;
    const endpointsAt: typeof endpoints.nodesAt = (service, port) => endpoints.nodesAt(service, port);
    const input = { key, members, provider, claims, nodesFor, serviceNamed, endpointsAt };
    const intent = decideIntent(input);
    this.#noteLeaving(
      key,
      members.filter((service) => claim(service, claims).kind === 'leaving'),
    );
    const wanted = keepRefused(intent.wanted, this.#balancers.get(key), intent.refused, input);
    if (wanted) this.#balancers.set(key, wanted);
    else this.#balancers.delete(key);
    this.#serve(key, wanted, orders, place);
  }

  /** Takes up what was served before a restart, until the cluster can be asked. */
  resume(balancer: Balancer, orders: Orders, place: Place): void {
    this.#balancers.set(balancer.key, balancer);
    this.#serve(balancer.key, balancer, orders, place);
  }

  /** Where endpoints are is not known any more: every node is asked. */
  forgetEndpoints(orders: Orders, place: Place): void {
    for (const [key, { listeners, ...rest }] of this.#balancers) {
      if (!listeners.some(({ targetGroup }) => targetGroup.endpointNodes !== undefined)) continue;
      const balancer = { ...rest, listeners: listeners.map(withoutEndpoints) };
      this.#balancers.set(key, balancer);
      this.#serve(key, balancer, orders, place);
    }
  }

  /** The machine's addresses, or the pools, have changed. */
  move(orders: Orders, place: Place): void {
    for (const [key, balancer] of this.#balancers) this.#serve(key, balancer, orders, place);
  }

  #serve(key: string, wanted: Balancer | undefined, orders: Orders, place: Place): void {
    const listeners = new Map(
      (wanted ? listenersHere(wanted, place, orders, this.#givesOutOf(orders)) : []).map((listener) => [listener.id, listener]),
    );
    const nodesOf = wanted ? findNodes(wanted) : () => [];
    for (const [id, { uid }] of this.#listeners.get(key) ?? []) {
      if (listeners.has(id)) continue;
      this.#closing.set(id, uid);
      this.#bench.remove(id);
    }
    for (const listener of listeners.values()) {
      this.#closing.delete(listener.id);
      this.#bench.put(listener, nodesOf(listener));
    }
    if (listeners.size > 0) this.#listeners.set(key, listeners);
    else this.#listeners.delete(key);
  }

  #givesOutOf({ pools }: Orders): GivesOut {
    if (this.#given?.pools !== pools) this.#given = { pools, givesOut: readGivesOut(pools) };
    return this.#given.givesOut;
  }

  #noteLeaving(key: string, services: readonly Service[]): void {
    for (const [uid, of] of this.#leaving) if (of === key) this.#leaving.delete(uid);
    for (const { uid } of services) this.#leaving.set(uid, key);
  }

  #stillClosing(): readonly (readonly [string, string])[] {
    for (const id of [...this.#closing.keys()]) if (!this.#bench.isOpen(id)) this.#closing.delete(id);
    return [...this.#closing];
  }
}

function withoutEndpoints(listener: Listener): Listener {
  const { endpointNodes: _gone, ...targetGroup } = listener.targetGroup;
  return { ...listener, targetGroup };
}

/** Whether agents serve the Service, and only at nodes with an endpoint. */
export function needsEndpoints(service: Service, { holder }: Orders): boolean {
  return service.externalTrafficPolicy === 'Local' && isHeldBy(service, holder);
}

/** Whether the controller of these agents has taken the Service on and recorded its addresses. */
function isHeldBy(service: Service, holder: string): boolean {
  return service.finalizers.includes(FINALIZER) && service.annotations[HELD_BY] === holder;
}
