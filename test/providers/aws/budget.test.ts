import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import { Inventory } from '../../../src/providers/aws/inventory.ts';
import { Limiter, usualBuckets } from '../../../src/providers/aws/limiter.ts';
import { Patrol } from '../../../src/providers/aws/patrol.ts';
import type { SeenBalancer } from '../../../src/providers/aws/picture.ts';
import type { AwsParts } from '../../../src/providers/aws/provider.ts';
import { Reader } from '../../../src/providers/aws/reader.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Call } from '../../../src/sandbox/aws/calls.ts';
import { nothingReserved, quiet } from '../builders.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';

jest.setTimeout(120_000); // many Services, on a machine that may be busy

/** What is read though nobody asks: polls, sweeps and close looks. */
const COUNT = 40;
const ARNS_PER_CALL = 20;
const many = Array.from({ length: COUNT }, (_, at) => nlb({ name: `web-${at}`, ports: [{ port: 80, nodePort: 30_000 + at }] }));

let aws: SandboxAws;
let provider: Provider;

async function begin(options: AwsOptions, parts: Partial<AwsParts>): Promise<void> {
  aws = await makeAws(options);
  provider = makeProvider(aws, parts);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
}

/** All steps that wait for nothing. */
async function make(wish: Balancer): Promise<void> {
  const wanted = provider.adjust(wish, nothingReserved);
  for (const step of provider.plan(wanted, await provider.observe(wanted.key), Date.now())) {
    if (step.waitsFor) return;
    await provider.apply(step);
  }
}

async function until(what: string, isReached: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !isReached(); ) {
    if (Date.now() > deadline) throw new Error(`not reached: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('with forty Services', () => {
  afterEach(async () => {
    await provider.close(0);
    await aws.close();
  });

  test('NLBs that are being made are looked at twenty by twenty, whoever they belong to', async () => {
    await begin({ timings: { activeMs: 3_600_000 } }, { tickMs: 20 });
    await Promise.all(many.map(make));
    expect(aws.listeners()).toHaveLength(COUNT);
    aws.calls.reset();
    const polls = () => aws.calls.log().filter(({ action }) => action === 'DescribeLoadBalancers');
    await until('six polls', () => polls().length >= 6);
    const named = polls().map(
      ({ parameters }) => Object.keys(parameters).filter((key) => key.startsWith('LoadBalancerArns.')).length,
    );
    expect(named.slice(1, 5)).toEqual([ARNS_PER_CALL, ARNS_PER_CALL, ARNS_PER_CALL, ARNS_PER_CALL]); // the first may be from before
  });

  test('a sweep takes 0.2 calls a Service', async () => {
    let aheadMs = 0;
    await begin({}, { sweepMs: 600_000, now: () => Date.now() + aheadMs });
    await Promise.all(many.map(make));
    aws.calls.reset();
    aheadMs = 725_000; // ten minutes, and up to a fifth more
    const counts = () => aws.calls.counts();
    const wholes = ['DescribeLoadBalancers', 'DescribeTargetGroups', 'DescribeSecurityGroups'];
    const isSwept = () => (counts()['DescribeTags'] ?? 0) >= (2 * COUNT) / ARNS_PER_CALL && wholes.every((one) => counts()[one]);
    await until('swept', isSwept);
    const isPoll = ({ action, parameters }: Call) =>
      action === 'DescribeTargetHealth' || 'LoadBalancerArns.member.1' in parameters;
    expect(aws.calls.log().filter((call) => !isPoll(call)).length).toBeLessThanOrEqual(0.2 * COUNT);
  });
});

describe('close looks', () => {
  const HOURS_MS = 3_600_000;
  let now: number;
  let patrol: Patrol;
  let looks: { readonly arn: string; readonly at: number }[];

  beforeEach(() => {
    now = 0;
    looks = [];
  });
  afterEach(() => patrol.stop());

  /** @param calls that one look takes */
  function watch(count: number, calls: number): void {
    const inventory = new Inventory(() => now);
    for (let at = 0; at < count; at += 1) {
      const arn = `arn-${at}`;
      inventory.balancers.set(arn, {
        arn,
        name: arn,
        state: 'active',
        tags: {},
        zones: [],
        securityGroups: [],
      } as unknown as SeenBalancer);
    }
    const nothing = async (): Promise<void> => {};
    patrol = new Patrol({
      reader: new Reader({} as never),
      inventory,
      log: quiet,
      tickMs: 1,
      sweepMs: Number.MAX_SAFE_INTEGER,
      now: () => now,
      sweep: nothing,
      recheck: nothing,
      finish: nothing,
      closeLookMs: 6 * HOURS_MS,
      lookAgain: async (arn) => {
        looks.push({ arn, at: now });
        return { calls, isNews: false };
      },
      changed: () => {},
    });
    patrol.start();
  }

  /** Time goes on by so much with each look of the clock’s owner. */
  async function pass(ms: number, stepMs: number): Promise<void> {
    for (const end = now + ms; now < end; now += stepMs) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  test('never take more than a call a second in all, however many are due', async () => {
    watch(500, 4);
    await pass(10, 1); // each has its time
    now = 6 * HOURS_MS; // the machine slept: all of them are due
    await pass(400_000, 1_000);
    const gaps = looks.slice(1).map(({ at }, index) => at - looks[index]!.at);
    expect(looks.length).toBeGreaterThan(20);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4_000);
    expect(new Set(looks.map(({ arn }) => arn)).size).toBe(looks.length); // and none twice while others wait
  });

  test('come to each NLB within six hours, and not all at once', async () => {
    watch(30, 4);
    await pass(6.2 * HOURS_MS, 60_000);
    expect(new Set(looks.map(({ arn }) => arn)).size).toBe(30);
    const half = looks.filter(({ at }) => at < 3 * HOURS_MS).length;
    expect(half).toBeGreaterThan(2);
    expect(half).toBeLessThan(28);
  });
});

test('who waits for a bucket is served in turn: nobody is passed over, and no other bucket waits', async () => {
  const limiter = new Limiter({ ...usualBuckets, create: { burst: 2, perSecond: 50 } });
  const served: number[] = [];
  const all = Array.from({ length: 20 }, (_, at) => limiter.take('create').then(() => served.push(at)));
  await limiter.take('describe');
  expect(served.length).toBeLessThanOrEqual(3);
  await Promise.all(all);
  expect(served).toEqual(Array.from({ length: 20 }, (_, at) => at));
});
