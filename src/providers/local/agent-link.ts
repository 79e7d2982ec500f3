import { type AgentPath, type AgentReport, readReport } from '../../agent/report.ts';
import type { Code } from '../../errors.ts';
import type { TargetState } from '../../forwarder/rules.ts';
import type { NodeTarget } from '../../model.ts';
import type { AgentBoard, AgentNotice } from '../provider.ts';
import type { ServedState, WantedListener } from './rules.ts';

export interface AgentLinkOptions {
  /** Undefined: nobody reports, as when somebody only looks. */
  readonly board?: AgentBoard;
  /** What all agents are told. @param agents every one that there is, alive or not */
  orders(agents: readonly AgentReport[]): string;
  /** Whether this process leads, and so writes. */
  mayWrite(): boolean;
  /** Whether a Service still holds a balancer that it does not want any more. */
  leaves(uid: string): boolean;
  changed(news: AgentNews): void;
  /** Milliseconds that never go back. */
  nowMs(): number;
}

export interface AgentNews {
  /** Balancers of which something has changed. */
  readonly keys: ReadonlySet<string>;
  /** Who the agents are has changed, or where their nodes are published. */
  readonly all: boolean;
}

/** A listener as it shall be. */
export interface AgentEntry {
  readonly listener: WantedListener;
  readonly nodes: readonly NodeTarget[];
  readonly sinceMs: number;
}

interface Agent {
  readonly alive: boolean;
  readonly report: AgentReport;
}

/**
 * A listener that no agent has taken up after this long is told as not served: agents follow the cluster within a second, one that
 * was just started needs some more.
 */
const LATE_MS = 10_000;

/**
 * The forwarders of agents on other machines, which read the cluster by themselves: here is only known what they report. What
 * dead agents report counts for nothing.
 */
export class AgentLink {
  readonly #options: AgentLinkOptions;
  readonly #agents = new Map<string, Agent>();
  /** Names of live agents whose reports this release cannot read: what they have open is not known. */
  readonly #strangers = new Set<string>();
  readonly #entries = new Map<string, AgentEntry>();
  readonly #idsOf = new Map<string, Set<string>>();
  /** Since when every agent that has the listener says that it is still to be served. */
  readonly #pendingMs = new Map<string, number>();
  /** As it was served last, while it is opened anew: with its targets a listener may have come to need another data path. */
  readonly #served = new Map<string, ServedState>();
  /** Of what is not healthy, by `node` or `node:nodePort`: the agent whose word was told. */
  readonly #witnesses = new Map<string, string>();
  #late: NodeJS.Timeout | undefined;

  constructor(options: AgentLinkOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#options.board?.open((notice) => this.#hear(notice));
  }

  async close(): Promise<void> {
    clearTimeout(this.#late);
    await this.#options.board?.close();
  }

  /** Writes the orders anew, if they differ. */
  command(): void {
    if (this.#options.mayWrite())
      this.#options.board?.order(() => this.#options.orders([...this.#agents.values()].map(({ report }) => report)));
  }

  entry(id: string): AgentEntry | undefined {
    return this.#entries.get(id);
  }

  entriesOf(key: string): readonly AgentEntry[] {
    return [...(this.#idsOf.get(key) ?? [])].flatMap((id) => this.#entries.get(id) ?? []);
  }

  keys(): Iterable<string> {
    return this.#idsOf.keys();
  }

  put(listener: WantedListener, nodes: readonly NodeTarget[]): void {
    const { id, key } = listener;
    const sinceMs = this.#entries.get(id)?.sinceMs ?? this.#options.nowMs();
    this.#entries.set(id, { listener, nodes, sinceMs });
    this.#idsOf.set(key, (this.#idsOf.get(key) ?? new Set()).add(id));
    this.#late ??= setTimeout(() => this.#tellLate(), LATE_MS + 1);
  }

  remove(id: string): void {
    const key = keyOfListener(id);
    this.#entries.delete(id);
    this.#pendingMs.delete(id);
    this.#served.delete(id);
    this.#idsOf.get(key)?.delete(id);
    if (this.#idsOf.get(key)?.size === 0) this.#idsOf.delete(key);
  }

  /** Unless every live agent has said that it has nothing of it open; of a leaving Service each must have seen that it leaves. */
  isOpen(id: string, uid: string): boolean {
    if (this.#strangers.size > 0) return true;
    const leaves = this.#options.leaves(uid);
    return this.#live().some(({ holdings, released }) => holdings[id] !== undefined || (leaves && !released.includes(uid)));
  }

  state(id: string): ServedState | undefined {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    const live = this.#live();
    const holders = live.filter(({ holdings }) => holdings[id] !== undefined);
    const states = holders.map((report) => stateAt(report, id, entry.listener));
    const best = states.find((state) => state?.state === 'listening') ?? states.find((state) => state !== undefined);
    if (best || holders.length === 0) this.#pendingMs.delete(id);
    if (best?.state === 'listening') this.#served.set(id, best);
    else if (best || holders.length === 0) this.#served.delete(id);
    if (best) return best;
    if (holders.length > 0) return this.#pendingState(entry.listener, holders);
    if (this.#options.nowMs() - entry.sinceMs < LATE_MS) return undefined;
    return { state: 'failed', ...sayNobody(entry.listener, live, [...this.#strangers]) };
  }

  /** The controller looks again at what has no state. */
  #pendingState({ id, address }: WantedListener, holders: readonly AgentReport[]): ServedState | undefined {
    const now = this.#options.nowMs();
    const sinceMs = this.#pendingMs.get(id) ?? now;
    this.#pendingMs.set(id, sinceMs);
    if (now - sinceMs < LATE_MS) {
      this.#late ??= setTimeout(() => this.#tellLate(), LATE_MS + 1).unref();
      return this.#served.get(id);
    }
    return {
      state: 'failed',
      code: 'NoForwarder',
      message: `no forwarder agent has come to serve ${address} (waiting for ${nameSome(holders)})`,
    };
  }

  /** What moves its packets, at each live agent that serves it. */
  paths(id: string): readonly AgentPath[] {
    return this.#live().flatMap((report) => {
      const state = report.holdings[id] === undefined ? 'pending' : report.exceptions[id]?.state;
      return state === 'pending' || state === 'failed' ? [] : (withAgent(pathAt(report, id), report) ?? []);
    });
  }

  /** The worst that any agent says. Who was told as its witness stays so: that others see the same, in other words, is no news. */
  target(node: string, nodePort: number): TargetState | undefined {
    let worst: { readonly agent: string; readonly key: string; readonly state: TargetState } | undefined;
    for (const { agent, targets } of this.#live()) {
      const key = targets[`${node}:${nodePort}`] ? `${node}:${nodePort}` : node;
      const state = targets[key] ?? HEALTHY;
      const more = worst ? RANK[state.health] - RANK[worst.state.health] : 1;
      if (more > 0 || (more === 0 && this.#witnesses.get(key) === agent)) worst = { agent, key, state };
    }
    if (!worst) return undefined;
    const { agent, key, state } = worst;
    if (state.health === 'healthy') {
      for (const over of [node, `${node}:${nodePort}`]) this.#witnesses.delete(over);
      return state;
    }
    this.#witnesses.set(key, agent);
    return {
      ...state,
      reason: state.reason === undefined ? `seen by agent ${agent}` : `${state.reason}, seen by agent ${agent}`,
    };
  }

  /** Where a node is published; empty: no agent lives there. */
  publishedAt(node: string): readonly string[] {
    return this.#live().find((report) => report.node === node)?.publish ?? [];
  }

  /**
   * Whether the node that is published at the address is one of these, and its own agent finds nothing wrong with the node port there. What
   * has become a target just now is not known to be well or ill, and is reached by way of the others.
   */
  isReadyAt(address: string, nodePort: number, nodes: readonly NodeTarget[]): boolean {
    const own = this.#live().find((report) => report.publish.includes(address));
    if (own?.node === undefined || !nodes.some(({ name }) => name === own.node)) return false;
    return (own.targets[`${own.node}:${nodePort}`] ?? own.targets[own.node] ?? HEALTHY).health !== 'unhealthy';
  }

  /** Listeners that live agents have, whether they are wanted here or not: id and UID. */
  found(): ReadonlyMap<string, string> {
    return new Map(this.#live().flatMap(({ holdings }) => Object.entries(holdings)));
  }

  #live(): readonly AgentReport[] {
    return [...this.#agents.values()].filter(({ alive }) => alive).map(({ report }) => report);
  }

  #hear({ name, alive, report: text }: AgentNotice): void {
    const before = this.#agents.get(name);
    const report = readReport(text);
    if (report) this.#agents.set(name, { alive, report });
    else this.#agents.delete(name);
    const wasStranger = this.#strangers.delete(name);
    const isStranger = alive && !report && text !== '';
    if (isStranger) this.#strangers.add(name);
    const [was, is] = [before?.alive ? before.report : undefined, alive ? report : undefined];
    if (was) this.#dismissWitness(was, is);
    const all = membershipOf(was) !== membershipOf(is) || wasStranger !== isStranger;
    if (membershipOf(before?.report) !== membershipOf(report)) this.command();
    this.#options.changed({ keys: this.#keysBetween(was, is), all });
  }

  /** It says nothing of them any more; nobody may ask for those again, whose nodes have gone. */
  #dismissWitness({ agent, targets }: AgentReport, after: AgentReport | undefined): void {
    for (const key of Object.keys(targets)) {
      if (after?.targets[key] === undefined && this.#witnesses.get(key) === agent) this.#witnesses.delete(key);
    }
  }

  #keysBetween(before: AgentReport | undefined, after: AgentReport | undefined): ReadonlySet<string> {
    const ids = new Set([...differing(before?.holdings, after?.holdings), ...differing(before?.exceptions, after?.exceptions)]);
    const keys = new Set([...ids, ...movedPaths(before, after)].map(keyOfListener));
    const targets = differing(before?.targets, after?.targets, (a, b) => a?.health === b?.health && a?.reason === b?.reason);
    for (const target of targets) this.#addKeysOfTarget(target, keys);
    return keys;
  }

  #addKeysOfTarget(target: string, keys: Set<string>): void {
    const [node = '', port] = target.split(':');
    for (const { listener, nodes } of this.#entries.values()) {
      if (port !== undefined && Number(port) !== listener.nodePort) continue;
      if (!keys.has(listener.key) && nodes.some(({ name }) => name === node)) keys.add(listener.key);
    }
  }

  /** What nobody has taken up in time is a failure now; nothing else would tell. */
  #tellLate(): void {
    this.#late = undefined;
    const now = this.#options.nowMs();
    const keys = new Set<string>();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { listener, sinceMs } of this.#entries.values()) {
      const leftMs = (this.#pendingMs.get(listener.id) ?? sinceMs) + LATE_MS - now;
      if (leftMs <= 0 && leftMs > -LATE_MS) keys.add(listener.key);
      else if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
    }
    if (Number.isFinite(nextMs)) this.#late = setTimeout(() => this.#tellLate(), nextMs + 1);
    if (keys.size > 0) this.#options.changed({ keys, all: false });
  }
}

const HEALTHY: TargetState = { health: 'healthy', asOf: 0 };
const RANK: Readonly<Record<TargetState['health'], number>> = { healthy: 0, draining: 1, unknown: 2, unhealthy: 3 };

/** Listener ids are `KEY PORT/PROTOCOL ADDRESS`; keys have no spaces. */
export function keyOfListener(id: string): string {
  return id.slice(0, id.indexOf(' '));
}

function stateAt(report: AgentReport, id: string, { address, port }: WantedListener): ServedState | undefined {
  const exception = report.exceptions[id];
  if (!exception) return { state: 'listening', address, port };
  if (exception.state === 'moved') return { state: 'listening', address, port: exception.port };
  if (exception.state === 'pending') return undefined;
  return { state: 'failed', code: exception.code as Code, message: `agent ${report.agent}: ${exception.message}` };
}

function pathAt({ paths = [] }: AgentReport, id: string): AgentPath | undefined {
  return paths.find(({ of }) => of?.includes(id)) ?? paths.find(({ of }) => of === undefined);
}

/** Which machine is held back is part of what people are told. */
function withAgent(path: AgentPath | undefined, { agent }: AgentReport): AgentPath | undefined {
  const { impairment } = path ?? {};
  return impairment ? { ...path!, impairment: { ...impairment, message: `agent ${agent}: ${impairment.message}` } } : path;
}

/** Listeners of both reports that have another data path now, or the same one for another reason. */
function movedPaths(before: AgentReport | undefined, after: AgentReport | undefined): readonly string[] {
  if (!before || !after || JSON.stringify(before.paths) === JSON.stringify(after.paths)) return [];
  const told = (report: AgentReport, id: string) => {
    const path = pathAt(report, id);
    return path && `${path.datapath} ${path.why} ${path.impairment?.message ?? ''}`;
  };
  return Object.keys(after.holdings).filter((id) => before.holdings[id] !== undefined && told(before, id) !== told(after, id));
}

type Failure = { readonly code: Code; readonly message: string };

function sayNobody({ address }: WantedListener, live: readonly AgentReport[], strangers: readonly string[]): Failure {
  const [stranger] = strangers;
  if (stranger !== undefined) {
    const message = `agent ${stranger} is of another release than the controller, which cannot read its report`;
    return { code: 'NoForwarder', message: `${message}; bring controller and agents to one release` };
  }
  if (live.length === 0) return { code: 'NoForwarder', message: 'no forwarder agent is alive' };
  const stuck = live.find(({ problem }) => problem !== undefined);
  if (stuck) return { code: 'NoForwarder', message: `agent ${stuck.agent}: ${stuck.problem}` };
  const message = `no forwarder agent has the address ${address} on its machine (alive are: ${nameSome(live)})`;
  return { code: 'NoForwarder', message: live.some(({ held }) => held !== undefined) ? message : `${message}; ${NOBODY_PUTS}` };
}

/** So there is no moment at which one could ask the segment before it is used. */
const NOBODY_PUTS =
  'none of them runs with --local-vips, so none puts it there, nor asks whether another machine on the link has it already';

function nameSome(agents: readonly AgentReport[]): string {
  const names = agents.slice(0, 5).map(({ agent }) => agent);
  return `${names.join(', ')}${agents.length > 5 ? ` and ${agents.length - 5} more` : ''}`;
}

/** Who an agent is, and where its node is published; undefined: it is not alive. */
function membershipOf(report: AgentReport | undefined): string {
  return report ? JSON.stringify([report.agent, report.node, report.publish, report.addresses]) : '';
}

function differing<T>(
  before: Readonly<Record<string, T>> = {},
  after: Readonly<Record<string, T>> = {},
  same: (a: T | undefined, b: T | undefined) => boolean = (a, b) => JSON.stringify(a) === JSON.stringify(b),
): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => !same(before[key], after[key]));
}
