import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunningLoad } from './lab/client.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { LabService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const CLUSTER_PORT = 3_000;
const NODE_PORT = 30_080;

function manifest(rest: string): string {
  return `
apiVersion: v1
kind: Service
metadata:
  name: service-python
spec:
${rest}`;
}

const withPort = (type: string, nodePort = '') =>
  manifest(`  type: ${type}
  ports:
  - port: ${CLUSTER_PORT}
    protocol: TCP
    targetPort: 443${nodePort}
  selector:
    run: pod-python
`);

/** One Service, edited in place, goes through every type; no earlier way in is ever lost on the way. */
describe('the life of service-python under one name', () => {
  let lab: Lab;
  let service: LabService;
  let ip = '';

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    const ports = [{ port: 443 }];
    await lab.deployment({
      namespace: 'default',
      name: 'pod-python',
      labels: { run: 'pod-python' },
      nodes: lab.nodes.slice(0, 2),
      ports,
    });
    service = new LabService(lab, 'default', 'service-python');
    startController(lab);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function clusterUrl(): Promise<string> {
    return `http://${(await service.read()).spec.clusterIP}:${CLUSTER_PORT}/`;
  }

  /** Requests to every way in that there is already, while `change` happens: not one may fail. */
  async function unharmed(ways: 'cluster' | 'nodes', change: () => Promise<void>): Promise<void> {
    const inside = lab.clientOn(lab.node('n1'));
    const loads: RunningLoad[] = [await inside.load({ url: await clusterUrl(), connections: 'new', perSecond: 20 })];
    if (ways === 'nodes') {
      for (const node of lab.nodes) {
        loads.push(await lab.client.load({ url: `http://${node.address}:${NODE_PORT}/`, connections: 'new', perSecond: 20 }));
      }
    }
    await change();
    for (const load of loads) {
      await until(async () => (await load.read()).sent >= 20, { withinMs: 20_000, what: '20 requests are sent' });
      const result = await load.stop();
      expect(result.failures).toEqual([]);
    }
  }

  async function waysAnswer(): Promise<void> {
    const { pod } = await lab.clientOn(lab.node('n3')).json(await clusterUrl());
    expect(pod).toMatch(/^pod-python-/);
    for (const node of lab.nodes) expect(await service.answers(node.address, NODE_PORT)).toMatch(/^pod-python-/);
  }

  test('ClusterIP: it answers inside, and nothing is said on it', async () => {
    await lab.apply(withPort('ClusterIP'));
    const url = await clusterUrl();
    const inside = lab.clientOn(lab.node('n1'));
    const { pod } = await until(() => inside.json(url), { withinMs: 20_000, what: `${url} answers` });
    expect(pod).toMatch(/^pod-python-/);
    await service.clean();
  });

  test('NodePort: the cluster IP goes on answering, and each node address answers at 30080', async () => {
    await unharmed('cluster', async () => {
      await lab.apply(withPort('NodePort', `\n    nodePort: ${NODE_PORT}`));
      await waysAnswer();
    });
    expect(lab.productWrites({ resource: 'services', name: 'service-python' })).toEqual([]);
  });

  test('LoadBalancer: the external IP answers, and every earlier way goes on while it serves', async () => {
    await unharmed('nodes', async () => {
      await lab.apply(withPort('LoadBalancer', `\n    nodePort: ${NODE_PORT}`));
      ip = await service.address();
      const result = await lab.client.burst(`http://${ip}:${CLUSTER_PORT}/`, 300);
      expect(result.failures).toEqual([]);
      await waysAnswer();
    });
    expect((await service.read()).spec.ports?.[0]?.nodePort).toBe(NODE_PORT);
  });

  test('ExternalName: status, condition, finalizer and listener are gone', async () => {
    await lab.apply(manifest('  type: ExternalName\n  externalName: python.example.org\n'));
    await service.clean();
    await service.closed(ip, CLUSTER_PORT);
    expect((await service.read()).spec.type).toBe('ExternalName');
  });

  test('and back: the LoadBalancer that comes after serves again', async () => {
    await lab.apply(withPort('LoadBalancer', `\n    nodePort: ${NODE_PORT}`));
    const again = await service.address();
    expect(await service.answers(again, CLUSTER_PORT)).toMatch(/^pod-python-/);
  });
});
