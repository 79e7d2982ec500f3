import { isIP } from 'node:net';
import { patch } from '../patched.ts';
import type { RuleListener } from '../rules.ts';

export type Family = 4 | 6;

/** Where the connections of a group of listeners go. */
export interface Aim {
  /** Equal for equal aims. */
  readonly content: string;
  readonly family: Family;
  readonly addresses: readonly string[];
  /** Of each address; undefined: all at the listener's own nodePort, so that listeners of different nodePorts share a chain. */
  readonly ports: readonly number[] | undefined;
  /**
   * By the client's address, and so many seconds from its last connection on it stays with its target, whoever comes; 0: by its address
   * alone; undefined: in turn.
   */
  readonly staySeconds: number | undefined;
}

/** Pure. How the ruleset names each target. */
export function placesOf({ addresses, ports }: Aim): readonly string[] {
  return addresses.map((address, i) => (ports ? `${address} . ${ports[i]}` : address));
}

/** What one listener wants of the kernel. Never changed in place. */
export interface KernelRule {
  readonly id: string;
  readonly family: Family;
  /** `10.0.0.5 . tcp . 80`: how the ruleset names the listener. */
  readonly key: string;
  readonly address: string;
  readonly nodePort: number;
  /** Listeners of one group have the same targets, now and when a node comes or goes. */
  readonly group: string;
  /** Clients of its family that are let in, as CIDRs; undefined: all. */
  readonly sources: readonly string[] | undefined;
}

/** A chain that sends to targets, one for each group. */
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

/**
 * The chain for all listeners that no element sends elsewhere, one for each family: the group with most listeners has it, so that one
 * element is enough for each of them. Reading elements is most of what a load takes.
 */
export function restChain(family: Family): string {
  return `rest${family}`;
}

export function isRest(chain: string): boolean {
  return chain.startsWith('rest');
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
  /** By group. */
  readonly chains: ReadonlyMap<string, Chain>;
  /** By what they let in. */
  readonly guards: ReadonlyMap<string, Guard>;
  /** How many entries each chain and guard has, by name. */
  readonly sizes: ReadonlyMap<string, number>;
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
  sizes: new Map(),
  exclusive: new Set(),
  open: new Set(),
  next: 1,
};

/** Pure. How the ruleset names a listener. @param address in its canonical form */
export function keyOf(address: string, protocol: string, port: number): string {
  return `${address} . ${protocol.toLowerCase()} . ${port}`;
}

/** Pure. The same for a rule. */
export function keyOfRule({ address, protocol, port }: Pick<RuleListener, 'address' | 'protocol' | 'port'>): string {
  return keyOf(canonical(address), protocol, port);
}

/** Pure. @param address a valid one, which is asked so often that it is not looked at again */
export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** Pure. An address as the kernel writes it: IPv6 in lower case and shortened. */
export function canonical(address: string): string {
  if (!address.includes(':') || isIP(address) !== 6) return address;
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

export interface Changes {
  /** By key; undefined: it goes. */
  readonly rules: ReadonlyMap<string, KernelRule | undefined>;
  /** Of every group whose aim may be another one, and of every new one. */
  readonly aims: ReadonlyMap<string, Aim>;
}

/** Pure. What the kernel shall hold after these changes. A node that comes or goes changes one chain and touches no listener. */
export function planChanges(before: Plan, { rules, aims }: Changes): Plan {
  const draft = new Draft(before, aims);
  draft.passOn(rules);
  draft.giveRest(rules);
  rules.forEach((rule, key) => void draft.put(key, rule));
  return draft.finish();
}

/** The next plan while it is made. */
class Draft {
  readonly #before: Plan;
  readonly #aims: ReadonlyMap<string, Aim>;
  /** What differs; undefined: it goes. */
  readonly #entries = new Map<string, Entry | undefined>();
  readonly #chains: Map<string, Chain>;
  readonly #guards: Map<string, Guard>;
  readonly #sizes: Map<string, number>;
  #next: number;

  constructor(before: Plan, aims: ReadonlyMap<string, Aim>) {
    this.#before = before;
    this.#aims = aims;
    this.#chains = new Map(before.chains);
    this.#guards = new Map(before.guards);
    this.#sizes = new Map(before.sizes);
    this.#next = before.next;
    for (const [group, { name, aim }] of before.chains) {
      const now = aims.get(group);
      if (!now || now.content === aim.content) continue;
      if (isRest(name) && now.ports) throw new Error(`group ${group} has come to have ports of its own`);
      this.#chains.set(group, { name, aim: now });
    }
  }

  /**
   * A group whose listeners all come to be one new group gives it its chain: what the chain says is changed, and no element, so that counters
   * go on. So it is with listeners that have targets of their own whenever a node comes or goes.
   */
  passOn(rules: Changes['rules']): void {
    const moves = new Map<string, { readonly to: string | undefined; readonly count: number }>();
    rules.forEach((rule, key) => {
      const chain = this.#before.entries.get(key)?.chain;
      if (chain === undefined || isRest(chain)) return;
      const { to, count } = moves.get(chain) ?? { to: rule?.group, count: 0 };
      moves.set(chain, { to: to === rule?.group ? to : undefined, count: count + 1 });
    });
    const groups = new Map([...this.#chains].map(([group, { name }]) => [name, group]));
    for (const [name, { to, count }] of moves) {
      const aim = to === undefined ? undefined : this.#aims.get(to);
      if (to === undefined || !aim || this.#chains.has(to) || count !== this.#sizes.get(name)) continue;
      const from = groups.get(name);
      // Who remembers clients does so by the listener and by the chain's targets: that begins anew.
      if (from === undefined || aim.staySeconds !== undefined || this.#chains.get(from)?.aim.staySeconds !== undefined) continue;
      this.#chains.delete(from);
      this.#chains.set(to, { name, aim });
    }
  }

  /** To the largest of the new groups, where it is free. Groups that have a chain keep it: nothing of theirs is loaded again. */
  giveRest(rules: Changes['rules']): void {
    const sizes = new Map<string, number>();
    rules.forEach((rule) => {
      if (rule) sizes.set(rule.group, (sizes.get(rule.group) ?? 0) + 1);
    });
    const names = new Set([...this.#chains.values()].map(({ name }) => name));
    for (const [group] of [...sizes].sort(([, a], [, b]) => b - a)) {
      const aim = this.#aims.get(group);
      // Clients are remembered by the listener: on addresses that are ours alone not all that comes to the rest is for one.
      if (!aim || aim.ports || aim.staySeconds || this.#chains.has(group) || names.has(restChain(aim.family))) continue;
      names.add(restChain(aim.family));
      this.#chains.set(group, { name: restChain(aim.family), aim });
    }
  }

  put(key: string, rule: KernelRule | undefined): void {
    const had = this.#before.entries.get(key);
    if (rule) {
      const entry = { rule, chain: this.#chain(rule.group), guard: this.#guard(rule) };
      this.#entries.set(key, entry);
      this.#count(entry, 1);
    } else {
      this.#entries.set(key, undefined);
    }
    if (had) this.#count(had, -1);
  }

  finish(): Plan {
    for (const [group, { name }] of this.#chains) if (!this.#isUsed(name)) this.#chains.delete(group);
    for (const [content, { name }] of this.#guards) if (!this.#isUsed(name)) this.#guards.delete(content);
    const { entries, exclusive, open } = this.#before;
    const plan = { entries: patch(entries, this.#entries), chains: this.#chains, guards: this.#guards, sizes: this.#sizes };
    return { ...plan, exclusive, open, next: this.#next };
  }

  #isUsed(name: string): boolean {
    if ((this.#sizes.get(name) ?? 0) > 0) return true;
    this.#sizes.delete(name);
    return false;
  }

  #count({ chain, guard }: Entry, by: number): void {
    this.#sizes.set(chain, (this.#sizes.get(chain) ?? 0) + by);
    if (guard !== undefined) this.#sizes.set(guard, (this.#sizes.get(guard) ?? 0) + by);
  }

  #chain(group: string): string {
    const had = this.#chains.get(group);
    if (had) return had.name;
    const aim = this.#aims.get(group);
    if (!aim) throw new Error(`group ${group} has no aim`);
    const name = this.#take('t');
    this.#chains.set(group, { name, aim });
    return name;
  }

  #guard({ family, sources }: KernelRule): string | undefined {
    if (!sources) return undefined;
    const content = `${family} ${sources.join(' ')}`;
    const had = this.#guards.get(content);
    if (had) return had.name;
    const name = this.#take('g');
    this.#guards.set(content, { name, family, sources });
    return name;
  }

  #take(letter: string): string {
    return `${letter}${this.#next++}`;
  }
}

/** Pure. Whether some chain of the plan has another aim now. */
export function aimsDiffer(plan: Plan, aims: Changes['aims']): boolean {
  return [...aims].some(([group, { content }]) => {
    const chain = plan.chains.get(group);
    return chain !== undefined && chain.aim.content !== content;
  });
}
