import { describe, expect, test } from '@jest/globals';
import { balancer, group, INSTANCES, openScene, states } from './clients.ts';

test('a code is answered as often as was asked, then all is well', async () => {
  const scene = await openScene();
  const fault = scene.aws.inject({ action: 'CreateLoadBalancer', code: 'TooManyLoadBalancers', times: 2 });
  await expect(balancer(scene)).rejects.toMatchObject({ name: 'TooManyLoadBalancersException' });
  await expect(balancer(scene)).rejects.toMatchObject({ name: 'TooManyLoadBalancersException' });
  await balancer(scene);
  expect(fault.met()).toBe(2);
});

test.each([
  { says: 'throttled', elb: 'Throttling', ec2: 'RequestLimitExceeded' },
  { says: 'denied', elb: 'AccessDenied', ec2: 'UnauthorizedOperation' },
  { says: 'expired', elb: 'ExpiredToken', ec2: 'RequestExpired' },
] as const)('each service has its own word for $says', async ({ says, elb, ec2 }) => {
  const scene = await openScene();
  const fault = scene.aws.inject({ action: '*', says });
  await expect(scene.elb.describeLoadBalancers({})).rejects.toMatchObject({ name: elb });
  await expect(scene.ec2.describeInstances({})).rejects.toMatchObject({ name: ec2 });
  fault.remove();
  await scene.elb.describeLoadBalancers({});
});

test('a denied dry run names the action, before it says that it would have been done', async () => {
  const { aws, ec2 } = await openScene();
  aws.inject({ action: 'DescribeSubnets', says: 'denied' });
  await expect(ec2.describeSubnets({ DryRun: true })).rejects.toMatchObject({
    name: 'UnauthorizedOperation',
    message: expect.stringContaining('ec2:DescribeSubnets'),
  });
});

describe('a connection that is cut', () => {
  test('after AWS acted: it is there', async () => {
    const scene = await openScene();
    scene.aws.inject({ action: 'CreateLoadBalancer', cut: 'after', times: 1 });
    await expect(balancer(scene)).rejects.toBeDefined();
    expect(scene.aws.loadBalancers().map(({ name }) => name)).toEqual(['web']);
    await balancer(scene); // the same again is the same
    expect(scene.aws.loadBalancers()).toHaveLength(1);
  });

  test('before AWS acted: it is not', async () => {
    const scene = await openScene();
    scene.aws.inject({ action: 'CreateLoadBalancer', cut: 'before', times: 1 });
    await expect(balancer(scene)).rejects.toBeDefined();
    expect(scene.aws.loadBalancers()).toEqual([]);
    expect(scene.aws.calls.log().map(({ failure }) => failure)).toEqual(['cut']);
  });
});

test('only calls that hold the text are met', async () => {
  const scene = await openScene();
  scene.aws.inject({ action: '*', containing: 'bad', code: 'InternalFailure', status: 500 });
  await balancer(scene, 'good');
  await expect(balancer(scene, 'bad')).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
});

test('chance meets the same calls each time', async () => {
  const outcomes = async () => {
    const scene = await openScene();
    scene.aws.inject({ action: '*', says: 'throttled', probability: 0.3 });
    const calls = Array.from({ length: 30 }, () => scene.elb.describeAccountLimits({}).then(Boolean, () => false));
    return (await Promise.all(calls)).filter((ok) => !ok).length;
  };
  const refused = await outcomes();
  expect(refused).toBeGreaterThan(2);
  expect(refused).toBeLessThan(20);
  expect(await outcomes()).toBe(refused);
});

test('a delay holds the answer back', async () => {
  const { aws, elb } = await openScene();
  aws.inject({ action: 'DescribeLoadBalancers', delayMs: 60, times: 1 });
  const started = performance.now();
  await elb.describeLoadBalancers({});
  expect(performance.now() - started).toBeGreaterThan(55);
});

test('what a test forces is what a health check finds', async () => {
  const scene = await openScene();
  const TargetGroupArn = await group(scene);
  const LoadBalancerArn = await balancer(scene);
  const DefaultActions = [{ Type: 'forward' as const, TargetGroupArn }];
  await scene.elb.createListener({ LoadBalancerArn, Protocol: 'TCP', Port: 80, DefaultActions });
  const [Id] = INSTANCES;
  await scene.elb.registerTargets({ TargetGroupArn, Targets: [{ Id: Id! }] });
  scene.aws.setTargetHealth(TargetGroupArn, { id: Id! }, 'unhealthy');
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} unhealthy Target.FailedHealthChecks`]);
  scene.aws.setTargetHealth(TargetGroupArn, { id: Id! }, undefined);
  expect(await states(scene, TargetGroupArn)).toEqual([`${Id} healthy`]);
});

test('every wire call is counted and told, failures too', async () => {
  const scene = await openScene();
  await balancer(scene, 'one');
  await scene.elb.describeLoadBalancers({ Names: ['none'] }).catch(() => {});
  expect(scene.aws.calls.counts()).toEqual({ CreateLoadBalancer: 1, DescribeLoadBalancers: 1 });
  const [made, looked] = scene.aws.calls.log();
  expect(made).toMatchObject({ service: 'elbv2', failure: undefined, parameters: { Name: 'one', Type: 'network' } });
  expect(looked?.failure).toBe('LoadBalancerNotFound');
  scene.aws.calls.reset();
  expect(scene.aws.calls.total()).toBe(0);
});
