import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { inside } from './lab/network.ts';
import { Process } from './lab/process.ts';
import { DEFAULT_POOL, entriesDuring, LabService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const kubia = `
apiVersion: v1
kind: Service
metadata:
  name: kubia-nodeport
spec:
  type: NodePort
  ports:
  - port: 80
    targetPort: 8080
    nodePort: 30123
  selector:
    app: kubia
---
apiVersion: v1
kind: Service
metadata:
  name: kubia-loadbalancer
spec:
  type: LoadBalancer
  ports:
  - port: 80
    targetPort: 8080
  selector:
    app: kubia
`;

const tomcat = `
apiVersion: v1
kind: Service
metadata:
  name: tomcat-service
  namespace: study
spec:
  type: NodePort
  selector:
    app: tomcat
  ports:
  - port: 30080
    targetPort: 8080
    nodePort: 30081
`;

const mine = `
apiVersion: v1
kind: Service
metadata:
  name: my-service
spec:
  ports:
  - protocol: TCP
    port: 80
    targetPort: 9376
---
apiVersion: v1
kind: Endpoints
metadata:
  name: my-service
subsets:
- addresses:
  - ip: 1.2.3.4
  ports:
  - port: 9376
`;

/** The Services of every tutorial, applied as they are written there. */
describe('the manifests of the tutorials', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    await lab.namespace('study');
    const ports = [{ port: 8080 }];
    await lab.deployment({ namespace: 'default', name: 'kubia', labels: { app: 'kubia' }, nodes: lab.nodes, ports });
    await lab.deployment({ namespace: 'study', name: 'tomcat', labels: { app: 'tomcat' }, nodes: lab.nodes, ports });
    await startOutsider(lab);
    startController(lab);
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('kubia: the NodePort Service stays what it is, the LoadBalancer gets an external IP', async () => {
    await lab.apply(kubia);
    const balancer = new LabService(lab, 'default', 'kubia-loadbalancer');
    const ip = await balancer.address();
    expect(ip).toMatch(DEFAULT_POOL);
    expect(await externalIp(lab, 'default', 'kubia-loadbalancer')).toBe(ip);
    expect(await externalIp(lab, 'default', 'kubia-nodeport')).toBe('<none>');
    expect(await balancer.answers(ip, 80)).toMatch(/^kubia-/);
    const plain = new LabService(lab, 'default', 'kubia-nodeport');
    for (const node of lab.nodes) expect(await plain.answers(node.address, 30_123)).toMatch(/^kubia-/);
    expect(lab.productWrites({ resource: 'services', name: 'kubia-nodeport' })).toEqual([]);
  });

  test('3,000 requests: each node is entered within 20% of its fair share, and none fails', async () => {
    const balancer = new LabService(lab, 'default', 'kubia-loadbalancer');
    const ip = await balancer.address();
    const nodePort = (await balancer.read()).spec.ports?.[0]?.nodePort ?? 0;
    const everyNode = async (): Promise<boolean> => {
      const entered = await entriesDuring(lab, nodePort, async () => void (await lab.client.burst(`http://${ip}/`, 9)));
      return entered.every((count) => count === 3);
    };
    // kube-proxy opens a new NodePort at each node in its own time, and a node gets its share from then on
    await until(everyNode, { withinMs: 30_000, what: 'every node opened the NodePort' });
    const entries = await entriesDuring(lab, nodePort, async () => {
      const result = await lab.client.burst(`http://${ip}/`, 3_000);
      expect(result.failures).toEqual([]);
      expect(result.answered).toBe(3_000);
      expect(Object.keys(result.byPod)).toHaveLength(3);
    });
    for (const count of entries) {
      expect(count).toBeGreaterThan(800);
      expect(count).toBeLessThan(1_200);
    }
  });

  test('tomcat: a NodePort Service in a namespace of its own is made a LoadBalancer and keeps its nodePort', async () => {
    await lab.apply(tomcat);
    const service = new LabService(lab, 'study', 'tomcat-service');
    expect(await service.answers(lab.node('n1').address, 30_081)).toMatch(/^tomcat-/);
    await lab.apply(tomcat.replace('type: NodePort', 'type: LoadBalancer'));
    const ip = await service.address();
    expect(await externalIp(lab, 'study', 'tomcat-service')).toBe(ip);
    expect(await service.answers(ip, 30_080)).toMatch(/^tomcat-/);
    for (const node of lab.nodes) expect(await service.answers(node.address, 30_081)).toMatch(/^tomcat-/);
  });

  test('my-service: without a selector, with Endpoints made by hand, it is a LoadBalancer like any other', async () => {
    await lab.apply(mine);
    await lab.kubectl(['patch', 'service', 'my-service', '-p', '{"spec":{"type":"LoadBalancer"}}']);
    const service = new LabService(lab, 'default', 'my-service');
    const ip = await service.address();
    expect(await service.answers(ip, 80)).toBe('outsider');
  });

  test('describe shows how it went, and every address is one of its own', async () => {
    const text = await lab.kubectl(['describe', 'service', 'kubia-loadbalancer']);
    expect(text).toMatch(/Normal\s+EnsuredLoadBalancer/);
    const all = ['kubia-loadbalancer', 'my-service'].map((name) => new LabService(lab, 'default', name).address());
    const addresses = await Promise.all([...all, new LabService(lab, 'study', 'tomcat-service').address()]);
    expect(new Set(addresses).size).toBe(3);
  });

  test('a deleted Service closes its address', async () => {
    const service = new LabService(lab, 'study', 'tomcat-service');
    const ip = await service.address();
    await lab.kubectl(['-n', 'study', 'delete', 'service', 'tomcat-service', '--timeout=30s']);
    await service.closed(ip, 30_080);
  });
});

/** What `kubectl get svc` shows under EXTERNAL-IP. */
async function externalIp(lab: Lab, namespace: string, name: string): Promise<string> {
  const [head, row] = (await lab.kubectl(['-n', namespace, 'get', 'svc', name])).split('\n');
  expect(head).toMatch(/^NAME\s+TYPE\s+CLUSTER-IP\s+EXTERNAL-IP/);
  return row?.split(/\s+/)[3] ?? '';
}

/** A server at 1.2.3.4, outside of the cluster, that the nodes reach by their default route. */
async function startOutsider(lab: Lab): Promise<void> {
  await inside(lab.plane.hub, ['ip addr add 1.2.3.4/32 dev lo']);
  const server = new Process({
    name: 'outsider',
    namespace: lab.plane.hub,
    command: process.execPath,
    args: [
      join(import.meta.dirname, 'lab/pod.ts'),
      JSON.stringify({ pod: 'outsider', node: '', addresses: ['1.2.3.4'], ports: [9376], graceMs: 0 }),
    ],
    logFile: join(lab.plane.directory, 'outsider.log'),
  });
  await server.logged(/listening/, 20_000);
}
