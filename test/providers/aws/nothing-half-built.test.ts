import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer } from '../../../src/model.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { nothingReserved, refusalOf } from '../builders.ts';
import { drop, pass, reportWhen, want } from '../drive.ts';
import { sharing } from './changes.ts';
import { makeAws, makeProvider, nlb } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const certificate = (rest: string) => `arn:aws:acm:${rest}`;
const unknown = certificate('eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000009');
const nothing = { loadBalancers: [], targetGroups: [], listeners: [], securityGroups: [], rules: [], heldAddresses: [] };

let aws: SandboxAws;
let provider: Provider;
let aheadMs: number;
let changed: string[];

async function begin(account: AwsOptions = {}): Promise<void> {
  aheadMs = 0;
  changed = [];
  aws = await makeAws(account);
  provider = makeProvider(aws, { now: () => Date.now() + aheadMs });
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: (key) => changed.push(key) });
}
beforeEach(() => begin());
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

const asking = (annotations: Record<string, string>, name = 'web'): Balancer =>
  nlb({ name }, Object.fromEntries(Object.entries(annotations).map(([key, value]) => [AWS + key, value])));

/** A pass over what nobody wants, as the controller makes it, up to the first step that waits. */
async function takeAway(key: string): Promise<void> {
  for (const step of provider.plan(undefined, await provider.observe(key), Date.now() + aheadMs)) {
    if (step.waitsFor) return;
    await provider.apply(step);
  }
}

describe('what only AWS can judge leaves nothing half-built behind', () => {
  test.each<{ why: string; annotations: Record<string, string>; code: string; says: RegExp }>([
    { why: 'an unknown certificate', annotations: { 'ssl-cert': unknown }, code: 'AwsResourceUnknown', says: /not found/ },
    {
      why: 'an unknown second certificate',
      annotations: {
        'ssl-cert': `${certificate('eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001')},${unknown}`,
      },
      code: 'AwsResourceUnknown',
      says: /not found/,
    },
    {
      why: 'an unknown policy',
      annotations: {
        'ssl-cert': certificate('eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001'),
        'ssl-negotiation-policy': 'ELBSecurityPolicy-1999',
      },
      code: 'AwsResourceUnknown',
      says: /SSLPolicyNotFound/,
    },
    {
      why: 'an unknown prefix list',
      annotations: { 'security-group-prefix-lists': 'pl-77' },
      code: 'AwsResourceUnknown',
      says: /AuthorizeSecurityGroupIngress.*pl-77/,
    },
    {
      why: 'an attribute that an NLB has not got',
      annotations: { attributes: 'routing.http2.enabled=true' },
      code: 'AnnotationInvalid',
      says: /routing\.http2/,
    },
    {
      why: 'less capacity than can be reserved',
      annotations: { 'minimum-load-balancer-capacity': 'CapacityUnits=1' },
      code: 'AnnotationInvalid',
      says: /at least 2750/,
    },
  ])('$why', async ({ annotations, code, says }) => {
    const wish = asking(annotations);
    await expect(want(provider, wish)).rejects.toMatchObject({ code, message: expect.stringMatching(says) });
    expect(aws.leftovers()).toEqual(nothing);
    aws.calls.reset();
    expect(refusalOf(() => provider.adjust(wish, nothingReserved))).toMatchObject({ code });
    expect(aws.calls.total()).toBe(0); // nor is it made again and again
    await want(provider, asking({}));
    expect(aws.listeners()).toHaveLength(1);
  });

  test('an unknown target group that others made', async () => {
    const strange = 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/theirs/0123456789abcdef';
    const made = sharing({ others: {} });
    const listeners = made.listeners.map((one) => ({ ...one, spread: { weight: 1, others: [{ weight: 1, id: strange }] } }));
    const wish = { ...made, listeners };
    const refusal = { code: 'AwsResourceUnknown', message: expect.stringMatching(/theirs.* cannot be used: .*CreateListener/) };
    await expect(want(provider, wish)).rejects.toMatchObject(refusal);
    expect(aws.leftovers()).toEqual(nothing);
    expect(refusalOf(() => provider.adjust(wish, nothingReserved))).toMatchObject(refusal);
  });

  test('a port beside it that AWS took goes, too', async () => {
    const ports = [{ port: 80 }, { port: 443 }];
    const { members } = asking({ 'ssl-cert': unknown, 'ssl-ports': '443' });
    await expect(want(provider, { ...nlb({ ports }), members })).rejects.toMatchObject({ code: 'AwsResourceUnknown' });
    expect(aws.leftovers()).toEqual(nothing);
  });

  test('Elastic IPs that something else has', async () => {
    await provider.close(0);
    await aws.close();
    const seed = typicalAccount();
    await begin({ seed: { ...seed, addresses: (seed.addresses ?? []).map((one) => ({ ...one, inUse: true })) } });
    const wish = asking({ subnets: 'public-a', 'eip-allocations': 'eipalloc-1' });
    await expect(want(provider, wish)).rejects.toMatchObject({
      code: 'AddressInUse',
      message: expect.stringContaining('eipalloc-1'),
    });
    expect(aws.leftovers()).toEqual(nothing);
  });

  test('an account that is full; the others keep what they have', async () => {
    await provider.close(0);
    await aws.close();
    await begin({ limits: { loadBalancers: 1 } });
    await want(provider, asking({}, 'first'));
    const before = aws.leftovers();
    await expect(want(provider, asking({}, 'second'))).rejects.toMatchObject({ code: 'QuotaExceeded' });
    expect(aws.leftovers()).toEqual(before);
  });

  test('also where a security group stays in use for a while, and the author asked for everything to be kept', async () => {
    aws.inject({ action: 'DeleteSecurityGroup', code: 'DependencyViolation', times: 2 });
    const wish = asking({ 'ssl-cert': unknown });
    await expect(want(provider, { ...wish, settings: { ...wish.settings, retain: true } })).rejects.toMatchObject({
      code: 'AwsResourceUnknown',
    });
    expect(aws.loadBalancers()).toEqual([]);
    for (const deadline = Date.now() + 60_000; Date.now() < deadline && aws.leftovers().securityGroups.length > 0; ) {
      aheadMs = Math.min(aheadMs + 100, 20_000); // within the pause before it is tried anew, however slow this machine is
      await new Promise((resolve) => setTimeout(resolve, 20));
      for (const key of changed.splice(0)) if (key !== wish.key) await takeAway(key); // the group that all share is nobody's
    }
    expect(aws.leftovers().securityGroups.length).toBe(0);
  }, 120_000);

  test('it is tried again, less and less often, though nobody touches the Service', async () => {
    const wish = asking({ 'ssl-cert': unknown });
    const tryIt = () =>
      want(provider, wish).then(
        () => 'made',
        () => 'refused',
      );
    expect(await tryIt()).toBe('refused');
    aheadMs += 31_000;
    expect(await tryIt()).toBe('refused');
    const creates = aws.calls.counts()['CreateLoadBalancer'];
    aheadMs += 31_000; // too soon by now
    expect(await tryIt()).toBe('refused');
    expect(aws.calls.counts()['CreateLoadBalancer']).toBe(creates);
    (aws.world.certificates as Set<string>).add(unknown);
    aheadMs += 31_000;
    for (const deadline = Date.now() + 60_000; !changed.includes('default/web'); ) {
      if (Date.now() > deadline) throw new Error('nobody has called for another pass');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await tryIt()).toBe('made');
  });

  test('what serves already is never taken away for it', async () => {
    await want(provider, asking({}));
    const before = aws.leftovers();
    await provider.close(0);
    provider = makeProvider(aws);
    await provider.open({ balancers: [asking({})], surroundings: nothingReserved, changed: () => {} });
    await expect(want(provider, asking({ 'ssl-cert': unknown }))).rejects.toMatchObject({ code: 'AwsResourceUnknown' });
    expect(aws.leftovers()).toEqual(before);
    await drop(provider, 'default/web');
    expect(aws.leftovers()).toEqual(nothing);
  });
});

test('an NLB that serves one Service and waits for another one is not half-built', async () => {
  await provider.close(0);
  await aws.close();
  await begin({ timings: { healthyMs: 60_000 } });
  const web = asking({});
  await want(provider, web);
  aws.advance(60_000);
  await reportWhen(provider, web.key, ({ targets }) => targets.every(({ health }) => health === 'healthy'));
  const share = (annotations: Record<string, string>): Balancer => {
    const { members, listeners } = nlb({ name: 'api', ports: [{ port: 8443 }] });
    const api = { ...members[0]!, annotations };
    const both = { members: [api, ...web.members], listeners: [...listeners, ...web.listeners] };
    return { ...web, key: 'default/share:front', ...both };
  };
  const begun = provider.adjust(share({}), nothingReserved);
  for (const step of provider.plan(begun, await provider.observe(begun.key), Date.now())) {
    if (step.waitsFor) break;
    await provider.apply(step);
  }
  const report = await reportWhen(provider, begun.key, ({ addresses }) => addresses.length > 0);
  // the targets of `web` there have not been checked yet
  expect(report).toMatchObject({ settled: false, elsewhere: [web.members[0]!.uid], listeners: [{ uid: 'uid-default-api' }] });
  const before = aws.leftovers();
  const bad = provider.adjust(share({ [`${AWS}ssl-cert`]: unknown }), nothingReserved);
  await expect(pass(provider, bad.key, bad)).rejects.toMatchObject({ code: 'AwsResourceUnknown' });
  expect(aws.leftovers()).toEqual(before);
});

describe('what a certificate’s ARN says is known before anything is made', () => {
  test.each([
    { why: 'another region', arn: 'us-east-1:123456789012:certificate/1', says: /region us-east-1, and the NLB is in eu-west-1/ },
    {
      why: 'another account',
      arn: 'eu-west-1:999999999999:certificate/1',
      says: /account 999999999999, and the NLB is in 123456789012/,
    },
  ])('$why', async ({ arn, says }) => {
    await want(provider, asking({}, 'other')); // the account is known then
    const before = aws.leftovers();
    const refusal = refusalOf(() => provider.adjust(asking({ 'ssl-cert': certificate(arn) }), nothingReserved));
    expect(refusal).toEqual({ code: 'AwsResourceUnknown', message: expect.stringMatching(says) });
    expect(aws.leftovers()).toEqual(before);
  });

  test('no ARN of a certificate at all', () => {
    const refusal = refusalOf(() => provider.adjust(asking({ 'ssl-cert': 'arn:aws:acm:eu-west-1:1:x' }), nothingReserved));
    expect(refusal).toEqual({ code: 'AnnotationInvalid', message: expect.stringMatching(/ARNs of certificates/) });
  });
});
