import { isIP } from 'node:net';

export type Family = 4 | 6;

/** Where a listener's connections go. Interned: two listeners with the same targets have the same object. */
export interface Aim {
  /** Equal for equal aims. */
  readonly content: string;
  readonly family: Family;
  readonly addresses: readonly string[];
  /** Of each address; undefined: all at the listener's own nodePort, so that listeners of different nodePorts share a chain. */
  readonly ports: readonly number[] | undefined;
  /** By the client's address, so that a client stays with its target. */
  readonly sticky: boolean;
}

/** What one listener wants of the kernel. Never changed in place. */
export interface KernelRule {
  readonly id: string;
  readonly family: Family;
  /** `10.0.0.5 . tcp . 80`: how the ruleset names the listener. */
  readonly key: string;
  readonly address: string;
  readonly nodePort: number;
  readonly aim: Aim;
  /** Clients of its family that are let in, as CIDRs; undefined: all. */
  readonly sources: readonly string[] | undefined;
}

/** A chain that sends to targets, shared by all listeners with the same aim. */
export interface Chain {
  readonly name: string;
  readonly aim: Aim;
}

/** A chain that lets only some clients in, shared by all listeners with the same source ranges. */
export interface Guard {
  readonly name: string;
  readonly family: Family;
  readonly sources: readonly string[];
}

export interface Entry {
  readonly rule: KernelRule;
  /** Name of a chain. */
  readonly chain: string;
  /** Name of a guard. */
  readonly guard: string | undefined;
}

/** All that the kernel shall hold, by value. */
export interface Plan {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly chains: ReadonlyMap<string, Chain>;
  readonly guards: ReadonlyMap<string, Guard>;
  /** Addresses on which nothing else may answer. */
  readonly exclusive: ReadonlySet<string>;
  /** Listeners of userspace on those addresses, by key. */
  readonly open: ReadonlySet<string>;
  /** For the next name; names are not used twice. */
  readonly next: number;
}

export const emptyPlan: Plan = {
  entries: new Map(),
  chains: new Map(),
  guards: new Map(),
  exclusive: new Set(),
  open: new Set(),
  next: 1,
};

/** Pure. How the ruleset names a listener. @param address in its canonical form */
export function keyOf(address: string, protocol: string, port: number): string {
  return `${address} . ${protocol.toLowerCase()} . ${port}`;
}

export function familyOf(address: string): Family {
  return isIP(address) === 6 ? 6 : 4;
}

/** Pure. An address as the kernel writes it: IPv6 in lower case and shortened. */
export function canonical(address: string): string {
  if (isIP(address) !== 6) return address;
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

export interface Wanted {
  readonly rules: Iterable<KernelRule>;
  readonly exclusive: ReadonlySet<string>;
  readonly open: ReadonlySet<string>;
}

/**
 * Pure. What the kernel shall hold. A chain keeps its name while most of its listeners stay together, whatever becomes of its
 * targets: a node that comes or goes rewrites one chain and touches no listener.
 */
export function planRuleset({ rules, exclusive, open }: Wanted, before: Plan): Plan {
  const all = [...rules];
  const names = new Names(before.next);
  const chains = nameChains(all, before, names);
  const guards = nameGuards(all, before, names);
  const entries = new Map<string, Entry>();
  for (const rule of all) {
    const chain = chains.get(rule.aim.content)!.name;
    const guard = rule.sources && guards.get(contentOf(rule))!.name;
    const had = before.entries.get(rule.key);
    const same = had?.rule === rule && had.chain === chain && had.guard === guard;
    entries.set(rule.key, same ? had : { rule, chain, guard });
  }
  return { entries, chains: byName(chains), guards: byName(guards), exclusive, open, next: names.next };
}

class Names {
  next: number;

  constructor(next: number) {
    this.next = next;
  }

  take(letter: string): string {
    return `${letter}${this.next++}`;
  }
}

function nameChains(rules: readonly KernelRule[], before: Plan, names: Names): Map<string, Chain> {
  const aims = new Map(rules.map(({ aim }) => [aim.content, aim]));
  const chains = new Map<string, Chain>();
  for (const [name, content] of heirs(rules, before)) chains.set(content, { name, aim: aims.get(content)! });
  for (const [content, aim] of aims) if (!chains.has(content)) chains.set(content, { name: names.take('t'), aim });
  return chains;
}

/** Which chain goes on with which aim: that of most of its listeners, and of two chains the one that brings more of them. */
function heirs(rules: readonly KernelRule[], before: Plan): Map<string, string> {
  const votes = new Map<string, Map<string, number>>();
  for (const { key, aim } of rules) {
    const had = before.entries.get(key);
    if (!had) continue;
    const ballot = votes.get(had.chain) ?? new Map<string, number>();
    votes.set(had.chain, ballot);
    ballot.set(aim.content, (ballot.get(aim.content) ?? 0) + 1);
  }
  const claims = [...votes].map(([name, ballot]) => {
    const [content, count] = [...ballot].reduce((best, one) => (one[1] > best[1] ? one : best));
    return { name, content, count };
  });
  const taken = new Set<string>();
  const found = new Map<string, string>();
  for (const { name, content } of claims.sort((a, b) => b.count - a.count)) {
    if (taken.has(content)) continue;
    taken.add(content);
    found.set(name, content);
  }
  return found;
}

function nameGuards(rules: readonly KernelRule[], before: Plan, names: Names): Map<string, Guard> {
  const had = new Map([...before.guards.values()].map((guard) => [contentOf(guard), guard]));
  const guards = new Map<string, Guard>();
  for (const { family, sources } of rules) {
    if (!sources) continue;
    const content = contentOf({ family, sources });
    if (guards.has(content)) continue;
    guards.set(content, had.get(content) ?? { name: names.take('g'), family, sources });
  }
  return guards;
}

function contentOf({ family, sources }: { family: Family; sources: readonly string[] | undefined }): string {
  return `${family} ${sources?.join(' ')}`;
}

function byName<T extends { readonly name: string }>(things: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...things.values()].map((thing) => [thing.name, thing]));
}
