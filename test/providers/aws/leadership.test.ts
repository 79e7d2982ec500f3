import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved } from '../builders.ts';
import { want } from '../drive.ts';
import { makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

let aws: SandboxAws;
const opened: Provider[] = [];

beforeEach(async () => {
  aws = await makeAws();
});
afterEach(async () => {
  for (const provider of opened.splice(0)) await provider.close(0);
  await aws.close();
});

const start = { balancers: [], surroundings: nothingReserved, changed: () => {} };

async function open(mayWrite: () => boolean = () => true, tickMs = 3_600_000): Promise<Provider> {
  const provider = makeProvider(aws, { tickMs });
  opened.push(provider);
  await provider.open({ ...start, mayWrite });
  await provider.lead?.({ ...start, mayWrite });
  return provider;
}

async function settle(provider: Provider): Promise<void> {
  const wanted = provider.adjust(nlb(), nothingReserved);
  for (const step of provider.plan(wanted, await provider.observe(wanted.key), Date.now())) await provider.apply(step);
}

const writes = (): number =>
  Object.entries(aws.calls.counts())
    .filter(([action]) => !action.startsWith('Describe'))
    .reduce((sum, [, count]) => sum + count, 0);

test('who does not lead reads, and changes nothing', async () => {
  const provider = await open(() => false);
  await expect(settle(provider)).rejects.toThrow(/not sent, because the leader's Lease is not held/);
  expect(writes()).toBe(0);
  expect(aws.calls.total()).toBeGreaterThan(0);
});

test('a call that AWS has refused for a moment is not repeated once the Lease is lost', async () => {
  let leads = true;
  const provider = await open(() => leads);
  aws.inject({ action: 'CreateTargetGroup', code: 'Throttling', status: 400 });
  const told = settle(provider);
  while ((aws.calls.counts()['CreateTargetGroup'] ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  leads = false;
  await expect(told).rejects.toThrow();
  expect(aws.calls.counts()['CreateTargetGroup']).toBe(1);
});

test('who leads again reads anew: what another made meanwhile is not made twice', async () => {
  const first = await open();
  const second = await open();
  await settle(second); // led while the first was paused
  const made = writes();
  await first.lead?.(start);
  await settle(first);
  expect(writes()).toBe(made);
});

test('who leads again does not believe what it knew of targets: a node that came and went meanwhile is none', async () => {
  aws.addInstance(typicalInstance(4));
  const first = await open(undefined, 10);
  await want(first, nlb());
  const second = await open(undefined, 10);
  await want(second, nlb({ nodes: [...workers, worker(4)] }));
  await first.lead?.(start);
  await want(first, nlb());
  expect(aws.targetGroups().map(({ arn }) => aws.targetsOf(arn).length)).toEqual([3]);
});
