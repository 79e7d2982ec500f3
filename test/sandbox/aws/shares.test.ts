import { describe, expect, test } from '@jest/globals';
import { balancer, group, openScene, type Scene } from './clients.ts';

/** What AWS says of forward actions with several target groups; emulators take everything. */

const REFUSED = 'InvalidConfigurationRequestException';

type Share = readonly [arn: string, weight?: number];

function forward(shares: readonly Share[], Enabled?: boolean) {
  const TargetGroups = shares.map(([TargetGroupArn, Weight]) => ({
    TargetGroupArn,
    ...(Weight === undefined ? {} : { Weight }),
  }));
  const sticky = Enabled === undefined ? {} : { TargetGroupStickinessConfig: { Enabled } };
  return [{ Type: 'forward' as const, ForwardConfig: { TargetGroups, ...sticky } }];
}

async function listen(scene: Scene, shares: readonly Share[], Enabled?: boolean) {
  const LoadBalancerArn = await balancer(scene);
  const DefaultActions = forward(shares, Enabled);
  const { Listeners } = await scene.elb.createListener({ LoadBalancerArn, Protocol: 'TCP', Port: 80, DefaultActions });
  return Listeners![0]!;
}

function keepClients({ elb }: Scene, TargetGroupArn: string) {
  return elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes: [{ Key: 'stickiness.enabled', Value: 'true' }] });
}

describe('a forward action with several target groups', () => {
  test('is told with its weights, and whether clients stay', async () => {
    const scene = await openScene();
    const shares: readonly Share[] = [
      [await group(scene, 'a'), 0],
      [await group(scene, 'b'), 999],
    ];
    const [action] = (await listen(scene, shares, true)).DefaultActions!;
    expect(action).toEqual(forward(shares, true)[0]);
  });

  test('needs a weight for each', async () => {
    const scene = await openScene();
    const [a, b] = [await group(scene, 'a'), await group(scene, 'b')];
    await expect(listen(scene, [[a, 1], [b]])).rejects.toMatchObject({ name: 'ValidationError' });
    await expect(
      listen(scene, [
        [a, 1],
        [b, 1000],
      ]),
    ).rejects.toMatchObject({ name: 'ValidationError' });
  });

  test('names none twice, and at most five', async () => {
    const scene = await openScene();
    const a = await group(scene, 'a');
    await expect(
      listen(scene, [
        [a, 1],
        [a, 2],
      ]),
    ).rejects.toMatchObject({ name: 'ValidationError' });
    const six = await Promise.all('123456'.split('').map(async (name) => [await group(scene, name), 1] as const));
    await expect(listen(scene, six)).rejects.toMatchObject({ name: 'TooManyUniqueTargetGroupsPerLoadBalancerException' });
  });

  test('has one protocol', async () => {
    const scene = await openScene();
    const both = await group(scene, 'b', { Protocol: 'TCP_UDP' });
    const shares: readonly Share[] = [
      [await group(scene, 'a'), 1],
      [both, 1],
    ];
    await expect(listen(scene, shares)).rejects.toMatchObject({ name: REFUSED, message: /same protocol/ });
  });

  test('keeps clients at a group where one keeps them on a node', async () => {
    const scene = await openScene();
    const [a, b] = [await group(scene, 'a'), await group(scene, 'b')];
    const shares: readonly Share[] = [
      [a, 1],
      [b, 1],
    ];
    const { ListenerArn } = await listen(scene, shares);
    await expect(keepClients(scene, a)).rejects.toMatchObject({ name: REFUSED });
    await scene.elb.modifyListener({ ListenerArn, DefaultActions: forward(shares, true) });
    await keepClients(scene, a);
    await expect(scene.elb.modifyListener({ ListenerArn, DefaultActions: forward(shares) })).rejects.toMatchObject({
      name: REFUSED,
    });
    await scene.elb.modifyListener({ ListenerArn, DefaultActions: forward([[a]]) });
  });

  test('does not keep clients of a TLS listener', async () => {
    const scene = await openScene();
    const LoadBalancerArn = await balancer(scene);
    const CertificateArn = 'arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001';
    const shares: readonly Share[] = [
      [await group(scene, 'a'), 1],
      [await group(scene, 'b'), 1],
    ];
    const input = { LoadBalancerArn, Protocol: 'TLS' as const, Port: 443, Certificates: [{ CertificateArn }] };
    await expect(scene.elb.createListener({ ...input, DefaultActions: forward(shares, true) })).rejects.toMatchObject({
      name: REFUSED,
    });
    await scene.elb.createListener({ ...input, DefaultActions: forward(shares) });
  });
});
