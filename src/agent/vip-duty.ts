import { isIPv4 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { ListenerState, TargetState } from '../forwarder/rules.ts';
import type { Balancer } from '../model.ts';
import { type IpRange, parseIp, parseRange } from '../providers/local/addresses.ts';
import { isServed, isUncarried, type WantedListener } from '../providers/local/rules.ts';
import type { Orders } from './orders.ts';
import type { Vips, VipWish } from './vips/face.ts';
import type { Failure } from './vips/links.ts';
import type { VipAgent } from './vips/plan.ts';

/** Makes what holds addresses together with other agents. */
export type StartVips = (options: { readonly self: string; onChange(): void }) => Vips;

/** What of an agent's forwarder decides whether it can serve an address. */
export interface Serving {
  readonly listeners: readonly WantedListener[];
  state(id: string): ListenerState | undefined;
  target(node: string, nodePort: number): TargetState | undefined;
  /** Whether the node is a target of the listener: eligible, not excluded from balancers, and with an endpoint where that matters. */
  sendsTo(id: string, node: string): boolean;
}

/** What has become of the addresses that move. */
export interface VipOutcome {
  /** On this machine now. */
  readonly held: readonly string[];
  /** Another agent shall hold them, or does. */
  readonly standby: ReadonlySet<string>;
  /** Not decided yet. */
  readonly pending: ReadonlySet<string>;
  /** Why others cannot be here. */
  readonly failures: ReadonlyMap<string, Failure>;
}

/** The addresses of pools, held by one agent at a time. */
export class VipDuty {
  readonly #vips: Vips;
  #wish: VipWish = { agents: [], addresses: [] };

  constructor(start: StartVips, self: string, changed: () => void) {
    this.#vips = start({ self, onChange: changed });
  }

  /** What this agent has put on this machine's interfaces, or a dead one of its: none of these is the machine's own. */
  owned(): ReadonlySet<string> {
    return this.#vips.owned();
  }

  /** Says who the agents are, what is to be held, and what of it can be served here. */
  update(orders: Orders, vips: readonly string[], serving: Serving, node: string | undefined): void {
    const listeners = Map.groupBy(serving.listeners, ({ address }) => address);
    const addresses = vips.map((address) => ({ address, serve: canServe(listeners.get(address) ?? [], serving, node) }));
    const wish = { agents: vipAgents(orders), addresses };
    if (isDeepStrictEqual(wish, this.#wish)) return;
    this.#wish = wish;
    this.#vips.apply(wish);
  }

  outcome(): VipOutcome {
    const holdings = this.#vips.holdings();
    const all = [...holdings];
    const inState = (wanted: string) => all.filter(([, { state }]) => state === wanted).map(([address]) => address);
    const failures = all.flatMap(([address, holding]) => (holding.state === 'failed' ? [[address, holding] as const] : []));
    const unknown = this.#wish.addresses.map(({ address }) => address).filter((address) => !holdings.has(address));
    return {
      held: inState('held'),
      standby: new Set(inState('standby')),
      pending: new Set([...unknown, ...inState('pending')]),
      failures: new Map(failures),
    };
  }

  /** Lets others take over, then lets go. */
  stop(): Promise<void> {
    return this.#vips.close({ drain: true });
  }
}

/**
 * Addresses of Services that no machine has by itself: those of pools, but what an agent's machine has anyway. Whoever may write a
 * Service can write any address on it as held: out of the pools one counts only while it is in the status, which the controller writes.
 */
export function vipsOf(orders: Orders, balancers: readonly Balancer[], mine: ReadonlySet<string>): readonly string[] {
  if (orders.pools.length === 0) return [];
  const own = new Set([...mine, ...orders.agents.flatMap(({ addresses }) => addresses)]);
  const pools = rangesOf(orders);
  const isOurs = (address: string) => {
    const ip = parseIp(address);
    return pools.some((pool) => ip?.family === pool.family && pool.first <= ip.value && ip.value <= pool.last);
  };
  const held = balancers.flatMap(({ address: { held, published, ofNodes } }) =>
    ofNodes ? [] : held.filter((address) => isOurs(address) || published?.includes(address)),
  );
  return [...new Set(held)].filter((address) => !own.has(address)).sort();
}

function rangesOf({ pools }: Orders): readonly IpRange[] {
  return pools.flatMap((pool) => {
    const range = parseRange(pool);
    return typeof range === 'string' ? [] : [range];
  });
}

/**
 * The agents, each with the addresses at which the others reach it, the best first: the nearest to the pools, for there the addresses
 * are to be. What several machines have (a bridge of containers) tells none of them from the others. Where all pools are of one IP
 * family, so are these addresses, if every agent has one. All agents get the same out of the same orders.
 */
export function vipAgents(orders: Orders): readonly VipAgent[] {
  const counts = new Map<string, number>();
  for (const address of orders.agents.flatMap((agent) => agent.addresses)) counts.set(address, (counts.get(address) ?? 0) + 1);
  const starts = rangesOf(orders);
  const near = (address: string) => {
    const ip = parseIp(address);
    const distances = starts.flatMap(({ family, first }) => (ip?.family === family ? [distance(ip.value, first)] : []));
    return distances.sort(inOrder)[0] ?? FAR;
  };
  const agents = orders.agents.map(({ name, addresses }) => {
    const unique = addresses.filter((address) => counts.get(address) === 1);
    const placed = unique.map((address) => ({ address, far: near(address) }));
    placed.sort((a, b) => inOrder(a.far, b.far) || inOrder(a.address, b.address));
    return { name, addresses: placed.map(({ address }) => address) };
  });
  const family = onlyFamily(starts.map((range) => range.family));
  const fits = (address: string) => family === undefined || isIPv4(address) === (family === 'IPv4');
  if (!agents.every(({ addresses }) => addresses.some(fits))) return agents;
  return agents.map(({ name, addresses }) => ({ name, addresses: addresses.filter(fits) }));
}

const FAR = 1n << 129n;

/** Of two addresses of one family: the less, the more leading bits they share. */
function distance(a: bigint, b: bigint): bigint {
  return a ^ b;
}

function inOrder<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function onlyFamily<T>(families: readonly T[]): T | undefined {
  return new Set(families).size === 1 ? families[0] : undefined;
}

/**
 * Every port is open, or will be as soon as the address is here; and under policy Local an endpoint of each is on this very node. An
 * agent outside the cluster has no endpoints, and is as good as any. Where kube-proxy delivers, nodes that are excluded from balancers
 * are not to be entered; with a forwarder they only pass on.
 */
function canServe(all: readonly WantedListener[], serving: Serving, node: string | undefined): boolean {
  const listeners = all.filter(isServed);
  return listeners.length > 0 && listeners.every((one) => isOpen(one, serving.state(one.id)) && isReady(one));

  function isReady({ id, localOnly, nodePort, delivery }: WantedListener): boolean {
    if (node === undefined) return true;
    const isTarget = serving.sendsTo(id, node);
    if (localOnly) return isTarget && serving.target(node, nodePort)?.health === 'healthy';
    return delivery === undefined || isTarget;
  }
}

/** SCTP that has no data path here has none at most of the others: no reason to move what else is served. */
function isOpen(listener: WantedListener, state: ListenerState | undefined): boolean {
  if (isUncarried(listener, state)) return true;
  return state?.state === 'listening' || (state?.state === 'failed' && state.code === 'AddressUnavailable');
}
