import { isIPv6 } from 'node:net';
import { Refusal } from '../../errors.ts';
import { type Balancer, type IpFamily, nameOf } from '../../model.ts';
import { formatIp, parseIp } from './addresses.ts';
import type { AddressBook, Bound } from './allocate.ts';
import { compareAge } from './allocate.ts';
import { ownerOf, portName } from './choose.ts';
import { isNodePortOfItsOwn, whoseNodePort } from './node-ports.ts';

/** The name of the pool that the nodes' own addresses make, for `nodeport-lb.io/pool`. */
export const NODE_POOL = 'nodes';

type NodePortUsers = (port: string) => readonly string[];

interface Holding {
  readonly owner: string;
  readonly addresses: readonly string[];
}

/**
 * Gives each balancer the addresses of all its nodes on which an agent lives. Several balancers share them, each with ports of its
 * own; a port belongs to who had it first, and nobody else gets it before the last agent has let go of it.
 */
export class NodeBook implements AddressBook {
  /** Where a node is published; empty: no agent lives there. */
  readonly #publishedAt: (node: string) => readonly string[];
  readonly #holdings = new Map<string, Holding>();
  /** Addresses by port and key: what is held, and what is still open. */
  readonly #taken = new Map<string, Map<string, ReadonlySet<string>>>();
  readonly #portsOf = new Map<string, readonly string[]>();
  readonly #waiting = new Set<string>();

  constructor(publishedAt: (node: string) => readonly string[]) {
    this.#publishedAt = publishedAt;
  }

  addressesOf(key: string): readonly string[] {
    return this.#holdings.get(key)?.addresses ?? [];
  }

  keys(): readonly string[] {
    return [...this.#holdings.keys()];
  }

  restore(balancers: readonly Balancer[]): void {
    for (const balancer of [...balancers].sort(compareAge)) {
      const held = balancer.address.held.flatMap((text) => spell(text) ?? []);
      const free = held.filter((address) => this.#clash(balancer, address) === undefined);
      if (free.length === 0) continue;
      this.#holdings.set(balancer.key, { owner: ownerOf(balancer), addresses: free });
      this.#enter(balancer.key, portsOf(balancer), []);
    }
  }

  /**
   * @throws {Refusal} PoolUnknown, NodePortReserved, PortInUse, AddressInvalid, AddressNotInPool, FamilyUnsupported, AddressInUse,
   *   NoForwarder
   */
  assign(
    balancer: Balancer,
    _reservedBy: unknown,
    bound: readonly Bound[],
    nodePortUsers: NodePortUsers = () => [],
  ): readonly string[] {
    try {
      this.#refuseNodePorts(balancer, nodePortUsers);
      const addresses = this.#choose(balancer);
      this.#waiting.delete(balancer.key);
      this.#holdings.set(balancer.key, { owner: ownerOf(balancer), addresses });
      this.#enter(balancer.key, portsOf(balancer), bound);
      return addresses;
    } catch (thrown) {
      if (thrown instanceof Refusal) this.#waiting.add(balancer.key);
      throw thrown;
    }
  }

  settle(key: string, bound: readonly Bound[]): readonly string[] {
    this.#enter(key, this.#holdings.has(key) ? (this.#portsOf.get(key) ?? []) : [], bound);
    return this.#wake();
  }

  release(key: string, bound: readonly Bound[]): readonly string[] {
    this.#waiting.delete(key);
    this.#holdings.delete(key);
    return this.settle(key, bound);
  }

  /** A node that goes takes its address with it. */
  outsideOf(): readonly string[] {
    return [];
  }

  /** The keys that were refused: what agents there are has changed. */
  waiting(): readonly string[] {
    return [...this.#waiting];
  }

  #choose(balancer: Balancer): readonly string[] {
    refuseUnfit(balancer);
    const nodes = unique(balancer.nodes.flatMap(({ name }) => this.#publishedAt(name)).flatMap((text) => spell(text) ?? []));
    if (nodes.length === 0) return this.#keep(balancer);
    const asked = pickRequested(balancer, nodes);
    const ofFamilies = balancer.families.flatMap((family) => pickFamily(balancer, asked, family));
    if (ofFamilies.length === 0)
      throw new Refusal(
        'FamilyUnsupported',
        `No node of ${ownerOf(balancer)} has an address of ${balancer.families.join(' or ')}`,
      );
    const free = ofFamilies.filter((address) => this.#clash(balancer, address) === undefined);
    if (free.length > 0) return free;
    const [address = ''] = ofFamilies;
    const { port, key } = this.#clash(balancer, address)!;
    throw new Refusal('AddressInUse', `Port ${port} of the nodes' addresses is held by ${this.#holdings.get(key)?.owner ?? key}`);
  }

  /** kube-proxy takes what comes for a NodePort at a node's address, or we would take it from the Service that has it. */
  #refuseNodePorts(balancer: Balancer, nodePortUsers: NodePortUsers): void {
    const had = this.#holdings.has(balancer.key) ? (this.#portsOf.get(balancer.key) ?? []) : [];
    const [first] = findNodePorts(balancer, nodePortUsers).filter(({ port }) => !had.includes(port));
    if (first) throw new Refusal('PortInUse', first.message);
  }

  /** Agents that are all away for a while are no reason to take a Service's addresses from it. */
  #keep({ key, address, nodes }: Balancer): readonly string[] {
    const mine = this.#holdings.get(key)?.addresses ?? [];
    const kept = mine.length > 0 ? mine : address.held.flatMap((text) => spell(text) ?? []);
    if (kept.length > 0) return kept;
    const names = nodes
      .slice(0, 3)
      .map(({ name }) => name)
      .join(', ');
    throw new Refusal(
      'NoForwarder',
      `No forwarder agent lives on any of the nodes (${names}${nodes.length > 3 ? ` and ${nodes.length - 3} more` : ''})`,
    );
  }

  #clash(balancer: Balancer, address: string): { readonly port: string; readonly key: string } | undefined {
    for (const port of portsOf(balancer)) {
      for (const [key, addresses] of this.#taken.get(port) ?? []) {
        if (key !== balancer.key && addresses.has(address)) return { port, key };
      }
    }
    return undefined;
  }

  #enter(key: string, ports: readonly string[], bound: readonly Bound[]): void {
    for (const port of this.#portsOf.get(key) ?? []) {
      this.#taken.get(port)?.delete(key);
      if (this.#taken.get(port)?.size === 0) this.#taken.delete(port);
    }
    const held = this.addressesOf(key);
    const all = unique([...ports, ...bound.map(({ port }) => port)]);
    for (const port of all) {
      const open = bound.filter((b) => b.port === port).map(({ address }) => address);
      const addresses = new Set([...(ports.includes(port) ? held : []), ...open]);
      const keys = this.#taken.get(port) ?? new Map<string, ReadonlySet<string>>();
      this.#taken.set(port, keys.set(key, addresses));
    }
    if (all.length > 0) this.#portsOf.set(key, all);
    else this.#portsOf.delete(key);
  }

  #wake(): readonly string[] {
    const keys = this.waiting();
    this.#waiting.clear();
    return keys;
  }
}

function portsOf(balancer: Balancer): readonly string[] {
  return unique(balancer.listeners.filter(({ port }) => !isNodePortOfItsOwn(port)).map(portName));
}

/** Ports of the balancer that are other Services' NodePorts, each with that as a sentence. */
export function findNodePorts(
  balancer: Balancer,
  nodePortUsers: NodePortUsers,
): readonly { readonly port: string; readonly message: string }[] {
  const own = new Set(balancer.members.map(nameOf));
  return portsOf(balancer).flatMap((port) => {
    const other = nodePortUsers(port).find((name) => !own.has(name));
    return other === undefined ? [] : [{ port, message: `Port ${port} of the nodes' addresses is the nodePort of ${other}` }];
  });
}

function refuseUnfit(balancer: Balancer): void {
  const { pool } = balancer.address;
  if (pool !== undefined && pool !== NODE_POOL) {
    throw new Refusal(
      'PoolUnknown',
      `There is no pool ${JSON.stringify(pool)}: no pool is configured, so Services get the nodes' own addresses (pool ${NODE_POOL})`,
    );
  }
  if (balancer.listeners.length === 0 || balancer.listeners.some(({ port }) => !isNodePortOfItsOwn(port))) return;
  const named = balancer.listeners.map((listener) => `${portName(listener)} (${whoseNodePort(listener.port)})`);
  throw new Refusal('NodePortReserved', `Port ${named.join(', ')} is not given out at the addresses of nodes`);
}

function pickRequested({ address }: Balancer, nodes: readonly string[]): readonly string[] {
  if (address.requested.length === 0) return nodes;
  return address.requested.map((text) => {
    const asked = spell(text.trim());
    if (asked === undefined) throw new Refusal('AddressInvalid', `${JSON.stringify(text)} is not an IP address`);
    if (nodes.includes(asked)) return asked;
    throw new Refusal(
      'AddressNotInPool',
      `Address ${asked} is none of the nodes with a forwarder agent, and no pool is configured; there are: ${nodes.slice(0, 5).join(', ')}`,
    );
  });
}

function pickFamily(balancer: Balancer, addresses: readonly string[], family: IpFamily): readonly string[] {
  const found = addresses.filter((address) => isIPv6(address) === (family === 'IPv6'));
  if (found.length > 0 || balancer.preferDualStack || balancer.address.requested.length > 0) return found;
  throw new Refusal('FamilyUnsupported', `No node of ${ownerOf(balancer)} has an ${family} address`);
}

function spell(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}
