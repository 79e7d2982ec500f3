import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** A machine that may hold addresses. */
export interface VipAgent {
  /** Unique; the same word on every agent. */
  readonly name: string;
  /** Its own addresses, where the others reach it; the first of the family that all agents have is used. */
  readonly addresses: readonly string[];
}

/** Virtual router ids, both ends included: 1 to 255 by the protocol (RFC 9568 section 5.2.3). */
export interface IdRange {
  readonly first: number;
  readonly last: number;
}

/** Every id; who has other VRRP routers on the agents' machines takes a part of it. */
export const ALL_IDS: IdRange = { first: 1, last: 255 };

/** An agent as the others see it. */
export interface VipPeer {
  readonly name: string;
  readonly address: string;
}

/** Addresses that move together. */
export interface VipGroup {
  /** Virtual router id. */
  readonly id: number;
  /** In the order in which they were asked for; IPv4 and IPv6 may be mixed. */
  readonly addresses: readonly string[];
  /** Who shall hold them: the first that can. */
  readonly order: readonly VipPeer[];
}

export interface VipPlan {
  readonly groups: readonly VipGroup[];
  /** What the agents speak with each other. */
  readonly family: 'IPv4' | 'IPv6';
}

/**
 * Which addresses move together, and in which order the agents shall hold them. Every agent comes to the same plan from the same
 * lists, in whatever order these are. An address's group depends on the address alone, so that agents which learn of others at
 * different times never look for one address in two groups; neighbouring addresses are in different groups. The order is by
 * rendezvous hash of group and agent: whoever leaves moves only what was its own, whoever comes takes only its share.
 * @returns undefined when there is no family of addresses that all agents have, or no agent
 */
export function planVips(agents: readonly VipAgent[], addresses: readonly string[], ids: IdRange): VipPlan | undefined {
  const family = commonFamily(agents);
  if (family === undefined) return undefined;
  const peers = agents.map(({ name, addresses: own }) => ({ name, address: own.find(testOf(family)) ?? '' }));
  const byId = new Map<number, string[]>();
  for (const address of new Set(addresses)) {
    const id = groupOf(address, ids);
    const group = byId.get(id);
    if (group) group.push(address);
    else byId.set(id, [address]);
  }
  const groups = [...byId]
    .sort(([a], [b]) => a - b)
    .map(([id, members]) => ({ id, addresses: members, order: orderOf(peers, id) }));
  return { groups, family };
}

/** The group of an address: its number modulo the size of the range. */
export function groupOf(address: string, { first, last }: IdRange): number {
  const size = last - first + 1;
  const rest = ipaddr
    .parse(address)
    .toByteArray()
    .reduce((sum, byte) => (sum * 256 + byte) % size, 0);
  return first + rest;
}

/** By falling score; two agents of one score, which is one chance in four thousand million, stand by name. */
function orderOf(peers: readonly VipPeer[], id: number): readonly VipPeer[] {
  const scored = peers.map((peer) => ({ peer, score: scoreOf(`${id}/${peer.name}`) }));
  scored.sort((a, b) => b.score - a.score || (a.peer.name < b.peer.name ? -1 : 1));
  return scored.map(({ peer }) => peer);
}

/** FNV-1a, then the finaliser of MurmurHash3: without it names that differ in their last letter score alike. */
function scoreOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function commonFamily(agents: readonly VipAgent[]): 'IPv4' | 'IPv6' | undefined {
  if (agents.length === 0) return undefined;
  const all = (test: (address: string) => boolean) => agents.every(({ addresses }) => addresses.some(test));
  return all(isIPv4) ? 'IPv4' : all(isIPv6) ? 'IPv6' : undefined;
}

function testOf(family: 'IPv4' | 'IPv6'): (address: string) => boolean {
  return family === 'IPv4' ? isIPv4 : isIPv6;
}

/**
 * How well an agent can hold a group. `full`: serves all of it; `partly`: some address has no endpoint here, under policy Local;
 * `waiting`: could, but was away until a moment ago; `not`: cannot serve it, or is about to leave.
 */
export type Fitness = 'full' | 'partly' | 'waiting' | 'not';

/** Priorities run from 1 to 254 (0 and 255 have meanings of their own): four bands of so many, the fittest on top. */
const BAND = 63;
const TOP = 254;
/** Between two ranks: 30 steps of 1/256 advertisement interval are enough for the first to be heard by the second on a busy machine. */
const STEP_MOST = 30;

/** Taken off the priority; an agent of lower fitness thus comes after every one of higher, whatever their ranks. */
export const penalties: Readonly<Record<Fitness, number>> = { full: 0, partly: -BAND, waiting: -2 * BAND, not: -3 * BAND };

/**
 * An agent's priority in a group as long as it is fit. From rank 63 on all have the same, and the protocol lets the highest
 * address win.
 */
export function priorityOf(rank: number, agents: number): number {
  const step = Math.max(1, Math.min(STEP_MOST, Math.floor((BAND - 1) / Math.max(1, agents))));
  return TOP - Math.min(rank * step, BAND - 1);
}
