import { isIP } from 'node:net';
import { parseEndpoint } from './problems.ts';
import type { RuleNode } from './rules.ts';

/** Where a NodePort of a node is reached. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A node in force. The object lives as long as the id is in the rules; what it says follows the rules. */
export interface NodeEntry {
  readonly id: string;
  /** Small number, unique among the nodes in force; used again after the node has gone. */
  readonly slot: number;
  rule: RuleNode;
  /** The valid ones of the rule, in its order. */
  addresses: readonly string[];
}

/** Pure. Every way to a NodePort at a node, in the order of preference; empty when the node has no valid address. */
export function endpointsOf(node: NodeEntry, nodePort: number): readonly Endpoint[] {
  return mappedEndpoints(node, nodePort) ?? node.addresses.map((address) => ({ address, port: node.rule.port ?? nodePort }));
}

/** Pure. The addresses of those. */
export function addressesOf(node: NodeEntry, nodePort: number): readonly string[] {
  return mappedEndpoints(node, nodePort)?.map(({ address }) => address) ?? node.addresses;
}

/** Pure. The same for a port that is no Service's, such as a health check's: `RuleNode.port` does not stand for it. */
export function checkEndpointsOf(node: NodeEntry, port: number): readonly Endpoint[] {
  return mappedEndpoints(node, port) ?? node.addresses.map((address) => ({ address, port }));
}

function mappedEndpoints(node: NodeEntry, port: number): readonly Endpoint[] | undefined {
  const mapped = node.rule.portMap?.[port];
  if (mapped === undefined) return undefined;
  const endpoint = parseEndpoint(mapped);
  return endpoint ? [endpoint] : [];
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

/** The nodes in force and the sets of them. */
export class Nodes {
  readonly #byId = new Map<string, NodeEntry>();
  readonly #freeSlots: number[] = [];
  #sets = new Map<string, readonly NodeEntry[]>();
  #ownPorts: ReadonlySet<string> = new Set();

  /** One more than the highest slot that was ever given out. */
  get slots(): number {
    return this.#byId.size + this.#freeSlots.length;
  }

  get(id: string): NodeEntry | undefined {
    return this.#byId.get(id);
  }

  all(): Iterable<NodeEntry> {
    return this.#byId.values();
  }

  /** Each node once, in the order of the rules; an unknown set or node is as good as empty. */
  set(name: string): readonly NodeEntry[] {
    return this.#sets.get(name) ?? [];
  }

  /** Whether some node of the set is reached elsewhere than at its nodePort. */
  hasOwnPorts(name: string): boolean {
    return this.#ownPorts.has(name);
  }

  /** @returns the node that has come, stayed or gone */
  put(id: string, rule: RuleNode | undefined): NodeEntry | undefined {
    const had = this.#byId.get(id);
    if (rule === undefined) return this.#remove(had);
    const addresses = validAddresses(rule);
    if (had) return Object.assign(had, { rule, addresses });
    const entry = { id, slot: this.#freeSlots.pop() ?? this.#byId.size, rule, addresses };
    this.#byId.set(id, entry);
    return entry;
  }

  /** @param former a listener that goes from one set to another has both until the next call: what is known of nodes in both is kept */
  resolveSets(sets: ReadonlyMap<string, readonly string[]>, former: ReadonlyMap<string, readonly string[]> = new Map()): void {
    const all = new Map([...former, ...sets]);
    this.#sets = new Map([...all].map(([name, ids]) => [name, [...new Set(ids)].flatMap((id) => this.#byId.get(id) ?? [])]));
    const others = [...this.#sets].filter(([, nodes]) => nodes.some(({ rule }) => rule.port !== undefined || rule.portMap));
    this.#ownPorts = new Set(others.map(([name]) => name));
  }

  #remove(entry: NodeEntry | undefined): NodeEntry | undefined {
    if (!entry) return undefined;
    this.#byId.delete(entry.id);
    this.#freeSlots.push(entry.slot);
    return entry;
  }
}

function validAddresses(rule: RuleNode): readonly string[] {
  const addresses: readonly unknown[] = Array.isArray(rule.addresses) ? rule.addresses : [];
  return addresses.filter((address) => typeof address === 'string' && isIP(address) !== 0) as string[];
}
