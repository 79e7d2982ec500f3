import pRetry from 'p-retry';
import { explain, Refusal } from '../../errors.ts';
import type { Balancer, Member, NodeTarget, Report, Step } from '../../model.ts';
import type { Provider, ProviderContext, ProviderStart } from '../provider.ts';
import { Abandoned } from './abandoned.ts';
import { applyAct } from './apply.ts';
import type { Bench } from './bench.ts';
import { AwsCalls, type Connection } from './calls.ts';
import { chooseCurrent } from './current.ts';
import { type DescribeOptions, type Desired, describe } from './desired.ts';
import { isCalled, NOT_THERE, PROTECTED, USED_UP } from './failures.ts';
import { Inventory } from './inventory.ts';
import { Ledger } from './ledger.ts';
import { type Buckets, usualBuckets } from './limiter.ts';
import { lacksAddresses, lookAgain, lookAtHealth, lookAtInterfaces, lookAtOthers, lookAtStanding, lookIfNeeded } from './look.ts';
import { carriersFor, isMoving, type Moving } from './moves.ts';
import { SHARED, TAG } from './names.ts';
import { type AwsOptions, readOptions } from './options.ts';
import { Patrol } from './patrol.ts';
import { sayDenied, surveyGround } from './permissions.ts';
import type { Observed } from './picture.ts';
import { planBalancer } from './plan.ts';
import { planFollow, standingGroups } from './plan-follow.ts';
import { planRemoval } from './plan-removal.ts';
import { findDenied } from './preflight.ts';
import { type Census, needsOf, Quotas } from './quota.ts';
import { Reader } from './reader.ts';
import { findRegion } from './region.ts';
import { reportObserved } from './report.ts';
import { takeSnapshot } from './snapshot.ts';
import type { AwsStep } from './steps.ts';
import { Surveyor } from './surveyor.ts';
import { Sweep } from './sweep.ts';
import { Tagging } from './tagging.ts';
import { isOfFacts, TurnedAway } from './turned-away.ts';
import { Turns } from './turns.ts';
import { describeIfPossible, makeWish, NO_FACTS, renewNodes, type Wish } from './wish.ts';

/** What the provider takes from outside; tests give an AWS of their own and little time. */
export interface AwsParts {
  readonly connection: Connection;
  readonly buckets: Buckets;
  /** Milliseconds since the epoch. */
  now(): number;
  readonly tickMs: number;
  readonly sweepMs: number;
  readonly closeLookMs: number;
  /** Whether permissions are tried at the start; undefined: they are. */
  readonly preflight?: boolean;
  /** Seconds that what has been replaced lives on; undefined: as long as connections drain. */
  readonly graceSeconds?: number;
  /** How long a tag waits for others that can share its call; undefined: 25 ms. */
  readonly tagWindowMs?: number;
}

const TICK_MS = 3_000;
const SWEEP_MS = 600_000;
const CLOSE_LOOK_MS = 6 * 3_600_000;

/** AWS may not know yet what it was told a moment ago: so soon after a write of ours it is asked again, for 3 s in all. */
const NOT_THERE_YET = { retries: 4, minTimeout: 200, factor: 2 } as const;
const FRESH_MS = 10_000;

/** The provider as the program uses it: the SDK finds region, credentials and endpoints in its usual places. */
export function createProvider(context: ProviderContext): Provider<Observed> {
  return createAwsProvider(context, {
    connection: {},
    buckets: usualBuckets,
    now: Date.now,
    tickMs: TICK_MS,
    sweepMs: SWEEP_MS,
    closeLookMs: CLOSE_LOOK_MS,
  });
}

/** The provider with parts of the caller's choice. */
export function createAwsProvider(context: ProviderContext, parts: AwsParts): Provider<Observed> {
  return new AwsProvider(context, parts);
}

/**
 * Each balancer is a Network Load Balancer whose target groups hold every eligible node's instance. State lives at AWS, in tags;
 * the inventory is only a picture of it, and is made again after a start.
 */
class AwsProvider implements Provider<Observed> {
  readonly name = 'aws';
  readonly #context: ProviderContext;
  readonly #parts: AwsParts;
  readonly #options: AwsOptions;
  #describing: DescribeOptions;
  readonly #bench: Bench;
  readonly #surveyor: Surveyor;
  readonly #sweep: Sweep;
  readonly #quotas: Quotas;
  readonly #patrol: Patrol;
  /** As many as there are wanted balancers. */
  readonly #wishes = new Map<string, Wish>();
  #changed: (key: string) => void = () => {};
  #wants: (uid: string) => boolean = () => false;
  #isClosed = false;
  #swept: Promise<void> | undefined;
  #led = false;
  /** Why nothing can be done before the next start. */
  #unusable: Refusal | undefined;
  readonly #abandoned: Abandoned;
  readonly #turnedAway = new TurnedAway();

  constructor(context: ProviderContext, parts: AwsParts) {
    this.#context = context;
    this.#parts = parts;
    this.#options = readOptions(context.options);
    const { clusterName, log } = context;
    const { region, vpcId, defaultScheme } = this.#options;
    this.#describing = {
      clusterName,
      defaultScheme,
      ...(parts.graceSeconds === undefined ? {} : { graceSeconds: parts.graceSeconds }),
    };
    const { now } = parts;
    const calls = new AwsCalls(
      { ...(region === undefined ? {} : { region }), ...parts.connection },
      { ...parts.buckets, ...this.#options.apiThrottle },
    );
    const reader = new Reader(calls);
    const inventory = new Inventory(now);
    const tagging = new Tagging(calls, parts.tagWindowMs);
    const ledger = new Ledger({ calls, inventory, tagging, now });
    this.#bench = { calls, reader, inventory, tagging, ledger, turns: new Turns(), clusterName, now };
    const picture = (key: string): Observed => this.#picture(key, undefined, undefined);
    this.#abandoned = new Abandoned({ bench: this.#bench, log, picture, wishOf: (key) => this.#wishes.get(key)?.balancer });
    this.#surveyor = new Surveyor({ reader, inventory, clusterName, now, ...(vpcId === undefined ? {} : { vpcId }) });
    this.#sweep = new Sweep({ reader, inventory, clusterName, now });
    const census = (): Census => this.#sweep.census;
    this.#quotas = new Quotas({ reader, inventory, log, now, census, count: () => this.#sweep.count() });
    const changed = (key: string): void => this.#changed(key);
    this.#patrol = new Patrol({
      reader,
      inventory,
      log,
      now,
      tickMs: parts.tickMs,
      sweepMs: parts.sweepMs,
      changed,
      sweep: () => this.#resweep(),
      recheck: () => this.#recheck(),
      finish: () => Promise.all([this.#abandoned.finish(), ledger.settle()]).then(() => {}),
      closeLookMs: parts.closeLookMs,
      lookAgain: (arn) => lookAgain(this.#bench, arn),
    });
  }

  async open(start: ProviderStart): Promise<void> {
    if (start.mayWrite) this.#bench.calls.withholdWrites(start.mayWrite);
    const region = await findRegion(this.#bench.calls, start);
    if (region instanceof Refusal) {
      this.#unusable = region;
      this.#context.log.error({}, region.message);
      return;
    }
    this.#describing = { ...this.#describing, region };
    const nodes = [...new Set(start.balancers.map((one) => one.nodes))].flat(); // most share one array
    for (const balancer of start.balancers) this.#wishes.set(balancer.key, makeWish(balancer));
    const { log } = this.#context;
    try {
      await this.#ensureSwept();
      if (nodes.length > 0 || this.#options.vpcId !== undefined) await this.#surveyor.survey(nodes, []);
      log.info({ region, balancers: this.#bench.inventory.balancers.size }, 'AWS has been read');
    } catch (thrown) {
      if (start.lookOnly) throw thrown;
      log.warn({ region, error: explain(thrown) }, 'AWS could not be read; each Service is told, and it is tried again'); // `observe` does both
    }
    if (start.lookOnly) return;
    this.#changed = start.changed;
    this.#wants = (uid) => start.surroundings.wants?.(uid) ?? false;
    this.#patrol.start();
    if (this.#parts.preflight ?? true) void this.#tryPermissions(region);
  }

  /** In the background: nobody waits for it, and what fails here fails again where it matters. */
  async #tryPermissions(region: string): Promise<void> {
    const denied = await findDenied(
      this.#bench.calls,
      surveyGround(this.#bench, this.#surveyor, { region, vpcId: this.#options.vpcId }),
    );
    if (denied.length > 0 && !this.#isClosed) this.#context.log.error({ region, denied }, sayDenied(denied));
  }

  /** `open` has read everything for the first time that this process leads. */
  async lead(): Promise<void> {
    if (this.#led) {
      this.#swept = undefined;
      this.#bench.inventory.forget();
      this.#bench.ledger.forget();
    }
    this.#led = true;
    await this.#ensureSwept();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#changed = () => {};
    this.#patrol.stop();
    this.#bench.calls.close();
  }

  /** Nothing is done before all that is ours has been read once. */
  async #ensureSwept(): Promise<void> {
    if (this.#unusable) throw this.#unusable;
    this.#swept ??= this.#sweep.run();
    try {
      await this.#swept;
    } catch (thrown) {
      this.#swept = undefined;
      throw thrown;
    }
  }

  async keys(): Promise<readonly string[]> {
    return this.#bench.inventory.keys();
  }

  /** What is not known yet is not judged; the first look finds it out, and the next pass judges. */
  adjust(balancer: Balancer): Balancer {
    if (this.#unusable) throw this.#unusable;
    const wish = makeWish(balancer);
    this.#wishes.set(balancer.key, wish);
    this.#bench.ledger.stirs(balancer.key);
    this.#quotas.release(balancer.key);
    const abandoned = this.#abandoned.refusalFor(balancer);
    if (abandoned) this.#wishes.set(balancer.key, { ...wish, isRefused: true });
    if (abandoned) throw abandoned;
    const known = this.#surveyor.knows([], wish.names) ? this.#surveyor.facts() : undefined;
    try {
      const present = this.#bench.inventory.of(balancer.key).balancers;
      const desired = describe(balancer, known ?? NO_FACTS, this.#describing, present);
      if (known) chooseCurrent(desired, present);
      this.#refuseTakenName(desired);
    } catch (thrown) {
      this.#turnedAway.note(balancer.key, thrown);
      if (known && isOfFacts(thrown)) this.#surveyor.doubt();
      if (known || !isOfFacts(thrown)) throw thrown;
    }
    return { ...balancer, address: { ...balancer.address, held: [] } };
  }

  #refuseTakenName({ key, name }: Desired): void {
    const holder = name === undefined ? undefined : this.#bench.inventory.balancerNamed(name)?.tags[TAG.balancer];
    if (holder !== undefined && holder !== key) throw new Refusal('AwsNameInUse', `NLB ${name} is the balancer of ${holder}`);
  }

  async observe(key: string, wanted?: Balancer): Promise<Observed> {
    await this.#ensureSwept();
    const wish = renewNodes(this.#wishes, key, wanted?.nodes);
    if (wish && !this.#surveyor.knows(wish.balancer.nodes, wish.names)) {
      await this.#surveyor.survey(wish.balancer.nodes, wish.names);
    }
    const { inventory } = this.#bench;
    const desired = wish && describeIfPossible(wish, this.#surveyor.facts(), this.#describing, inventory.of(key).balancers);
    if (desired) await lookIfNeeded(this.#bench, desired, isMoving(key, this.#moving()));
    if (desired || !wish) await lookAtOthers(this.#bench, key, desired);
    const shortage = desired && wish?.isNew ? await this.#quotas.admit(key, needsOf(desired, inventory.of(key))) : undefined;
    const picture = await this.#withAddresses(this.#picture(key, wish, desired), () => this.#picture(key, wish, desired));
    const report = reportObserved(picture);
    if (wish?.isNew) this.#wishes.set(key, { ...wish, isNew: false });
    else if (report.gone) this.#drop(key); // what is wanted is said anew in each pass
    if (wish) this.#bench.ledger.stands(key, picture.goal);
    if (!wish?.isRefused) this.#abandoned.reported(key, report);
    const observed = shortage === undefined ? picture : { ...picture, shortage };
    if (desired && wish?.isNew && !report.settled) this.#foresee(wish, observed);
    return observed;
  }

  /** What `plan` will refuse of a balancer that serves is refused by `adjust` from the next pass on: what it has follows the nodes. */
  #foresee({ balancer }: Wish, observed: Observed): void {
    try {
      this.plan(balancer, observed, observed.at);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      this.#abandoned.refuse(balancer, thrown);
    }
  }

  #moving(): Moving {
    const { graceSeconds } = this.#describing;
    const moving = { wishes: this.#wishes, seen: this.#bench.inventory, wants: (uid: string) => this.#wants(uid) };
    return graceSeconds === undefined ? moving : { ...moving, graceSeconds };
  }

  #drop(key: string): void {
    const carriers = carriersFor(key, this.#wishes, this.#bench.inventory);
    this.#wishes.delete(key);
    for (const other of carriers) this.#changed(other); // it need not wait for this one any more
    this.#abandoned.forget(key);
    this.#bench.ledger.stirs(key);
    this.#quotas.release(key);
  }

  async #withAddresses(picture: Observed, again: () => Observed): Promise<Observed> {
    const nameless = picture.balancers.filter(lacksAddresses);
    if (picture.goal?.publish !== 'ip' || nameless.length === 0) return picture;
    for (const balancer of nameless) await lookAtInterfaces(this.#bench, balancer);
    return again();
  }

  #picture(key: string, wish: Wish | undefined, desired: Desired | undefined): Observed {
    const { nodeGroups } = this.#surveyor;
    const moving = this.#moving();
    const at = this.#parts.now();
    return takeSnapshot({ key, wish, desired, moving, at }, this.#bench.inventory, { nodeGroups, facts: this.#surveyor.facts() });
  }

  async follow(key: string, nodes: readonly NodeTarget[], uids: readonly string[]): Promise<readonly Step[]> {
    await this.#ensureSwept();
    if (!this.#surveyor.knows(nodes, [])) await this.#surveyor.survey(nodes, []);
    await lookAtStanding(this.#bench, standingGroups(this.#bench.inventory.of(key).groups, uids));
    const facts = this.#surveyor.facts();
    return facts ? planFollow(this.#picture(key, undefined, undefined), { uids, nodes, facts }) : [];
  }

  plan(wanted: Balancer | undefined, observed: Observed, now: number, leaving: readonly Member[] = []): readonly Step[] {
    if (!wanted) return planRemoval(observed, now, leaving);
    if (!observed.facts) {
      throw new Refusal('AwsResourceUnknown', 'No node has an EC2 instance that would tell the VPC, and --aws-vpc-id is not set');
    }
    if (observed.shortage !== undefined) throw new Refusal('QuotaExceeded', observed.shortage);
    const moves = observed.moves.filter(({ uid }) => !wanted.members.some((member) => member.uid === uid));
    const desired = describe(wanted, observed.facts, this.#describing, observed.balancers);
    return planBalancer(desired, { ...observed, moves }, now);
  }

  async apply(step: Step): Promise<void> {
    const isLag = (error: unknown): boolean =>
      isCalled(error, ...NOT_THERE) && this.#bench.inventory.wroteSince(this.#parts.now() - FRESH_MS);
    this.#abandoned.begin(step as AwsStep);
    try {
      // the controller hands back what `plan` gave it
      await pRetry(() => applyAct(this.#bench, step as AwsStep), { ...NOT_THERE_YET, shouldRetry: ({ error }) => isLag(error) });
    } catch (thrown) {
      if (isCalled(thrown, ...NOT_THERE)) await this.#forget(step as AwsStep);
      if (isCalled(thrown, PROTECTED) && 'balancer' in step) this.#bench.inventory.doubtAttributes(String(step.balancer));
      if (isCalled(thrown, ...USED_UP)) this.#quotas.doubt();
      if (thrown instanceof Refusal && 'key' in step) this.#quotas.release(String(step.key));
      if (thrown instanceof Refusal) await this.#abandoned.consider(step as AwsStep, thrown);
      throw thrown;
    }
    if (step.kind === 'delete-balancer') this.#makeRoom();
    const left = this.#bench.inventory.keys();
    if (left.length === 1 && left[0] === SHARED) this.#changed(SHARED);
  }

  /** An NLB has gone, and with it what somebody may wait for. */
  #makeRoom(): void {
    for (const key of this.#turnedAway.takeByRoom()) this.#changed(key);
  }

  async look(key: string): Promise<void> {
    await this.#ensureSwept();
    await lookAtHealth(this.#bench, key);
  }

  report(observed: Observed): Report {
    return reportObserved(observed);
  }

  /** Somebody else removed what the step is about: what was known of it is not believed any more. */
  async #forget(step: AwsStep): Promise<void> {
    const { inventory } = this.#bench;
    if ('balancer' in step) inventory.doubtBalancer(step.balancer);
    if ('group' in step) inventory.doubtGroup(step.group);
    await this.#sweep.run();
  }

  /** Whoever has put right what a Service was refused for shall not have to touch the Service. */
  async #recheck(): Promise<void> {
    for (const key of this.#abandoned.keys()) this.#changed(key);
    for (const key of this.#turnedAway.takeByFacts()) {
      const wish = this.#wishes.get(key);
      this.#surveyor.doubt();
      if (wish) await this.#surveyor.survey(wish.balancer.nodes, wish.names);
      this.#changed(key);
    }
  }

  async #resweep(): Promise<void> {
    const before = this.#fingerprints();
    await this.#sweep.run();
    this.#makeRoom(); // others may have deleted it
    for (const [key, print] of this.#fingerprints()) {
      if (before.get(key) !== print) this.#changed(key);
      before.delete(key);
    }
    for (const key of before.keys()) this.#changed(key);
  }

  /** By key, what the sweep sees of it. */
  #fingerprints(): Map<string, string> {
    const { inventory } = this.#bench;
    return new Map(inventory.keys().map((key) => [key, JSON.stringify(inventory.of(key))]));
  }
}
