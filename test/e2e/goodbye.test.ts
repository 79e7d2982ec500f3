import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { CLASS, type LabService, makeService, marksOf, startController } from './lab/product.ts';

/** Every Service here asks for this address, so that each shows that the one before it has given it back. */
const ADDRESS = '127.0.0.60';
const OTHER_CLASS = 'example.com/other';

interface Goodbye {
  readonly how: string;
  /** Does it; what is left of the Service afterwards is clean, or gone. */
  readonly leave: (lab: Lab, service: LabService) => Promise<unknown>;
  readonly gone?: true;
}

const goodbyes: readonly Goodbye[] = [
  { how: 'its type becomes ClusterIP', leave: (_, service) => service.patch({ spec: { type: 'ClusterIP' } }) },
  { how: 'its type becomes NodePort', leave: (_, service) => service.patch({ spec: { type: 'NodePort' } }) },
  {
    how: 'its class becomes another by way of ClusterIP',
    leave: async (_, service) => {
      await service.patch({ spec: { type: 'ClusterIP' } });
      await service.patch({ spec: { type: 'LoadBalancer', loadBalancerClass: OTHER_CLASS } });
    },
  },
  {
    how: 'it is deleted',
    leave: (lab, service) => lab.kubectl(['-n', service.namespace, 'delete', 'service', service.name, '--wait=false']),
    gone: true,
  },
];

/** A Service that wants no balancer of ours any more leaves nothing behind, whoever was awake when it happened. */
describe('goodbye', () => {
  let lab: Lab;
  let controller: Process;
  const namespace = 'goodbye';
  let made = 0;

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [lab.node('n1')], ports });
    controller = startController(lab);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function served(): Promise<LabService> {
    const service = await makeService(lab, namespace, `web-${++made}`, {
      spec: { loadBalancerClass: CLASS, loadBalancerIP: ADDRESS },
    });
    expect(await service.address()).toBe(ADDRESS);
    await service.answers(ADDRESS, 80);
    return service;
  }

  async function expectGone(service: LabService, gone: boolean): Promise<void> {
    if (gone) await service.deleted();
    else await service.clean();
    await service.closed(ADDRESS, 80);
  }

  test.each(goodbyes)('$how: listener closed, nothing of ours left, the address free again', async ({ leave, gone }) => {
    const service = await served();
    await leave(lab, service);
    await expectGone(service, gone ?? false);
    const next = await served();
    await lab.api.delete(next.path);
    await expectGone(next, true);
  });

  test.each(goodbyes)('while the controller is down, $how: the next one cleans up', async ({ leave, gone }) => {
    const service = await served();
    await controller.kill();
    await service.closed(ADDRESS, 80);
    await leave(lab, service);
    expect(marksOf(await service.read())).toContain('finalizer'); // nobody else may take it
    controller = startController(lab);
    await expectGone(service, gone ?? false);
    const next = await served();
    await lab.api.delete(next.path);
    await expectGone(next, true);
  });

  test('another class by way of ClusterIP, seen as one change', async () => {
    const service = await served();
    controller.signal('SIGSTOP');
    await service.patch({ spec: { type: 'ClusterIP' } });
    await service.patch({ spec: { type: 'LoadBalancer', loadBalancerClass: OTHER_CLASS } });
    controller.signal('SIGCONT');
    await expectGone(service, false);
  });

  test('deleted and made again under the same name while the controller is down: the new one is served', async () => {
    const service = await served();
    await controller.kill();
    await lab.api.delete(service.path);
    await service.patch({ metadata: { finalizers: null } }); // somebody is impatient
    await service.deleted();
    const again = await makeService(lab, namespace, service.name, { spec: { loadBalancerIP: ADDRESS } });
    controller = startController(lab);
    expect(await again.address()).toBe(ADDRESS);
    await again.answers(ADDRESS, 80);
    await lab.api.delete(again.path);
    await expectGone(again, true);
  });

  test('the class cannot change while the type stays: the API server says so, and nothing happens', async () => {
    const service = await served();
    await expect(service.patch({ spec: { loadBalancerClass: OTHER_CLASS } })).rejects.toMatchObject({ status: 422 });
    expect(await service.address()).toBe(ADDRESS);
    await lab.api.delete(service.path);
    await expectGone(service, true);
  });

  test('events tell the story', async () => {
    const service = await served();
    await service.patch({ spec: { type: 'ClusterIP' } });
    await service.clean();
    await service.event('EnsuredLoadBalancer', /127\.0\.0\.60/);
    await service.event('DeletedLoadBalancer', /ClusterIP/);
  });
});
