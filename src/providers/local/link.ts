import { type Code, cures, explain } from '../../errors.ts';
import {
  type Forwarder,
  type ForwarderLog,
  type ForwarderReport,
  type Impairment,
  type ListenerState,
  type Parting,
  type RulesChange,
  RulesError,
  type TargetState,
  targetState,
} from '../../forwarder/rules.ts';
import type { NodeTarget } from '../../model.ts';
import type { WantedListener } from './rules.ts';
import { type Entry, Sheet } from './sheet.ts';
import { ANSWER_MS, Waits } from './waits.ts';

/** Makes the forwarder that the link feeds, in this process or another. */
export type StartForwarder = (options: {
  readonly log: ForwarderLog;
  onReport(report: ForwarderReport): void;
  /** As `spawnForwarder` takes them. */
  readonly datapath?: 'auto' | 'userspace' | 'nftables';
  readonly isPrivate?: boolean;
}) => Forwarder | Promise<Forwarder>;

/** What a report has changed, for those who must be told. */
export interface News {
  /** Listener ids that nobody waited for. */
  readonly listeners: readonly string[];
  /** Nodes whose health has changed, as a whole or (`nodePort`) at one port. */
  readonly targets: readonly { readonly node: string; readonly nodePort?: number }[];
  /** Listener ids for which nothing is accepted any more. */
  readonly closed: readonly string[];
}

export function isKernels(state: ListenerState | undefined): state is ListenerState & { readonly state: 'listening' } {
  return state?.state === 'listening' && state.datapath === 'nftables';
}

/**
 * The wire to one forwarder: gathers what is wanted during a tick, sends the difference as one change, and mirrors what the
 * forwarder reports. It mirrors no more than the wanted listeners and the targets that the forwarder watches.
 */
export class Link {
  readonly #log: ForwarderLog;
  readonly #tell: (news: News) => void;
  readonly #sheet = new Sheet();
  readonly #states = new Map<string, ListenerState>();
  readonly #targets = new Map<string, TargetState>();
  readonly #waits: Waits;
  /** Of all that the kernel serves. */
  #impairment: Impairment | undefined;
  #forwarder: Forwarder | undefined;
  #reported = -1;
  #scheduled = false;

  constructor(log: ForwarderLog, tell: (news: News) => void, answerMs = ANSWER_MS) {
    this.#waits = new Waits(answerMs);
    this.#log = log;
    this.#tell = tell;
  }

  async start(startForwarder: StartForwarder): Promise<void> {
    this.#forwarder = await startForwarder({ log: this.#log, onReport: (report) => this.#take(report) });
    this.#send(); // whole rules, so that every later change has a base
  }

  async close(drainMs: number, parting?: Parting): Promise<void> {
    const forwarder = this.#forwarder;
    this.#forwarder = undefined;
    this.#waits.end();
    await forwarder?.close(drainMs, parting);
  }

  /** Of the rules that the forwarder has in force; -1: none yet. */
  get generation(): number {
    return this.#reported;
  }

  entry(id: string): Entry | undefined {
    return this.#sheet.entry(id);
  }

  state(id: string): ListenerState | undefined {
    const state = this.#states.get(id);
    return this.#impairment && isKernels(state) ? { ...state, impairment: this.#impairment } : state;
  }

  target(node: string, nodePort: number): TargetState | undefined {
    return targetState(this.#targets, node, nodePort);
  }

  /** What is not healthy, by `node` or `node:nodePort`, in the order of the keys. */
  unhealthy(): readonly (readonly [string, TargetState])[] {
    return [...this.#targets]
      .filter(([key, state]) => state.health !== 'healthy' || key.includes(':'))
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Names of the node sets that have the node. */
  setsWith(node: string): readonly string[] {
    return this.#sheet.sets.setsWith(node);
  }

  /** Connections that the forwarder has accepted since it started. */
  async connections(): Promise<number> {
    return (await this.#forwarder?.counters())?.sum.connections ?? 0;
  }

  /** Whether the forwarder may still accept connections for the id. */
  isOpen(id: string): boolean {
    return this.#sheet.isOpen(id);
  }

  /** Serves the listener from the next tick on. */
  put(listener: WantedListener, nodes: readonly NodeTarget[]): void {
    this.#sheet.put(listener, nodes);
    this.#schedule();
  }

  /** Stops listening from the next tick on; open connections live on for the listener's drain time. */
  remove(id: string): void {
    this.#sheet.remove(id);
    this.#schedule();
  }

  /** Resolves when the listener is served or has failed. @throws {Error} when the forwarder does not answer in time */
  opened(id: string): Promise<void> {
    return this.#waits.until(id, () => {
      const state = this.#states.get(id);
      if (state?.state === 'failed' && state.code === 'ForwarderDown') return true; // it is told as that, and comes back by itself
      const isCurrent = this.#reported >= (this.#sheet.sentAt(id) ?? Number.POSITIVE_INFINITY);
      return isCurrent && (state?.state === 'listening' || state?.state === 'failed');
    });
  }

  /** Resolves when nothing is accepted any more. @throws {Error} when the forwarder does not answer in time */
  closed(id: string): Promise<void> {
    return this.#waits.until(id, () => !this.isOpen(id));
  }

  /** Says which addresses, sorted, are ours alone, whether they are on this machine just now or not. */
  setExclusive(addresses: readonly string[]): void {
    this.#sheet.setExclusive(addresses);
    this.#schedule();
  }

  /** Has the forwarder try again at once what it could not open, as when an address has come to this machine. */
  retry(): void {
    this.#sheet.touch();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (!this.#forwarder) return;
    const change = this.#sheet.takeChange();
    try {
      if (change) this.#apply(this.#forwarder, change);
    } catch (error) {
      // The steps that wait for it fail in their time; the next change is refused for its base and goes out whole.
      this.#log.error({ error: explain(error), generation: change?.generation }, 'the forwarder did not take its rules');
    }
    this.#waits.check();
  }

  #apply(forwarder: Forwarder, change: RulesChange): void {
    try {
      forwarder.apply(change.base < 0 ? this.#sheet.whole() : change);
    } catch (error) {
      if (!(error instanceof RulesError) || error.code !== 'WrongBase') throw error;
      forwarder.apply(this.#sheet.whole());
    }
  }

  #take(report: ForwarderReport): void {
    this.#reported = report.generation;
    for (const [code, message] of Object.entries(report.warnings ?? {})) this.#warn(code, message);
    const awaited = this.#waits.ids();
    const listeners: string[] = [...this.#learnImpairment(report.warnings?.['ConntrackFull'])];
    for (const [id, state] of Object.entries(report.listeners)) {
      const isWanted = this.entry(id) !== undefined;
      if (state === null || !isWanted) this.#states.delete(id);
      else this.#states.set(id, state);
      if (isWanted && !awaited.has(id)) listeners.push(id);
    }
    const targets: News['targets'][number][] = [];
    for (const [key, state] of Object.entries(report.targets)) {
      if (this.#learnTarget(key, state)) targets.push(readTargetKey(key));
    }
    // A child that took over from a dead one never knew what was closed meanwhile, so does not tell of its end.
    const closed = this.#sheet.confirm(report.generation);
    for (const id of closed) this.#states.delete(id);
    this.#waits.check();
    if (listeners.length > 0 || targets.length > 0 || closed.length > 0) this.#tell({ listeners, targets, closed });
  }

  /** Of several addresses, which one is used: as it is found first, and as it changes. */
  #tellAddress(node: string, before: string | undefined, state: TargetState | null): void {
    const { address, health } = state ?? {};
    if (address === undefined || address === before || health !== 'healthy') return;
    if ((this.#sheet.sets.node(node)?.addresses.length ?? 0) < 2) return;
    this.#log.info({ node, address }, 'the node is reached at this one of its addresses');
  }

  #warn(code: string, message: string | null): void {
    if (message === null) this.#log.info({ code }, 'the forwarder is held back no more');
    else
      this.#log.warn({ code, cure: code in cures ? cures[code as Code] : undefined }, `the forwarder is held back: ${message}`);
  }

  /** @returns ids of the listeners that are concerned, if there is news */
  #learnImpairment(message: string | null | undefined): readonly string[] {
    if (message === undefined || message === (this.#impairment?.message ?? null)) return [];
    this.#impairment = message === null ? undefined : { code: 'ConntrackFull', message };
    return [...this.#states].filter(([id, state]) => isKernels(state) && this.entry(id) !== undefined).map(([id]) => id);
  }

  /** @returns whether the health, and so what is reported, has changed */
  #learnTarget(key: string, state: TargetState | null): boolean {
    const { node, nodePort } = readTargetKey(key);
    const health = () => (nodePort === undefined ? this.#targets.get(node) : this.target(node, nodePort))?.health;
    const before = health();
    if (nodePort === undefined) this.#tellAddress(node, this.#targets.get(key)?.address, state);
    if (state === null) this.#targets.delete(key);
    else this.#targets.set(key, state);
    return health() !== before;
  }
}

/** `node` or `node:nodePort`; names of Kubernetes nodes have no colon. */
function readTargetKey(key: string): { readonly node: string; readonly nodePort?: number } {
  const colon = key.lastIndexOf(':');
  return colon < 0 ? { node: key } : { node: key.slice(0, colon), nodePort: Number(key.slice(colon + 1)) };
}
