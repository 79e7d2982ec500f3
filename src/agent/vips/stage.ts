import { isIPv6 } from 'node:net';
import { type Failure, interfaceOf, type Link, neighboursOn, placeVip } from './links.ts';
import { type IdRange, planVips, type VipAgent, type VipPeer } from './plan.ts';
import type { Placed, PlacedGroup } from './render.ts';

export interface Staging {
  readonly agents: readonly VipAgent[];
  readonly addresses: readonly string[];
  /** This agent's name. */
  readonly self: string;
  readonly ids: IdRange;
  readonly links: readonly Link[];
  /** What we have put on the links, by the record. */
  readonly ours: readonly Placed[];
  /** Address to the hardware address of a stranger that answers for it. */
  readonly strangers: ReadonlyMap<string, string>;
  /** The interface for all addresses. */
  readonly chosen?: string;
  /** The list of agents may be older than this one: not to be in it is no failure yet. */
  readonly isEarly?: boolean;
}

/** What this agent takes part in, and what it cannot. */
export interface Scene {
  /** Undefined: this agent takes part in nothing. */
  readonly as?: { readonly self: VipPeer; readonly family: 'IPv4' | 'IPv6'; readonly interface: string };
  /** Those with at least one address that can be placed. */
  readonly groups: readonly PlacedGroup[];
  readonly failures: ReadonlyMap<string, Failure>;
}

/** keepalived reads its whole configuration anew with each change. */
const MOST_ADDRESSES = 1_024;

/** Pure: everything that this agent is to do for its addresses, from what is wanted and what there is. */
export function stageVips(staging: Staging): Scene {
  const { agents, ids, links, self } = staging;
  const [addresses, beyond] = [staging.addresses.slice(0, MOST_ADDRESSES), staging.addresses.slice(MOST_ADDRESSES)];
  const failures = new Map<string, Failure>();
  const fail = (some: readonly string[], failure: Failure): Scene => {
    for (const address of some) failures.set(address, failure);
    return { groups: [], failures };
  };
  if (staging.isEarly && !agents.some(({ name }) => name === self)) return { groups: [], failures };
  fail(beyond, { code: 'NotSupported', message: `this is more than the ${MOST_ADDRESSES} addresses that agents can share` });
  const plan = planVips(agents, addresses, ids);
  const peer = plan?.groups[0]?.order.find((one) => one.name === self);
  if (!plan) return fail(addresses, { code: 'FamilyUnsupported', message: describeFamilies(agents) });
  if (!peer) return fail(addresses, { code: 'SyncFailed', message: `agent ${self} is not in the list of agents yet` });
  const home = interfaceOf(links, peer.address);
  if (home === undefined) {
    return fail(addresses, {
      code: 'InterfaceMissing',
      message: `no interface of this machine has its own address ${peer.address}`,
    });
  }
  const groups = plan.groups.map((group) => ({ ...group, addresses: group.addresses.flatMap((address) => place(address)) }));
  return {
    as: { self: peer, family: plan.family, interface: home },
    groups: groups.filter((group) => group.addresses.length > 0),
    failures,
  };

  function place(address: string): Placed[] {
    const placed = refuseStranger(address, staging.strangers) ?? placeVip(address, links, staging.ours, staging.chosen);
    if ('interface' in placed) return [placed];
    failures.set(address, placed);
    return [];
  }
}

/**
 * Which addresses can be asked for on the segment, and the addresses of agents by which these are known from strangers: those on the interface
 * where the agents meet, and on others where each of the other agents has an address of its own.
 */
export function whomToAsk(
  { as, groups }: Scene,
  { agents, links, self }: Pick<Staging, 'agents' | 'links' | 'self'>,
): { readonly asked: readonly Placed[]; readonly friends: readonly string[] } {
  const others = agents.filter(({ name }) => name !== self);
  const near = others.map(({ addresses }) => neighboursOn(links, addresses));
  const isKnown = (name: string) => name === as?.interface || near.every((of) => (of.get(name) ?? []).length > 0);
  const asked = groups.flatMap((group) => group.addresses).filter((one) => isKnown(one.interface));
  const interfaces = new Set(asked.map((one) => one.interface));
  const met = (groups[0]?.order ?? []).map((peer) => peer.address);
  const there = near.flatMap((of) => [...interfaces].flatMap((name) => of.get(name) ?? []));
  return { asked, friends: [...new Set([...met, ...there])] };
}

function refuseStranger(address: string, strangers: ReadonlyMap<string, string>): Failure | undefined {
  const hardware = strangers.get(address);
  if (hardware === undefined) return undefined;
  return { code: 'AddressDuplicate', message: `${address} is answered for by ${hardware}, which is none of the agents` };
}

const SHOWN = 3;

function describeFamilies(agents: readonly VipAgent[]): string {
  if (agents.length === 0) return 'there are no agents that could hold it';
  const count = (family: boolean) =>
    agents.filter(({ addresses }) => addresses.some((address) => isIPv6(address) === family)).length;
  const names = agents.slice(0, SHOWN).map(({ name }) => name);
  const more = agents.length > SHOWN ? ', …' : '';
  return `the agents (${names.join(', ')}${more}) have no common IP family: of ${agents.length}, ${count(false)} have IPv4 and ${count(true)} IPv6`;
}

/** `standby`: another agent shall hold it, or does. `pending`: what is to become of it is not known yet. */
export type Holding = { readonly state: 'held' | 'standby' | 'pending' } | ({ readonly state: 'failed' } & Failure);

/**
 * What has become of each address that is wanted.
 * @param here addresses on this machine's interfaces
 * @param fault why none can be held
 */
export function holdingsOf(
  wanted: readonly string[],
  scene: Scene,
  here: ReadonlySet<string>,
  fault?: Failure,
): ReadonlyMap<string, Holding> {
  const staged = new Set(scene.groups.flatMap((group) => group.addresses.map((one) => one.address)));
  const holdingOf = (address: string): Holding => {
    const failure = scene.failures.get(address) ?? fault;
    if (failure) return { state: 'failed', ...failure };
    if (!staged.has(address)) return { state: 'pending' };
    return { state: here.has(address) ? 'held' : 'standby' };
  };
  return new Map(wanted.map((address) => [address, holdingOf(address)]));
}

/** What the record must hold: what is wanted now, and what was and is still on its link. */
export function recordOf(groups: readonly PlacedGroup[], ours: readonly Placed[], links: readonly Link[]): readonly Placed[] {
  const wanted = groups.flatMap((group) => group.addresses);
  const remaining = ours.filter(
    (one) => !wanted.some((other) => same(one, other)) && interfaceOf(links, one.address) === one.interface,
  );
  return [...wanted, ...remaining];
}

function same(a: Placed, b: Placed): boolean {
  return a.address === b.address && a.interface === b.interface;
}
