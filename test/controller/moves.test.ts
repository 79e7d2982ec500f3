import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER, HELD_ADDRESSES } from '../../src/controller/claim.ts';
import { KubeError } from '../../src/kube/api.ts';
import { createLocalProvider } from '../../src/providers/local/provider.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { pool, quiet } from '../providers/builders.ts';
import { FakeForwarder } from '../providers/local/fake-forwarder.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

/** A Service that moves from one balancer to another: its share group, and so its key, changes while it is served. */
let cluster: Running;
let cloud: MemoryCloud;

beforeEach(async () => {
  cluster = await runSandbox();
  cloud = new MemoryCloud();
  cluster.addNode('a', '10.0.0.1');
});
afterEach(() => cluster.close());

const reasonOf = (name: string) => cluster.service(name)?.conditions.find((c) => c.type === CONDITION)?.reason;
const addressOf = (name: string) => cluster.service(name)?.ingress[0]?.ip;
const shared = (group: string | null) => ({ metadata: { annotations: { 'nodeport-lb.io/share': group } } });
const member = (group: string) => shared(group).metadata;
const ready = (name: string) => cluster.until(`${name} is ready`, () => reasonOf(name) === 'Ready');

describe('over the local provider', () => {
  let forwarder: FakeForwarder;

  function local(...addresses: string[]): Provider {
    const context = { clusterName: 'c', log: quiet, options: { pools: [pool('p', addresses)] } };
    return createLocalProvider(context, {
      startForwarder: ({ onReport }) => {
        forwarder = new FakeForwarder(onReport);
        return forwarder;
      },
      now: Date.now,
      inCluster: false,
    });
  }

  const open = () => [...forwarder.table.listeners.values()].map(({ address, port }) => `${address}:${port}`).sort();

  test('a Service that is put into a share group, or taken out of it, keeps its address', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('web');
    await ready('web');
    expect(addressOf('web')).toBe('192.0.2.1');
    for (const group of ['edge', null]) {
      cluster.patch('web', shared(group));
      const key = group === null ? 'default/web' : 'default/share:edge';
      const isOpen = () => [...forwarder.table.listeners.keys()].every((id) => id.startsWith(`${key} `)) && open().length === 1;
      await waitUntil(isOpen);
      await ready('web');
      expect([open(), addressOf('web')]).toEqual([['192.0.2.1:80'], '192.0.2.1']);
      expect(cluster.service('web')!.finalizers).toEqual([FINALIZER]);
    }
  });

  test('two Services that change places do not wait for each other', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.2'));
    cluster.create('a', {}, member('one'));
    await ready('a');
    cluster.create('b', {}, member('two'));
    await ready('b');
    cluster.patch('a', shared('two'));
    cluster.patch('b', shared('one'));
    const owners = () => [...forwarder.table.listeners.keys()].map((id) => id.split(' ')[0]).sort();
    await waitUntil(() => addressOf('a') !== undefined && owners().join() === 'default/share:one,default/share:two');
    await ready('a');
    await ready('b');
    expect(open().length).toBe(2);
    expect(open().map((at) => at.split(':')[0])).toEqual(['192.0.2.1', '192.0.2.2']);
    expect([addressOf('a'), addressOf('b')].sort()).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  test('the last of a share group takes the address along, and a member that leaves earlier does not', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('a', { ports: [{ port: 80 }] }, member('g'));
    await ready('a');
    cluster.create('b', { ports: [{ port: 81 }] }, member('g'));
    await ready('b');
    expect([addressOf('a'), addressOf('b')]).toEqual(['192.0.2.1', '192.0.2.1']);
    cluster.patch('a', shared(null));
    await cluster.until('a has an address of its own', () => addressOf('a') === '192.0.2.2');
    await ready('a');
    await waitUntil(() => open().join() === '192.0.2.1:81,192.0.2.2:80');
    cluster.patch('b', shared(null));
    await waitUntil(() => [...forwarder.table.listeners.keys()].some((id) => id.startsWith('default/b ')));
    await ready('b');
    expect(open()).toEqual(['192.0.2.1:81', '192.0.2.2:80']);
    expect(cluster.service('b')!.annotations[HELD_ADDRESSES]).toBe('192.0.2.1');
  });
});

describe('over a provider that outlives the controller', () => {
  test('the finalizer stays until no balancer carries the Service any more, whatever its key is now', async () => {
    const provider = new MemoryProvider(cloud);
    await cluster.start(provider);
    cluster.create('web', {}, member('edge'));
    await ready('web');
    cloud.refuse = (step) => (step.kind === 'delete-balancer' ? new Error('the cloud is closed') : undefined);
    cluster.patch('web', { ...shared(null), spec: { type: 'ClusterIP' } });
    await cluster.until('why it stays', () => cluster.events('web').some((e) => e.message.includes('the cloud is closed')));
    expect(cloud.balancers.has('default/share:edge')).toBe(true);
    expect(cluster.service('web')!.finalizers).toEqual([FINALIZER]);
    cloud.refuse = () => undefined;
    await cluster.until('let go', () => cluster.service('web')!.finalizers.length === 0);
    expect(cloud.balancers.size).toBe(0);
  });

  test('the same after a restart', async () => {
    const controller = await cluster.start(new MemoryProvider(cloud));
    cluster.create('web', {}, member('edge'));
    await ready('web');
    await controller.stop(0);
    cluster.patch('web', { ...shared(null), spec: { type: 'ClusterIP' } });
    cloud.refuse = (step) => (step.kind === 'delete-balancer' ? new Error('the cloud is closed') : undefined);
    await cluster.start(new MemoryProvider(cloud));
    expect(cluster.service('web')!.finalizers).toEqual([FINALIZER]);
    cloud.refuse = () => undefined;
    await cluster.until('let go', () => cluster.service('web')!.finalizers.length === 0);
    expect(cloud.balancers.size).toBe(0);
  });
});

describe('members that cannot be served as they are written', () => {
  const nonsense = { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } };

  test('keep what they have when another member leaves', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('stays', { ports: [{ port: 80 }] }, member('g'));
    await ready('stays');
    cluster.create('goes', { ports: [{ port: 81 }] }, member('g'));
    await ready('goes');
    cluster.patch('stays', nonsense);
    await cluster.until('refused', () => reasonOf('stays') === 'AnnotationInvalid');
    cluster.remove('goes');
    await cluster.until('it is gone', () => cluster.service('goes') === undefined);
    expect(cloud.balancers.get('default/share:g')?.listeners.map(({ port }) => port)).toEqual([80]);
    expect(addressOf('stays')).toBe('192.0.2.1');
  });

  test('keep what they have while the others are served', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('bad', { ports: [{ port: 80 }] }, member('g'));
    await ready('bad');
    cluster.create('good', { ports: [{ port: 81 }] }, member('g'));
    await ready('good');
    cluster.patch('bad', nonsense);
    await cluster.until('refused', () => reasonOf('bad') === 'AnnotationInvalid');
    cluster.create('new', { ports: [{ port: 82 }] }, member('g'));
    await ready('new');
    expect(
      cloud.balancers
        .get('default/share:g')
        ?.listeners.map(({ port }) => port)
        .sort(),
    ).toEqual([80, 81, 82]);
  });

  test('keep what they have when the provider refuses the balancer and another member leaves', async () => {
    const provider = new MemoryProvider(cloud);
    await cluster.start(provider);
    cluster.create('stays', { ports: [{ port: 80 }] }, member('g'));
    await ready('stays');
    cluster.create('goes', { ports: [{ port: 81 }] }, member('g'));
    await ready('goes');
    provider.refused.add('default/share:g');
    cluster.remove('goes');
    await cluster.until('it is gone', () => cluster.service('goes') === undefined);
    expect(cloud.balancers.get('default/share:g')?.listeners.map(({ port }) => port)).toEqual([80]);
    expect(reasonOf('stays')).toBe('PoolExhausted');
  });

  test('follow the nodes', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await ready('web');
    cluster.patch('web', nonsense);
    await cluster.until('refused', () => reasonOf('web') === 'AnnotationInvalid');
    cluster.addNode('b', '10.0.0.2');
    await waitUntil(() => cloud.balancers.get('default/web')?.nodes.join() === 'a,b');
  });
});

test('a member whose status cannot be written does not hold up one that leaves', async () => {
  await cluster.start(new MemoryProvider(cloud));
  cluster.create('walled', { ports: [{ port: 80 }] }, member('g'));
  await ready('walled');
  cluster.create('goes', { ports: [{ port: 81 }] }, member('g'));
  await ready('goes');
  const { patch } = cluster.api;
  Object.assign(cluster.api, {
    patch: async (...call: Parameters<typeof patch>) => {
      if (call[2] === 'walled') throw new KubeError(403, 'Forbidden', 'a webhook refused it');
      return await patch.apply(cluster.api, call);
    },
  });
  cluster.patch('walled', { status: { loadBalancer: { ingress: null } } }, 'status');
  cluster.remove('goes');
  await cluster.until('it is gone', () => cluster.service('goes') === undefined);
});

test('a refusal that cannot be written does not hold up the other members', async () => {
  const { patch } = cluster.api;
  Object.assign(cluster.api, {
    patch: async (...call: Parameters<typeof patch>) => {
      if (call[2] === 'walled') throw new KubeError(403, 'Forbidden', 'a webhook refused it');
      return await patch.apply(cluster.api, call);
    },
  });
  const metadata = member('g') as { annotations: Record<string, string> };
  cluster.create(
    'walled',
    { ports: [{ port: 80 }] },
    { annotations: { ...metadata.annotations, 'nodeport-lb.io/drain-seconds': 'soon' } },
  );
  cluster.create('sound', { ports: [{ port: 81 }] }, metadata);
  await cluster.start(new MemoryProvider(cloud));
  await ready('sound');
});

/** For what no Service or event tells. */
async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
