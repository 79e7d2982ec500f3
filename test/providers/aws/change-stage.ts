import type { Balancer, PublishedAddress, Report } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Call } from '../../../src/sandbox/aws/calls.ts';
import { nothingReserved } from '../builders.ts';
import { type Door, whyUnreachable, Zones } from './reach.ts';
import { credentials, makeAws, makeProvider } from './stage.ts';

const ACTIVE_MS = 60_000;
const HEALTHY_MS = 30_000;
export const GRACE_SECONDS = 120;
/** The clock is moved so far when AWS is waited for: whatever takes its time there has happened then. */
const LOOK_MS = 60_000;
/** In real time: how often the patrol looks at AWS, how long it is waited for, and when a change never comes to its end. */
const TICK_MS = 1;
const PATROL_MS = 100;
const DEADLINE_MS = 60_000;

/** An account whose clock stands still until it is moved, a provider at it, and everything that a client would have met. */
export class ChangeStage {
  readonly aws: SandboxAws;
  readonly #clock: { ms: number };
  readonly #zones: Zones;
  #provider: Provider;
  /** As the Service's status says it. */
  #published: readonly PublishedAddress[] = [];
  /** Addresses that the status has given up, and when. */
  readonly #left = new Map<string, number>();
  /** When a listener used a target group last, by ARN. */
  readonly #usedAt = new Map<string, { readonly ms: number; readonly by: string }>();
  #doors: readonly Door[] = [];
  /** Whose status is followed where there are several Services; undefined: the only one's. */
  #uid: string | undefined;
  #dead = false;
  #wishes: readonly Balancer[] = [];
  #changed = (): void => {};
  /** What a client met that it should not have met. */
  readonly gaps: string[] = [];
  /** Writes, in their order. */
  readonly writes: string[] = [];
  restarts = 0;

  constructor(aws: SandboxAws, clock: { ms: number }) {
    this.aws = aws;
    this.#clock = clock;
    this.#zones = new Zones(aws, ACTIVE_MS);
    this.#provider = this.#make();
    aws.calls.watch((call) => this.#witness(call));
  }

  get provider(): Provider {
    return this.#provider;
  }

  #make(): Provider {
    const connection = { region: this.aws.region, endpoint: this.aws.url, credentials, attempts: 1 };
    return makeProvider(this.aws, { connection, now: () => this.#clock.ms, tickMs: TICK_MS, graceSeconds: GRACE_SECONDS });
  }

  async open(balancers: readonly Balancer[]): Promise<void> {
    const wants = (uid: string) => this.#wishes.some(({ members }) => members.some((member) => member.uid === uid));
    await this.#provider.open({ balancers, surroundings: { ...nothingReserved, wants }, changed: () => this.#changed() });
  }

  async close(): Promise<void> {
    await this.#provider.close(0);
    await this.aws.close();
  }

  /** Another process takes over; what is wanted is what the cluster says. */
  async restart(balancers: readonly Balancer[]): Promise<void> {
    this.restarts += 1;
    await this.#provider.close(0);
    this.#provider = this.#make();
    await this.open(balancers);
  }

  #witness({ action, failure, parameters }: Call): void {
    const happened = failure === undefined || failure === 'cut';
    if (action.startsWith('Describe') || !happened) return;
    this.writes.push(action);
    const now = this.#clock.ms;
    this.look(action);
    const [, name = ''] = /loadbalancer\/(net\/.+)$/.exec(parameters['LoadBalancerArn'] ?? '') ?? [];
    if (action === 'DeleteLoadBalancer') this.#judgeDeletion(name.split('/')[1] ?? '', now);
    if (action === 'DeleteTargetGroup') this.#judgeGroup(parameters['TargetGroupArn'] ?? '', now);
  }

  #judgeDeletion(name: string, now: number): void {
    for (const [hostname, since] of this.#doors.length > 0 ? this.#left : []) {
      if (hostname.startsWith(name) && now < since + GRACE_SECONDS * 1_000) {
        this.gaps.push(`NLB ${name} was deleted ${(now - since) / 1_000} s after it left the status`);
      }
    }
  }

  #judgeGroup(arn: string, now: number): void {
    const used = this.#usedAt.get(arn);
    if (used === undefined || now >= used.ms + GRACE_SECONDS * 1_000) return;
    if (!this.aws.loadBalancers().some((one) => one.arn === used.by)) return; // it went with its NLB, which is judged itself
    this.gaps.push(`target group ${arn.split('/')[1]} was deleted ${(now - used.ms) / 1_000} s after its last use`);
  }

  /** What would a client meet now? */
  look(after: string): void {
    this.#zones.look();
    for (const { arn, users } of this.aws.targetGroups()) {
      if (this.aws.tagsOf(arn)['nodeport-lb.io/retired-at'] !== undefined && users.size > 0) continue; // clients were led away before
      for (const { loadBalancerArn: by } of users.values()) this.#usedAt.set(arn, { ms: this.#clock.ms, by });
    }
    for (const door of this.#doors) {
      if (this.#published.length === 0) this.gaps.push(`after ${after}: nothing is published`);
      for (const place of this.#published) {
        const why = whyUnreachable(this.aws, this.#zones, place, door);
        if (why !== undefined) this.gaps.push(`after ${after}: ${door.port}/${door.protocol}: ${why}`);
      }
    }
  }

  advance(ms: number): void {
    this.#clock.ms += ms;
    this.look(`${ms / 1_000} s`);
  }

  /** As the controller writes the status of a Service. */
  #publish({ addresses: found, listeners, elsewhere = [] }: Report, { members }: Balancer): void {
    const uid = this.#uid ?? members[0]?.uid ?? '';
    if (!members.some((member) => member.uid === uid) || elsewhere.includes(uid)) return;
    const addresses = listeners.some((one) => one.uid === uid)
      ? found
      : found.filter((one) => this.#published.some(({ hostname, ip }) => hostname === one.hostname && ip === one.ip));
    const now = new Set(addresses.map(({ hostname, ip }) => hostname ?? ip ?? ''));
    for (const { hostname, ip } of this.#published) {
      const place = hostname ?? ip ?? '';
      if (!now.has(place)) this.#left.set(place, this.#clock.ms);
    }
    for (const place of now) this.#left.delete(place);
    this.#published = addresses;
    this.look('the status was written');
  }

  /** From now on clients want these. */
  expect(doors: readonly Door[]): void {
    this.#doors = doors;
  }

  /** Clients want something of this Service, whichever balancer it has. */
  follow(uid: string): void {
    this.#uid = uid;
  }

  /** The process dies right after AWS has done the write of that number, counted from 1: nobody hears the answer. */
  killAt(write: number): void {
    const last = this.aws.inject({ action: '*', writes: true, after: write - 1, times: 1, cut: 'after' });
    const stop = this.aws.calls.watch(({ failure }) => {
      if (failure !== 'cut' || last.met() === 0 || this.#dead) return;
      this.#dead = true;
      stop();
      const silence = this.aws.inject({ action: '*', cut: 'before' });
      this.#revive = () => silence.remove();
    });
    this.#disarm = () => {
      stop();
      last.remove();
    };
  }
  #revive = (): void => {};
  #disarm = (): void => {};

  /** Works as the controller does until all is as it is wanted and nothing waits. @returns whether the process died on the way */
  async bring(wishes: readonly Balancer[], keys: readonly string[] = wishes.map(({ key }) => key)): Promise<boolean> {
    let died = false;
    this.#wishes = wishes;
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; ) {
      if (this.#dead) {
        died = true;
        this.#dead = false;
        this.#revive();
        await this.restart(wishes);
      }
      try {
        const ends = await Promise.all(
          keys.map((key) =>
            this.#pass(
              key,
              wishes.find((one) => one.key === key),
            ),
          ),
        );
        if (ends.every((end) => end === 'done')) {
          this.#disarm();
          return died;
        }
        const until = Math.min(...ends.map((end) => (typeof end === 'number' ? end : Number.POSITIVE_INFINITY)));
        if (ends.includes('worked')) continue;
        if (!ends.includes('waits')) this.advance(Math.max(1, until - this.#clock.ms));
        else await this.#stir(() => this.advance(LOOK_MS));
      } catch (thrown) {
        if (!this.#dead) throw thrown;
      }
    }
    throw new Error(`it has not come to its end; the last plans: ${await this.#sayPlans(wishes, keys)}`);
  }

  async #sayPlans(wishes: readonly Balancer[], keys: readonly string[]): Promise<string> {
    const plans = keys.map(async (key) => {
      const wish = wishes.find((one) => one.key === key);
      const observed = await this.#provider.observe(key);
      const steps = this.#provider.plan(wish && this.#provider.adjust(wish, nothingReserved), observed, this.#clock.ms);
      return `${key}: ${JSON.stringify(steps.map(({ summary, waitsFor }) => [summary, waitsFor]))} ${JSON.stringify(this.#provider.report(observed))}`;
    });
    return (await Promise.all(plans)).join('; ');
  }

  /** One pass. @returns `done`, `worked`, `waits` for AWS, or the moment for which it waits */
  async #pass(key: string, wish: Balancer | undefined): Promise<'done' | 'worked' | 'waits' | number> {
    const wanted = wish && this.#provider.adjust(wish, nothingReserved);
    const steps = this.#provider.plan(wanted, await this.#provider.observe(key), this.#clock.ms);
    let worked = false;
    for (const step of steps) {
      if (step.waitsFor) break;
      await this.#provider.apply(step);
      worked = true;
    }
    const report = this.#provider.report(await this.#provider.observe(key));
    if (wanted) this.#publish(report, wanted);
    if (worked) return 'worked';
    const [first] = steps;
    if (first?.waitsFor?.until !== undefined) return first.waitsFor.until;
    if (first) return 'waits';
    return (wanted ? report.settled : report.gone) ? 'done' : 'waits';
  }

  /** AWS has had its time, and the patrol has looked. */
  pause(): Promise<void> {
    return this.#stir(() => this.advance(LOOK_MS));
  }

  /** Until the patrol has seen something at AWS, or a moment has passed in which nothing was to be seen there. */
  #stir(act: () => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATROL_MS);
      this.#changed = () => {
        clearTimeout(timer);
        resolve();
      };
      act();
    });
  }
}

export async function makeChangeStage(options: AwsOptions = {}): Promise<ChangeStage> {
  const clock = { ms: 1_800_000_000_000 };
  const timings = { activeMs: ACTIVE_MS, healthyMs: HEALTHY_MS };
  const aws = await makeAws({ clock: () => clock.ms, timings, ...options });
  return new ChangeStage(aws, clock);
}

/** Ports that clients had before and still shall have. */
export function commonDoors(from: Balancer, to: Balancer): readonly Door[] {
  const had = new Set(from.listeners.map(({ port, protocol }) => `${port}/${protocol}`));
  return to.listeners
    .filter(({ port, protocol }) => had.has(`${port}/${protocol}`))
    .map(({ port, protocol }) => ({ port, protocol }));
}

/** Everything in the account that a user would see, without what AWS makes up. */
export function accountOf({ aws }: ChangeStage): unknown {
  const groupNames = new Map(aws.targetGroups().map(({ arn, name }) => [arn, name]));
  const groupIds = new Map(aws.securityGroups().map(({ id, name }) => [id, name]));
  const sorted = (list: readonly unknown[]): readonly string[] => list.map((one) => JSON.stringify(one)).sort();
  return {
    balancers: sorted(
      aws.loadBalancers().map(({ name, scheme, addressType, prefixNat, zones, securityGroups, attributes, arn }) => ({
        name,
        scheme,
        addressType,
        prefixNat,
        zones: sorted(zones.map(({ subnetId, fixed }) => [subnetId, fixed])),
        securityGroups: securityGroups.map((id) => groupIds.get(id)),
        attributes: [...attributes].sort(),
        tags: aws.tagsOf(arn),
      })),
    ),
    listeners: sorted(
      aws
        .listeners()
        .map(({ port, protocol, forward, sticky, certificates, arn }) => [
          port,
          protocol,
          forward.map((share) => [groupNames.get(share.arn), share.weight]),
          sticky,
          certificates,
          aws.tagsOf(arn),
        ]),
    ),
    groups: sorted(
      aws.targetGroups().map(({ arn, name, check, attributes }) => {
        const targets = sorted(aws.targetsOf(arn).map(({ id, port }) => `${id}:${port}`));
        return [name, check, [...attributes].sort(), targets, aws.tagsOf(arn)];
      }),
    ),
    rules: sorted(
      aws.securityGroups().map(({ name, rules, id }) => {
        const open = [...rules.values()].filter(({ egress }) => !egress);
        const said = open.map(
          (one) => `${one.protocol} ${one.fromPort}-${one.toPort} ${groupIds.get(one.peer.value) ?? one.peer.value}`,
        );
        return [name, said.sort(), aws.tagsOf(id)];
      }),
    ),
  };
}
