import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { CLASS, CONDITION, LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

/** What belongs to others is never touched, and what is ours is kept as it was. */
describe('others', () => {
  let lab: Lab;
  let controller: Process;
  const namespace = 'others';
  let canaries = 0;

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    const web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [lab.node('n1')], ports });
    const first = await makeService(lab, namespace, 'first');
    await sliced(lab.api, first, web.pods);
    controller = startController(lab);
    await first.address();
  });

  afterAll(async () => {
    await lab?.close();
  });

  /** A Service that is served after what happened before it: the controller has seen that too. */
  async function canary(): Promise<void> {
    const service = await makeService(lab, namespace, `canary-${++canaries}`, { spec: { loadBalancerClass: CLASS } });
    await service.address();
    await lab.api.delete(service.path);
    await service.deleted();
  }

  /** No request that changes the Service, and no event about it. */
  async function expectUntouched(service: LabService): Promise<void> {
    await canary();
    await controller.stop(20_000);
    controller = startController(lab); // nor at a start
    await canary();
    const writes = lab.productWrites({ namespace, name: service.name });
    expect(writes.filter((write) => write.code !== 409)).toEqual([]); // one that lost against a newer version has changed nothing
    expect(await service.events()).toEqual([]);
  }

  test('a Service of another class', async () => {
    await expectUntouched(await makeService(lab, namespace, 'other-class', { spec: { loadBalancerClass: 'example.com/other' } }));
  });

  test('a Service with the cleanup finalizer of another controller', async () => {
    await lab.apply(`
apiVersion: v1
kind: Service
metadata: { name: other-finalizer, namespace: ${namespace}, finalizers: [service.kubernetes.io/load-balancer-cleanup] }
spec: { type: LoadBalancer, selector: { app: web }, ports: [{ port: 80 }] }
`);
    const service = new LabService(lab, namespace, 'other-finalizer');
    await expectUntouched(service);
    await service.patch({ metadata: { finalizers: null } });
  });

  test('a Service whose status another manager wrote', async () => {
    const service = await makeService(lab, namespace, 'other-status', { type: 'NodePort' });
    controller.signal('SIGSTOP'); // it becomes a LoadBalancer and gets the other's address before we look
    await service.patch({ spec: { type: 'LoadBalancer' } });
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.7' }] } } });
    controller.signal('SIGCONT');
    await expectUntouched(service);
    expect((await service.read()).status.loadBalancer.ingress).toMatchObject([{ ip: '192.0.2.7' }]);
  });

  test('a Service whose aws-load-balancer-type names another controller', async () => {
    const annotations = { 'service.beta.kubernetes.io/aws-load-balancer-type': 'external' };
    await expectUntouched(await makeService(lab, namespace, 'other-aws', { annotations }));
  });

  test('plain Services of every type', async () => {
    for (const [name, spec] of Object.entries({
      'plain-cluster-ip': { type: 'ClusterIP' },
      'plain-node-port': { type: 'NodePort' },
      'plain-headless': { type: 'ClusterIP', spec: { clusterIP: 'None' } },
    })) {
      await makeService(lab, namespace, name, spec);
    }
    await expectUntouched(new LabService(lab, namespace, 'plain-headless'));
    for (const name of ['plain-cluster-ip', 'plain-node-port']) expect(lab.productWrites({ namespace, name })).toEqual([]);
  });

  test('our status cleared by somebody comes back', async () => {
    const service = await makeService(lab, namespace, 'cleared');
    const ip = await service.address();
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { loadBalancer: { ingress: null } } });
    expect(await restored(service)).toEqual([ip]);
  });

  test('our status edited by somebody comes back', async () => {
    const service = await makeService(lab, namespace, 'edited');
    const ip = await service.address();
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.8' }] } } });
    expect(await restored(service, ip)).toEqual([ip]);
    await service.answers(ip, 80);
  });

  test('a status that another controller writes over and over is left to it, and an event names it', async () => {
    const service = await makeService(lab, namespace, 'fought-over');
    const ip = await service.address();
    const rival = lab.apiAs('rival');
    await until(
      async () => {
        const { status } = await service.read();
        const reason = status.conditions?.find((condition) => condition.type === CONDITION)?.reason;
        if (reason === 'RivalController') return true;
        if (status.loadBalancer.ingress?.[0]?.ip === ip)
          await rival.patch(`${service.path}/status`, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } } });
        return false;
      },
      { withinMs: 30_000, what: 'one of the two gives up' },
    );
    expect((await service.read()).status.loadBalancer.ingress).toMatchObject([{ ip: '192.0.2.9' }]);
    await service.event('SyncLoadBalancerFailed', /^RivalController: \S+ writes the status/);
    await service.answers(ip, 80); // what was made stays, in case the other gives up
  });

  test('our status and condition cleared while the controller is down come back, with the same address', async () => {
    const service = await makeService(lab, namespace, 'cleared-while-down');
    const ip = await service.address();
    await controller.kill();
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { loadBalancer: { ingress: null }, conditions: null } });
    controller = startController(lab);
    expect(await service.address()).toBe(ip);
    await service.answers(ip, 80);
  });

  test('a condition of somebody else stays beside ours, with and after us', async () => {
    const service = await makeService(lab, namespace, 'two-conditions');
    const theirs = {
      type: 'example.com/Audited',
      status: 'True',
      reason: 'Fine',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    await service.address();
    const { status } = await service.read();
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { conditions: [...(status.conditions ?? []), theirs] } });
    await service.patch({ spec: { ports: [{ port: 81, targetPort: 'http' }] } });
    await service.address();
    const types = async () => (await service.read()).status.conditions?.map((condition) => condition.type).sort();
    expect(await types()).toEqual(['example.com/Audited', CONDITION]);
    await service.patch({ spec: { type: 'ClusterIP' } });
    await service.clean();
    expect(await types()).toEqual(['example.com/Audited']);
  });

  /** The published addresses once the first is `ip`, or any. */
  async function restored(service: LabService, ip?: string): Promise<readonly (string | undefined)[]> {
    return until(
      async () => {
        const { ingress } = (await service.read()).status.loadBalancer;
        return ingress && (ip === undefined || ingress[0]?.ip === ip) ? ingress.map((entry) => entry.ip) : undefined;
      },
      { withinMs: 20_000, what: 'the status is back' },
    );
  }
});
