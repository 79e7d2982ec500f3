import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { enteredBy, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

/** After some outages in a row Kubernetes' own parts wait up to half a minute before they ask again: what needs them is slow. */
const SLOW_MS = 120_000;

/** The API server goes away and comes back; traffic does not care, and the controller catches up by itself. */
describe('outage of the API server', () => {
  let lab: Lab;
  let controller: Process;
  let service: LabService;
  let ip: string;
  const namespace = 'outage';

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const nodes = [lab.node('n1'), lab.node('n2')];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes, ports });
    controller = startController(lab);
    service = await makeService(lab, namespace, 'web');
    ip = await service.address();
    await enteredBy(lab, service, ip, ['n1', 'n2', 'n3']);
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('it is stopped and restarted: not one request fails, and what was changed around it is caught up with', async () => {
    const load = await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 40 });
    const kept = await lab.client.load({ url: `http://${ip}/`, connections: 'kept', perSecond: 20 });
    await lab.stopApiServer();
    await until(async () => (await load.read()).sent >= 200, {
      withinMs: 30_000,
      what: '200 requests are sent without an API server',
    });
    await lab.restartApiServer();
    const another = await makeService(lab, namespace, 'after-restart');
    const anotherIp = await another.address(SLOW_MS);
    await another.answers(anotherIp, 80, SLOW_MS);
    await lab.api.delete(another.path);
    await another.deleted();
    for (const running of [load, kept]) expect((await running.stop()).failures).toEqual([]);
    expect(controller.alive).toBe(true);
    expect(await service.address()).toBe(ip);
  });

  test('a node dies while there is no API server: the health check needs none', async () => {
    await lab.stopApiServer();
    await lab.node('n3').down();
    const load = await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 40 });
    await until(async () => (await load.read()).sent >= 200, { withinMs: 30_000, what: '200 requests are sent' });
    expect((await load.stop()).failures).toEqual([]);
    await lab.restartApiServer();
    await lab.node('n3').up();
    await enteredBy(lab, service, ip, ['n1', 'n2', 'n3']);
  });

  test('etcd is compacted while the controller sleeps (410): it lists again and catches up', async () => {
    const gone = await makeService(lab, namespace, 'gone-meanwhile');
    const goneIp = await gone.address();
    const changed = await makeService(lab, namespace, 'changed-meanwhile');
    const changedIp = await changed.address();
    controller.signal('SIGSTOP');
    await lab.api.delete(gone.path);
    await changed.patch({ spec: { ports: [{ port: 8088, targetPort: 'http' }] } });
    const fresh = await makeService(lab, namespace, 'new-meanwhile');
    await lab.stopApiServer();
    await lab.restartApiServer(); // its watch cache begins anew, so that the controller's last resource version is too old
    await lab.compactEtcd();
    controller.signal('SIGCONT');
    await gone.deleted(60_000);
    await gone.closed(goneIp, 80);
    await changed.answers(changedIp, 8088, SLOW_MS);
    await changed.closed(changedIp, 80);
    await fresh.answers(await fresh.address(SLOW_MS), 80, SLOW_MS);
    expect(await service.address()).toBe(ip);
    expect(controller.alive).toBe(true);
  });

  test('it was not restarted once, and writes nothing any more once everybody has caught up', async () => {
    const quietMs = 5_000;
    await until(() => lab.productWrites({ since: Date.now() - quietMs }).length === 0, {
      withinMs: SLOW_MS,
      what: `nothing is written for ${quietMs} ms`,
    });
    expect((await service.condition())?.reason).toBe('Ready');
    expect(controller.alive).toBe(true);
  });
});
