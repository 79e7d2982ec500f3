import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Log, Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { nothingReserved, quiet } from '../builders.ts';
import { want } from '../drive.ts';
import { lastCallCame, makeAws, makeProvider, nlb } from './stage.ts';

let aws: SandboxAws;
let provider: Provider | undefined;
let errors: string[];
const log: Log = { ...quiet, error: (_fields, message) => errors.push(message) };

beforeEach(async () => {
  aws = await makeAws();
  errors = [];
});
afterEach(async () => {
  await provider?.close(0);
  await aws.close();
});

async function start(tickMs = 3_600_000): Promise<Provider> {
  provider = makeProvider(aws, { preflight: true, tickMs }, {}, 'kubernetes', log);
  await provider.open({ balancers: [nlb()], surroundings: nothingReserved, changed: () => {} });
  return provider;
}

async function until(isReached: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !isReached(); ) {
    if (Date.now() > deadline) throw new Error(`still waiting; errors: ${errors.join('; ')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const isOver = (): boolean => (aws.calls.counts()['DescribeCapacityReservation'] ?? 0) > 0; // its last call

test('what is denied is named in one message before anybody needs it, each action once', async () => {
  aws.inject({ action: 'CreateSecurityGroup', says: 'denied' });
  aws.inject({ action: 'DescribeLoadBalancers', says: 'denied' }); // and so nothing could be read at the start
  aws.inject({ action: 'DescribeTargetHealth', says: 'denied' });
  await start();
  await until(() => errors.length > 0);
  expect(errors).toEqual([
    'AWS denies 3 actions that are needed: ec2:CreateSecurityGroup, elasticloadbalancing:DescribeLoadBalancers, elasticloadbalancing:DescribeTargetHealth. Allow the action that the message names; docs/aws-iam-policy.json has every one that is needed.',
  ]);
});

test('nothing is said, made or changed where all is allowed, and what exists proves is not tried', async () => {
  await want(await start(10), nlb());
  await until(isOver);
  await provider?.close(0);
  await lastCallCame(aws);
  const before = aws.leftovers();
  aws.calls.reset();
  await start();
  await until(isOver);
  expect(errors).toEqual([]);
  expect(aws.leftovers()).toEqual(before);
  const counts = aws.calls.counts();
  for (const dry of ['CreateTags', 'DeleteTags', 'DeleteSecurityGroup']) expect(counts[dry]).toBe(1);
  const proven = ['CreateSecurityGroup', 'AuthorizeSecurityGroupIngress', 'DescribeTargetHealth']; // by what is there
  for (const action of proven) expect(counts[action]).toBeUndefined();
  const ofStart = 7; // what a start in sync reads, see calls.test.ts
  expect(aws.calls.total()).toBeLessThanOrEqual(ofStart + 14);
});

test('a Service does not wait for it, and a denied write of its own is named too', async () => {
  aws.inject({ action: 'DescribeAddresses', delayMs: 1_000 });
  aws.inject({ action: 'CreateTargetGroup', says: 'denied' });
  const opened = await start();
  await expect(want(opened, nlb())).rejects.toMatchObject({
    code: 'AwsDenied',
    message: expect.stringContaining('elasticloadbalancing:CreateTargetGroup'),
  });
});

test('credentials that are not valid are told once, by what needs them, and not as missing permissions', async () => {
  aws.inject({ action: '*', says: 'expired' });
  await start();
  await expect(provider!.observe('default/web')).rejects.toMatchObject({ code: 'AwsCredentials' });
  expect(errors).toEqual([]);
});

test('who only looks tries nothing', async () => {
  provider = makeProvider(aws, { preflight: true, tickMs: 3_600_000 }, {}, 'kubernetes', log);
  await provider.open({ balancers: [nlb()], surroundings: nothingReserved, changed: () => {}, lookOnly: { standing: [] } });
  await provider.observe('default/web');
  expect(isOver()).toBe(false);
  expect(aws.calls.counts()['CreateSecurityGroup'] ?? 0).toBe(0);
});
