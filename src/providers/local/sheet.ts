import { isDeepStrictEqual } from 'node:util';
import { RULES_VERSION, type RuleListener, type RuleNode, type Rules, type RulesChange } from '../../forwarder/rules.ts';
import type { NodeTarget } from '../../model.ts';
import { NodeSets } from './node-sets.ts';
import { toRule, type WantedListener } from './rules.ts';

/** A listener as it shall be. */
export interface Entry {
  readonly listener: WantedListener;
  readonly nodes: readonly NodeTarget[];
  readonly nodeSet: string;
  /** Undefined: nothing that the forwarder could carry. */
  readonly rule: RuleListener | undefined;
}

interface Changed {
  readonly listeners: Set<string>;
  readonly sets: Set<string>;
  /** Sets that have other nodes now under their old names. */
  readonly renewed: Set<string>;
  readonly nodes: Map<string, RuleNode>;
}

/**
 * The rules as they shall be and as they were sent, so that the difference can be told. Nothing here waits or sends. Its size is
 * that of the wanted listeners, their nodes, and the listeners whose end is not confirmed.
 */
export class Sheet {
  readonly sets = new NodeSets();
  readonly #entries = new Map<string, Entry>();
  readonly #sent = { listeners: new Map<string, RuleListener>(), sets: new Set<string>(), nodes: new Set<string>() };
  /** The generation with which a listener was sent last, or was taken away; the latter until the end is confirmed. */
  readonly #sentAt = new Map<string, number>();
  readonly #closing = new Map<string, number>();
  #changed = noChange();
  #exclusive: readonly string[] = [];
  #toldExclusive: readonly string[] = [];
  /** A change is due although nothing is different. */
  #isTouched = false;
  #generation = -1;

  entry(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  /** The generation with which the listener was sent as it shall be; undefined: it was not yet. */
  sentAt(id: string): number | undefined {
    return this.#changed.listeners.has(id) ? undefined : this.#sentAt.get(id);
  }

  /** Whether the forwarder may still have the listener. */
  isOpen(id: string): boolean {
    return this.#entries.has(id) || this.#sent.listeners.has(id) || this.#closing.has(id);
  }

  put(listener: WantedListener, nodes: readonly NodeTarget[]): void {
    const before = this.#entries.get(listener.id);
    const { name, changed } = this.sets.use(nodes);
    this.#entries.set(listener.id, { listener, nodes, nodeSet: name, rule: toRule(listener, name) });
    for (const node of changed) this.#changed.nodes.set(node.id, node);
    this.#changed.sets.add(name);
    if (before) this.#leaveSet(before.nodeSet);
    this.#changed.listeners.add(listener.id);
  }

  remove(id: string): void {
    const before = this.#entries.get(id);
    if (!before) return;
    this.#entries.delete(id);
    this.#leaveSet(before.nodeSet);
    this.#changed.listeners.add(id);
  }

  /** Addresses that are ours alone, sorted. */
  setExclusive(addresses: readonly string[]): void {
    this.#exclusive = addresses;
  }

  /** The next change is told even if it is empty: the forwarder then tries again what it could not do. */
  touch(): void {
    this.#isTouched = true;
  }

  /** The difference between what shall be and what was sent, which from now on counts as sent; undefined: there is none. */
  takeChange(): RulesChange | undefined {
    const changed = this.#changed;
    this.#changed = noChange();
    this.#keepNames(changed);
    const base = this.#generation;
    const generation = base + 1;
    const listeners = this.#takeListeners(changed, generation);
    const nodeSets = this.#takeSets(changed);
    const nodes = this.#takeNodes(changed);
    const exclusive = this.#takeExclusive();
    const isEmpty = [listeners, nodeSets, nodes, exclusive].every((part) => Object.keys(part).length === 0);
    if (base >= 0 && isEmpty && !this.#isTouched) return undefined;
    this.#isTouched = false;
    this.#generation = generation;
    return { version: RULES_VERSION, base, generation, listeners, nodeSets, nodes, ...exclusive };
  }

  /** Everything that counts as sent. */
  whole(): Rules {
    const names = [...this.#sent.sets];
    return {
      version: RULES_VERSION,
      generation: this.#generation,
      nodes: [...this.sets.nodes()],
      nodeSets: Object.fromEntries(names.map((name) => [name, this.sets.idsOf(name) ?? []])),
      listeners: [...this.#sent.listeners.values()],
      ...(this.#toldExclusive.length === 0 ? {} : { exclusive: this.#toldExclusive }),
    };
  }

  /** @param generation in force at the forwarder @returns the ids whose end is confirmed by it */
  confirm(generation: number): readonly string[] {
    const ended = [...this.#closing].filter(([, since]) => generation >= since).map(([id]) => id);
    for (const id of ended) this.#closing.delete(id);
    return ended;
  }

  #leaveSet(name: string): void {
    if (this.sets.leave(name)) this.#changed.sets.add(name);
  }

  #takeExclusive(): Pick<RulesChange, 'exclusive'> {
    if (isDeepStrictEqual(this.#exclusive, this.#toldExclusive)) return {};
    this.#toldExclusive = this.#exclusive;
    return { exclusive: this.#exclusive };
  }

  /**
   * When all that had one set have a new one now, it is the old one with other nodes: a node that comes or goes is one change, and not one of
   * every listener.
   */
  #keepNames(changed: Changed): void {
    const successors = this.#successors(changed.listeners);
    for (const [former, next] of successors) {
      if (next === undefined || this.#sent.sets.has(next) || !this.sets.rename(next, former)) continue;
      for (const id of changed.listeners) this.#renameSet(id, next, former);
      changed.sets.delete(next);
      changed.sets.add(former);
      changed.renewed.add(former);
    }
  }

  /** For each set that was sent, the one that those of its listeners have that are still there; undefined: several. */
  #successors(ids: ReadonlySet<string>): ReadonlyMap<string, string | undefined> {
    const found = new Map<string, string | undefined>();
    for (const id of ids) {
      const former = this.#sent.listeners.get(id)?.nodeSet;
      const next = this.#entries.get(id)?.nodeSet;
      if (former === undefined || next === undefined) continue;
      found.set(former, found.has(former) && found.get(former) !== next ? undefined : next);
    }
    return found;
  }

  #renameSet(id: string, from: string, to: string): void {
    const entry = this.#entries.get(id);
    if (entry?.nodeSet !== from) return;
    this.#entries.set(id, { ...entry, nodeSet: to, rule: entry.rule && { ...entry.rule, nodeSet: to } });
  }

  #takeListeners({ listeners: ids, renewed }: Changed, generation: number): Record<string, RuleListener | null> {
    const changes: Record<string, RuleListener | null> = {};
    for (const id of ids) {
      const rule = this.#entries.get(id)?.rule;
      if (isDeepStrictEqual(rule, this.#sent.listeners.get(id))) {
        if (rule && renewed.has(rule.nodeSet)) this.#sentAt.set(id, generation);
        continue;
      }
      changes[id] = rule ?? null;
      if (rule) {
        this.#sent.listeners.set(id, rule);
        this.#sentAt.set(id, generation);
        this.#closing.delete(id);
      } else {
        this.#sent.listeners.delete(id);
        this.#sentAt.delete(id);
        this.#closing.set(id, generation);
      }
    }
    return changes;
  }

  #takeSets({ sets: names, renewed }: Changed): Record<string, readonly string[] | null> {
    const changes: Record<string, readonly string[] | null> = {};
    for (const name of names) {
      const ids = this.sets.idsOf(name);
      if (ids && (renewed.has(name) || !this.#sent.sets.has(name))) {
        this.#sent.sets.add(name);
        changes[name] = ids;
      } else if (!ids && this.#sent.sets.delete(name)) changes[name] = null;
    }
    return changes;
  }

  #takeNodes(changed: Changed): Record<string, RuleNode | null> {
    const changes: Record<string, RuleNode | null> = {};
    const setsWent = [...changed.sets].some((name) => changed.renewed.has(name) || !this.sets.idsOf(name));
    const gone = new Set(setsWent ? this.sets.prune() : []);
    for (const id of gone) if (this.#sent.nodes.delete(id)) changes[id] = null;
    for (const [id, node] of changed.nodes) {
      if (gone.has(id)) continue;
      changes[id] = node;
      this.#sent.nodes.add(id);
    }
    return changes;
  }
}

function noChange(): Changed {
  return { listeners: new Set(), sets: new Set(), renewed: new Set(), nodes: new Map() };
}
