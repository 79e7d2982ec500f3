import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER } from '../../src/controller/claim.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

/** Several controllers of this kind in one cluster. */
let cluster: Running;

beforeEach(async () => {
  cluster = await runSandbox();
  cluster.addNode('a', '10.0.0.1');
});
afterEach(() => cluster.close());

const reasonOf = (name: string) => cluster.service(name)?.conditions.find((c) => c.type === CONDITION)?.reason;
const ready = (name: string) => cluster.until(`${name} is ready`, () => reasonOf(name) === 'Ready');

describe('of another class', () => {
  const blue = 'example.com/blue';
  const ofClass = (loadBalancerClass: string) => ({ loadBalancerClass, claimUnsetClass: 'false' as const });

  test.each([
    { why: 'each with a cloud of its own', clouds: () => [new MemoryCloud(), new MemoryCloud()] },
    { why: 'both in one cloud', clouds: () => Array.from({ length: 2 }).fill(new MemoryCloud()) as MemoryCloud[] },
  ])('each serves its own and leaves the others alone, $why', async ({ clouds }) => {
    const [one, two] = clouds() as [MemoryCloud, MemoryCloud];
    await cluster.start(new MemoryProvider(one), ofClass(blue));
    cluster.create('blue', { loadBalancerClass: blue });
    await ready('blue');
    const before = cluster.service('blue')!.resourceVersion;
    await cluster.start(new MemoryProvider(two), ofClass('nodeport-lb.io/lb'));
    cluster.create('plain', { loadBalancerClass: 'nodeport-lb.io/lb' });
    await ready('plain');
    cluster.addNode('b', '10.0.0.2'); // every balancer is looked at again
    await waitUntil(() => two.balancers.get('default/plain')?.nodes.length === 2);
    expect(cluster.service('blue')!.resourceVersion).toBe(before);
    expect(one.balancers.has('default/blue')).toBe(true);
    expect(cluster.service('plain')!.finalizers).toEqual([FINALIZER]);
  });

  test('a Service whose class changes goes from one to the other', async () => {
    const [one, two] = [new MemoryCloud(), new MemoryCloud()];
    await cluster.start(new MemoryProvider(one), ofClass(blue));
    await cluster.start(new MemoryProvider(two), ofClass('nodeport-lb.io/lb'));
    cluster.create('web', { loadBalancerClass: 'nodeport-lb.io/lb' });
    await ready('web');
    for (const [loadBalancerClass, has, hasNot] of [
      [blue, one, two],
      ['nodeport-lb.io/lb', two, one],
    ] as const) {
      cluster.patch('web', { spec: { type: 'ClusterIP', loadBalancerClass: null } });
      cluster.patch('web', { spec: { type: 'LoadBalancer', loadBalancerClass } });
      await waitUntil(() => has.balancers.size === 1 && hasNot.balancers.size === 0);
      await ready('web');
    }
  });
});

test('what is in namespaces that are not looked at stays', async () => {
  const cloud = new MemoryCloud();
  const all = await cluster.start(new MemoryProvider(cloud));
  cluster.create('web');
  await ready('web');
  await all.stop(0);
  cluster.kube.objects.create({ resource: 'namespaces' }, { metadata: { name: 'shop' } });
  const provider = new MemoryProvider(cloud);
  await cluster.start(provider, { namespaces: ['shop'] });
  provider.changed('default/web');
  expect(cloud.balancers.has('default/web')).toBe(true);
});

/** For what no Service or event tells. */
async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
