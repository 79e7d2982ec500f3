import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { inside } from './lab/network.ts';
import type { Process } from './lab/process.ts';
import { enteredBy, LabService, makeService, type ServiceWish, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const CONFIG = `
localPools:
- { name: open, addresses: [127.0.1.0/28] }
- { name: asked, addresses: [172.31.79.1-172.31.79.4], autoAssign: false }
- { name: closed, addresses: [127.0.3.1], namespaces: [elsewhere] }
`;

describe('ports and addresses', () => {
  let lab: Lab;
  let controller: Process;
  const namespace = 'ports';
  const made: LabService[] = [];

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    for (const name of [namespace, 'elsewhere']) {
      await lab.namespace(name);
      const ports = [{ name: 'http', port: 8080 }];
      await lab.deployment({ namespace: name, name: `web-${name}`, labels: { app: 'web' }, nodes: [lab.node('n1')], ports });
    }
    // The API server admits no loopback address in externalIPs, so one pool has addresses of the hub's bridge.
    await inside(
      lab.plane.hub,
      [1, 2, 3, 4].map((i) => `ip addr add 172.31.79.${i}/32 dev br0`),
    );
    controller = startWithPools();
  });

  afterAll(async () => {
    await lab?.close();
  });

  afterEach(async () => {
    for (const service of made.splice(0)) {
      if ((await lab.api.find(service.path)) !== undefined) await lab.api.delete(service.path);
      await service.deleted();
    }
  });

  function startWithPools(): Process {
    return startController(lab, { args: ['--config', writePools(CONFIG)] });
  }

  function writePools(config: string): string {
    const file = join(lab.plane.directory, 'nodeport-lb.yaml');
    writeFileSync(file, config);
    return file;
  }

  async function make(name: string, wish: ServiceWish = {}, where = namespace): Promise<LabService> {
    const service = await makeService(lab, where, name, wish);
    made.push(service);
    return service;
  }

  const at = (address: string, port = 80): ServiceWish => ({
    spec: { loadBalancerIP: address },
    ports: [{ port, targetPort: 'http' }],
  });

  /** Creation times have whole seconds: what comes after this is younger for everybody. */
  async function olderThanNext(service: LabService): Promise<void> {
    const born = Date.parse(
      (await lab.api.get<{ metadata: { creationTimestamp: string } }>(service.path)).metadata.creationTimestamp,
    );
    await until(() => Date.now() >= born + 1_100, { withinMs: 5_000, what: 'the next second has begun' });
  }

  test('a port is added and removed while the other one goes on', async () => {
    // The port has its name from the start: one that gets a name is another port to kube-proxy, with no endpoints for a moment.
    const service = await make('two-ports', { ports: [{ name: 'first', port: 80, targetPort: 'http' }] });
    const ip = await service.address();
    await enteredBy(lab, service, ip, ['n1', 'n2']); // kube-proxy takes a second to open a NodePort
    const load = await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 40 });
    const kept = (await service.read()).spec.ports?.[0];
    await service.patch({ spec: { ports: [kept, { name: 'second', port: 81, targetPort: 'http' }] } });
    await service.answers(ip, 81);
    const published = await until(async () => (await service.read()).status.loadBalancer.ingress?.[0]?.ports?.length === 2, {
      withinMs: 20_000,
      what: 'both ports are published',
    });
    expect(published).toBe(true);
    await service.patch({ spec: { ports: [kept] } });
    await service.closed(ip, 81);
    await until(async () => (await load.read()).sent >= 40, { withinMs: 20_000, what: '40 requests are sent' });
    expect((await load.stop()).failures).toEqual([]);
    expect(await service.address()).toBe(ip);
  });

  test('the nodePort changes: traffic follows', async () => {
    const service = await make('moving');
    const ip = await service.address();
    await enteredBy(lab, service, ip, ['n1', 'n2']);
    await service.patch({ spec: { ports: [{ port: 80, targetPort: 'http', nodePort: 32_100 }] } });
    await enteredBy(lab, service, ip, ['n1', 'n2']);
    expect((await service.read()).spec.ports?.[0]?.nodePort).toBe(32_100);
    expect(await service.address()).toBe(ip);
  });

  test('the port itself changes: the old one closes, the address stays', async () => {
    const service = await make('renumbered');
    const ip = await service.address();
    await service.answers(ip, 80);
    await service.patch({ spec: { ports: [{ port: 8088, targetPort: 'http' }] } });
    await service.answers(ip, 8088);
    await service.closed(ip, 80);
    expect(await service.address()).toBe(ip);
  });

  test('loadBalancerIP, addresses and pool are honoured', async () => {
    expect(await (await make('by-field', at('127.0.1.5'))).address()).toBe('127.0.1.5');
    const byName = await make('by-annotation', { annotations: { 'nodeport-lb.io/addresses': '172.31.79.2' } });
    expect(await byName.address()).toBe('172.31.79.2');
    await byName.answers('172.31.79.2', 80);
    expect(await (await make('by-pool', { annotations: { 'nodeport-lb.io/pool': 'asked' } })).address()).toMatch(
      /^172\.31\.79\.[134]$/,
    );
    expect(await (await make('by-nothing')).address()).toMatch(/^127\.0\.1\./);
  });

  test.each([
    { what: 'an address of no pool', wish: at('127.0.9.9'), code: 'AddressNotInPool', says: /127\.0\.9\.9/ },
    { what: 'an address that is none', wish: { annotations: { 'nodeport-lb.io/addresses': 'home' } }, code: 'A', says: /home/ },
    {
      what: 'an unknown pool',
      wish: { annotations: { 'nodeport-lb.io/pool': 'lost' } },
      code: 'PoolUnknown',
      says: /lost.*open/,
    },
    {
      what: 'a closed pool',
      wish: { annotations: { 'nodeport-lb.io/pool': 'closed' } },
      code: 'PoolNotAllowed',
      says: /elsewhere/,
    },
  ])('$what is refused by name, in condition and event', async ({ wish, code, says }) => {
    const service = await make('refused', wish);
    const refusals = code === 'A' ? ['AnnotationInvalid', 'AddressInvalid'] : [code];
    const condition = await until(
      async () => {
        const found = await service.condition();
        return found && refusals.includes(found.reason) ? found : undefined;
      },
      { withinMs: 20_000, what: `it is refused with ${refusals.join(' or ')}` },
    );
    expect(condition.message).toMatch(says);
    await service.event('SyncLoadBalancerFailed', says);
    expect((await service.read()).status.loadBalancer).toEqual({});
  });

  test('the pool closed to others serves its own namespace', async () => {
    const service = await make('at-home', { annotations: { 'nodeport-lb.io/pool': 'closed' } }, 'elsewhere');
    expect(await service.address()).toBe('127.0.3.1');
  });

  test('two want one address and port: the older keeps it, also over a restart, the younger is told by whom and takes over', async () => {
    const older = await make('older', at('127.0.1.7'));
    expect(await older.address()).toBe('127.0.1.7');
    await olderThanNext(older);
    const younger = await make('younger', at('127.0.1.7'));
    expect(await younger.refused('AddressInUse')).toContain(`${namespace}/older`);
    await younger.event('SyncLoadBalancerFailed', /ports\/older/);
    await controller.stop(20_000);
    controller = startWithPools();
    expect(await older.address()).toBe('127.0.1.7');
    await older.answers('127.0.1.7', 80);
    expect(await younger.refused('AddressInUse')).toContain(`${namespace}/older`);
    await lab.api.delete(older.path);
    expect(await younger.address()).toBe('127.0.1.7');
  });

  test('share: two Services of a namespace have one address, each with its ports, and each can leave', async () => {
    const share = { 'nodeport-lb.io/share': 'front' };
    const first = await make('share-a', { annotations: share, ports: [{ port: 80, targetPort: 'http' }] });
    await olderThanNext(first);
    const second = await make('share-b', { annotations: share, ports: [{ port: 8443, targetPort: 'http' }] });
    const ip = await first.address();
    expect(await second.address()).toBe(ip);
    await first.answers(ip, 80);
    await second.answers(ip, 8443);
    await olderThanNext(second);
    const third = await make('share-c', { annotations: share, ports: [{ port: 8443, targetPort: 'http' }] });
    expect(await third.refused('SharePortClash')).toContain(`${namespace}/share-b`);
    await lab.api.delete(first.path);
    await first.deleted();
    await first.closed(ip, 80);
    await second.answers(ip, 8443);
    expect(await second.address()).toBe(ip);
  });

  test('share across namespaces is refused: the same group elsewhere is another one, and naming it is told why', async () => {
    const share = { 'nodeport-lb.io/share': 'wide' };
    const here = await make('wide', { annotations: share, ...at('127.0.1.9') });
    expect(await here.address()).toBe('127.0.1.9');
    await olderThanNext(here);
    const there = await make('wide', { annotations: share, ...at('127.0.1.9', 8443) }, 'elsewhere');
    expect(await there.refused('ShareAcrossNamespaces')).toContain(`${namespace}/wide`);
    const named = await make('named', { annotations: { 'nodeport-lb.io/share': `${namespace}/wide` } }, 'elsewhere');
    expect(await named.refused('ShareAcrossNamespaces')).toContain('--share-across-namespaces');
  });

  test('an address that is some Service’s externalIPs is never allocated', async () => {
    const taken = ['172.31.79.1', '172.31.79.2', '172.31.79.4'];
    await make('with-external-ips', { type: 'ClusterIP', spec: { externalIPs: taken } });
    const pool = { annotations: { 'nodeport-lb.io/pool': 'asked' } };
    const only = await make('only-one-left', pool);
    expect(await only.address()).toBe('172.31.79.3');
    const none = await make('none-left', pool);
    expect(await none.refused('PoolExhausted')).toContain('asked');
    const wanted = await make('wants-it', { annotations: { 'nodeport-lb.io/addresses': '172.31.79.1' } });
    expect(await wanted.refused('AddressReserved')).toContain(`${namespace}/with-external-ips`);
    await lab.api.patch(new LabService(lab, namespace, 'with-external-ips').path, { spec: { externalIPs: null } });
    expect(await wanted.address()).toBe('172.31.79.1');
    expect(await none.address()).toMatch(/^172\.31\.79\.[24]$/);
  });

  test('the pools become others while it runs: nobody moves unasked, who comes gets one of the new, who allows it moves', async () => {
    const kept = await make('kept');
    const address = await kept.address();
    const { pid } = controller;
    writePools(CONFIG.replace('127.0.1.0/28', '127.0.5.0/28'));
    await kept.event('LoadBalancerNotes', new RegExp(`${address} is kept although no pool`));
    const fresh = await make('fresh', { ports: [{ port: 8443, targetPort: 'http' }] });
    expect(await fresh.address()).toMatch(/^127\.0\.5\./);
    expect(await kept.address()).toBe(address);
    await kept.answers(address, 80);
    await kept.annotate({ 'nodeport-lb.io/allow-disruption': 'true' });
    await until(async () => /^127\.0\.5\./.test(await kept.address()), { withinMs: 60_000, what: 'it has moved' });
    await kept.answers(await kept.address(), 80);
    await kept.closed(address, 80);
    expect([controller.alive, controller.pid]).toEqual([true, pid]);
  });
});
