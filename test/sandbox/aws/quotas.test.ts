import { describe, expect, test } from '@jest/globals';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import { balancer, group, listener, openScene, type Scene } from './clients.ts';

async function register({ elb, aws }: Scene, TargetGroupArn: string, count: number, Port = 30_080): Promise<unknown> {
  const Targets = [...aws.world.instances.keys()].slice(0, count).map((Id) => ({ Id, Port }));
  return elb.registerTargets({ TargetGroupArn, Targets });
}

async function allow({ ec2 }: Scene, from: object): Promise<unknown> {
  const IpPermissions = [{ IpProtocol: 'tcp', FromPort: 80, ToPort: 80, ...from }];
  return ec2.authorizeSecurityGroupIngress({ GroupId: 'sg-nodes', IpPermissions });
}

const tooMany = { name: 'TooManyTargetsException' };

test.each<{ why: string; limits: object; act: (scene: Scene) => Promise<unknown>; name: string }>([
  {
    why: 'load balancers',
    limits: { loadBalancers: 1 },
    act: async (scene) => [await balancer(scene, 'one'), await balancer(scene, 'two')],
    name: 'TooManyLoadBalancersException',
  },
  {
    why: 'interfaces of load balancers',
    limits: { interfacesPerVpc: 5 },
    act: async (scene) => [await balancer(scene, 'one'), await balancer(scene, 'two')],
    name: 'ResourceInUseException',
  },
  {
    why: 'target groups',
    limits: { targetGroups: 1 },
    act: async (scene) => [await group(scene, 'one'), await group(scene, 'two')],
    name: 'TooManyTargetGroupsException',
  },
  {
    why: 'listeners',
    limits: { listenersPerLoadBalancer: 1 },
    act: async (scene) => {
      const [arn, groupArn] = [await balancer(scene), await group(scene)];
      await listener(scene, arn, groupArn, 80);
      await listener(scene, arn, groupArn, 81);
    },
    name: 'TooManyListenersException',
  },
  {
    why: 'targets of a group',
    limits: { targetsPerTargetGroup: 2 },
    act: async (scene) => register(scene, await group(scene), 3),
    name: tooMany.name,
  },
  {
    why: 'targets of a call',
    limits: { targetsPerCall: 2 },
    act: async (scene) => register(scene, await group(scene), 3),
    name: 'ValidationError',
  },
  {
    why: 'certificates',
    limits: { certificatesPerLoadBalancer: 0 },
    act: async (scene) => {
      const [first, second] = [...scene.aws.world.certificates].map((CertificateArn) => ({ CertificateArn }));
      const { Listeners } = await scene.elb.createListener({
        LoadBalancerArn: await balancer(scene),
        Protocol: 'TLS',
        Port: 443,
        Certificates: [first!],
        DefaultActions: [{ Type: 'forward', TargetGroupArn: await group(scene) }],
      });
      await scene.elb.addListenerCertificates({ ListenerArn: Listeners![0]!.ListenerArn!, Certificates: [second!] });
    },
    name: 'TooManyCertificatesException',
  },
  {
    why: 'entries of prefix lists among the rules',
    limits: { rulesPerSecurityGroup: 4 },
    act: (scene) => allow(scene, { PrefixListIds: [{ PrefixListId: 'pl-1' }] }),
    name: 'RulesPerSecurityGroupLimitExceeded',
  },
  {
    why: 'rules of one family',
    limits: { rulesPerSecurityGroup: 1 },
    act: async (scene) => {
      await allow(scene, { IpRanges: [{ CidrIp: '10.0.0.0/8' }], Ipv6Ranges: [{ CidrIpv6: '2001:db8::/32' }] }); // one of each
      await allow(scene, { Ipv6Ranges: [{ CidrIpv6: '2001:db8:1::/48' }] });
    },
    name: 'RulesPerSecurityGroupLimitExceeded',
  },
  {
    why: 'rules, as a group counts as one of each family',
    limits: { rulesPerSecurityGroup: 1 },
    act: async (scene) => {
      await allow(scene, { UserIdGroupPairs: [{ GroupId: 'sg-default' }] });
      await allow(scene, { Ipv6Ranges: [{ CidrIpv6: '2001:db8::/32' }] });
    },
    name: 'RulesPerSecurityGroupLimitExceeded',
  },
])('too many $why', async ({ limits, act, name }) => {
  const scene = await openScene({ limits });
  await expect(act(scene)).rejects.toMatchObject({ name });
});

describe('targets of a load balancer', () => {
  const seed = typicalAccount({ instances: 6 }); // two a zone

  test('count by zone, for every group that they are in', async () => {
    const scene = await openScene({ seed, limits: { targetsPerZone: 3 } });
    const arn = await balancer(scene);
    const [one, two] = [await group(scene, 'one'), await group(scene, 'two')];
    await listener(scene, arn, one, 80);
    await listener(scene, arn, two, 81);
    await register(scene, one, 6);
    await expect(register(scene, two, 6)).rejects.toMatchObject(tooMany);
    await register(scene, two, 3);
  });

  test('count all together when zones are crossed', async () => {
    const scene = await openScene({ seed, limits: { targetsPerZone: 5 } });
    const LoadBalancerArn = await balancer(scene);
    const groupArn = await group(scene);
    await listener(scene, LoadBalancerArn, groupArn);
    await register(scene, groupArn, 6);
    const Attributes = [{ Key: 'load_balancing.cross_zone.enabled', Value: 'true' }];
    const cross = scene.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes });
    await expect(cross).rejects.toMatchObject(tooMany);
  });

  test('count when a full group gets a listener', async () => {
    const scene = await openScene({ seed, limits: { targetsPerLoadBalancer: 5 } });
    const groupArn = await group(scene);
    await register(scene, groupArn, 6);
    await expect(listener(scene, await balancer(scene), groupArn)).rejects.toMatchObject(tooMany);
  });

  test('that drain make room', async () => {
    const scene = await openScene({ seed, limits: { targetsPerLoadBalancer: 6 }, timings: { drainingMs: 60_000 } });
    const TargetGroupArn = await group(scene);
    await listener(scene, await balancer(scene), TargetGroupArn);
    await register(scene, TargetGroupArn, 6);
    await expect(register(scene, TargetGroupArn, 1, 30_081)).rejects.toMatchObject(tooMany);
    await scene.elb.deregisterTargets({ TargetGroupArn, Targets: [{ Id: seed.instances![0]!.id, Port: 30_080 }] });
    await register(scene, TargetGroupArn, 1, 30_081);
  });
});

test.each([
  { why: 'a subnet with less than eight addresses left', freeAddresses: 7, name: 'InvalidSubnetException' },
  { why: 'a subnet with eight', freeAddresses: 8, name: undefined },
])('$why', async ({ freeAddresses, name }) => {
  const seed = typicalAccount();
  const subnets = seed.subnets.map((subnet) => ({ ...subnet, freeAddresses }));
  const scene = await openScene({ seed: { ...seed, subnets } });
  const outcome = await balancer(scene).then(
    () => undefined,
    (error: Error) => error.name,
  );
  expect(outcome).toBe(name);
});

test('a VPC without an internet gateway faces nobody', async () => {
  const scene = await openScene({ seed: { ...typicalAccount(), internetGateways: [] } });
  await expect(balancer(scene)).rejects.toMatchObject({ name: 'InvalidSubnetException' });
  await balancer(scene, 'inside', { Scheme: 'internal' });
});

test('subnets without IPv6 take no dual stack', async () => {
  const scene = await openScene({ seed: typicalAccount({ dualStack: false }) });
  const made = balancer(scene, 'web', { IpAddressType: 'dualstack' });
  await expect(made).rejects.toMatchObject({ name: 'InvalidConfigurationRequestException' });
});

test('access logs need a bucket that lets load balancers in', async () => {
  const scene = await openScene();
  const LoadBalancerArn = await balancer(scene);
  const log = (bucket: string) =>
    scene.elb.modifyLoadBalancerAttributes({
      LoadBalancerArn,
      Attributes: [
        { Key: 'access_logs.s3.enabled', Value: 'true' },
        { Key: 'access_logs.s3.bucket', Value: bucket },
      ],
    });
  await expect(log('closed')).rejects.toMatchObject({ name: 'InvalidConfigurationRequestException' });
  await log('logs');
});

test('a zone that stays keeps its subnet and its addresses', async () => {
  const scene = await openScene();
  const LoadBalancerArn = await balancer(scene);
  const refused = { name: 'InvalidConfigurationRequestException' };
  await expect(scene.elb.setSubnets({ LoadBalancerArn, Subnets: ['subnet-private-a'] })).rejects.toMatchObject(refused);
  const SubnetMappings = [{ SubnetId: 'subnet-public-a', AllocationId: 'eipalloc-1' }];
  await expect(scene.elb.setSubnets({ LoadBalancerArn, SubnetMappings })).rejects.toMatchObject(refused);
  expect(scene.aws.loadBalancers()[0]?.zones).toHaveLength(3);
});

test.each([
  { tagsAreSettings: true, outcome: ['DuplicateLoadBalancerNameException', 'DuplicateTargetGroupNameException'] },
  { tagsAreSettings: false, outcome: ['ok', 'ok'] },
])('the same name with other tags: $outcome', async ({ tagsAreSettings, outcome }) => {
  const scene = await openScene({ tagsAreSettings });
  const tags = (Value: string) => ({ Tags: [{ Key: 'owner', Value }] });
  await balancer(scene, 'web', tags('one'));
  await group(scene, 'web', tags('one'));
  const again = [balancer(scene, 'web', tags('two')), group(scene, 'web', tags('two'))];
  expect(
    await Promise.all(
      again.map((made) =>
        made.then(
          () => 'ok',
          (error: Error) => error.name,
        ),
      ),
    ),
  ).toEqual(outcome);
  expect(scene.aws.tagsOf(scene.aws.loadBalancers()[0]!.arn)).toEqual({ owner: 'one' });
});

test('dual stack gives each zone an IPv6 address, and takes it back', async () => {
  const scene = await openScene();
  const LoadBalancerArn = await balancer(scene);
  const addresses = async () => {
    const { NetworkInterfaces } = await scene.ec2.describeNetworkInterfaces({
      Filters: [{ Name: 'interface-type', Values: ['network_load_balancer'] }],
    });
    return (NetworkInterfaces ?? []).flatMap(({ Ipv6Addresses }) => Ipv6Addresses ?? []);
  };
  await scene.elb.setIpAddressType({ LoadBalancerArn, IpAddressType: 'dualstack' });
  expect(await addresses()).toHaveLength(3);
  await scene.elb.setIpAddressType({ LoadBalancerArn, IpAddressType: 'ipv4' });
  expect(await addresses()).toEqual([]);
});

test('secondary addresses only grow in number', async () => {
  const scene = await openScene();
  const LoadBalancerArn = await balancer(scene);
  const set = (Value: string) =>
    scene.elb.modifyLoadBalancerAttributes({
      LoadBalancerArn,
      Attributes: [{ Key: 'secondary_ips.auto_assigned.per_subnet', Value }],
    });
  await set('2');
  await expect(set('1')).rejects.toMatchObject({ name: 'InvalidConfigurationRequestException' });
});

test('many load balancers and targets are no trouble', async () => {
  const seed = typicalAccount({ instances: 50 });
  const scene = await openScene({ seed, limits: { loadBalancers: 1000, interfacesPerVpc: 3000 } });
  const started = process.cpuUsage();
  for (let number = 0; number < 100; number++) {
    const groupArn = await group(scene, `g${number}`);
    await register(scene, groupArn, 50);
    await listener(scene, await balancer(scene, `b${number}`), groupArn);
  }
  expect((await scene.elb.describeLoadBalancers({})).LoadBalancers).toHaveLength(100);
  const { user, system } = process.cpuUsage(started);
  expect((user + system) / 1_000).toBeLessThan(40_000); // ms of this process alone; a second or two
}, 120_000);
