import { explain } from '../../errors.ts';
import { Backoff } from '../backoff.ts';
import type { Ground } from '../ground.ts';
import type { Watch } from '../health.ts';
import { AS_ASKED, type Machine } from '../paths.ts';
import type { ForwarderLog, ListenerState } from '../rules.ts';
import { Ahead } from './ahead.ts';
import { Aims } from './aims.ts';
import { readConntrackFill } from './conntrack.ts';
import { Crowd } from './crowd.ts';
import { goesOn, leaveRules } from './farewell.ts';
import { FillWatch } from './fill.ts';
import { removeLeftovers } from './leftovers.ts';
import type { KernelListener } from './listener.ts';
import { faultOf } from './machine.ts';
import { type KernelFault, Nft } from './nft.ts';
import { aimsDiffer, type Changes, canonical, emptyPlan, type KernelRule, keyOfRule, type Plan, planChanges } from './plan.ts';
import { readAll, readConnections } from './readings.ts';
import { differing, movedKeys, type RulesetOptions, renderChange } from './ruleset.ts';
import { forwardedFamilies, isHeld, ownAddresses, readHeldPorts, sameSet } from './surroundings.ts';
import { type Departure, Sweeper } from './sweeper.ts';
import { Waiting } from './waiting.ts';

/** How often it is looked whether the kernel and the machine are still as they were. */
const AUDIT_MS = 5_000;
/** What the kernel did not take is tried again after this. */
const RETRY_LEAST_MS = 500;

const WHY = 'rights, machine and rule allow it';

export interface KernelOptions extends RulesetOptions {
  readonly asked: 'auto' | 'nftables';
  readonly log: ForwarderLog;
}

/** Keeps the kernel's ruleset as the listeners want it. One transaction at a time; what changes meanwhile goes into the next. */
export class Kernel {
  readonly aims = new Aims();
  readonly crowd = new Crowd();
  readonly #options: KernelOptions;
  readonly #ground: Ground;
  readonly #nft = new Nft();
  readonly #fill = new FillWatch();
  readonly #ahead: Ahead;
  readonly #sweeper: Sweeper;
  readonly #listeners = new Map<string, KernelListener>();
  readonly #waiting = new Waiting();
  readonly #audit: NodeJS.Timeout;
  readonly #backoff = new Backoff(RETRY_LEAST_MS);
  #dirty = new Set<KernelListener>();
  /** Removed; they drain once the kernel knows. */
  #leaving: KernelListener[] = [];
  #departures: Departure[] = [];
  #fresh: KernelListener[] = [];
  /** Their targets are not checked yet. */
  #unchecked: KernelListener[] = [];
  #plan: Plan = emptyPlan;
  /** Tells that all listeners are served, made while nft had them. */
  #tellAll: (() => void) | undefined;
  #isLoaded = false;
  /** At some time: there may be counters that begin anew. */
  #hasLoaded = false;
  #hasLooked = false;
  #machine: Machine = { own: ownAddresses(), forwards: forwardedFamilies() };
  #exclusive: ReadonlySet<string> = new Set();
  #open: ReadonlySet<string> = new Set();
  #hasMoved = false;
  /** Nodes are others now, or are judged otherwise. */
  #hasNodeNews = false;
  #isRunning = false;
  #isAgain = false;
  #isClosed = false;
  #isHeld = false;
  #settled: (() => void)[] = [];

  constructor(ground: Ground, options: KernelOptions) {
    this.#ground = ground;
    this.#options = options;
    this.#ahead = new Ahead(this.#nft, options);
    this.#sweeper = new Sweeper(ground, this.#listeners);
    this.#audit = setInterval(() => void this.#look(), AUDIT_MS);
    this.#audit.unref();
  }

  /** It has rules, so that few listeners come at a time. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  get machine(): Machine {
    return this.#machine;
  }

  add(listener: KernelListener): void {
    const holder = this.#listeners.get(listener.key);
    if (holder) {
      this.#waiting.add(listener, `listener ${holder.rule.id}`);
      return;
    }
    this.#listeners.set(listener.key, listener);
    this.#fresh.push(listener);
    if (!this.#isLoaded) this.#unchecked.push(listener);
    const { family, key, rule } = listener;
    if (!this.#isLoaded && !this.#isHeld) this.#ahead.add({ family, key, nodePort: rule.nodePort });
    this.touch(listener);
  }

  /** Some listener is no longer as it is foretold. */
  disagrees(): void {
    this.#tellAll = undefined;
  }

  remove(listener: KernelListener): void {
    this.disagrees();
    if (this.#waiting.delete(listener) || this.#listeners.get(listener.key) !== listener) {
      listener.gone();
      return;
    }
    this.#listeners.delete(listener.key);
    this.crowd.drop(listener);
    this.#dirty.add(listener);
    this.#leaving.push(listener);
    for (const waiting of this.#waiting.take(listener.key)) this.add(waiting);
    this.#schedule();
  }

  /** Something that matters to this listener has changed. */
  touch(listener: KernelListener): void {
    this.#dirty.add(listener);
    this.#schedule();
  }

  /** The prospects of these have changed; undefined: of all. */
  moved(watches: ReadonlySet<Watch> | undefined): void {
    if (!watches) this.nodesChanged();
    for (const { rule } of watches ?? []) {
      const listener = this.#listeners.get(keyOfRule(rule));
      if (listener) this.touch(listener);
    }
  }

  /** Targets have gone; who is with them has the drain time. */
  left(departure: Departure): void {
    this.#departures.push(departure);
    this.#schedule();
  }

  /** @param open keys of what userspace serves */
  setExclusive(exclusive: readonly string[], open: readonly string[]): void {
    const addresses = new Set(exclusive.map(canonical));
    const keys = new Set(open.filter((key) => addresses.has(key.split(' ')[0]!)));
    if (sameSet(addresses, this.#exclusive) && sameSet(keys, this.#open)) return;
    this.#exclusive = addresses;
    this.#open = keys;
    this.#hasMoved = true;
    this.#schedule();
  }

  /** Nodes or node sets are others now. */
  nodesChanged(): void {
    this.aims.nodesChanged();
    this.#hasNodeNews = true;
    this.#schedule();
  }

  /** Once the kernel has what the listeners wanted when this was called, or has refused it. Also looks at what an earlier run left. */
  settled(): Promise<void> {
    this.#schedule();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  /** Brings the listeners' counters up to date. */
  async readCounters(): Promise<void> {
    if (!this.#isLoaded) return;
    const readingOf = await readAll(this.#nft, this.#options);
    for (const [key, listener] of this.#listeners) listener.take(readingOf(key));
    await this.#sweeper.count([...this.#listeners.values()]);
  }

  conntrack(): { readonly entries: number; readonly limit: number } | undefined {
    return this.#isLoaded ? readConntrackFill() : undefined;
  }

  /** Every listener must be gone, unless the rules are kept. */
  async close(rulesMs: number): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#audit);
    this.#backoff.stop();
    while (this.#isRunning) await new Promise<void>((resolve) => this.#settled.push(resolve));
    this.#sweeper.stop();
    this.#ahead.giveUp();
    const { table } = this.#options;
    const stays = !this.#isLoaded || (await leaveRules(this.#nft, table, this.#plan.entries.size, rulesMs));
    if (!stays) await this.#nft.apply(`delete table inet ${table}`);
    this.#nft.end();
  }

  /** Changes nothing in the kernel from now on. Resolves when nothing is under way. */
  async hold(): Promise<void> {
    this.#isHeld = true;
    while (this.#isRunning) await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  /** The end of `hold`; whatever another has done meanwhile is replaced. */
  goOn(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#forgetKernel();
    this.#schedule();
  }

  #schedule(): void {
    this.#isAgain = true;
    if (this.#isRunning || this.#isClosed || this.#isHeld) return;
    this.#isRunning = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#isAgain && !this.#isHeld) {
      this.#isAgain = false;
      try {
        await this.#sync();
      } catch (error) {
        this.#startAnew(explain(error));
      }
    }
    this.#isRunning = false;
    for (const resolve of this.#settled.splice(0)) resolve();
    const unchecked = this.#unchecked;
    this.#unchecked = [];
    if (unchecked.length > 0) setImmediate(() => unchecked.forEach((listener) => void listener.beginChecks()));
  }

  /** Whatever went wrong: the kernel goes on with what it has, and soon all is loaded again. */
  #startAnew(error: string): void {
    this.#options.log.error({ error }, 'the rules of the kernel could not be made; they are made anew');
    this.#forgetKernel();
    this.#backoff.again(() => this.#schedule());
  }

  #forgetKernel(): void {
    this.#isLoaded = false;
    this.#plan = emptyPlan;
    this.aims.nodesChanged();
    this.#dirty = new Set([...this.#dirty, ...this.#listeners.values()]);
  }

  async #sync(): Promise<void> {
    await this.#dropLeftovers();
    this.#admitFresh();
    const dirty = this.#dirty;
    const isAsked = this.#hasNodeNews;
    this.#hasNodeNews = false;
    for (const listener of isAsked ? this.crowd.asked() : []) dirty.add(listener);
    const leaving = this.#leaving;
    const departures = this.#departures;
    this.#dirty = new Set();
    this.#leaving = [];
    this.#departures = [];
    const changes = { rules: this.#describe(dirty, isAsked), aims: this.aims.takeNews() };
    if (changes.rules.size > 0 || this.#hasMoved || aimsDiffer(this.#plan, changes.aims)) {
      const fault = await this.#load(changes);
      if (fault) {
        this.#tellAll = undefined;
        this.aims.giveBack(changes.aims);
        this.#failed(fault, dirty, leaving, departures);
        return;
      }
      this.#backoff.succeeded();
    }
    if (this.#tellAll) this.#tellAll();
    else changes.rules.forEach((_, key) => void this.#tellOf(key));
    this.#tellAll = undefined;
    for (const listener of dirty) listener.served();
    for (const listener of leaving) this.#sweeper.drain(listener);
    this.#sweeper.left(departures);
    this.#sweeper.changed(dirty);
  }

  /** What differs from what the kernel has. @param isAsked whoever speaks for others does so; if it is none of them now, they are asked */
  #describe(dirty: Set<KernelListener>, isAsked: boolean): Map<string, KernelRule | undefined> {
    const changes = new Map<string, KernelRule | undefined>();
    for (const { key } of dirty) {
      const listener = this.#listeners.get(key);
      const { peers } = listener ?? {};
      const rule = listener?.describe(this.#machine.own);
      if (rule !== this.#plan.entries.get(key)?.rule) changes.set(key, rule);
      if (isAsked && peers && peers !== listener?.peers) for (const peer of peers) dirty.add(peer);
    }
    return changes;
  }

  async #load(changes: Changes): Promise<KernelFault | undefined> {
    await this.#sweeper.deleting; // or it could delete what the new rules let begin
    const before = this.#plan;
    const after = { ...planChanges(before, changes), exclusive: this.#exclusive, open: this.#open };
    this.#hasMoved = false;
    if (this.#isLoaded) {
      const keys = before.exclusive === after.exclusive ? [...changes.rules.keys()] : differing(before, after);
      await this.#keepCounters(movedKeys(before, after, keys));
      const text = renderChange(before, after, this.#options, keys);
      const fault = text === '' ? undefined : await this.#nft.apply(text);
      if (!fault) return this.#took(after);
      this.#options.log.warn({ fault: fault.message }, 'the kernel is not as it was left; all rules are loaded anew');
    }
    const fault = await this.#ahead.load(after, () => this.#foretell());
    if (fault) return fault;
    if (this.#hasLoaded) for (const listener of this.#listeners.values()) listener.renewAll();
    this.#hasLoaded = true;
    return this.#took(after);
  }

  #took(plan: Plan): undefined {
    this.#plan = plan;
    this.#isLoaded = true;
  }

  #failed(
    fault: KernelFault,
    dirty: ReadonlySet<KernelListener>,
    leaving: readonly KernelListener[],
    departures: readonly Departure[],
  ): void {
    this.#options.log.error({ ...fault }, 'the kernel did not take the rules; those before stay in force');
    for (const listener of dirty) {
      this.#dirty.add(listener);
      listener.failed(fault);
    }
    this.#leaving.push(...leaving);
    this.#departures.push(...departures);
    this.#hasMoved = true;
    this.#backoff.again(() => this.#schedule());
  }

  /** A listener that is sent to another chain loses its counters. */
  async #keepCounters(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const entries = keys.flatMap((key) => this.#plan.entries.get(key) ?? []);
    const counts = await readConnections(this.#nft, this.#options.table, entries);
    for (const [key, connections] of counts) this.#listeners.get(key)?.renew(connections);
  }

  /** The table of an earlier run is replaced with the first load; if nothing is loaded it goes. */
  async #dropLeftovers(): Promise<void> {
    if (this.#hasLooked) return;
    this.#hasLooked = true;
    if (this.#listeners.size === 0) await removeLeftovers(this.#nft, this.#options.table);
  }

  /** A port that a process of this machine has would be taken from it, except on addresses that are for us alone. */
  #admitFresh(): void {
    const fresh = this.#fresh.filter(({ mayBeHeld, address }) => mayBeHeld && !this.#exclusive.has(address));
    this.#fresh = [];
    if (fresh.length === 0) return;
    const held = readHeldPorts();
    for (const listener of fresh) {
      const { protocol, address, rule } = listener;
      if (this.#ground.inheritance.holds(protocol, rule.address, rule.port) || !isHeld(held, protocol, address, rule.port))
        continue;
      this.#listeners.delete(listener.key);
      this.#waiting.add(listener, undefined);
    }
  }

  /** While nft works nothing else is to be done. */
  #foretell(): void {
    const states = new Map<string, ListenerState>();
    this.#listeners.forEach((listener) => void states.set(listener.rule.id, this.#stateOf(listener)));
    this.#tellAll = this.#ground.reports.foretell(states);
  }

  #tellOf(key: string): void {
    const listener = this.#listeners.get(key);
    if (listener) listener.tell(this.#stateOf(listener));
  }

  #stateOf(listener: KernelListener): ListenerState {
    const why = this.#options.asked === 'auto' ? WHY : AS_ASKED;
    return listener.become(why, faultOf(listener, this.#machine, this.#exclusive));
  }

  async #look(): Promise<void> {
    if (this.#isClosed || this.#isHeld || (this.#listeners.size === 0 && this.#waiting.size === 0)) return;
    this.#machine = { own: ownAddresses(), forwards: forwardedFamilies() };
    for (const listener of this.#waiting.take()) this.add(listener);
    this.#fill.look(this.#ground.reports, this.#sweeper.isMissing);
    const { table } = this.#options;
    if (this.#isLoaded && !this.#isRunning && !(await goesOn(this.#nft, table))) {
      if (this.#isClosed || this.#isHeld) return;
      this.#options.log.warn({ table }, 'somebody has removed our table, or has set an end to its rules; it is loaded anew');
      this.#forgetKernel();
    }
    this.aims.nodesChanged();
    for (const key of this.#plan.entries.keys()) this.#tellOf(key);
    this.#dirty = new Set([...this.#dirty, ...this.#listeners.values()]);
    this.#schedule();
  }
}
