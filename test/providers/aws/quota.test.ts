import {
  CreateLoadBalancerCommand,
  CreateTargetGroupCommand,
  DeleteLoadBalancerCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import type { Log, Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Limits } from '../../../src/sandbox/aws/limits.ts';
import { nothingReserved, quiet } from '../builders.ts';
import { drop, want } from '../drive.ts';
import { credentials, makeAws, makeProvider, nlb } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let provider: Provider;
let elb: ElasticLoadBalancingV2Client;
let aheadMs: number;
let warnings: string[];
let log: Log;

async function begin(limits: Partial<Limits>): Promise<void> {
  aheadMs = 0;
  const told: string[] = []; // of this account alone: what the one before was still taking away fails when it closes
  warnings = told;
  log = { ...quiet, warn: (_fields, message) => told.push(message) };
  aws = await makeAws({ limits });
  elb = new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
  await start();
}
async function start(): Promise<void> {
  provider = makeProvider(aws, { now: () => Date.now() + aheadMs }, {}, 'kubernetes', log);
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
}
async function end(): Promise<void> {
  await provider.close(0);
  elb.destroy();
  await aws.close();
}
beforeEach(() => begin({}));
afterEach(end);

async function again(limits: Partial<Limits>): Promise<void> {
  await end();
  await begin(limits);
}

/** Others' NLBs, each in one subnet, made before the provider looks. */
async function othersMake(count: number, from = 0): Promise<void> {
  for (let at = from; at < from + count; at += 1) {
    await elb.send(new CreateLoadBalancerCommand({ Name: `theirs-${at}`, Type: 'network', Subnets: ['subnet-public-a'] }));
  }
  await provider.close(0);
  await start();
}

const services = (count: number): readonly Balancer[] =>
  Array.from({ length: count }, (_, at) => nlb({ name: `web-${at}`, ports: [{ port: 80, nodePort: 30_000 + at }] }));

async function refusal(wish: Balancer): Promise<unknown> {
  const before = { things: aws.leftovers(), makes: makes() };
  const thrown = await want(provider, wish).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect({ things: aws.leftovers(), makes: makes() }).toEqual(before);
  return thrown;
}

/** What would make something; what is taken away and noted in the background is not counted. */
function makes(): number {
  return Object.entries(aws.calls.counts())
    .filter(([action]) => /^(?:Create|Authorize|Register)/.test(action) && action !== 'CreateTags')
    .reduce((sum, [, count]) => sum + count, 0);
}

const asked = (): number => aws.calls.counts()['DescribeAccountLimits'] ?? 0;

describe('NLBs of the Region', () => {
  test('far from what accounts have at first nobody asks for the quota', async () => {
    await othersMake(38);
    await want(provider, nlb());
    expect(asked()).toBe(0);
  });

  test('from 80 % on the account is asked, once, and what has room is made', async () => {
    await again({ loadBalancers: 42 });
    await othersMake(40);
    const [one, two, three] = services(3) as [Balancer, Balancer, Balancer];
    await want(provider, one);
    await want(provider, two);
    expect(asked()).toBe(1);
    aheadMs += 61_000; // somebody is refused by nothing older
    expect(await refusal(three)).toMatchObject({
      code: 'QuotaExceeded',
      message:
        '42 NLBs in the Region are there or being made, 1 more is needed, and the account may have 42 (quota network-load-balancers). Ask for less, or have the quota of the account raised.',
    });
    expect(asked()).toBe(2);
    await want(provider, one); // the others are served on
  });

  test('of several at once as many are made as have room, and nothing of the others', async () => {
    await again({ loadBalancers: 43 });
    await othersMake(41);
    const made = await Promise.allSettled(services(6).map((wish) => want(provider, wish)));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    for (const one of made) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'QuotaExceeded' });
    expect(aws.loadBalancers()).toHaveLength(43);
    expect(aws.targetGroups()).toHaveLength(2);
    expect(aws.calls.log().filter(({ failure }) => failure?.startsWith('TooMany'))).toEqual([]);
  });

  test('what others have is counted once for all who are refused at once', async () => {
    await again({ loadBalancers: 40 });
    await othersMake(40);
    expect(await refusal(nlb())).toMatchObject({ code: 'QuotaExceeded' }); // the VPC is known then
    aheadMs += 61_000;
    aws.calls.reset();
    const made = await Promise.allSettled(services(20).map((wish) => want(provider, wish)));
    expect(made.filter(({ status }) => status === 'rejected')).toHaveLength(20);
    expect(aws.calls.counts()['DescribeLoadBalancers']).toBe(1);
  });

  test('room that others make, and a quota that is raised, are seen within a minute', async () => {
    await again({ loadBalancers: 40 });
    await othersMake(40);
    expect(await refusal(nlb())).toMatchObject({ code: 'QuotaExceeded' });
    const theirs = aws.loadBalancers()[0]!.arn;
    await elb.send(new DeleteLoadBalancerCommand({ LoadBalancerArn: theirs }));
    aheadMs += 61_000;
    await want(provider, nlb());
    expect(aws.loadBalancers()).toHaveLength(40);
  });

  test('who goes makes room at once', async () => {
    await again({ loadBalancers: 41 });
    await othersMake(40);
    await want(provider, nlb());
    expect(await refusal(nlb({ name: 'second' }))).toMatchObject({ code: 'QuotaExceeded' });
    await drop(provider, 'default/web');
    await want(provider, nlb({ name: 'second' }));
  });

  test('a lower quota than accounts have at first: AWS says it once, and from then on it is told before', async () => {
    await again({ loadBalancers: 1 });
    await want(provider, nlb());
    const before = aws.leftovers();
    await expect(want(provider, nlb({ name: 'second' }))).rejects.toMatchObject({
      code: 'QuotaExceeded',
      message: expect.stringMatching(/^elasticloadbalancing:CreateLoadBalancer: TooManyLoadBalancers/),
    });
    expect(aws.leftovers()).toEqual(before);
    aheadMs += 31_000; // so long it is not tried again
    expect(await refusal(nlb({ name: 'second' }))).toMatchObject({ subject: expect.stringMatching(/^1 NLBs in the Region/) });
  });

  test('where the quota may not be read AWS has the last word', async () => {
    await again({ loadBalancers: 41 });
    await othersMake(40);
    aws.inject({ action: 'DescribeAccountLimits', says: 'denied' });
    await want(provider, nlb());
    expect(warnings).toEqual(['the quotas of the account cannot be read: AWS will say when one is used up']);
    await expect(want(provider, nlb({ name: 'second' }))).rejects.toMatchObject({
      code: 'QuotaExceeded',
      message: expect.stringContaining('TooManyLoadBalancers'),
    });
    expect(aws.loadBalancers()).toHaveLength(41);
  });

  test('an account that has more than it says that it may have, as emulators do, is asked all the same', async () => {
    await othersMake(45);
    Object.assign(aws.world, { limits: { ...aws.world.limits, loadBalancers: 20 } });
    await expect(want(provider, nlb())).rejects.toMatchObject({ message: expect.stringContaining('TooManyLoadBalancers') });
    expect(asked()).toBe(1);
  });

  test('another scheme needs a second NLB for a while: refused, and the one that serves serves on', async () => {
    await again({ loadBalancers: 41 });
    await othersMake(40);
    await want(provider, nlb());
    expect(await refusal(nlb({}, { [`${AWS}scheme`]: 'internal' }))).toMatchObject({ code: 'QuotaExceeded' });
    expect(aws.loadBalancers().filter(({ name }) => name.startsWith('np-'))).toHaveLength(1);
  });
});

/** AWS refuses once, so that the account is asked though it is far from what accounts have at first. */
async function raiseDoubt(action: string, code: string): Promise<void> {
  aws.inject({ action, code, times: 1 });
  await expect(want(provider, nlb({ name: 'doubt' }))).rejects.toMatchObject({ code: 'QuotaExceeded' });
}

test('network interfaces of NLBs in the VPC, one a zone', async () => {
  await again({ interfacesPerVpc: 8 });
  await want(provider, nlb());
  expect(asked()).toBe(0);
  await raiseDoubt('CreateLoadBalancer', 'TooManyLoadBalancers');
  await want(provider, nlb({ name: 'second' }));
  expect(asked()).toBe(1);
  expect(await refusal(nlb({ name: 'third' }))).toMatchObject({
    code: 'QuotaExceeded',
    message: expect.stringMatching(
      /^6 network interfaces of NLBs in the VPC are there or being made, 3 more are needed, and the account may have 8 /,
    ),
  });
  await want(provider, nlb({ name: 'third' }, { [`${AWS}subnets`]: 'subnet-public-a,subnet-public-b' }));
});

test('target groups of the Region, those of others too', async () => {
  await again({ targetGroups: 4 });
  const theirs = { Name: 'theirs', Protocol: 'TCP', Port: 80, VpcId: 'vpc-1', TargetType: 'instance' } as const;
  await elb.send(new CreateTargetGroupCommand(theirs));
  await provider.close(0);
  await start();
  await want(provider, nlb());
  await raiseDoubt('CreateTargetGroup', 'TooManyTargetGroups');
  const ports = (count: number) => Array.from({ length: count }, (_, at) => ({ port: 80 + at, nodePort: 30_180 + at }));
  expect(await refusal(nlb({ name: 'second', ports: ports(3) }))).toMatchObject({
    message: expect.stringMatching(
      /^2 target groups in the Region are there or being made, 3 more are needed, and the account may have 4 \(quota target-groups\)/,
    ),
  });
  await want(provider, nlb({ name: 'second', ports: ports(2) }));
});

test('certificates of an NLB', async () => {
  const arns = (count: number) =>
    Array.from(
      { length: count },
      (_, at) => `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-1${String(at).padStart(11, '0')}`,
    );
  const wish = (count: number) =>
    nlb({ ports: [{ port: 443 }] }, { [`${AWS}ssl-cert`]: arns(count).join(), [`${AWS}ssl-ports`]: '443' });
  expect(await refusal(wish(27))).toMatchObject({
    code: 'QuotaExceeded',
    subject: expect.stringMatching(
      /^0 certificates beside the default ones on the NLB are there or being made, 26 more are needed, and the account may have 25/,
    ),
  });
  await again({ certificatesPerLoadBalancer: 30 });
  await expect(want(provider, wish(27))).rejects.toMatchObject({ code: 'AwsResourceUnknown' }); // there are none of these
});
