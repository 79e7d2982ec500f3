import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer, NodeTarget, Report, Step, TargetReport } from '../../../src/model.ts';
import type { Observed } from '../../../src/providers/aws/picture.ts';
import type { AwsParts } from '../../../src/providers/aws/provider.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved } from '../builders.ts';
import { pass, want } from '../drive.ts';
import { lastCallCame, makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

const COUNT = 100;
const NOTE = 'nodeport-lb.io/targets';
const PREFIX = 'service.beta.kubernetes.io/aws-load-balancer-';

let aws: SandboxAws;
let provider: Provider<Observed>;

beforeEach(async () => {
  aws = await makeAws({ limits: { loadBalancers: 200 } });
  aws.addInstance(typicalInstance(4));
  provider = await open([]);
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function open(balancers: readonly Balancer[], parts: Partial<AwsParts> = {}): Promise<Provider<Observed>> {
  const opened = makeProvider(aws, parts);
  await opened.open({ balancers, surroundings: nothingReserved, changed: () => {} });
  return opened;
}

async function restart(balancers: readonly Balancer[], parts: Partial<AwsParts> = {}): Promise<void> {
  await provider.close(0);
  provider = await open(balancers, parts);
}

const all = Array.from({ length: COUNT }, (_, at) => at);
const many = (nodes: readonly NodeTarget[] = workers): readonly Balancer[] =>
  all.map((at) => nlb({ name: `web-${at}`, ports: [{ port: 80, nodePort: 30_000 + at }], nodes }));

/** All at once; a hundred may take their time on a busy machine. */
async function wantEvery(balancers: readonly Balancer[]): Promise<void> {
  const wanted = balancers.map((one) => provider.adjust(one, nothingReserved));
  await Promise.all(wanted.map((one) => pass(provider, one.key, one)));
  for (const { key } of wanted) await reportIs(key, ({ settled }) => settled);
}

async function reportIs(key: string, isReached: (report: Report) => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; ) {
    const report = provider.report(await provider.observe(key));
    if (isReached(report)) return;
    if (Date.now() > deadline) throw new Error(`the report of ${key} stays ${JSON.stringify(report)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What is noted on the group that all NLBs share. */
const note = (): string | undefined => {
  const shared = aws.securityGroups().find(({ name }) => name.startsWith('np-shared'));
  return shared && aws.tagsOf(shared.id)[NOTE];
};

async function until(isReached: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !isReached(); ) {
    if (Date.now() > deadline) throw new Error(`still waiting; noted: ${note()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const isNoted = (): boolean => note() !== 'changing';

/** Calls that are no polls until targets are checked, by action. */
function counted(): Readonly<Record<string, number>> {
  const { DescribeTargetHealth: _, ...counts } = aws.calls.counts();
  return counts;
}

const isHealthy = ({ health }: TargetReport): boolean => health === 'healthy';
const four = [...workers, worker(4)];

test('a node that joins a hundred Services and leaves again costs a call a target group, twice, and six beside', async () => {
  await wantEvery(many());
  aws.calls.reset();
  await wantEvery(many(four));
  await until(isNoted);
  expect(counted()).toEqual({ RegisterTargets: COUNT, CreateTags: 2, DescribeInstances: 1 });
  aws.calls.reset();
  await wantEvery(many());
  await until(isNoted);
  expect(counted()).toEqual({ DeregisterTargets: COUNT, CreateTags: 2 });
}, 120_000);

test('a start with a hundred Services in sync: 0.3 calls a Service, permissions tried included, also after nodes have come', async () => {
  await wantEvery(many());
  await wantEvery(many(four));
  await until(isNoted);
  for (const { key } of many()) await reportIs(key, ({ targets }) => targets.every(isHealthy)); // no poll is under way
  await provider.close(0);
  await lastCallCame(aws);
  aws.calls.reset();
  provider = await open(many(four), { tickMs: 3_600_000, preflight: true });
  await wantEvery(many(four));
  await until(() => (aws.calls.counts()['DescribeCapacityReservation'] ?? 0) > 0); // the last that is tried
  expect(aws.calls.total()).toBeLessThanOrEqual(0.3 * COUNT);
  expect(aws.calls.counts()['DescribeTargetHealth']).toBeUndefined();
  aws.calls.reset();
  await wantEvery(many()); // a node leaves: what its target groups hold is known by then
  expect(aws.calls.counts()).toEqual({ DeregisterTargets: COUNT, CreateTags: 1 });
}, 120_000);

class Crash extends Error {}

const targetsAt = (): readonly (readonly string[])[] =>
  aws.targetGroups().map(({ arn }) =>
    aws
      .targetsOf(arn)
      .map(({ id }) => id.at(-1) ?? '')
      .sort(),
  );

describe('a process that dies while targets are being changed', () => {
  const few = (nodes: readonly NodeTarget[] = workers) => many(nodes).slice(0, 3);

  test('looks at each target group at its next start, and takes away what nobody wants any more', async () => {
    await wantEvery(few());
    await restart(few(), { tickMs: 3_600_000 });
    await want(provider, few(four)[0]!); // and the node leaves before the others have it
    expect(note()).toBe('changing');
    await restart(few());
    aws.calls.reset();
    await wantEvery(few());
    await until(isNoted);
    expect(targetsAt()).toEqual([
      ['1', '2', '3'],
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
    const { DescribeListeners: read } = aws.calls.counts();
    expect([counted()['DeregisterTargets'], read]).toEqual([1, undefined]);
  }, 120_000);

  test('and dies again before the note is written: the next start looks again', async () => {
    await wantEvery(few());
    await until(isNoted);
    const noted = note()!;
    await wantEvery(few(four));
    await until(isNoted);
    aws.inject({ action: 'CreateTags', containing: noted, code: 'InternalError', status: 400 });
    await wantEvery(few()); // all are done, and nobody could say so
    for (const at of [1, 2]) {
      await restart(few(four), { tickMs: 3_600_000 });
      await want(provider, few(four)[at]!);
      expect(note()).toBe('changing');
    }
    await restart(few(four));
    await wantEvery(few(four));
    await until(isNoted);
    expect(targetsAt().flat()).toHaveLength(12);
  }, 120_000);

  test.each([
    { what: 'has gone again', nodes: workers },
    { what: 'is still there', nodes: four },
  ])(
    'whichever step it dies after: the node $what at the next start, and all targets are right',
    async ({ nodes }) => {
      for (let crashAt = 1, died = true; died; crashAt += 1) {
        await wantEvery(few());
        await until(isNoted);
        died = await dieAfter(crashAt);
        await restart(few(nodes));
        await wantEvery(few(nodes));
        await until(isNoted);
        expect(targetsAt().map((ids) => ids.length)).toEqual(few().map(() => nodes.length));
      }
    },
    60_000,
  );

  /** @returns whether there was such a step */
  async function dieAfter(count: number): Promise<boolean> {
    let steps = 0;
    const apply = async (step: Step): Promise<void> => {
      await provider.apply(step);
      steps += 1;
      if (steps === count) throw new Crash();
    };
    try {
      for (const one of few(four)) await want(provider, one, apply);
      return false;
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
      return true;
    }
  }
});

test('a lost answer is looked into: a node that came and went meanwhile is no target', async () => {
  await want(provider, nlb());
  await until(isNoted);
  aws.inject({ action: 'RegisterTargets', cut: 'after' });
  await expect(want(provider, nlb({ nodes: four }))).rejects.toThrow(/RegisterTargets/);
  await want(provider, nlb());
  expect(targetsAt()).toEqual([['1', '2', '3']]);
}, 120_000);

test('balancers whose nodes are chosen by labels are noted one by one, and hold up nobody', async () => {
  const labelled = (nodes: readonly NodeTarget[]) =>
    nlb({ name: 'chosen', ports: [{ port: 80, nodePort: 31_500 }], nodes }, { [`${PREFIX}target-node-labels`]: 'a=b' });
  await wantEvery([...many().slice(0, 2), labelled(workers.slice(1))]);
  aws.calls.reset();
  await wantEvery([...many(four).slice(0, 2), labelled(workers.slice(1))]);
  await until(isNoted);
  expect(counted()).toEqual({ RegisterTargets: 2, CreateTags: 2, DescribeInstances: 1 });
  aws.calls.reset();
  await want(provider, labelled(four));
  expect(counted()).toEqual({ AddTags: 2, RegisterTargets: 1 });
  await restart([...many(four).slice(0, 2), labelled(four)], { tickMs: 3_600_000 });
  aws.calls.reset();
  await want(provider, labelled(four));
  expect(aws.calls.total()).toBe(0);
}, 120_000);

test('labels that are taken off while nobody runs: the note of the others does not stand for it', async () => {
  const ports = [{ port: 80, nodePort: 31_500 }];
  const labelled = nlb({ name: 'chosen', ports, nodes: workers.slice(1) }, { [`${PREFIX}target-node-labels`]: 'a=b' });
  const plain = nlb({ name: 'chosen', ports });
  await wantEvery([...many().slice(0, 1), labelled]);
  await restart([...many().slice(0, 1), plain]);
  await wantEvery([...many().slice(0, 1), plain]);
  expect(targetsAt().flat()).toHaveLength(6);
}, 120_000);

test('a balancer that is refused does not get new nodes, and is looked into once it is mended', async () => {
  let now = Date.now();
  await restart([], { now: () => now });
  const [sound, other] = many().slice(0, 2) as [Balancer, Balancer];
  await wantEvery([sound, other]);
  const broken = nlb(
    { ...sound, name: 'web-0', ports: [{ port: 80, nodePort: 30_000 }], nodes: four },
    { [`${PREFIX}subnets`]: 'subnet-0' },
  );
  await want(provider, many(four)[1]!);
  expect(() => provider.adjust(broken, nothingReserved)).toThrow(/no such subnet/);
  await provider.observe(broken.key);
  expect(note()).toBe('changing'); // it may only be late
  now += 700_000;
  await until(isNoted);
  await restart([broken, many(four)[1]!]);
  await want(provider, many(four)[0]!);
  expect(targetsAt().flat()).toHaveLength(8);
}, 120_000);

test('targets are looked at once at least, however long their turn takes', async () => {
  let now = Date.now();
  await restart([], { now: () => now });
  const slow = aws.inject({ action: 'DescribeTargetHealth', delayMs: 300 });
  const some = many().slice(0, 25); // more than are looked at in one tick
  for (const one of some) await pass(provider, one.key, provider.adjust(one, nothingReserved));
  await until(() => slow.met() > 0);
  now += 700_000;
  slow.remove();
  for (const { key } of some) await reportIs(key, ({ targets }) => targets.every(isHealthy));
}, 120_000);
