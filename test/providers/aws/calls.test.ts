import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import type { BalancerWish } from '../builders.ts';
import { nothingReserved } from '../builders.ts';
import { drop } from '../drive.ts';
import { makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

let aws: SandboxAws;
let provider: Provider;

beforeEach(async () => {
  aws = await makeAws({ limits: { loadBalancers: 200 } });
  provider = makeProvider(aws, { tickMs: 3_600_000 }); // no polls: they are counted apart
  await open(provider);
});
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function open(one: Provider, balancers: readonly ReturnType<typeof nlb>[] = []): Promise<void> {
  await one.open({ balancers, surroundings: nothingReserved, changed: () => {} });
}

function counted(): { readonly total: number; readonly reads: number } {
  const counts = aws.calls.counts();
  const reads = Object.entries(counts).filter(([action]) => action.startsWith('Describe'));
  return { total: aws.calls.total(), reads: reads.reduce((sum, [, count]) => sum + count, 0) };
}

const COUNT = 40;
const all = Array.from({ length: COUNT }, (_, at) => at);
const many = (more: BalancerWish = {}, annotations: Readonly<Record<string, string>> = {}) =>
  all.map((at) => nlb({ name: `web-${at}`, ports: [{ port: 80, nodePort: 30_000 + at }], ...more }, annotations));
const wantAll = async (more: BalancerWish = {}, one = provider, annotations = {}): Promise<void> => {
  await Promise.all(many(more, annotations).map((wish) => settle(wish, one)));
};

/** NLBs of the sandbox are active when they are read next. */
async function settle(wish: ReturnType<typeof nlb>, one: Provider): Promise<void> {
  const wanted = one.adjust(wish, nothingReserved);
  for (const step of one.plan(wanted, await one.observe(wanted.key), Date.now())) await one.apply(step);
  expect(one.plan(wanted, await one.observe(wanted.key), Date.now())).toEqual([]);
}

test('one Service with one port: at most 10 calls, of which at most 4 reads; deleted with at most 5', async () => {
  aws.calls.reset();
  await settle(nlb(), provider);
  const made = counted();
  expect(made.total).toBeLessThanOrEqual(10); // the shared group and its rule included
  expect(made.reads).toBeLessThanOrEqual(4);
  await settle(nlb({ name: 'second' }), provider);
  aws.calls.reset();
  await settle(nlb({ name: 'third' }), provider);
  expect(counted()).toEqual({ total: 6, reads: 0 });
  aws.calls.reset();
  await drop(provider, 'default/third');
  expect(counted()).toEqual({ total: 3, reads: 0 });
});

test('what Services share is made once, also when AWS is slow and they come at the same time', async () => {
  for (const action of ['CreateSecurityGroup', 'AuthorizeSecurityGroupIngress']) aws.inject({ action, delayMs: 50 });
  aws.calls.reset();
  await Promise.all(
    ['a', 'b', 'c'].map((name, at) => settle(nlb({ name, ports: [{ port: 80, nodePort: 30_100 + at }] }), provider)),
  );
  const counts = aws.calls.counts();
  expect(counts['CreateSecurityGroup']).toBe(3 + 1); // of clients one each, and the one from which the NLBs send
  expect(counts['AuthorizeSecurityGroupIngress']).toBe(3 + 1);
  expect(counts['DescribeSecurityGroups'] ?? 0).toBeLessThanOrEqual(1);
});

test('--aws-api-throttle holds calls back, and those of other families not', async () => {
  await provider.close(0);
  provider = makeProvider(aws, { tickMs: 3_600_000 }, { apiThrottle: { create: { perSecond: 20, burst: 1 } } });
  await open(provider);
  const began = performance.now();
  await settle(nlb(), provider); // a target group, an NLB and a listener
  expect(performance.now() - began).toBeGreaterThan(90);
});

test('forty Services: 7 calls each, none for what changes nothing, 0.3 for a start, 1 a target group for a node that joins', async () => {
  aws.calls.reset();
  await wantAll();
  expect(counted().total).toBeLessThanOrEqual(7 * COUNT);

  aws.calls.reset();
  await wantAll();
  await wantAll({ labels: { team: 'shop' } });
  await wantAll({}, provider, { 'example.com/owner': 'shop' });
  expect(aws.calls.total()).toBe(0);

  aws.calls.reset();
  const next = makeProvider(aws, { tickMs: 3_600_000 });
  await open(next, many());
  await wantAll({}, next);
  expect(aws.calls.total()).toBeLessThanOrEqual(0.3 * COUNT);
  await next.close(0);

  aws.calls.reset();
  aws.addInstance(typicalInstance(4));
  const four = [...workers, worker(4)];
  await wantAll({ nodes: four });
  expect(aws.calls.counts()['RegisterTargets']).toBe(COUNT);
  expect(aws.calls.total()).toBeLessThanOrEqual(COUNT + 3);
}, 120_000);
