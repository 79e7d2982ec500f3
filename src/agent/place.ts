import { isIP } from 'node:net';
import type { Node } from '../kube/objects.ts';
import type { Balancer } from '../model.ts';
import { parseIp, parseRange, rangeHolds } from '../providers/local/addresses.ts';
import { isNodePortOfItsOwn } from '../providers/local/node-ports.ts';
import { renderListeners, type WantedListener } from '../providers/local/rules.ts';

/** Where an agent is, and so which addresses it serves. Pure. */
export interface Place {
  /** Addresses at which the agent's own node is published, and the address to listen at for each; empty outside the cluster. */
  readonly published: ReadonlyMap<string, string>;
  /** Every address of the node object: at these the node's own ports are left alone. */
  readonly ofNode: ReadonlySet<string>;
  /** Addresses of the machine's interfaces, without loopback. */
  readonly machine: ReadonlySet<string>;
  /** Further addresses that the agent may serve, whether they are here just now or not. */
  readonly movable: ReadonlySet<string>;
}

export const nowhere: Place = { published: new Map(), ofNode: new Set(), machine: new Set(), movable: new Set() };

/**
 * A node is published at its external addresses, else at its internal ones, as k3s does. An external address that a NAT in front
 * of the machine has, and no interface, is served at the internal address of its family.
 * @see https://docs.k3s.io/networking/networking-services#service-load-balancer
 */
export function publishNode(node: Node | undefined, machine: ReadonlySet<string>): ReadonlyMap<string, string> {
  const of = (type: string) =>
    (node?.addresses ?? []).filter((a) => a.type === type && isIP(a.address) !== 0).map((a) => a.address);
  const [external, internal] = [of('ExternalIP'), of('InternalIP')];
  const listenAt = (address: string): string => {
    if (machine.has(address)) return address;
    return internal.find((other) => isIP(other) === isIP(address) && machine.has(other)) ?? address;
  };
  const published = external.length > 0 ? external : internal;
  return new Map(published.map((address) => [address, listenAt(address)]));
}

/** What the controller gives out: whether Services may have the address at all. */
export type GivesOut = (address: string) => boolean;

/** @param pools CIDRs, ranges and addresses; empty: nothing but nodes' own addresses is given out */
export function readGivesOut(pools: readonly string[]): GivesOut {
  const ranges = pools.map(parseRange).filter((range) => typeof range !== 'string');
  return (address) => {
    const ip = parseIp(address);
    return ip !== undefined && ranges.some((range) => rangeHolds(range, ip));
  };
}

/**
 * The listeners of a balancer that this agent serves: at its own node's addresses where no pool is configured, else at addresses of
 * pools that its machine has. The addresses stand in an annotation, which whoever may edit a Service can write: one that is not given
 * out is served only where the Service's status shows it, too, which is the controller's to write.
 */
export function listenersHere(
  balancer: Balancer,
  place: Place,
  options: { readonly portFallback: boolean; readonly pools: readonly string[] },
  givesOut: GivesOut = readGivesOut(options.pools),
): readonly WantedListener[] {
  const mayHave = (address: string): boolean => givesOut(address) || balancer.address.published?.includes(address) === true;
  const whereTo = (address: string): string | undefined => {
    const own = options.pools.length === 0 ? place.published.get(address) : undefined;
    return own ?? (isHere(address, place) && mayHave(address) ? address : undefined);
  };
  return renderListeners(balancer, options).flatMap((listener) => {
    const at = whereTo(listener.address);
    if (at === undefined || (place.ofNode.has(at) && isNodePortOfItsOwn(listener.port))) return [];
    return [at === listener.address ? listener : { ...listener, address: at }];
  });
}

function isHere(address: string, { machine, movable }: Place): boolean {
  return machine.has(address) || movable.has(address);
}

/** Whether both lead to the same listeners. */
export function samePlace(a: Place, b: Place): boolean {
  const text = ({ published, ofNode, machine, movable }: Place) =>
    JSON.stringify([[...published], [...ofNode], [...machine], [...movable]]);
  return text(a) === text(b);
}
