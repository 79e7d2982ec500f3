import { isIP } from 'node:net';
import type { Machine } from '../paths.ts';
import type { RuleListener } from '../rules.ts';
import { addressesOf, type NodeEntry, type Nodes } from '../targets.ts';
import { canonical, type Family, familyOf } from './plan.ts';
import { sameSet } from './surroundings.ts';

/**
 * Pure. Why a rule cannot be the kernel's, as the end of a sentence; undefined: it can.
 * @param own canonical addresses of this machine
 */
export function needOfUserspace(rule: RuleListener, nodes: readonly NodeEntry[], own: ReadonlySet<string>): string | undefined {
  if (rule.proxyProtocol !== undefined) return 'the PROXY protocol is written by userspace';
  if (rule.retry === true && rule.protocol !== 'SCTP')
    return 'another target is tried for the same connection by userspace alone';
  if (rule.port === 0) return 'a port that the kernel shall choose needs a socket';
  if (rule.address.includes('%') || isIP(rule.address) === 0) return 'an address of one link alone needs a socket';
  if (rule.address === '0.0.0.0' || (rule.address.includes(':') && canonical(rule.address) === '::'))
    return 'every address at once needs sockets';
  if (isLoopback(rule.address)) return 'the kernel does not forward packets to loopback addresses';
  return nodes.length === 0 ? undefined : needOfTargets(familyOf(rule.address), rule.nodePort, nodes, own);
}

/** As soon as one target can be reached there is none. */
function needOfTargets(
  family: Family,
  nodePort: number,
  nodes: readonly NodeEntry[],
  own: ReadonlySet<string>,
): string | undefined {
  let isReached = false;
  for (const node of nodes) {
    for (const address of addressesOf(node, nodePort)) {
      if (familyOf(address) !== family || isLoopback(address)) continue;
      if (!isHere(node, address, own)) return undefined;
      isReached = true;
    }
  }
  return isReached
    ? 'its only targets are NodePorts of this very machine, and what the kernel has translated once kube-proxy does not translate again'
    : `the kernel does not translate between IP families or to loopback, and no target has an IPv${family} address`;
}

/** What the targets of each node set need, so that of 10,000 rules none is looked at when a node comes that changes nothing of that. */
export class Needs {
  #known: ReadonlyMap<string, string> = new Map();
  #machine: Machine | undefined;

  /** @param names of all node sets @returns those whose rules may be on another data path than they need now */
  moved(names: Iterable<string>, nodes: Nodes, machine: Machine): ReadonlySet<string> {
    const before = this.#known;
    const isSame = this.#machine !== undefined && isSameMachine(this.#machine, machine);
    this.#machine = machine;
    const known = new Map<string, string>();
    for (const name of names)
      known.set(name, nodes.hasOwnPorts(name) ? 'each rule for itself' : needsOf(nodes.set(name), machine));
    this.#known = known;
    const all = [...new Set([...before.keys(), ...known.keys()])];
    return new Set(all.filter((name) => !isSame || nodes.hasOwnPorts(name) || before.get(name) !== known.get(name)));
  }
}

/** Of nodes whose NodePorts are where they are. */
function needsOf(nodes: readonly NodeEntry[], { own }: Machine): string {
  return nodes.length === 0 ? '' : ([4, 6] as const).map((family) => needOfTargets(family, 0, nodes, own) ?? '-').join();
}

function isSameMachine(a: Machine, b: Machine): boolean {
  return sameSet(a.own, b.own) && sameSet(a.forwards, b.forwards);
}

/** Pure. A NodePort of this machine is no socket but kube-proxy's translation, which does not come after ours. */
export function isHere(node: NodeEntry, address: string, own: ReadonlySet<string>): boolean {
  return node.rule.port === undefined && node.rule.portMap === undefined && own.has(canonical(address));
}

export function isLoopback(address: string): boolean {
  return address.includes(':') ? canonical(address) === '::1' : address.startsWith('127.');
}

/** Pure. The source ranges of one family, each as a CIDR; undefined: all clients are let in. */
export function sourcesOf({ sourceRanges }: RuleListener, family: Family): readonly string[] | undefined {
  if (sourceRanges.length === 0) return undefined;
  const ranges = sourceRanges.map((range) => range.trim()).filter((range) => familyOf(range.split('/')[0] ?? '') === family);
  // An interval of everything is no set that nft takes.
  if (ranges.some((range) => range.endsWith('/0'))) return undefined;
  return [...new Set(ranges)].sort();
}
