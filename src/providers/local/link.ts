import { isDeepStrictEqual } from 'node:util';
import { explain } from '../../errors.ts';
import {
  type Forwarder,
  type ForwarderLog,
  type ForwarderReport,
  type ListenerState,
  RULES_VERSION,
  type RuleListener,
  type RuleNode,
  type Rules,
  type RulesChange,
  RulesError,
  type TargetState,
  targetState,
} from '../../forwarder/rules.ts';
import type { NodeTarget } from '../../model.ts';
import { NodeSets } from './node-sets.ts';
import { toRule, type WantedListener } from './rules.ts';
import { Waits } from './waits.ts';

/** Makes the forwarder that the link feeds, in this process or another. */
export type StartForwarder = (options: {
  readonly log: ForwarderLog;
  onReport(report: ForwarderReport): void;
}) => Forwarder | Promise<Forwarder>;

interface Entry {
  readonly listener: WantedListener;
  readonly nodes: readonly NodeTarget[];
  readonly nodeSet: string;
  readonly rule: RuleListener | undefined;
}

interface Changed {
  readonly listeners: Set<string>;
  readonly sets: Set<string>;
  readonly nodes: Map<string, RuleNode>;
}

/** What a report has changed, for those who must be told. */
export interface News {
  /** Listener ids that nobody waited for. */
  readonly listeners: readonly string[];
  /** Nodes whose health has changed, as a whole or (`nodePort`) at one port. */
  readonly targets: readonly { readonly node: string; readonly nodePort?: number }[];
}

/**
 * The wire to one forwarder: gathers what is wanted during a tick, sends the difference as one change, and mirrors what the
 * forwarder reports. The number of entries is that of the wanted listeners, of the listeners that drain and of the targets.
 */
export class Link {
  readonly sets = new NodeSets();
  readonly #log: ForwarderLog;
  readonly #tell: (news: News) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #states = new Map<string, ListenerState>();
  readonly #targets = new Map<string, TargetState>();
  readonly #waits = new Waits();
  /** The generation with which a listener was sent last, or taken away; the latter until the forwarder has followed. */
  readonly #sentAt = new Map<string, number>();
  readonly #closing = new Map<string, number>();
  #forwarder: Forwarder | undefined;
  /** What the forwarder has. */
  readonly #sent = { listeners: new Map<string, RuleListener>(), sets: new Set<string>(), nodes: new Set<string>() };
  #changed = noChange();
  #generation = -1;
  #reported = -1;
  #scheduled = false;

  constructor(log: ForwarderLog, tell: (news: News) => void) {
    this.#log = log;
    this.#tell = tell;
  }

  async start(startForwarder: StartForwarder): Promise<void> {
    this.#forwarder = await startForwarder({ log: this.#log, onReport: (report) => this.#take(report) });
    this.#send(); // whole rules, so that every later change has a base
  }

  async close(drainMs: number): Promise<void> {
    const forwarder = this.#forwarder;
    this.#forwarder = undefined;
    this.#waits.end();
    await forwarder?.close(drainMs);
  }

  entry(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  state(id: string): ListenerState | undefined {
    return this.#states.get(id);
  }

  target(node: string, nodePort: number): TargetState | undefined {
    return targetState(this.#targets, node, nodePort);
  }

  /** Whether the forwarder may still accept connections for the id. */
  isOpen(id: string): boolean {
    return this.#entries.has(id) || this.#sent.listeners.has(id) || this.#closing.has(id);
  }

  /** Serves the listener from the next tick on. */
  put(listener: WantedListener, nodes: readonly NodeTarget[]): void {
    const before = this.#entries.get(listener.id);
    const { name, changed } = this.sets.use(nodes);
    this.#entries.set(listener.id, { listener, nodes, nodeSet: name, rule: toRule(listener, name) });
    for (const node of changed) this.#changed.nodes.set(node.id, node);
    this.#changed.sets.add(name);
    if (before) this.#leaveSet(before.nodeSet);
    this.#touch(listener.id);
  }

  /** Stops listening from the next tick on; open connections live on for the listener's drain time. */
  remove(id: string): void {
    const before = this.#entries.get(id);
    if (!before) return;
    this.#entries.delete(id);
    this.#leaveSet(before.nodeSet);
    this.#touch(id);
  }

  /** Resolves when the listener is served or has failed. @throws {Error} when the forwarder does not answer in time */
  opened(id: string): Promise<void> {
    return this.#waits.until(id, () => {
      const state = this.#states.get(id);
      if (isDown(state)) return true;
      const current = !this.#changed.listeners.has(id) && this.#reported >= (this.#sentAt.get(id) ?? Number.POSITIVE_INFINITY);
      return current && (state?.state === 'listening' || state?.state === 'failed');
    });
  }

  /** Resolves when nothing is accepted any more. @throws {Error} when the forwarder does not answer in time */
  closed(id: string): Promise<void> {
    return this.#waits.until(id, () => !this.isOpen(id));
  }

  #leaveSet(name: string): void {
    if (this.sets.leave(name)) this.#changed.sets.add(name);
  }

  #touch(id: string): void {
    this.#changed.listeners.add(id);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (!this.#forwarder) return;
    const change = this.#describeChange();
    if (change === undefined) {
      this.#waits.check();
      return;
    }
    this.#generation = change.generation;
    try {
      this.#apply(this.#forwarder, change);
    } catch (error) {
      // The steps that wait for it fail in their time; the next change is refused for its base and goes out whole.
      this.#log.error({ error: explain(error), generation: change.generation }, 'the forwarder did not take its rules');
    }
  }

  #apply(forwarder: Forwarder, change: RulesChange): void {
    try {
      forwarder.apply(change.base < 0 ? this.#describeAll(change.generation) : change);
    } catch (error) {
      if (!(error instanceof RulesError) || error.code !== 'WrongBase') throw error;
      forwarder.apply(this.#describeAll(change.generation));
    }
  }

  /** The difference between what is wanted and what was sent, which from now on counts as sent. */
  #describeChange(): RulesChange | undefined {
    const changed = this.#changed;
    this.#changed = noChange();
    const generation = this.#generation + 1;
    const listeners = this.#takeListeners(changed.listeners, generation);
    const nodeSets = this.#takeSets(changed.sets);
    const nodes = this.#takeNodes(changed.nodes, Object.values(nodeSets).includes(null));
    const isFirst = this.#generation < 0;
    if (!isFirst && [listeners, nodeSets, nodes].every((part) => Object.keys(part).length === 0)) return undefined;
    return { version: RULES_VERSION, base: this.#generation, generation, listeners, nodeSets, nodes };
  }

  #takeListeners(ids: ReadonlySet<string>, generation: number): Record<string, RuleListener | null> {
    const changes: Record<string, RuleListener | null> = {};
    for (const id of ids) {
      const rule = this.#entries.get(id)?.rule;
      if (isDeepStrictEqual(rule, this.#sent.listeners.get(id))) continue;
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

  #takeSets(names: ReadonlySet<string>): Record<string, readonly string[] | null> {
    const changes: Record<string, readonly string[] | null> = {};
    for (const name of names) {
      const ids = this.sets.idsOf(name);
      if (ids && !this.#sent.sets.has(name)) {
        this.#sent.sets.add(name);
        changes[name] = ids;
      } else if (!ids && this.#sent.sets.delete(name)) changes[name] = null;
    }
    return changes;
  }

  #takeNodes(changed: ReadonlyMap<string, RuleNode>, setsWent: boolean): Record<string, RuleNode | null> {
    const changes: Record<string, RuleNode | null> = {};
    const gone = new Set(setsWent ? this.sets.prune() : []);
    for (const id of gone) if (this.#sent.nodes.delete(id)) changes[id] = null;
    for (const [id, node] of changed) {
      if (gone.has(id)) continue;
      changes[id] = node;
      this.#sent.nodes.add(id);
    }
    return changes;
  }

  #describeAll(generation: number): Rules {
    const names = [...this.sets.names()];
    return {
      version: RULES_VERSION,
      generation,
      nodes: [...this.sets.nodes()],
      nodeSets: Object.fromEntries(names.map((name) => [name, this.sets.idsOf(name) ?? []])),
      listeners: [...this.#sent.listeners.values()],
    };
  }

  #take(report: ForwarderReport): void {
    this.#reported = report.generation;
    const awaited = this.#waits.ids();
    const listeners: string[] = [];
    for (const [id, state] of Object.entries(report.listeners)) {
      if (state === null || !this.#entries.has(id)) this.#states.delete(id);
      else this.#states.set(id, state);
      if (!awaited.has(id) && this.#entries.has(id)) listeners.push(id);
    }
    const targets: News['targets'][number][] = [];
    for (const [key, state] of Object.entries(report.targets)) {
      if (this.#learnTarget(key, state)) targets.push(readTargetKey(key));
    }
    for (const [id, generation] of this.#closing) {
      if (report.generation < generation) continue;
      this.#closing.delete(id);
      this.#states.delete(id); // a child that took over from a dead one never knew it, so does not tell of its end
    }
    this.#waits.check();
    if (listeners.length > 0 || targets.length > 0) this.#tell({ listeners, targets });
  }

  /** @returns whether the health, and so what is reported, has changed */
  #learnTarget(key: string, state: TargetState | null): boolean {
    const { node, nodePort } = readTargetKey(key);
    const health = () => (nodePort === undefined ? this.#targets.get(node) : this.target(node, nodePort))?.health;
    const before = health();
    if (state === null) this.#targets.delete(key);
    else this.#targets.set(key, state);
    return health() !== before;
  }
}

function noChange(): Changed {
  return { listeners: new Set(), sets: new Set(), nodes: new Map() };
}

/** The process is gone, and with it every socket; its successor gets the rules of now. */
function isDown(state: ListenerState | undefined): boolean {
  return state?.state === 'failed' && state.code === 'ForwarderDown';
}

/** `node` or `node:nodePort`; names of Kubernetes nodes have no colon. */
function readTargetKey(key: string): { readonly node: string; readonly nodePort?: number } {
  const colon = key.lastIndexOf(':');
  return colon < 0 ? { node: key } : { node: key.slice(0, colon), nodePort: Number(key.slice(colon + 1)) };
}
