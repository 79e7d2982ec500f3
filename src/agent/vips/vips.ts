import { mkdir } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { explain, UsageError } from '../../errors.ts';
import { openEvents } from './events.ts';
import type { VipOptions, Vips, VipWish } from './face.ts';
import { FitnessRecord, servedOf } from './fitness.ts';
import { Former } from './former.ts';
import { Keepalived } from './keepalived.ts';
import { listLinks } from './leftovers.ts';
import type { Failure } from './links.ts';
import { Loans } from './loans.ts';
import { missingMeans, missingSettings } from './means.ts';
import { ALL_IDS, penalties } from './plan.ts';
import { Strangers } from './probe.ts';
import { VipRecord } from './record.ts';
import { fifoOf, judgePath, type Placed, renderKeepalived } from './render.ts';
import { type Holding, holdingsOf, recordOf, type Scene, type Staging, stageVips, whomToAsk } from './stage.ts';
import { TrackedFiles } from './tracked.ts';

const HOLD_MS = 15_000;
const ADVERT_MS = 250;
/** So many deaths of keepalived in a row, each soon after its start, are told. */
const DEATHS = 3;
/** How often this machine's interfaces are looked at. */
const LOOK_MS = 2_000;
/** What failed is tried again this often. */
const RETRY_MS = 10_000;
/** Who starts is in the list of agents within a second or two, once the controller has heard of it. */
const EARLY_MS = 10_000;
/** The others take over within three advertisements and a skew of less than one; this is three times as long. */
const DRAIN_MS = 3_000;
const DRAIN_LOOK_MS = 20;

/** Holds addresses together with other agents. @throws {UsageError} for a run directory that keepalived cannot be told of */
export function startVips(options: VipOptions): Vips {
  const problem = judgePath(options.runDir);
  if (problem !== undefined) throw new UsageError([{ where: 'state directory', value: options.runDir, message: problem }]);
  return new KeptVips(options);
}

/** What a group's new state means. */
const words: Readonly<Record<string, string>> = {
  MASTER: 'this agent holds them now',
  BACKUP: 'another agent holds them, or takes them now',
  FAULT: 'this agent cannot hold them: the interface is down or gone',
};

class KeptVips implements Vips {
  readonly #options: VipOptions;
  readonly #record: VipRecord;
  readonly #keepalived: Keepalived;
  readonly #fitness: FitnessRecord;
  readonly #former = new Former();
  readonly #loans: Loans;
  /** Groups that this agent holds, by keepalived's word. */
  readonly #mastered = new Set<number>();
  readonly #strangers = new Strangers();
  readonly #tracked: TrackedFiles;
  #wish: VipWish | undefined;
  /** Why nothing can be held although all was made ready. */
  #fault: Failure | undefined;
  #scene: Scene = { groups: [], failures: new Map() };
  #holdings: ReadonlyMap<string, Holding> = new Map();
  #ready: Promise<Failure | undefined>;
  #working: Promise<void> | undefined;
  #again = false;
  #wake: { readonly atMs: number; readonly timer: NodeJS.Timeout } | undefined;
  readonly #look: NodeJS.Timeout;
  #seen = '';
  #closing: Promise<void> | undefined;
  #closeEvents = () => {};
  #hasToldSettings = false;
  /** Since when this agent has not been in the list of agents; undefined: it is in it. */
  #unlistedMs: number | undefined;

  constructor(options: VipOptions) {
    const { runDir, log } = options;
    this.#options = options;
    this.#record = new VipRecord(runDir);
    this.#tracked = new TrackedFiles(runDir);
    this.#fitness = new FitnessRecord(options.holdMs ?? HOLD_MS, performance.now());
    this.#keepalived = new Keepalived({
      runDir,
      record: this.#record,
      log,
      onDeath: (how, deaths) => this.#died(how, deaths),
      onRival: (address) => this.#meet(address),
    });
    this.#loans = new Loans(() => this.#heldHere(), log);
    this.#ready = this.#prepare();
    this.#look = setInterval(() => this.#lookAround(), LOOK_MS);
  }

  apply(wish: VipWish): void {
    this.#wish = wish;
    this.#work();
  }

  holdings(): ReadonlyMap<string, Holding> {
    return this.#holdings;
  }

  owned(): ReadonlySet<string> {
    return new Set(this.#record.placed.map((one) => one.address));
  }

  close({ drain }: { readonly drain: boolean }): Promise<void> {
    this.#closing ??= this.#close(drain);
    return this.#closing;
  }

  /** @returns why nothing can be done here */
  async #prepare(): Promise<Failure | undefined> {
    const failure = await missingMeans();
    if (failure) return failure;
    const { runDir } = this.#options;
    try {
      await mkdir(runDir, { recursive: true });
      await this.#keepalived.clear();
      await this.#tellSettings();
      this.#closeEvents = await openEvents(fifoOf(runDir), (id, state) => this.#hear(id, state));
      return undefined;
    } catch (error) {
      return { code: 'KeepalivedFailed', message: `${runDir}: ${explain(error)}` };
    }
  }

  async #tellSettings(): Promise<void> {
    const off = await missingSettings();
    if (off.length === 0 || this.#hasToldSettings) return;
    this.#hasToldSettings = true;
    const message =
      'a port that is served in userspace opens some milliseconds after its address has come; with these set to 1, before';
    this.#options.log.info({ settings: off }, message);
  }

  /** As soon as something is amiss here, it is amiss for a while: others keep what they have taken over. */
  #died(how: string, deaths: number): void {
    if (deaths >= DEATHS) this.#fault = { code: 'KeepalivedFailed', message: `keepalived does not stay alive: ${how}` };
    const lost = [...this.#mastered].flatMap((id) => this.#placesOf(id));
    this.#mastered.clear();
    void this.#loans.recall(lost, () => this.#mastered.size === 0);
    this.#fitness.wasAway(performance.now());
    this.#work();
    this.#tellHoldings();
  }

  /** It is told who holds what from now on, and lets go. */
  #meet(address: string): void {
    if (this.#former.has(address)) return;
    this.#options.log.warn({ address }, 'an agent that is not in the list holds what this one holds; it is told now');
    this.#former.add(address, performance.now());
    this.#work();
  }

  #hear(id: number, state: string): void {
    const word = words[state];
    if (word === undefined) return;
    this.#fault = undefined; // it speaks
    const places = this.#placesOf(id);
    this.#options.log.info({ group: id, addresses: places.map((one) => one.address) }, word);
    if (state === 'MASTER') this.#mastered.add(id);
    else if (this.#mastered.delete(id)) void this.#loans.recall(places, () => !this.#mastered.has(id));
    if (state === 'FAULT') this.#fitness.lost(id);
    else this.#fitness.found(id, performance.now());
    this.#work();
    this.#tellHoldings();
  }

  #placesOf(id: number): readonly Placed[] {
    return this.#scene.groups.find((group) => group.id === id)?.addresses ?? [];
  }

  #heldHere(): readonly Placed[] {
    const here = addressesHere();
    return [...this.#mastered].flatMap((id) => this.#placesOf(id)).filter((one) => here.has(one.address));
  }

  #lookAround(): void {
    const seen = JSON.stringify(networkInterfaces());
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#tellHoldings();
    this.#work();
  }

  /** One piece of work at a time; what is asked for meanwhile is done once, after it. */
  #work(): void {
    if (this.#closing) return;
    this.#again = true;
    this.#working ??= this.#workOff().finally(() => {
      this.#working = undefined;
    });
  }

  async #workOff(): Promise<void> {
    await Promise.resolve(); // for whatever else changes in this turn
    while (this.#again && !this.#closing) {
      this.#again = false;
      try {
        await this.#bringAbout();
      } catch (error) {
        this.#options.log.error({ error }, 'the addresses could not be arranged');
        this.#workIn(RETRY_MS);
      }
    }
  }

  async #bringAbout(): Promise<void> {
    const wish = this.#wish;
    if (!wish) return;
    const unready = await this.#ready;
    if (unready) {
      this.#scene = { groups: [], failures: new Map(this.#wanted().map((address) => [address, unready])) };
      this.#tellHoldings();
      this.#ready = sleep(RETRY_MS, undefined, { ref: false }).then(() => this.#prepare());
      this.#workIn(RETRY_MS);
      return;
    }
    this.#scene = await this.#stage(wish);
    await this.#writeFitness(wish);
    await this.#record.write(recordOf(this.#scene.groups, this.#record.placed, await listLinks()));
    await this.#keepalived.configure(this.#render(wish));
    this.#tellHoldings();
    if (this.#scene.failures.size > 0) this.#workIn(RETRY_MS);
  }

  async #stage(wish: VipWish): Promise<Scene> {
    const { self, ids, interface: chosen } = this.#options;
    const staging: Staging = {
      agents: wish.agents,
      addresses: this.#wanted(),
      self,
      ids: ids ?? ALL_IDS,
      links: await listLinks(),
      ours: this.#record.placed,
      strangers: new Map(),
      ...(chosen === undefined ? {} : { chosen }),
      isEarly: this.#isEarly(wish, performance.now()),
    };
    const scene = stageVips(staging);
    const { asked, friends } = whomToAsk(scene, staging);
    const strangers = await this.#strangers.among(asked, friends, performance.now());
    return strangers.size === 0 ? scene : stageVips({ ...staging, strangers });
  }

  #isEarly({ agents }: VipWish, now: number): boolean {
    if (agents.some(({ name }) => name === this.#options.self)) {
      this.#unlistedMs = undefined;
      return false;
    }
    this.#unlistedMs ??= now;
    const leftMs = this.#unlistedMs + EARLY_MS - now;
    if (leftMs > 0) this.#workIn(leftMs);
    return leftMs > 0;
  }

  #render(wish: VipWish): string | undefined {
    const { as, groups } = this.#scene;
    const now = this.#former.see(
      wish.agents.flatMap((agent) => agent.addresses),
      performance.now(),
    );
    if (!as || groups.length === 0) return undefined;
    const former = now.filter((address) => isIPv4(address) === (as.family === 'IPv4'));
    const { runDir, advertMs } = this.#options;
    return renderKeepalived({ ...as, runDir, advertMs: advertMs ?? ADVERT_MS, former }, groups);
  }

  /** Tells keepalived how fit this agent is for each group, and looks again when that is to change. */
  async #writeFitness(wish: VipWish | undefined): Promise<void> {
    const now = performance.now();
    const { groups } = this.#scene;
    this.#fitness.keepOnly(new Set(groups.map((group) => group.id)));
    const serves = new Map(wish?.addresses.map(({ address, serve }) => [address, serve]));
    for (const { id, addresses } of wish ? groups : []) {
      this.#fitness.see(id, servedOf(addresses.map((one) => serves.get(one.address) === true)), now);
    }
    await this.#tracked.write(new Map(groups.map(({ id }) => [id, penalties[this.#fitness.of(id, now)]])));
    const nextMs = this.#fitness.nextMs(now);
    if (nextMs !== undefined) this.#workIn(nextMs - now);
  }

  #workIn(waitMs: number): void {
    const atMs = performance.now() + waitMs;
    if (this.#closing || (this.#wake && this.#wake.atMs <= atMs)) return;
    clearTimeout(this.#wake?.timer);
    const timer = setTimeout(() => {
      this.#wake = undefined;
      this.#work();
    }, waitMs);
    this.#wake = { atMs, timer };
  }

  #wanted(): readonly string[] {
    return this.#wish?.addresses.map((one) => one.address) ?? [];
  }

  #tellHoldings(): void {
    const next = holdingsOf(this.#wanted(), this.#scene, addressesHere(), this.#fault);
    if (isDeepStrictEqual(next, this.#holdings)) return;
    this.#holdings = next;
    this.#options.onChange();
  }

  async #close(drain: boolean): Promise<void> {
    clearInterval(this.#look);
    clearTimeout(this.#wake?.timer);
    await this.#working;
    if (drain && !(await this.#ready)) await this.#handOver();
    await this.#loans.stop();
    await this.#keepalived.close();
    this.#closeEvents();
    await this.#record.write([]).catch((error: unknown) => this.#options.log.warn({ error }, 'the record of addresses stays'));
  }

  /** First make, then break: the others take over while this agent still answers. */
  async #handOver(): Promise<void> {
    this.#fitness.leave();
    await this.#writeFitness(undefined);
    const alone = (this.#wish?.agents.length ?? 0) < 2;
    const untilMs = performance.now() + (alone ? 0 : DRAIN_MS);
    const holds = () =>
      [...holdingsOf(this.#wanted(), this.#scene, addressesHere()).values()].some(({ state }) => state === 'held');
    while (holds() && performance.now() < untilMs) await sleep(DRAIN_LOOK_MS);
    this.#tellHoldings();
  }
}

/** What is on this machine's interfaces now, those that are down left out. */
function addressesHere(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address)));
}
