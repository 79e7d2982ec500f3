import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { FINALIZER, LabService, makeService, startController } from './lab/product.ts';

/** Without a provider a LoadBalancer Service stays the NodePort Service that it also is, and says so. */
describe('provider none', () => {
  let lab: Lab;
  let controller: Process;
  const namespace = 'none';

  beforeAll(async () => {
    lab = await startLab({ nodes: [{ external: true, nodePortsOn: 'both' }, {}, {}] });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes.slice(0, 2), ports });
    controller = startController(lab, { provider: 'none' });
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('every NodePort answers, and condition and event say where and why there is no external IP', async () => {
    const service = await makeService(lab, namespace, 'web');
    const message = await service.refused('NodePortOnly');
    const object = await service.read();
    const nodePort = object.spec.ports?.[0]?.nodePort ?? 0;
    const ways = [...lab.nodes.map((node) => node.address), lab.node('n1').external];
    for (const address of ways) {
      await service.answers(address, nodePort);
      expect(message).toContain(`${address}:${nodePort}`);
    }
    const event = await service.event('NodePortOnly', /--provider/);
    expect(event.message).toContain(`${lab.node('n2').address}:${nodePort}`);
    expect(object.metadata.finalizers ?? []).not.toContain(FINALIZER);
    expect(object.status.loadBalancer).toEqual({});
    const described = await lab.kubectl(['-n', namespace, 'describe', 'service', 'web']);
    expect(described).toContain('NodePortOnly');
  });

  test('it is deleted at once: nothing was held', async () => {
    const service = new LabService(lab, namespace, 'web');
    await lab.kubectl(['-n', namespace, 'delete', 'service', 'web', '--timeout=10s']);
    await service.deleted();
  });

  test('none -> local: the Service gets its address', async () => {
    const service = await makeService(lab, namespace, 'grows');
    await service.refused('NodePortOnly');
    expect(await controller.stop(20_000)).toEqual({ code: 0, signal: null });
    controller = startController(lab);
    const ip = await service.address();
    await service.answers(ip, 80);
  });

  test('local -> none: says what it leaves behind and how to let go, and the NodePort answers', async () => {
    const service = new LabService(lab, namespace, 'grows');
    const ip = await service.address();
    await controller.stop(20_000);
    controller = startController(lab, { provider: 'none' });
    const message = await service.refused('OtherProvider');
    expect(message).toContain('local');
    expect(message).toContain(ip);
    expect(message).toMatch(/gc --release/);
    await service.event('SyncLoadBalancerFailed', /OtherProvider/);
    const object = await service.read();
    expect(object.metadata.finalizers).toContain(FINALIZER);
    await service.answers(lab.node('n3').address, object.spec.ports?.[0]?.nodePort ?? 0);
    await controller.stop(20_000);
    controller = startController(lab);
    expect(await service.address()).toBe(ip);
  });
});
