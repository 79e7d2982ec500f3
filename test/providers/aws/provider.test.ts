import {
  CreateListenerCommand,
  CreateLoadBalancerCommand,
  CreateTargetGroupCommand,
  DeleteListenerCommand,
  DeleteLoadBalancerCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Balancer, Report } from '../../../src/model.ts';
import { usualBuckets } from '../../../src/providers/aws/limiter.ts';
import type { AwsParts } from '../../../src/providers/aws/provider.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { node, nothingReserved } from '../builders.ts';
import { drop, pass, reportOf, reportWhen, want } from '../drive.ts';
import { credentials, makeAws, makeProvider, nlb, worker, workers } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let provider: Provider;
let changed: string[];

async function begin(account: AwsOptions = {}, parts: Partial<AwsParts> = {}): Promise<void> {
  aws = await makeAws(account);
  await restart(parts);
}

async function restart(parts: Partial<AwsParts> = {}, balancers: readonly Balancer[] = []): Promise<void> {
  changed = [];
  provider = makeProvider(aws, parts);
  await provider.open({ balancers, surroundings: nothingReserved, changed: (key) => changed.push(key) });
}

beforeEach(() => begin());
afterEach(async () => {
  await provider.close(0);
  await aws.close();
});

async function steps(wish: Balancer | undefined, key = 'default/web'): Promise<readonly string[]> {
  const wanted = wish && provider.adjust(wish, nothingReserved);
  return provider
    .plan(wanted, await provider.observe(key), Date.now())
    .map(({ kind, waitsFor }) => (waitsFor ? `(${kind} waits: ${waitsFor.what})` : kind));
}

/** The steps that can be done now, once. */
async function once(wish: Balancer): Promise<Report> {
  const wanted = provider.adjust(wish, nothingReserved);
  for (const step of provider.plan(wanted, await provider.observe(wanted.key), Date.now())) {
    if (step.waitsFor) break;
    await provider.apply(step);
  }
  return reportOf(provider, wanted.key);
}

function registered(): readonly string[] {
  return aws
    .targetGroups()
    .flatMap(({ arn }) => aws.targetsOf(arn).map(({ id, port }) => `${Number.parseInt(id.slice(-4), 16)}:${port}`))
    .sort();
}

function elb(): ElasticLoadBalancingV2Client {
  return new ElasticLoadBalancingV2Client({ region: aws.region, endpoint: aws.url, credentials });
}

describe('publishing', () => {
  test('nothing is published before the NLB is active; its hostname then', async () => {
    await provider.close(0);
    await aws.close();
    await begin({ timings: { activeMs: 60_000 } });
    expect(await once(nlb())).toMatchObject({ addresses: [], settled: false, gone: false });
    aws.advance(60_000);
    const report = await reportWhen(provider, 'default/web', ({ settled }) => settled);
    expect(report.addresses).toEqual([{ hostname: aws.loadBalancers()[0]!.dnsName.toLowerCase() }]);
    expect(report.listeners).toEqual([{ uid: 'uid-default-web', protocol: 'TCP', port: 80 }]);
    expect(changed).toContain('default/web');
  });

  test('health is told by node, and followed until it has settled', async () => {
    await want(provider, nlb());
    const report = await reportWhen(provider, 'default/web', ({ targets }) =>
      targets.every(({ health }) => health === 'healthy'),
    );
    expect(report.targets.map(({ node: name }) => name).sort()).toEqual(['n1', 'n2', 'n3']);
  });
});

describe('nodes that cannot be targets are skipped and named, and block nobody', () => {
  test.each([
    { why: 'no providerID', bad: node('bad', '10.0.0.9'), says: /no spec.providerID/ },
    { why: 'not of EC2', bad: { ...node('bad', '10.0.0.9'), providerId: 'gce://p/z/i' }, says: /not an EC2 instance's/ },
    { why: 'unknown to EC2', bad: { ...worker(99), name: 'bad' }, says: /knows no instance i-0+63/ },
  ])('$why', async ({ bad, says }) => {
    await want(provider, nlb({ nodes: [bad, ...workers] }));
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080']);
    const target = (await reportOf(provider, 'default/web')).targets.find(({ node: name }) => name === 'bad');
    expect(target).toMatchObject({ health: 'unhealthy', reason: expect.stringMatching(says) });
  });

  test('terminated', async () => {
    aws.terminateInstance(`i-${'2'.padStart(17, '0')}`);
    await want(provider, nlb());
    expect(registered()).toEqual(['1:30080', '3:30080']);
  });

  test('in a zone that the NLB does not cover', async () => {
    await want(provider, nlb({}));
    await drop(provider, 'default/web');
    const wish = nlb({}, { [`${AWS}subnets`]: 'subnet-public-a' });
    await want(provider, wish);
    const { targets } = await reportOf(provider, 'default/web');
    expect(targets.filter(({ health }) => health === 'unhealthy').map(({ node: name, reason }) => `${name}: ${reason}`)).toEqual([
      'n2: the NLB does not cover its zone eu-west-1b',
      'n3: the NLB does not cover its zone eu-west-1c',
    ]);
    expect((await reportOf(provider, 'default/web')).notes).toEqual([
      { code: 'SubnetUnavailable', message: 'Nodes in eu-west-1b, eu-west-1c get no traffic: the NLB covers eu-west-1a only' },
    ]);
  });
});

describe('make before break', () => {
  beforeEach(async () => {
    await provider.close(0);
    await aws.close();
    await begin({ timings: { healthyMs: 60_000 } }, { graceSeconds: 300 });
    await want(provider, nlb());
    aws.advance(60_000);
    await reportWhen(provider, 'default/web', ({ targets }) => targets.every(({ health }) => health === 'healthy'));
  });

  test('a nodePort: the old port stays a target until the new one is healthy', async () => {
    const wish = nlb({ ports: [{ port: 80, nodePort: 31_000 }] });
    await once(wish);
    expect(registered()).toEqual(['1:30080', '1:31000', '2:30080', '2:31000', '3:30080', '3:31000']);
    expect(await steps(wish)).toEqual(['(deregister-targets waits: healthy)']);
    aws.advance(60_000);
    await pass(provider, 'default/web', provider.adjust(wish, nothingReserved));
    expect(registered()).toEqual(['1:31000', '2:31000', '3:31000']);
  });

  test('a scheme: the old NLB is published until the new one serves, and lives on for the grace time', async () => {
    const [old] = aws.loadBalancers();
    const wish = nlb({}, { [`${AWS}scheme`]: 'internal' });
    expect((await once(wish)).addresses).toEqual([{ hostname: old!.dnsName.toLowerCase() }]);
    expect(await steps(wish)).toEqual(['(add-tags waits: healthy)']);
    aws.advance(60_000);
    for (const deadline = Date.now() + 60_000; (await steps(wish))[0] !== 'add-tags'; ) {
      if (Date.now() > deadline) throw new Error(`it waits for ${await steps(wish)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await once(wish);
    const fresh = aws.loadBalancers().find(({ scheme }) => scheme === 'internal')!;
    expect(await reportOf(provider, 'default/web')).toMatchObject({
      settled: true,
      addresses: [{ hostname: fresh.dnsName.toLowerCase() }],
    });
    expect(aws.loadBalancers()).toHaveLength(2);
    expect(await steps(wish)).toEqual(expect.arrayContaining(['(delete-balancer waits: time)']));
    const wanted = provider.adjust(wish, nothingReserved);
    const later = provider.plan(wanted, await provider.observe('default/web'), Date.now() + 300_000);
    for (const step of later) await provider.apply(step);
    await pass(provider, 'default/web', wanted);
    expect(aws.loadBalancers()).toHaveLength(1);
    expect(aws.targetGroups()).toHaveLength(1);
  }, 120_000);

  test('what cannot stand beside its successor is refused, unless the Service allows a gap', async () => {
    const named = { [`${AWS}name`]: 'shop' };
    await want(provider, nlb({ name: 'shop' }, named));
    const wish = nlb({ name: 'shop' }, { ...named, [`${AWS}scheme`]: 'internal' });
    expect(() => provider.adjust(wish, nothingReserved)).toThrow(/shop would have to be deleted.*its scheme is internet-facing/);
    const consents = { ...wish, settings: { ...wish.settings, allowDisruption: true } };
    expect((await steps(consents, 'default/shop'))[0]).toBe('delete-balancer');
    await want(provider, consents);
    expect(
      aws
        .loadBalancers()
        .filter(({ name }) => name === 'shop')
        .map(({ scheme }) => scheme),
    ).toEqual(['internal']);
  });
});

describe('what is not ours', () => {
  test('is never touched: other NLBs, also one with a name like ours, and another cluster’s', async () => {
    const foreign = { Name: 'np-default-web', Type: 'network' as const, Subnets: ['subnet-public-a'] };
    await elb().send(new CreateLoadBalancerCommand(foreign));
    const neighbour = makeProvider(aws, {}, {}, 'neighbour');
    await neighbour.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
    await want(neighbour, nlb({}, { [`${AWS}subnets`]: 'public-a' }));
    const before = aws.leftovers();
    await restart();
    await want(provider, nlb());
    expect(await provider.keys()).toEqual(['default/web']);
    await drop(provider, 'default/web');
    expect(aws.leftovers()).toEqual(before);
    await neighbour.close(0);
  });

  test('an NLB of that name is named, and left alone', async () => {
    await want(provider, nlb({ name: 'first' }, { [`${AWS}name`]: 'shop' }));
    await expect(
      want(provider, nlb({ name: 'second' }, { [`${AWS}name`]: 'shop', [`${AWS}scheme`]: 'internal' })),
    ).rejects.toThrow(/NLB shop is the balancer of default\/first/);
    await drop(provider, 'default/second');
    expect(aws.loadBalancers().map(({ name, scheme }) => `${name} ${scheme}`)).toEqual(['shop internet-facing']);
  });

  test('rules that others wrote stay', async () => {
    await want(provider, nlb());
    const group = aws.securityGroups().find(({ name }) => name.startsWith('np-default-web'))!;
    group.rules.set('sgr-1', {
      id: 'sgr-1',
      egress: false,
      protocol: 'tcp',
      fromPort: 22,
      toPort: 22,
      peer: { kind: 'ipv4', value: '10.0.0.0/8' },
      description: 'ops',
    });
    await restart();
    await want(provider, nlb({ ports: [{ port: 81 }] }));
    const rules = [...group.rules.values()].filter(({ egress }) => !egress).map(({ fromPort }) => fromPort);
    expect(rules.sort()).toEqual([22, 81]);
  });
});

test('an NLB that others made is used by its ARN, beside their listeners, and never deleted', async () => {
  const made = await elb().send(
    new CreateLoadBalancerCommand({
      Name: 'theirs',
      Type: 'network',
      Subnets: ['subnet-public-a', 'subnet-public-b', 'subnet-public-c'],
    }),
  );
  const arn = made.LoadBalancers![0]!.LoadBalancerArn!;
  const group = await elb().send(new CreateTargetGroupCommand({ Name: 'theirs', Protocol: 'TCP', Port: 1, VpcId: 'vpc-1' }));
  const theirs = {
    LoadBalancerArn: arn,
    Protocol: 'TCP' as const,
    DefaultActions: [{ Type: 'forward' as const, TargetGroupArn: group.TargetGroups![0]!.TargetGroupArn! }],
  };
  await elb().send(new CreateListenerCommand({ ...theirs, Port: 22 }));
  const before = aws.leftovers();
  const adopting = { 'nodeport-lb.io/aws-load-balancer-arn': arn };
  await want(provider, nlb({}, adopting));
  expect(
    aws
      .listeners()
      .map(({ port }) => port)
      .sort(),
  ).toEqual([22, 80]);
  expect((await reportOf(provider, 'default/web')).addresses).toEqual([
    { hostname: aws.loadBalancers()[0]!.dnsName.toLowerCase() },
  ]);
  const clash = provider.adjust(nlb({ ports: [{ port: 22 }] }, adopting), nothingReserved);
  await expect(pass(provider, clash.key, clash)).rejects.toMatchObject({ code: 'PortInUse' });
  await restart();
  await want(provider, nlb({ ports: [{ port: 81 }] }, adopting));
  expect(
    aws
      .listeners()
      .map(({ port }) => port)
      .sort(),
  ).toEqual([22, 81]);
  await drop(provider, 'default/web');
  expect(aws.leftovers()).toEqual(before);
  expect(Object.keys(aws.tagsOf(arn))).toEqual([]);
});

describe('the end', () => {
  test('deletion protection is never switched off unasked, and named', async () => {
    await want(provider, nlb({}, { [`${AWS}attributes`]: 'deletion_protection.enabled=true' }));
    await expect(drop(provider, 'default/web')).rejects.toThrow(expect.objectContaining({ code: 'DeletionProtected' }));
    expect(aws.loadBalancers()).toHaveLength(1);
    expect(await reportOf(provider, 'default/web')).toMatchObject({ gone: false });
    await want(provider, nlb({}, { [`${AWS}attributes`]: 'deletion_protection.enabled=false' }));
    await drop(provider, 'default/web');
    expect(aws.leftovers()).toMatchObject({ loadBalancers: [], targetGroups: [], securityGroups: [], rules: [] });
  });

  test('nodeport-lb.io/retain: everything stays and is nobody’s', async () => {
    const wish = nlb();
    await want(provider, { ...wish, settings: { ...wish.settings, retain: true } });
    await drop(provider, 'default/web');
    expect([aws.loadBalancers().length, aws.targetGroups().length, registered().length, await provider.keys()]).toEqual([
      1,
      1,
      3,
      [],
    ]);
    await restart();
    expect(await provider.keys()).toEqual([]);
  });

  test('also when the NLB is gone already: the rest is swept by tags', async () => {
    await want(provider, nlb());
    await provider.close(0);
    await elb().send(new DeleteLoadBalancerCommand({ LoadBalancerArn: aws.loadBalancers()[0]!.arn }));
    await restart();
    expect(await provider.keys()).toEqual(['default/web']);
    await drop(provider, 'default/web');
    expect(aws.leftovers()).toMatchObject({ targetGroups: [], securityGroups: [], rules: [] });
  });

  test('a group that is still in use is waited for', async () => {
    await provider.close(0);
    await aws.close();
    await begin({ timings: { consistencyMs: 0 } });
    await want(provider, nlb());
    aws.inject({ action: 'DeleteSecurityGroup', code: 'DependencyViolation', times: 1 });
    const wanted = undefined;
    for (const step of provider.plan(wanted, await provider.observe('default/web'), Date.now())) await provider.apply(step);
    expect((await reportOf(provider, 'default/web')).gone || (await provider.keys()).length > 0).toBe(true);
    for (const key of await provider.keys()) {
      for (const step of provider.plan(undefined, await provider.observe(key), Date.now() + 60_000)) await provider.apply(step);
    }
    expect(aws.leftovers()).toMatchObject({ securityGroups: [], rules: [] });
  });
});

describe('trouble', () => {
  test('throttling slows and fails nothing', async () => {
    await provider.close(0);
    await aws.close();
    await begin({ throttling: 'usual' }, { buckets: usualBuckets });
    aws.inject({ action: '*', code: 'Throttling', status: 400, probability: 0.1 });
    await Promise.all(['a', 'b', 'c'].map((name) => want(provider, nlb({ name }))));
    expect(aws.loadBalancers()).toHaveLength(3);
  }, 120_000);

  test('a denied write names its action', async () => {
    aws.inject({ action: 'CreateTargetGroup', code: 'AccessDenied', status: 403 });
    await expect(want(provider, nlb())).rejects.toMatchObject({
      code: 'AwsDenied',
      message: expect.stringContaining('elasticloadbalancing:CreateTargetGroup'),
    });
  });

  test('what somebody deletes or changes is found, and put right', async () => {
    await provider.close(0);
    const wish = nlb();
    let aheadMs = 0;
    const now = () => Date.now() + aheadMs;
    const told = async (): Promise<void> => {
      aheadMs += 120_000; // what we wrote just now is believed more than what is read
      for (const deadline = Date.now() + 60_000; Date.now() < deadline && (await steps(wish)).length === 0; ) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(changed).toContain('default/web');
    };
    await restart({ sweepMs: 20, closeLookMs: 20, now });
    await want(provider, wish);
    const [listener] = aws.listeners();
    await elb().send(new DeleteListenerCommand({ ListenerArn: listener!.arn }));
    await told();
    await want(provider, wish);
    expect(aws.listeners()).toHaveLength(1);
    changed.length = 0;
    await elb().send(new DeleteLoadBalancerCommand({ LoadBalancerArn: aws.loadBalancers()[0]!.arn }));
    await told();
    await want(provider, wish);
    expect(aws.loadBalancers()).toHaveLength(1);
    expect(registered()).toEqual(['1:30080', '2:30080', '3:30080']);
  });

  test('what a Service was refused for is put right at AWS: nobody needs to touch the Service', async () => {
    await provider.close(0);
    let aheadMs = 0;
    await restart({ now: () => Date.now() + aheadMs }, [nlb()]);
    const wish = nlb({}, { [`${AWS}subnets`]: 'late' });
    expect(() => provider.adjust(wish, nothingReserved)).toThrow(/"late"/);
    aws.world.tags.get('subnet-public-a')!.set('Name', 'late');
    aheadMs += 31_000;
    for (const deadline = Date.now() + 60_000; !changed.includes('default/web'); ) {
      if (Date.now() > deadline) throw new Error('nobody has looked again');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await want(provider, wish);
    expect(aws.loadBalancers()[0]!.zones.map(({ subnetId }) => subnetId)).toEqual(['subnet-public-a']);
  });

  test('credentials that are refused say so', async () => {
    const refusal = aws.inject({ action: '*', code: 'ExpiredToken', status: 403 });
    const late = makeProvider(aws);
    await late.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
    await expect(late.observe('default/web')).rejects.toMatchObject({ code: 'AwsCredentials' });
    refusal.remove();
    expect(late.report(await late.observe('default/web')).gone).toBe(true);
    await late.close(0);
  });
});

test('more nodes than an NLB takes: as many as it takes are targets, whoever joins moves one at most, and the reason is noted', async () => {
  await provider.close(0);
  await aws.close();
  await begin({ seed: typicalAccount({ instances: 260 }) });
  const nodes = Array.from({ length: 260 }, (_, at) => worker(at + 1));
  const crossed = { [`${AWS}attributes`]: 'load_balancing.cross_zone.enabled=true' };
  const ports = [{ port: 80 }, { port: 443 }];
  await want(provider, nlb({ ports, nodes: nodes.slice(0, 259) }, crossed));
  const before = registered();
  expect(before).toHaveLength(500);
  await want(provider, nlb({ ports, nodes }, crossed));
  expect(registered().filter((one) => !before.includes(one)).length).toBeLessThanOrEqual(2);
  expect((await reportOf(provider, 'default/web')).notes).toEqual([
    {
      code: 'QuotaExceeded',
      message:
        'Only 250 nodes are targets: with cross-zone balancing an NLB takes 500 registrations, and each node counts once for each of its 2 target groups',
    },
  ]);
});

test('a nodePort changes where the quota has no room for both: half of the targets serve at any time', async () => {
  await provider.close(0);
  await aws.close();
  await begin({ seed: typicalAccount({ instances: 300 }) });
  const nodes = Array.from({ length: 300 }, (_, at) => worker(at + 1));
  const crossed = { [`${AWS}attributes`]: 'load_balancing.cross_zone.enabled=true' };
  await want(provider, nlb({ nodes }, crossed));
  let least = 300;
  await want(provider, nlb({ nodes, ports: [{ port: 80, nodePort: 31_000 }] }, crossed), async (step) => {
    await provider.apply(step);
    least = Math.min(least, registered().length);
  });
  expect(least).toBeGreaterThanOrEqual(150);
  expect(registered().map((one) => one.split(':')[1])).toEqual(nodes.map(() => '31000'));
});

test('an account without role tags: subnets are found by their routes', async () => {
  await provider.close(0);
  await aws.close();
  const seed = typicalAccount();
  await begin({ seed: { ...seed, subnets: seed.subnets.map((subnet) => ({ ...subnet, tags: {} })) } });
  await want(provider, nlb());
  expect(
    aws
      .loadBalancers()[0]!
      .zones.map(({ subnetId }) => subnetId)
      .sort(),
  ).toEqual(['subnet-public-a', 'subnet-public-b', 'subnet-public-c']);
});
