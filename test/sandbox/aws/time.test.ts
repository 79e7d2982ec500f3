import { describe, expect, test } from '@jest/globals';
import { balancer, group, INSTANCES, listener, openScene, type Scene, states } from './clients.ts';

const [Id] = INSTANCES;

/** A clock that stands still until it is moved on. */
const still = { clock: () => 1_800_000_000_000 };

async function stateOf({ elb }: Scene, arn: string): Promise<string | undefined> {
  return (await elb.describeLoadBalancers({ LoadBalancerArns: [arn] })).LoadBalancers![0]!.State?.Code;
}

test('a load balancer is active when its time has come', async () => {
  const scene = await openScene({ ...still, timings: { activeMs: 120_000 } });
  const arn = await balancer(scene);
  scene.aws.advance(119_999);
  expect(await stateOf(scene, arn)).toBe('provisioning');
  scene.aws.advance(1);
  expect(await stateOf(scene, arn)).toBe('active');
});

test('a target is checked from the moment that its group is in use', async () => {
  const scene = await openScene({ ...still, timings: { healthyMs: 30_000 } });
  const TargetGroupArn = await group(scene);
  await scene.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: Id! }] });
  scene.aws.advance(60_000);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} unused Target.NotInUse`]);
  await listener(scene, await balancer(scene), TargetGroupArn);
  scene.aws.advance(29_999);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} initial Elb.InitialHealthChecking`]);
  scene.aws.advance(1);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} healthy`]);
});

test('a target drains as long as its group says, and comes back when it is registered again', async () => {
  const scene = await openScene({ ...still, timings: { drainingMs: undefined } });
  const TargetGroupArn = await group(scene);
  await listener(scene, await balancer(scene), TargetGroupArn);
  const Attributes = [{ Key: 'deregistration_delay.timeout_seconds', Value: '20' }];
  await scene.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes });
  const Targets = [{ Id: Id! }];
  await scene.elb.registerTargets({ TargetGroupArn, Targets });
  await scene.elb.deregisterTargets({ TargetGroupArn, Targets });
  scene.aws.advance(19_999);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} draining Target.DeregistrationInProgress`]);
  await scene.elb.registerTargets({ TargetGroupArn, Targets });
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} healthy`]);
  await scene.elb.deregisterTargets({ TargetGroupArn, Targets });
  scene.aws.advance(20_000);
  expect(await states(scene, TargetGroupArn)).toEqual([]);
});

test('an instance that stops or ends gets nothing any more', async () => {
  const scene = await openScene();
  const TargetGroupArn = await group(scene);
  await listener(scene, await balancer(scene), TargetGroupArn);
  await scene.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: Id! }] });
  scene.aws.terminateInstance(Id!);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} unused Target.InvalidState`]);
  const { Reservations } = await scene.ec2.describeInstances({ InstanceIds: [Id!] });
  expect(Reservations![0]!.Instances![0]!.State?.Name).toBe('terminated');
});

describe('reads that lag behind writes', () => {
  const lagging = { ...still, timings: { consistencyMs: 5000 } };

  test('a new load balancer is found a little later, and its tags with it', async () => {
    const scene = await openScene(lagging);
    const arn = await balancer(scene, 'web', { Tags: [{ Key: 'a', Value: 'b' }] });
    const byName = () => scene.elb.describeLoadBalancers({ Names: ['web'] });
    await expect(byName()).rejects.toMatchObject({ name: 'LoadBalancerNotFoundException' });
    await expect(scene.elb.describeTags({ ResourceArns: [arn] })).rejects.toMatchObject({
      name: 'LoadBalancerNotFoundException',
    });
    expect((await scene.elb.describeLoadBalancers({})).LoadBalancers).toEqual([]);
    scene.aws.advance(5000);
    expect((await byName()).LoadBalancers).toHaveLength(1);
  });

  test('a listener can be made on it at once', async () => {
    const scene = await openScene(lagging);
    await listener(scene, await balancer(scene), await group(scene));
    expect(scene.aws.listeners()).toHaveLength(1);
  });

  test('a target group stays in use for a while after its listener', async () => {
    const scene = await openScene(lagging);
    const [LoadBalancerArn, TargetGroupArn] = [await balancer(scene), await group(scene)];
    await listener(scene, LoadBalancerArn, TargetGroupArn);
    await scene.elb.deleteLoadBalancer({ LoadBalancerArn });
    const remove = () => scene.elb.deleteTargetGroup({ TargetGroupArn });
    await expect(remove()).rejects.toMatchObject({ name: 'ResourceInUseException' });
    scene.aws.advance(5000);
    await remove();
    expect(scene.aws.targetGroups()).toEqual([]);
  });

  test('a security group stays in use for a while after its load balancer', async () => {
    const scene = await openScene(lagging);
    const made = await scene.ec2.createSecurityGroup({ GroupName: 'x', Description: 'y', VpcId: 'vpc-1' });
    const GroupId = made.GroupId!;
    const IpPermissions = [{ IpProtocol: 'tcp', FromPort: 80, ToPort: 80, IpRanges: [{ CidrIp: '0.0.0.0/0' }] }];
    const open = () => scene.ec2.authorizeSecurityGroupIngress({ GroupId, IpPermissions });
    await expect(open()).rejects.toMatchObject({ name: 'InvalidGroup.NotFound' });
    scene.aws.advance(5000);
    await open();
    const LoadBalancerArn = await balancer(scene, 'web', { SecurityGroups: [GroupId] });
    scene.aws.advance(5000);
    await scene.elb.deleteLoadBalancer({ LoadBalancerArn });
    const remove = () => scene.ec2.deleteSecurityGroup({ GroupId });
    await expect(remove()).rejects.toMatchObject({ name: 'DependencyViolation' });
    scene.aws.advance(5000);
    await remove();
    expect(scene.aws.leftovers().securityGroups).toEqual([]);
  });
});

describe('throttling', () => {
  test('a bucket of forty reads refills with ten a second', async () => {
    const { aws, elb } = await openScene({ ...still, throttling: 'usual' });
    const read = () =>
      elb.describeLoadBalancers({}).then(
        () => true,
        (error: Error) => error.name,
      );
    const first = await Promise.all(Array.from({ length: 41 }, read));
    expect(first.filter((one) => one === true)).toHaveLength(40);
    expect(first).toContain('Throttling');
    aws.advance(100);
    expect([await read(), await read()]).toEqual([true, 'Throttling']);
  });

  test('registering has a bucket of its own, of twenty', async () => {
    const scene = await openScene({ ...still, throttling: 'usual' });
    const TargetGroupArn = await group(scene);
    const register = () =>
      scene.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: Id! }] }).then(
        () => true,
        (error: Error) => error.name,
      );
    const answers = await Promise.all(Array.from({ length: 25 }, register));
    expect(answers.filter((one) => one === true)).toHaveLength(20);
  });

  test('each action of EC2 has a bucket of its own', async () => {
    const { ec2 } = await openScene({
      ...still,
      throttling: [{ service: 'ec2', actions: /./, bucket: { size: 1, refillPerSecond: 1 }, each: true }],
    });
    await ec2.describeVpcs({});
    await ec2.describeSubnets({});
    await expect(ec2.describeVpcs({})).rejects.toMatchObject({
      name: 'RequestLimitExceeded',
      $metadata: { httpStatusCode: 503 },
    });
  });
});
