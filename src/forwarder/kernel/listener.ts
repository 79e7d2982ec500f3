import { isUnasked } from '../checks.ts';
import { zeroCounters } from '../counters.ts';
import type { Attempt } from '../dial.ts';
import type { Ground } from '../ground.ts';
import type { Watch } from '../health.ts';
import { allowedSources, isAllowed } from '../problems.ts';
import type { ListenerCounters, ListenerState, ListenFailure, RuleListener } from '../rules.ts';
import { endpointsOf, type NodeEntry } from '../targets.ts';
import { aimAt, type Way } from './aims.ts';
import type { Peers } from './crowd.ts';
import type { Kernel } from './kernel.ts';
import { isHere, isLoopback, sourcesOf } from './needs.ts';
import { canonical, type Family, familyOf, type KernelRule, keyOf } from './plan.ts';

/** Counters of the kernel. */
export interface Reading {
  readonly connections: number;
  readonly refused: number;
  readonly bytesFromClients: number;
  readonly bytesToClients: number;
}

interface Fault {
  readonly code: ListenFailure;
  readonly message: string;
}

const nothingRead: Reading = { connections: 0, refused: 0, bytesFromClients: 0, bytesToClients: 0 };

/** A socket accepts on for so long when the kernel has taken its port: nobody new comes to it, and whoever waits in it is accepted. */
const RELIEF_MS = 100;

/** What has served the port so far. */
export interface Predecessor {
  close(mostMs?: number): void;
}

/** One port that the kernel serves, and what may still be left of its connections after it was closed. */
export class KernelListener {
  readonly key: string;
  readonly family: Family;
  readonly protocol: string;
  readonly address: string;
  readonly #ground: Ground;
  readonly #kernel: Kernel;
  readonly #onGone: () => void;
  #rule: RuleListener;
  /** Undefined: its targets are not checked yet. */
  #watch: Watch | undefined;
  #described: KernelRule | undefined;
  #describedRule: RuleListener | undefined;
  /** `address port` of every target that may go on with what it has; undefined: to be made anew. */
  #keeps: ReadonlySet<string> | undefined;
  /** Of the aims that `#keeps` goes with. */
  #keepsEpoch = 0;
  /** Whom it has its targets in common with; the crowd's. */
  peers: Peers | undefined;
  /** Why it is the kernel's, while it is served. */
  #why: string | undefined;
  /** Serves on until the kernel does. */
  #predecessor: Predecessor | undefined;
  #isOpen = false;
  #isClosed = false;
  /** When what is left is cut; monotonic. */
  cutAtMs = Number.POSITIVE_INFINITY;
  /** Open connections, where they have been counted. */
  connections = 0;
  /** What the kernel's counters said before they began anew. */
  #past = nothingRead;
  #read = nothingRead;

  constructor(rule: RuleListener, ground: Ground, kernel: Kernel, onGone: () => void, predecessor?: Predecessor) {
    this.#rule = rule;
    this.#predecessor = predecessor;
    this.#ground = ground;
    this.#kernel = kernel;
    this.#onGone = onGone;
    if (kernel.isLoaded) this.#watch = ground.health.watch(rule);
    this.address = canonical(rule.address);
    this.family = familyOf(rule.address);
    this.protocol = rule.protocol.toLowerCase();
    this.key = keyOf(this.address, this.protocol, rule.port);
  }

  get rule(): RuleListener {
    return this.#rule;
  }

  /** When thousands come at once, the kernel has their rules first. */
  beginChecks(): void {
    if (this.#watch || this.#isClosed) return;
    this.#watch = this.#ground.health.watch(this.#rule);
    if (this.#ground.health.plainness(this.#watch) !== 'steady') this.#kernel.touch(this);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Its port may be some other process's: it is not that of a socket of ours. */
  get mayBeHeld(): boolean {
    return !this.#isClosed && !this.#predecessor;
  }

  counters(): ListenerCounters {
    const sum = added(this.#past, this.#read);
    const { connections, bytesFromClients, bytesToClients, refused } = sum;
    const active = this.connections;
    return { ...zeroCounters, connections, active, bytesFromClients, bytesToClients, refusedByRange: refused };
  }

  get port(): number {
    return this.#rule.port;
  }

  /** What the kernel's counters say now. */
  take(read: Reading): void {
    this.#read = read;
  }

  /** The kernel's own counters begin anew. @param connections of them alone the last value is known */
  renew(connections: number): void {
    this.#past = added(this.#past, { ...nothingRead, connections });
    this.#read = { ...this.#read, connections: 0 };
  }

  /** All of the kernel's counters have begun anew. */
  renewAll(): void {
    this.#past = added(this.#past, this.#read);
    this.#read = nothingRead;
  }

  update(rule: RuleListener): void {
    const { nodeSet, nodePort } = this.#rule;
    if (nodeSet !== rule.nodeSet || nodePort !== rule.nodePort) this.#kernel.left({ key: this.key });
    this.#rule = rule;
    this.#watch = this.#ground.health.watch(rule);
    this.#kernel.touch(this);
  }

  /** Safe to repeat. */
  open(): void {
    if (this.#isOpen || this.#isClosed) return;
    this.#isOpen = true;
    this.#kernel.add(this);
  }

  /** Takes no new connection from now on. What is established may live on for the rule's drain time, and for at most `mostMs`. */
  close(mostMs = Number.POSITIVE_INFINITY): void {
    const drainMs = Math.min(mostMs, this.#rule.drainMs);
    this.cutAtMs = Math.min(this.cutAtMs, this.#ground.nowMs() + drainMs);
    this.#endPredecessor(mostMs);
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#kernel.remove(this);
  }

  /** The kernel goes on without us. */
  abandon(): void {
    this.#endPredecessor();
    this.#isClosed = true;
    this.gone();
  }

  /** Time limits are the kernel's. */
  sweep(): void {}

  /** How it is once the kernel has the rules. @param fault of this machine */
  become(why: string, fault: Fault | undefined): ListenerState {
    this.#why = fault ? undefined : why;
    const { id, address, port } = this.#rule;
    const found = fault ?? this.#ground.loops.faultOf(id);
    return found ? { state: 'failed', ...found } : { state: 'listening', address, port, datapath: 'nftables', why };
  }

  tell(state: ListenerState): void {
    if (!this.#isClosed) this.#ground.reports.listener(this.#rule.id, state);
  }

  /** The kernel has taken it. */
  served(): void {
    if (this.#predecessor) setTimeout(() => this.#endPredecessor(), RELIEF_MS);
  }

  #endPredecessor(mostMs?: number): void {
    this.#predecessor?.close(mostMs);
    this.#predecessor = undefined;
  }

  /** Its targets lead back to it, or do so no more. */
  loopsChanged(): void {
    if (this.#why === undefined) return;
    this.#kernel.disagrees();
    this.tell(this.become(this.#why, undefined));
  }

  failed(fault: Fault): void {
    this.#why = undefined;
    this.tell({ state: 'failed', ...fault });
  }

  /** So many connections live on after the end. */
  drains(connections: number): void {
    this.connections = connections;
    const { id } = this.#rule;
    if (!this.#ground.has(id)) this.#ground.reports.listener(id, { state: 'draining', connections });
  }

  gone(): void {
    this.connections = 0;
    this.#onGone();
  }

  /** What it wants of the kernel; the same object while that stays the same. */
  describe(own: ReadonlySet<string>): KernelRule {
    const { id, nodePort } = this.#rule;
    const { address, family, key } = this;
    this.#keeps = undefined;
    const group = this.#group(own);
    const had = this.#described;
    if (had?.group === group && this.#describedRule === this.#rule) return had;
    this.#describedRule = this.#rule;
    this.#described = { id, family, key, address, nodePort, group, sources: sourcesOf(this.#rule, family) };
    return this.#described;
  }

  /** Whether the source ranges let this client in. */
  admits(client: string): boolean {
    return isAllowed(allowedSources(this.#rule.sourceRanges), client);
  }

  /**
   * Whether its connections may stay with this target: any that the rules name and that is not known to be down; of TCP, also one
   * that is down, since a connection that it has left is broken in any case.
   */
  mayStay({ address, port }: { readonly address: string; readonly port: number }): boolean {
    const { epoch } = this.#kernel.aims;
    if (this.#keepsEpoch !== epoch) this.#keeps = undefined;
    this.#keepsEpoch = epoch;
    this.#keeps ??= this.#keepers();
    return this.#keeps.has(`${address} ${port}`);
  }

  #keepers(): ReadonlySet<string> {
    const isTcp = this.protocol === 'tcp';
    const nodes = this.#ground.nodes.set(this.#rule.nodeSet);
    const staying = nodes.filter((node) => isTcp || !this.#watch || !this.#ground.health.isDown(this.#watch, node));
    return new Set(staying.flatMap((node) => this.#endpoints(node).map(({ address, port }) => `${canonical(address)} ${port}`)));
  }

  /** Nearly all listeners of a node set have the same targets: these are found once. */
  #group(own: ReadonlySet<string>): string {
    const { nodeSet, nodePort, affinitySeconds: staySeconds } = this.#rule;
    const { aims, crowd } = this.#kernel;
    const make = () => aimAt(this.family, this.#ways(own), { nodePort, staySeconds });
    const plainness = this.#plainness();
    if (plainness === 'own') {
      crowd.place(this, undefined);
      return aims.own(make());
    }
    const kind = `${this.family} ${staySeconds} ${isUnasked(this.#rule)} ${nodeSet}`;
    const group = aims.shared(kind, make);
    // Flows of UDP are looked at listener by listener when their targets have changed.
    const isInCommon = plainness === 'steady' && group === kind && this.protocol === 'tcp';
    crowd.place(this, isInCommon ? kind : undefined);
    return group;
  }

  /** What no check has heard of is as its nodes are. */
  #plainness(): ReturnType<Ground['health']['plainness']> {
    if (this.#watch) return this.#ground.health.plainness(this.#watch);
    return this.#rule.localOnly ? 'own' : 'steady';
  }

  #endpoints(node: NodeEntry): readonly { readonly address: string; readonly port: number }[] {
    return endpointsOf(node, this.#rule.nodePort).filter(({ address }) => familyOf(address) === this.family);
  }

  /**
   * One address and port of each target in use that the kernel can send to. When of all that can only some that are not healthy are left
   * they are better than a refusal: the check of another node may be late, and this machine's own NodePort is not for the kernel.
   */
  #ways(own: ReadonlySet<string>): readonly Way[] {
    this.#watch ??= this.#ground.health.watch(this.#rule);
    const { healthy, others } = this.#ground.health.prospects(this.#watch);
    const ways = this.#reached(healthy, own);
    return ways.length > 0 ? ways : this.#reached(others, own);
  }

  #reached(attempts: readonly Attempt[], own: ReadonlySet<string>): readonly Way[] {
    return attempts.flatMap(({ node, endpoint }) => {
      const fits = familyOf(endpoint.address) === this.family ? endpoint : this.#endpoints(node)[0];
      return fits && !isLoopback(fits.address) && !isHere(node, fits.address, own) ? [fits] : [];
    });
  }
}

function added(a: Reading, b: Reading): Reading {
  return {
    connections: a.connections + b.connections,
    refused: a.refused + b.refused,
    bytesFromClients: a.bytesFromClients + b.bytesFromClients,
    bytesToClients: a.bytesToClients + b.bytesToClients,
  };
}
