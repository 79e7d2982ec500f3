import { performance } from 'node:perf_hooks';
import { AddressWatch } from './address-watch.ts';
import { addCounters, zeroCounters } from './counters.ts';
import type { Ground } from './ground.ts';
import type { Estate } from './handover.ts';
import { Health, type Watch } from './health.ts';
import { Inheritance } from './inheritance.ts';
import { departed } from './kernel/departures.ts';
import { Kernel } from './kernel/kernel.ts';
import { KernelListener } from './kernel/listener.ts';
import { Needs } from './kernel/needs.ts';
import { keyOfRule } from './kernel/plan.ts';
import { ownAddresses } from './kernel/surroundings.ts';
import { connectionLimit, flowLimit } from './limits.ts';
import { TcpListener } from './listener.ts';
import { Loops } from './loops.ts';
import { onceATick } from './once-a-tick.ts';
import { outlast } from './parting.ts';
import type { Handle } from './pass.ts';
import { choosePath, nowhere, type PathChoice, type Paths } from './paths.ts';
import { listenerFault, nodeProblems } from './problems.ts';
import { Reports } from './reports.ts';
import { Room } from './room.ts';
import type {
  Forwarder,
  ForwarderCounters,
  ForwarderLog,
  ForwarderReport,
  ListenerCounters,
  Parting,
  RuleListener,
  Rules,
  RulesChange,
} from './rules.ts';
import { Sweep } from './sweep.ts';
import { emptyTable, isSameSocket, type Revision, type RulesTable, revise, sharesPortAcrossFamilies } from './table.ts';
import { Nodes } from './targets.ts';
import { FlowTable } from './udp-flows.ts';
import { UdpListener } from './udp-listener.ts';
import { Whys } from './whys.ts';
import type { Wiring } from './wire.ts';
import { bestWiring } from './wire-raw.ts';

const LAST_MS = 1_000;

export interface ForwarderOptions {
  onReport(report: ForwarderReport): void;
  readonly log: ForwarderLog;
  /** Client connections at once, over all listeners; more are refused. Default: `connectionLimit`. */
  readonly maxConnections?: number;
  /** Flows of UDP at once, over all listeners; for more the one that was silent for longest goes. Default: `flowLimit`. */
  readonly maxFlows?: number;
  readonly wiring?: Wiring;
  /** Sockets of the forwarder before this one; default: there was none. */
  readonly inheritance?: Inheritance;
  /** Undefined: userspace alone. Given by `openForwarder`. */
  readonly paths?: Paths;
  /** Ceiling of all health checks together; default: MAX_PROBES_PER_SECOND. */
  readonly probesPerSecond?: number;
  /** Wall clock for `asOf`, milliseconds since the epoch. */
  now?(): number;
  /** Monotonic clock, milliseconds. */
  nowMs?(): number;
}

type SocketListener = TcpListener | UdpListener;
type PortListener = SocketListener | KernelListener;

/** Forwards in this process. */
export function startForwarder(options: ForwarderOptions): Forwarder & Estate {
  return new LocalForwarder(options);
}

class LocalForwarder implements Forwarder, Estate {
  readonly #ground: Ground;
  readonly #listeners = new Map<string, PortListener>();
  /** Those of them that are not the kernel's. */
  readonly #inSockets = new Map<string, SocketListener>();
  /** Closed, with connections that live on. */
  readonly #draining = new Set<PortListener>();
  /** Of listeners that are no more. */
  #past: ListenerCounters = zeroCounters;
  #table: RulesTable = emptyTable;
  readonly #sweep: Sweep;
  #onEmpty: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  readonly #hurry = new AbortController();
  /** What connections have that were accepted after the end had been asked for. */
  #lastMs = LAST_MS;
  /** The kernel's table is to be another's. */
  #isHeld = false;
  readonly #paths: Paths | undefined;
  readonly #kernel: Kernel | undefined;
  readonly #needs = new Needs();
  /** As the kernel path knows them. */
  #exclusive: readonly string[] = [];
  /** Listeners of userspace have come or gone since it was told. */
  #hasMoved = false;
  readonly #whys: Whys;
  readonly #lookForLoopsSoon = onceATick(() => this.#lookForLoops());

  constructor(options: ForwarderOptions) {
    const nodes = new Nodes();
    const reports = new Reports(options.onReport);
    const wiring = options.wiring ?? bestWiring();
    const { now = Date.now, nowMs = () => performance.now(), probesPerSecond } = options;
    const onMoved = (watches: ReadonlySet<Watch> | undefined) => this.#kernel?.moved(watches);
    const pace = probesPerSecond === undefined ? {} : { probesPerSecond };
    const maxConnections = options.maxConnections ?? connectionLimit();
    this.#ground = {
      wiring,
      health: new Health({ nodes, wiring, reports, nowMs, now, onMoved, ...pace }),
      nodes,
      reports,
      log: options.log,
      inheritance: options.inheritance ?? new Inheritance(),
      addresses: new AddressWatch((address) => this.#table.exclusive.includes(address)),
      loops: new Loops(nodes, options.log, ownAddresses),
      maxConnections,
      active: 0,
      flows: new FlowTable(options.maxFlows ?? flowLimit(maxConnections)),
      hasToldRoom: false,
      turnedAway: 0,
      flowsTooFast: 0,
      nowMs,
      pathOf: (rule) => (this.#paths ? this.#pathOf(rule) : {}),
      placed: () => this.#lookForLoopsSoon(),
      ipv6Only: (rule) => sharesPortAcrossFamilies(rule, this.#table.listeners.values()),
      has: (id) => this.#listeners.has(id),
      wakeSweep: () => this.#sweep.wake(),
    };
    const room = new Room(this.#ground);
    room.state();
    this.#sweep = new Sweep(this.#ground, room, (nowMs) => {
      for (const some of [this.#inSockets.values(), this.#draining]) for (const listener of some) listener.sweep(nowMs);
    });
    this.#paths = options.paths;
    this.#whys = new Whys(options.log);
    if (options.paths && !options.paths.fault) this.#kernel = new Kernel(this.#ground, { ...options.paths, log: options.log });
  }

  apply(next: Rules | RulesChange): void {
    const before = this.#table;
    const { table, revision } = revise(before, next);
    this.#table = table;
    this.#updateNodes(before, revision);
    for (const id of before.listeners.size > 0 ? revision.listeners : [])
      this.#closeUnlessSame(before.listeners.get(id), table.listeners.get(id));
    revision.listeners.forEach((id) => void this.#openOrUpdate(id));
    const moved = revision.nodes.size > 0 || revision.nodeSets.size > 0;
    if (moved) this.#tellKernel(before, revision);
    if (moved) this.#changePaths(revision.listeners);
    this.#inSockets.forEach((listener) => {
      if (moved) listener.retarget();
      void listener.open();
    });
    // The kernel has its rules first: it does not ask which targets lead back.
    if (this.#kernel) this.#lookForLoopsSoon();
    else this.#lookForLoops();
    this.#tellGeneration();
  }

  #lookForLoops(): void {
    const ids = this.#ground.loops.look(this.#table.listeners.values(), (id) => this.#listeners.get(id)?.port);
    for (const id of ids) this.#listeners.get(id)?.loopsChanged();
  }

  /** Called again, it can only shorten the time that connections have. */
  close(drainMs?: number, parting?: Parting): Promise<void> {
    if (this.#closing && drainMs !== undefined) {
      this.#lastMs = Math.min(this.#lastMs, drainMs);
      this.#hurry.abort();
      for (const listener of this.#draining) listener.close(drainMs);
    }
    this.#closing ??= this.#part(drainMs, parting);
    return this.#closing;
  }

  async #part(drainMs: number | undefined, parting: Parting | undefined): Promise<void> {
    const rulesMs = () => (this.#isHeld || this.#paths?.keepRules ? Number.POSITIVE_INFINITY : (parting?.rulesMs ?? 0));
    if (!parting?.servesOn) return this.#close(drainMs, rulesMs());
    await outlast([...this.#inSockets.values()], drainMs ?? Number.POSITIVE_INFINITY, this.#hurry.signal);
    return this.#close(Math.min(this.#lastMs, drainMs ?? LAST_MS), rulesMs());
  }

  get table(): string | undefined {
    return this.#kernel && this.#paths?.table;
  }

  sockets(): ReadonlyMap<string, Handle> {
    return new Map([...this.#inSockets.values()].flatMap((listener) => listener.sockets()));
  }

  async hold(table: string | undefined): Promise<void> {
    this.#isHeld = table !== undefined && table === this.table;
    if (this.#isHeld) await this.#kernel?.hold();
  }

  goOn(): void {
    this.#isHeld = false;
    this.#kernel?.goOn();
  }

  passOn(keys: ReadonlySet<string>): void {
    if (this.#isHeld) this.#abandonKernel();
    for (const [id, listener] of [...this.#inSockets]) {
      const sockets = listener.sockets();
      if (sockets.length === 0 || !sockets.every(([key]) => keys.has(key))) continue;
      if (listener instanceof UdpListener) listener.deafen();
      this.#closeListener(id);
    }
  }

  async #close(drainMs: number | undefined, rulesMs: number): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    if (rulesMs > 0) this.#abandonKernel();
    for (const id of [...this.#listeners.keys()]) this.#closeListener(id, drainMs);
    if (drainMs !== undefined) for (const listener of this.#draining) listener.close(drainMs);
    this.#checkEmpty();
    await gone;
    this.#sweep.stop();
    this.#ground.health.stop();
    await this.#kernel?.close(rulesMs);
    this.#ground.reports.flush();
  }

  async counters(): Promise<ForwarderCounters> {
    await this.#kernel?.readCounters();
    const conntrack = this.#kernel?.conntrack();
    const listeners = Object.fromEntries([...this.#listeners].map(([id, listener]) => [id, listener.counters()]));
    const draining = [...this.#draining].map((listener) => listener.counters());
    const sum = [...Object.values(listeners), ...draining].reduce(addCounters, this.#past);
    return { sum, listeners, ...(conntrack ? { conntrack } : {}) };
  }

  #updateNodes(former: RulesTable, revision: Revision): void {
    for (const id of revision.nodes) {
      const rule = this.#table.nodes.get(id);
      const problems = rule ? nodeProblems(rule) : [];
      if (problems.length > 0) this.#ground.log.warn({ node: id, problems }, 'a node of the rules is wrong');
      this.#ground.nodes.put(id, rule);
    }
    if (revision.nodes.size === 0 && revision.nodeSets.size === 0) return;
    this.#ground.nodes.resolveSets(this.#table.nodeSets, former.nodeSets);
    this.#ground.health.nodesChanged(revision.nodes);
  }

  /** All that must go is closed before anything is opened, so that a port can pass from one listener to another. */
  #closeUnlessSame(before: RuleListener | undefined, after: RuleListener | undefined): void {
    if (!before) return;
    const stays = after && isSameSocket(before, after) && this.#choiceOf(after).fault === undefined && this.#goesOn(after);
    if (!stays) this.#closeListener(before.id);
  }

  #tellKernel(before: RulesTable, revision: Revision): void {
    if (!this.#kernel) return;
    this.#kernel.nodesChanged();
    for (const address of departed(before, this.#table, revision)) this.#kernel.left({ address });
  }

  /** With its targets a rule may have come to need another data path. @param fresh ids whose path has just been chosen */
  #changePaths(fresh: ReadonlySet<string>): void {
    if (!this.#paths) return;
    const machine = this.#kernel?.machine ?? nowhere;
    const sets = this.#needs.moved(this.#table.nodeSets.keys(), this.#ground.nodes, machine);
    if (sets.size === 0 || fresh.size === this.#table.listeners.size) return;
    for (const rule of this.#table.listeners.values()) {
      if (!sets.has(rule.nodeSet) || fresh.has(rule.id) || !this.#listeners.has(rule.id) || this.#isOnItsPath(rule)) continue;
      if (!this.#goesOn(rule)) this.#closeListener(rule.id);
      this.#openOrUpdate(rule.id);
    }
  }

  /** What the kernel is to take over serves until it has. */
  #goesOn(rule: RuleListener): boolean {
    return this.#isOnItsPath(rule) || (this.#inSockets.has(rule.id) && !this.#pathOf(rule).fault);
  }

  #isOnItsPath(rule: RuleListener): boolean {
    const listener = this.#listeners.get(rule.id);
    return !listener || !this.#paths || serves(listener, this.#pathOf(rule));
  }

  #pathOf(rule: RuleListener): PathChoice {
    if (!this.#paths) return { datapath: 'userspace' };
    const machine = this.#kernel?.machine ?? nowhere;
    return choosePath(this.#paths, rule, this.#ground.nodes.set(rule.nodeSet), machine);
  }

  /** What is wrong with the rule itself counts first. */
  #choiceOf(rule: RuleListener): PathChoice {
    const fault = listenerFault(rule, this.#paths !== undefined);
    return fault ? { datapath: 'userspace', fault } : this.#pathOf(rule);
  }

  /** A generation is in force when the kernel has it. */
  #tellGeneration(): void {
    const tell = () => this.#ground.reports.generation(this.#table.generation);
    if (!this.#kernel) {
      tell();
      return;
    }
    if (this.#hasMoved || this.#exclusive !== this.#table.exclusive) this.#tellExclusive(this.#kernel);
    void this.#kernel.settled().then(tell);
  }

  /** On addresses that are ours alone userspace serves some ports as well. */
  #tellExclusive(kernel: Kernel): void {
    this.#hasMoved = false;
    this.#exclusive = this.#table.exclusive;
    const rules = [...this.#inSockets.keys()].flatMap((id) => this.#table.listeners.get(id) ?? []);
    kernel.setExclusive(this.#table.exclusive, rules.map(keyOfRule));
  }

  #abandonKernel(): void {
    for (const [id, listener] of this.#listeners) {
      if (!(listener instanceof KernelListener)) continue;
      this.#listeners.delete(id);
      this.#draining.add(listener);
      listener.abandon();
    }
  }

  #openOrUpdate(id: string): void {
    const rule = this.#table.listeners.get(id);
    if (!rule) return;
    const path = this.#choiceOf(rule);
    const had = this.#listeners.get(id);
    if (path.fault) this.#ground.reports.listener(id, { state: 'failed', ...path.fault });
    else if (had && serves(had, path)) had.update(rule);
    else this.#listeners.set(id, this.#newListener(rule, path, this.#release(id)));
  }

  /** @returns the socket that the kernel takes over; undefined: none serves there */
  #release(id: string): SocketListener | undefined {
    const old = this.#inSockets.get(id);
    if (!old) return undefined;
    this.#inSockets.delete(id);
    this.#hasMoved = true;
    this.#draining.add(old);
    if (old.sockets().length > 0) return old;
    old.close();
    return undefined;
  }

  #newListener(rule: RuleListener, path: PathChoice, old: SocketListener | undefined): PortListener {
    if (this.#paths && !this.#paths.fault) this.#whys.tell(rule.id, path.why);
    const listener: PortListener = this.#makeListener(rule, path, () => this.#gone(rule.id, listener), old);
    if (listener instanceof KernelListener) {
      listener.open();
      return listener;
    }
    this.#hasMoved = true;
    this.#inSockets.set(rule.id, listener);
    if (listener instanceof UdpListener) this.#freePort(rule);
    return listener;
  }

  #makeListener(rule: RuleListener, { datapath }: PathChoice, gone: () => void, old?: SocketListener): PortListener {
    if (this.#kernel && datapath === 'nftables') return new KernelListener(rule, this.#ground, this.#kernel, gone, old);
    return rule.protocol === 'UDP' ? new UdpListener(rule, this.#ground, gone) : new TcpListener(rule, this.#ground, gone);
  }

  /** Flows of a closed listener live on at its port, unless another listener gets it. */
  #freePort(rule: RuleListener): void {
    for (const old of this.#draining) if (old instanceof UdpListener && old.holdsPortOf(rule)) old.close(0);
  }

  #closeListener(id: string, drainMs?: number): void {
    const listener = this.#listeners.get(id);
    this.#listeners.delete(id);
    if (this.#inSockets.delete(id)) this.#hasMoved = true;
    this.#ground.health.unwatch(id);
    if (!listener) {
      this.#ground.reports.listener(id, null);
      return;
    }
    this.#draining.add(listener);
    this.#ground.reports.listener(id, { state: 'draining', connections: listener.connections });
    listener.close(drainMs);
  }

  #gone(id: string, listener: PortListener): void {
    if (!this.#draining.delete(listener)) return;
    this.#past = addCounters(this.#past, listener.counters());
    if (!this.#table.listeners.has(id) || this.#onEmpty) this.#ground.reports.listener(id, null);
    this.#checkEmpty();
  }

  #checkEmpty(): void {
    if (this.#draining.size === 0 && this.#listeners.size === 0) this.#onEmpty?.();
  }
}

/** Whether the listener is of the path that is chosen. */
function serves(listener: PortListener, { datapath }: PathChoice): boolean {
  return (datapath === 'nftables') === listener instanceof KernelListener;
}
