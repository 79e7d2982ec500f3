import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER, HELD_ADDRESSES } from '../../src/controller/claim.ts';
import { readService, type Service } from '../../src/kube/objects.ts';
import { createMetrics } from '../../src/ops/metrics.ts';
import { createProvider as createNone } from '../../src/providers/none.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

let cluster: Running;
let cloud: MemoryCloud;

beforeEach(async () => {
  cluster = await runSandbox();
  cloud = new MemoryCloud();
  cluster.addNode('a', '10.0.0.1');
});
afterEach(() => cluster.close());

const condition = (service: Service | undefined) => service?.conditions.find((c) => c.type === CONDITION);
const reasonOf = (name: string) => condition(cluster.service(name))?.reason;
const addressOf = (name: string) => cluster.service(name)?.ingress[0]?.ip;
const none = { load: () => createNone({ clusterName: 'c', log: { debug() {}, info() {}, warn() {}, error() {} }, options: {} }) };

describe('a Service gets its balancer', () => {
  test('address, condition and event, in three writes, with the finalizer on record before the provider is asked', async () => {
    const before: (string | undefined)[] = [];
    cloud.acted = () =>
      before.push(cluster.service('web')?.finalizers.join(), cluster.service('web')?.annotations[HELD_ADDRESSES]);
    await cluster.start(new MemoryProvider(cloud));
    const from = cluster.kube.audit.length;
    cluster.create('web');
    await cluster.until('an event', () => cluster.events('web').length > 0);
    expect(addressOf('web')).toBe('192.0.2.1');
    expect(condition(cluster.service('web'))).toMatchObject({ status: 'True', reason: 'Ready' });
    expect(cluster.events('web')).toEqual([{ type: 'Normal', reason: 'EnsuredLoadBalancer', message: 'Serving on 192.0.2.1.' }]);
    expect(before).toEqual([FINALIZER, '192.0.2.1']);
    expect(cluster.writes(from)).toEqual(['patch services/status', 'patch services/status', 'create events']);
  });

  test('a second start over the same cluster and cloud writes nothing', async () => {
    const first = await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('an event', () => cluster.events('web').length > 0);
    await first.stop(0);
    const from = cluster.kube.audit.length;
    await cluster.start(new MemoryProvider(cloud));
    expect(cluster.writes(from)).toEqual([]);
  });

  test('while the provider has not settled, no address is published and an event says so', async () => {
    cloud.active = false;
    const provider = new MemoryProvider(cloud);
    await cluster.start(provider);
    cluster.create('web');
    await cluster.until('EnsuringLoadBalancer', () => cluster.events('web').some((e) => e.reason === 'EnsuringLoadBalancer'));
    expect([addressOf('web'), reasonOf('web')]).toEqual([undefined, 'Provisioning']);
    cloud.active = true;
    provider.changed('default/web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    expect(addressOf('web')).toBe('192.0.2.1');
  });

  test('a status that somebody clears or edits comes back', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('an address', () => addressOf('web') !== undefined);
    cluster.patch('web', { status: { loadBalancer: { ingress: null } } }, 'status');
    await cluster.until('the address again', () => addressOf('web') === '192.0.2.1');
    cluster.patch('web', { status: { loadBalancer: { ingress: [{ ip: '203.0.113.9' }] } } }, 'status');
    await cluster.until('the right address again', () => addressOf('web') === '192.0.2.1');
  });

  test('a status that another controller writes over and over is left to it, and the event names it', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    const theirs = { status: { loadBalancer: { ingress: [{ ip: '203.0.113.9' }] } } };
    for (let times = 0; times < 10 && reasonOf('web') === 'Ready'; times += 1) {
      cluster.patch('web', theirs, 'status');
      await cluster.until('an answer', () => addressOf('web') === '192.0.2.1' || reasonOf('web') === 'RivalController');
    }
    expect([addressOf('web'), reasonOf('web')]).toEqual(['203.0.113.9', 'RivalController']);
    await cluster.until('an event', () => cluster.events('web').some((e) => e.message.startsWith('RivalController: ')));
    expect(cloud.balancers.has('default/web')).toBe(true);
    const from = cluster.kube.audit.length; // what the test does itself is not in it
    cluster.patch('web', { status: { loadBalancer: { ingress: [{ ip: '203.0.113.10' }] } } }, 'status');
    cluster.create('other');
    await cluster.until('other is ready', () => reasonOf('other') === 'Ready');
    expect(cluster.kube.audit.slice(from).filter(({ verb, name }) => verb === 'patch' && name === 'web')).toEqual([]);
    expect(addressOf('web')).toBe('203.0.113.10');
  });

  test("a Service of ours that gets another controller's finalizer is told of in an event", async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    cluster.patch('web', { metadata: { finalizers: [FINALIZER, 'service.k8s.aws/resources'] } });
    await cluster.until('an event', () => cluster.events('web').some((e) => e.reason === 'RivalController'));
    expect(cluster.events('web').at(-1)!.message).toContain('service.k8s.aws/resources');
    expect(addressOf('web')).toBe('192.0.2.1');
  });

  test('a node that comes becomes a target, and writes nothing on the Service', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('an event', () => cluster.events('web').length > 0);
    const changed = Promise.withResolvers<void>();
    cloud.acted = () => changed.resolve();
    const from = cluster.kube.audit.length;
    cluster.addNode('b', '10.0.0.2');
    await changed.promise;
    expect(cloud.balancers.get('default/web')?.nodes).toEqual(['a', 'b']);
    cluster.create('other');
    await cluster.until('the other is ready', () => cluster.events('other').length > 0);
    expect(cluster.writes(from)).toEqual(['patch services/status', 'patch services/status', 'create events']);
  });
});

describe('a Service that cannot be served says why', () => {
  test('a refusal is in condition and event, holds nothing, and ends when its cause does', async () => {
    const provider = new MemoryProvider(cloud);
    provider.refused.add('default/web');
    await cluster.start(provider);
    cluster.create('web');
    await cluster.until('an event', () => cluster.events('web').length > 0);
    expect(condition(cluster.service('web'))).toMatchObject({ status: 'False', reason: 'PoolExhausted' });
    expect(cluster.events('web')[0]).toMatchObject({ type: 'Warning', reason: 'SyncLoadBalancerFailed' });
    expect(cluster.service('web')!.finalizers).toEqual([]);
    expect(cluster.lines.join('\n')).toMatch(/WARN .*default\/web.*PoolExhausted/);
    provider.refused.clear();
    provider.changed('default/web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
  });

  test('one that is served keeps what it has when it is edited into nonsense', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    cluster.patch('web', { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } });
    await cluster.until('refused', () => reasonOf('web') === 'AnnotationInvalid');
    expect(addressOf('web')).toBe('192.0.2.1');
    expect(cloud.balancers.has('default/web')).toBe(true);
  });

  test('a failing provider call is told, tried again, and does not hold up the others', async () => {
    cloud.refuse = (step) => (step.summary.endsWith('default/bad') ? new Error('the cloud is closed') : undefined);
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('bad');
    cluster.create('good');
    await cluster.until('good is ready', () => reasonOf('good') === 'Ready');
    await cluster.until('bad says why', () => reasonOf('bad') === 'SyncFailed');
    expect(condition(cluster.service('bad'))!.message).toContain('the cloud is closed');
    cloud.refuse = () => undefined;
    await cluster.until('bad is ready', () => reasonOf('bad') === 'Ready');
  });

  test('no target is healthy', async () => {
    cloud.unhealthy = ['a'];
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('NoHealthyTargets', () => cluster.events('web').some((e) => e.reason === 'UnAvailableLoadBalancer'));
    expect(condition(cluster.service('web'))).toMatchObject({ status: 'False', reason: 'NoHealthyTargets' });
    expect(cluster.service('web')!.annotations['nodeport-lb.io/targets']).toBe('0/1');
  });

  test('without a provider: NodePortOnly with the ways in, and nothing is held', async () => {
    await cluster.start(none.load());
    const { ports } = cluster.create('web');
    await cluster.until('an event', () => cluster.events('web').length > 0);
    expect(condition(cluster.service('web'))).toMatchObject({ status: 'False', reason: 'NodePortOnly' });
    expect(cluster.events('web')[0]!.message).toContain(`10.0.0.1:${ports[0]!.nodePort}`);
    expect(cluster.service('web')).toMatchObject({ finalizers: [], ingress: [] });
    cluster.patch('web', { spec: { type: 'ClusterIP', ports: [{ port: 80, nodePort: null }] } });
    await cluster.until('our condition is gone', () => condition(cluster.service('web')) === undefined);
  });
});

describe('addresses that somebody else uses', () => {
  test('a held address that turns up in externalIPs is kept, and the clash is named', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    cluster.create('thief', { type: 'ClusterIP', externalIPs: ['192.0.2.1'] });
    await cluster.until('the clash is named', () => cluster.events('web').some((e) => e.reason === 'AddressClash'));
    expect(addressOf('web')).toBe('192.0.2.1');
    expect(cluster.events('web').find((e) => e.reason === 'AddressClash')!.message).toContain('default/thief');
  });

  test('a Service that waits for a reserved address gets it when the reservation ends', async () => {
    const reserved = new MemoryProvider(cloud);
    reserved.honours = 'reservations';
    await cluster.start(reserved);
    cluster.create('holder', { type: 'ClusterIP', externalIPs: ['192.0.2.1'] });
    cluster.create('web');
    await cluster.until('refused', () => reasonOf('web') === 'AddressReserved');
    cluster.remove('holder');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
  });

  test("an address that another controller serves is given to nobody, until that one's Service lets go of it", async () => {
    const reserved = new MemoryProvider(cloud);
    reserved.honours = 'reservations';
    await cluster.start(reserved);
    cluster.create('theirs', { loadBalancerClass: 'example.com/other' });
    cluster.patch('theirs', { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } }, 'status');
    cluster.create('web');
    await cluster.until('refused', () => reasonOf('web') === 'AddressReserved');
    expect(condition(cluster.service('web'))?.message).toContain('Service default/theirs of another controller');
    cluster.patch('theirs', { spec: { type: 'NodePort' } });
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
  });

  test('a refused Service keeps over a restart what it holds', async () => {
    const first = await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    cluster.patch('web', { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } });
    await cluster.until('refused', () => reasonOf('web') === 'AnnotationInvalid');
    await first.stop(0);
    const next = new MemoryProvider(cloud);
    await cluster.start(next);
    expect(next.addressOf('default/web')).toBe('192.0.2.1');
  });
});

describe('a balancer goes with its Service', () => {
  test.each<{ why: string; act: () => void; left: boolean }>([
    { why: 'deleted', act: () => cluster.remove('web'), left: false },
    { why: 'type changed', act: () => cluster.patch('web', { spec: { type: 'ClusterIP' } }), left: true },
    {
      why: 'class changed by way of another type, seen as one change',
      act: () => {
        cluster.patch('web', { spec: { type: 'ClusterIP' } });
        cluster.patch('web', { spec: { type: 'LoadBalancer', loadBalancerClass: 'example.com/other' } });
      },
      left: true,
    },
  ])('$why, with the controller running and after a time without it', async ({ act, left }) => {
    for (const down of [false, true]) {
      const controller = await cluster.start(new MemoryProvider(cloud));
      cluster.create('web');
      await cluster.until('Ready', () => reasonOf('web') === 'Ready');
      if (down) await controller.stop(0);
      act();
      if (down) await cluster.start(new MemoryProvider(cloud));
      await cluster.until('let go', () => cluster.service('web')?.finalizers.length !== 1);
      expect(cloud.balancers.size).toBe(0);
      expect(cluster.service('web') !== undefined).toBe(left);
      if (left) expect(cluster.service('web')).toMatchObject({ finalizers: [], ingress: [], conditions: [] });
      if (left) cluster.remove('web');
      await controller.stop(0);
    }
  });

  test("another provider's balancer stays, and the Service says whose it is", async () => {
    const first = await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    await first.stop(0);
    await cluster.start(none.load());
    await cluster.until('OtherProvider', () => reasonOf('web') === 'OtherProvider');
    expect(condition(cluster.service('web'))!.message).toMatch(/memory.*192\.0\.2\.1.*gc --release/s);
    cluster.remove('web');
    await cluster.until('marked as deleted', () => cluster.service('web')?.deleting === true);
    expect(cluster.service('web')!.finalizers).toEqual([FINALIZER]);
  });
});

describe('crashes', () => {
  test('killed after the provider acted and before it was known: same address, one balancer', async () => {
    const first = new MemoryProvider(cloud);
    cloud.acted = () => {
      throw new Error('killed here');
    };
    const controller = await cluster.start(first);
    cluster.create('web');
    await cluster.until('held', () => cluster.service('web')?.finalizers.length === 1);
    await controller.stop(0);
    cloud.acted = () => {};
    await cluster.start(new MemoryProvider(cloud));
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    expect([...cloud.balancers.values()].map((b) => b.address)).toEqual([addressOf('web')]);
    expect(addressOf('web')).toBe('192.0.2.1');
  });

  test('a Service that went while nobody looked, finalizer and all: its balancer is taken down', async () => {
    const controller = await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    await controller.stop(0);
    cluster.patch('web', { metadata: { finalizers: null } });
    cluster.remove('web');
    await cluster.start(new MemoryProvider(cloud));
    expect(cloud.balancers.size).toBe(0);
  });

  test('the API server goes and comes back, its history compacted: the controller catches up', async () => {
    await cluster.start(new MemoryProvider(cloud));
    cluster.create('web');
    await cluster.until('Ready', () => reasonOf('web') === 'Ready');
    await cluster.kube.stop();
    cluster.create('later');
    cluster.kube.compact();
    await cluster.kube.start();
    await cluster.until('Ready', () => reasonOf('later') === 'Ready');
    expect(addressOf('web')).toBe('192.0.2.1');
  });
});

describe('what is not ours', () => {
  test('others are never written to', async () => {
    cluster.create('other-class', { loadBalancerClass: 'example.com/lb' });
    cluster.create('other-finalizer', {}, { finalizers: ['service.kubernetes.io/load-balancer-cleanup'] });
    cluster.create('plain', { type: 'NodePort' });
    cluster.create('other-status');
    cluster.kube.objects
      .as('metallb')
      .patch(
        { resource: 'services', namespace: 'default', name: 'other-status', subresource: 'status' },
        { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } } },
      );
    const versions = () =>
      cluster.kube.objects.list({ resource: 'services', namespace: 'default' }).map((s) => readService(s)!.resourceVersion);
    const before = versions();
    await cluster.start(new MemoryProvider(cloud), { claimUnsetClass: 'true' });
    expect(versions()).toEqual(before);
    expect(cluster.events('other-class')).toEqual([]);
  });

  test('with a rival in the cluster, Services without a class are left alone', async () => {
    cluster.kube.objects.create(
      { resource: 'daemonsets', group: 'apps', namespace: 'kube-system' },
      {
        metadata: { name: 'speaker' },
        spec: {
          selector: { matchLabels: { a: 'b' } },
          template: {
            metadata: { labels: { a: 'b' } },
            spec: { containers: [{ name: 'c', image: 'quay.io/metallb/speaker:v0.16.1' }] },
          },
        },
      },
    );
    cluster.create('unset');
    cluster.create('ours', { loadBalancerClass: 'nodeport-lb.io/lb' });
    await cluster.start(new MemoryProvider(cloud));
    await cluster.until('ours is ready', () => reasonOf('ours') === 'Ready');
    expect(cluster.service('unset')).toMatchObject({ finalizers: [], conditions: [] });
    expect(cluster.lines.join('\n')).toContain('saw MetalLB (DaemonSet kube-system/speaker)');
  });

  test('a dry run says what it would do and writes nothing', async () => {
    cluster.create('web');
    cluster.create('broken', {}, { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } });
    const from = cluster.kube.audit.length;
    await cluster.start(new MemoryProvider(cloud), { dryRun: true });
    expect(cluster.writes(from)).toEqual([]);
    expect(cloud.balancers.size).toBe(0);
    expect(cluster.lines).toEqual(
      expect.arrayContaining(['would: create-balancer default/web', expect.stringContaining('drain-seconds')]),
    );
  });

  test('only the namespaces that were named are looked at', async () => {
    cluster.kube.objects.create({ resource: 'namespaces' }, { metadata: { name: 'shop' } });
    cluster.create('web');
    await cluster.start(new MemoryProvider(cloud), { namespaces: ['shop'] });
    expect(cluster.service('web')!.finalizers).toEqual([]);
    const listed = cluster.kube.audit.filter((entry) => entry.resource === 'services' && ['list', 'watch'].includes(entry.verb));
    expect(new Set(listed.map((entry) => entry.namespace))).toEqual(new Set(['shop']));
  });
});

test('the metrics page tells Services by reason, targets by health, and provider calls by outcome', async () => {
  const metrics = await createMetrics(true, { version: '1', node: process.version });
  cloud.refuse = (step) => (step.summary.endsWith('default/bad') ? new Error('the cloud is closed') : undefined);
  const provider = Object.assign(new MemoryProvider(cloud), { connections: async () => 7 });
  await cluster.start(provider, {}, metrics);
  cluster.create('bad');
  cluster.create('good');
  cluster.create('theirs', { loadBalancerClass: 'example.com/lb' });
  const said = { type: CONDITION, status: 'False', reason: 'NoPorts', message: 'm', lastTransitionTime: '2026-01-01T00:00:00Z' };
  cluster.patch('theirs', { metadata: { finalizers: ['example.com/x'] }, status: { conditions: [said] } }, 'status');
  await cluster.until('good is ready', () => reasonOf('good') === 'Ready');
  await cluster.until('bad says why', () => reasonOf('bad') === 'SyncFailed');
  let text = '';
  const deadline = performance.now() + 60_000;
  while (!text.includes('reason="SyncFailed"') && performance.now() < deadline) {
    text = (await metrics.render()).text; // the answer to the patch may come after the watch of this test
    await new Promise((resolve) => setImmediate(resolve));
  }
  text = (await metrics.render()).text; // one more look counts no connection twice
  for (const line of [
    'nodeport_lb_services{state="ready",reason="Ready"} 1',
    'nodeport_lb_services{state="pending",reason="SyncFailed"} 1',
    'nodeport_lb_targets{health="healthy"} 1',
    'nodeport_lb_provider_requests_total{action="create-balancer",code="ok"} 1',
    'nodeport_lb_forwarder_connections_total 7',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect(text).not.toContain('NoPorts');
  expect(text).toMatch(/nodeport_lb_provider_requests_total\{action="create-balancer",code="Error"\} [2-9]/);
});
