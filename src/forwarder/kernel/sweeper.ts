import type { Ground } from '../ground.ts';
import { atMost, Conntrack, type Forget, groupsOf, merged, type Tracked } from './conntrack.ts';
import { isGone } from './gone.ts';
import type { KernelListener } from './listener.ts';
import { type Family, keyOf } from './plan.ts';

/** How often drained listeners are looked at, at least; a look that takes long makes it rarer. */
const TICK_MS = 1_000;
const SHARE_OF_TIME = 10;
const MOST_REST_MS = 60_000;
/** Drained listeners that are cut in one look; the kernel is read for each. */
const MAX_CUTS = 64;
/** What is later is looked at again then. */
const MAX_TIMER_MS = 3_600_000;

/** Targets have gone from the rules; who is still with them is cut when the drain time of the listener is over. */
export interface Departure {
  /** Of the one listener whose targets are others now; undefined: all. */
  readonly key?: string;
  /** Of the target that has gone; undefined: whichever may no longer stay. */
  readonly address?: string;
}

interface Due extends Departure {
  readonly sinceMs: number;
}

/**
 * Sees to what the kernel still tracks: after the rules have changed, never before, stale flows of UDP are forgotten, so that their next
 * datagram is sent by the rules; what drains is counted, and cut when its time is over.
 */
export class Sweeper {
  readonly #conntrack = new Conntrack();
  readonly #ground: Ground;
  readonly #listeners: ReadonlyMap<string, KernelListener>;
  readonly #draining = new Set<KernelListener>();
  #departures: Due[] = [];
  /** When the next of them is over for some listener. */
  #cutAtMs = Number.POSITIVE_INFINITY;
  #stale = new Set<KernelListener>();
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #isBusy = false;
  #isStopped = false;

  /** @param listeners those that are open, by key */
  constructor(ground: Ground, listeners: ReadonlyMap<string, KernelListener>) {
    this.#ground = ground;
    this.#listeners = listeners;
    void this.#conntrack.looked.then(() => this.#tellMissing());
  }

  get isMissing(): boolean {
    return this.#conntrack.isMissing;
  }

  /** What is being deleted now by the rules of before; what is deleted later goes by the rules of then. */
  get deleting(): Promise<void> | undefined {
    return this.#conntrack.deleting;
  }

  /** These listeners' rules or targets may have changed, and the kernel has the new ones. */
  changed(listeners: ReadonlySet<KernelListener>): void {
    listeners.forEach((listener) => {
      if (listener.protocol !== 'tcp' && !listener.isClosed) this.#stale.add(listener);
    });
    if (this.#stale.size > 0) this.#wake(0);
  }

  /** The kernel has the rules without them. */
  left(departures: readonly Departure[]): void {
    if (departures.length === 0) return;
    const sinceMs = this.#ground.nowMs();
    for (const departure of departures) this.#departures.push({ ...departure, sinceMs });
    this.#cutAtMs = Math.min(this.#cutAtMs, this.#nextCut(sinceMs));
    this.#wake(this.#cutAtMs - sinceMs);
  }

  /** Its rules are out of the kernel. */
  drain(listener: KernelListener): void {
    this.#draining.add(listener);
    this.#wake(0);
  }

  /** Counts what is open now. */
  async count(listeners: readonly KernelListener[]): Promise<void> {
    const counts = countOpen(await this.#list(listeners));
    for (const listener of listeners) listener.connections = counts.get(listener.key) ?? 0;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #tellMissing(): void {
    if (!this.#conntrack.isMissing || this.#isStopped) return;
    const message =
      'the command conntrack is missing: flows of UDP stay at targets that went, and drained connections are not cut';
    this.#ground.reports.warning('ConntrackMissing', message);
  }

  #wake(inMs: number): void {
    const dueMs = this.#ground.nowMs() + Math.max(0, inMs);
    if (this.#isStopped || this.#isBusy || dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => void this.#sweep(), Math.min(Math.max(0, inMs), MAX_TIMER_MS));
  }

  async #sweep(): Promise<void> {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#isBusy = true;
    const begunMs = this.#ground.nowMs();
    const stale = this.#stale;
    this.#stale = new Set();
    await this.#forgetStale([...stale]);
    await this.#cutLeft();
    await this.#lookAtDraining();
    this.#isBusy = false;
    const now = this.#ground.nowMs();
    const tookMs = now - begunMs;
    const restMs = Math.min(Math.max(TICK_MS, tookMs * SHARE_OF_TIME), MOST_REST_MS);
    if (this.#stale.size > 0) this.#wake(tookMs);
    if (this.#draining.size > 0) this.#wake(restMs);
    if (this.#departures.length > 0) this.#wake(Math.max(restMs, this.#cutAtMs - now));
  }

  async #forgetStale(listeners: readonly KernelListener[]): Promise<void> {
    if (listeners.length === 0) return;
    const leaving: Tracked[] = [];
    const shutOut: Tracked[] = [];
    const byKey = new Map(listeners.map((listener) => [listener.key, listener]));
    for (const one of await this.#list(listeners)) {
      const listener = byKey.get(keyOf(one.to.address, one.protocol, one.to.port));
      if (!listener || listener.isClosed) continue; // one that is closed drains
      if (!listener.mayStay(one.from)) leaving.push(one);
      else if (!listener.admits(one.client)) shutOut.push(one);
    }
    const groups = [...groupsOf(leaving), ...groupsOf(shutOut, { isClients: true })];
    await this.#forget(atMost(merged(groups, (target) => isGone(this.#ground, target))));
  }

  async #cutLeft(): Promise<void> {
    const now = this.#ground.nowMs();
    if (now < this.#cutAtMs) return;
    const departures = this.#departures;
    const served = this.#listeners;
    const left = (await this.#list([...served.values()].filter(({ protocol }) => protocol === 'tcp'))).filter((one) => {
      const listener = served.get(keyOf(one.to.address, one.protocol, one.to.port));
      return listener !== undefined && !listener.mayStay(one.from) && departures.some((due) => isOver(due, one, listener, now));
    });
    const longestMs = Math.max(0, ...distinctDrains([...served.values()]));
    this.#departures = this.#departures.filter(({ sinceMs }) => sinceMs + longestMs > now);
    this.#cutAtMs = this.#nextCut(now);
    await this.#forget(groupsOf(left)); // never whole addresses: unlike flows of UDP connections cannot begin anew
  }

  /** When the drain time of some listener is over next, after some departure. */
  #nextCut(now: number): number {
    const drains = distinctDrains([...this.#listeners.values()]);
    const times = this.#departures.flatMap(({ sinceMs }) => drains.map((drainMs) => sinceMs + drainMs));
    const later = times.filter((atMs) => atMs >= now);
    return Math.min(Number.POSITIVE_INFINITY, ...later);
  }

  async #lookAtDraining(): Promise<void> {
    if (this.#draining.size === 0) return;
    const counts = countOpen(await this.#list([...this.#draining]));
    const now = this.#ground.nowMs();
    const open: KernelListener[] = [];
    for (const listener of this.#draining) {
      const connections = this.#listeners.has(listener.key) ? 0 : (counts.get(listener.key) ?? 0);
      const isOver = now >= listener.cutAtMs;
      if (connections > 0 && isOver) open.push(listener);
      else if (connections > 0) listener.drains(connections);
      // Without conntrack nobody can say what is left; then it is gone when its time is over.
      else if (isOver || !this.isMissing) this.#letGo(listener);
    }
    const cut = open.slice(0, MAX_CUTS);
    await this.#forget(cut.map(({ protocol, address, rule }) => ({ protocol, address, port: rule.port })));
    for (const listener of cut) this.#letGo(listener);
  }

  #letGo(listener: KernelListener): void {
    this.#draining.delete(listener);
    listener.gone();
  }

  async #list(listeners: readonly KernelListener[]): Promise<readonly Tracked[]> {
    const keys = new Set(listeners.map(({ key }) => key));
    const kinds = new Map(listeners.map(({ family, protocol }) => [`${family} ${protocol}`, { family, protocol }]));
    const lists: Tracked[] = [];
    for (const { family, protocol } of kinds.values()) {
      for (const one of await this.#conntrack.list(family as Family, protocol, keys)) lists.push(one);
    }
    return lists;
  }

  /** Only what the rules of that moment still say: a target may be back by then, with flows that are new. */
  #forget(all: readonly Forget[]): Promise<void> {
    return this.#conntrack.forget(all, ({ protocol, address, port, target, client }) => {
      if (port === 0 && target) return isGone(this.#ground, target.address);
      const listener = this.#listeners.get(keyOf(address, protocol, port));
      if (!listener) return true;
      if (client !== undefined && !listener.admits(client)) return true;
      return target !== undefined && !listener.mayStay(target);
    });
  }
}

function isOver({ key, address, sinceMs }: Due, { from }: Tracked, listener: KernelListener, now: number): boolean {
  const concerns = (key === undefined || key === listener.key) && (address === undefined || address === from.address);
  return concerns && now >= sinceMs + listener.rule.drainMs;
}

function distinctDrains(listeners: readonly KernelListener[]): number[] {
  return [...new Set(listeners.map(({ rule }) => rule.drainMs))];
}

/** Pure. Connections that are open, by key. */
function countOpen(tracked: readonly Tracked[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { protocol, to } of tracked) {
    const key = keyOf(to.address, protocol, to.port);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
