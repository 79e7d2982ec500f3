import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { at, list, readNode, readService, text } from '../../../src/kube/objects.ts';
import { ask } from '../../../src/sandbox/demo/ask.ts';
import { until } from '../../../src/sandbox/demo/story.ts';
import { type SandboxKube, startKube } from '../../../src/sandbox/kube/kube.ts';
import { ApiClient } from '../../../src/sandbox/nodes/api.ts';
import { type SandboxNodes, startNodes } from '../../../src/sandbox/nodes/nodes.ts';

const WAIT_MS = 60_000;
let kube: SandboxKube;
let nodes: SandboxNodes;
let api: ApiClient;
let number = 0;

beforeAll(async () => {
  kube = await startKube({});
  api = new ApiClient({ url: kube.url });
  nodes = await startNodes({ api: { url: kube.url } });
});

afterAll(async () => {
  api.close();
  await nodes.stop();
  await kube.stop();
});

interface Wish {
  replicas?: number;
  ports?: object[];
  spec?: object;
}

/** A Deployment and the Service before it, under a name of their own; resolves when each node's NodePort answers. */
async function serve({ replicas = 3, ports = [{ containerPort: 8080 }], spec = {} }: Wish = {}) {
  const app = `app-${++number}`;
  const metadata = { labels: { app } };
  await api.create('/apis/apps/v1/namespaces/default/deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: app },
    spec: {
      replicas,
      selector: { matchLabels: { app } },
      template: { metadata, spec: { containers: [{ name: 'c', image: 'i', ports }] } },
    },
  });
  await api.create('/api/v1/namespaces/default/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: app },
    spec: { type: 'NodePort', selector: { app }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  });
  const service = readService(await api.get(`/api/v1/namespaces/default/services/${app}`))!;
  return { app, service, nodePort: service.ports[0]!.nodePort };
}

async function podsOf(app: string): Promise<readonly unknown[]> {
  return list(at(await api.get(`/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`), 'items'));
}

/** Names of the pods that answer at a node's port, once there are `count`. */
async function answering(address: string, port: number, count: number): Promise<ReadonlySet<string>> {
  const found = await until(async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(address, port).catch(() => undefined)));
    const pods = new Set(answers.map((a) => a?.landing?.pod ?? ''));
    return pods.size === count && !pods.has('') ? pods : undefined;
  }, WAIT_MS);
  if (!found) throw new Error(`not just ${count} pods answer at ${address}:${port}`);
  return found;
}

describe('the sandbox nodes', () => {
  test('register with an address, a pod range and Ready', async () => {
    const found = list(at(await api.get('/api/v1/nodes'), 'items'));
    expect(found.map((raw) => ({ ...readNode(raw), cidr: at(at(raw, 'spec'), 'podCIDR') }))).toEqual(
      nodes.nodes.map(({ name, address }, i) =>
        expect.objectContaining({
          name,
          ready: true,
          addresses: [
            { type: 'InternalIP', address },
            { type: 'Hostname', address: name },
          ],
          cidr: `10.244.${i + 1}.0/24`,
        }),
      ),
    );
  });

  test('spread the pods of a Deployment, and each node sends to all of them', async () => {
    const { app, nodePort } = await serve();
    for (const { address } of nodes.nodes) await answering(address, nodePort, 3);
    const pods = await podsOf(app);
    expect(new Set(pods.map((pod) => text(at(at(pod, 'spec'), 'nodeName')))).size).toBe(3);
    for (const pod of pods) expect(text(at(at(pod, 'status'), 'podIP'))).toMatch(/^10\.244\.[123]\.\d+$/);
  });

  test('send only to their own pods with policy Local, and their health port says whether they have any', async () => {
    const { service, nodePort } = await serve({ replicas: 1, spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' } });
    const health = service.healthCheckNodePort;
    const statuses = await until(async () => {
      const all = await Promise.all(nodes.nodes.map(({ address }) => ask(address, health, '/healthz').catch(() => undefined)));
      return all.filter((a) => a?.status === 200).length === 1 ? all.map((a) => a!.status) : undefined;
    }, WAIT_MS);
    const home = nodes.nodes[statuses!.indexOf(200)]!;
    expect((await ask(home.address, nodePort)).landing).toMatchObject({ podNode: home.name, entered: home.name });
    const other = nodes.nodes.find((node) => node !== home)!;
    await expect(ask(other.address, nodePort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('answer at the cluster IP from within', async () => {
    const { app, service, nodePort } = await serve();
    await answering(nodes.nodes[0]!.address, nodePort, 3);
    const answer = await ask(service.clusterIP, 80, '/', () => nodes.connect(service.clusterIP, 80));
    expect(answer.landing).toMatchObject({ pod: expect.stringContaining(app), entered: 'cluster' });
  });

  test('map an endpoint that was made by hand to a machine outside', async () => {
    const { service, nodePort } = await serve({
      replicas: 1,
      spec: { selector: undefined, ports: [{ port: 80, targetPort: 9376 }] },
    });
    await api.create('/api/v1/namespaces/default/endpoints', {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: service.name },
      subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 9376 }] }],
    });
    expect(await answering(nodes.nodes[2]!.address, nodePort, 1)).toEqual(new Set(['1.2.3.4']));
  });

  test('replace every pod when the template changes, without a failed request', async () => {
    const { app, nodePort } = await serve();
    const { address } = nodes.nodes[0]!;
    const before = await answering(address, nodePort, 3);
    await api.patch(
      `/apis/apps/v1/namespaces/default/deployments/${app}`,
      { spec: { template: { spec: { containers: [{ name: 'c', image: 'newer' }] } } } },
      'strategic',
    );
    const seen = new Set<string>();
    await until(async () => {
      seen.add((await ask(address, nodePort)).landing!.pod); // throws when one fails
      const pods = await podsOf(app);
      return pods.length === 3 && [...seen].filter((pod) => !before.has(pod)).length === 3 ? true : undefined;
    }, WAIT_MS);
    const after = await answering(address, nodePort, 3);
    expect([...after].filter((pod) => before.has(pod))).toEqual([]);
  });

  test('follow a Deployment that is scaled and deleted', async () => {
    const { app, nodePort } = await serve();
    const { address } = nodes.nodes[0]!;
    const path = `/apis/apps/v1/namespaces/default/deployments/${app}`;
    await answering(address, nodePort, 3);
    await api.patch(path, { spec: { replicas: 1 } });
    await answering(address, nodePort, 1);
    await api.remove(path);
    expect(await until(async () => ((await podsOf(app)).length === 0 ? true : undefined), WAIT_MS)).toBe(true);
    const refuses = (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? true : undefined);
    const refused = await until(() => ask(address, nodePort).then(() => undefined, refuses), WAIT_MS);
    expect(refused).toBe(true);
  });

  test('give a pod that stands alone a node', async () => {
    await api.create('/api/v1/namespaces/default/pods', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'alone' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    const address = await until(async () => {
      const pod = await api.get('/api/v1/namespaces/default/pods/alone');
      return text(at(at(pod, 'status'), 'podIP')) || undefined;
    }, WAIT_MS);
    const answer = await ask(address!, 8080, '/', () => nodes.connect(address!, 8080));
    expect(answer.body).toBe("You've hit alone\n");
  });
});

describe('a sandbox node', () => {
  test('that leaves takes its pods and its object with it, and the others go on', async () => {
    const { app, nodePort } = await serve();
    const [staying, leaving] = nodes.nodes;
    await answering(staying!.address, nodePort, 3);
    await leaving!.leave(1_000);
    await expect(ask(leaving!.address, nodePort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const moved = await until(async () => {
      await ask(staying!.address, nodePort); // throws when one fails
      const homes = (await podsOf(app)).map((pod) => text(at(at(pod, 'spec'), 'nodeName')));
      return homes.length === 3 && !homes.includes(leaving!.name) ? true : undefined;
    }, WAIT_MS);
    expect(moved).toBe(true);
    const names = list(at(await api.get('/api/v1/nodes'), 'items')).map((raw) => readNode(raw)?.name);
    expect(names).toEqual(nodes.nodes.map((node) => node.name));
    expect(names).not.toContain(leaving!.name);
    await nodes.join(leaving!.name);
    await answering(leaving!.address, nodePort, 3);
    expect(nodes.nodes.map((node) => node.name)).toEqual(['worker-1', 'worker-2', 'worker-3']);
  });
});

test('nodes that share one address serve what clashes elsewhere, and their annotation says where', async () => {
  const alone = await startKube({});
  const one = new ApiClient({ url: alone.url });
  const sharing = await startNodes({ api: { url: alone.url }, addresses: ['127.0.0.1', '127.0.0.1'] });
  try {
    await one.create('/api/v1/namespaces/default/services', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'out' },
      spec: { type: 'NodePort', ports: [{ port: 80 }] },
    });
    await one.create('/api/v1/namespaces/default/endpoints', {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'out' },
      subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 80 }] }],
    });
    const service = readService(await one.get('/api/v1/namespaces/default/services/out'))!;
    const { nodePort } = service.ports[0]!;
    const moved = await until(async () => {
      const found = list(at(await one.get('/api/v1/nodes'), 'items'));
      const map = readNode(found[1])?.annotations['nodeport-lb.io/node-port-map'] ?? '';
      return new RegExp(`${nodePort}=127\\.0\\.0\\.1:(\\d+)`).exec(map)?.[1];
    }, WAIT_MS);
    expect((await ask('127.0.0.1', Number(moved))).landing).toMatchObject({ entered: 'worker-2' });
    expect(sharing.nodes[1]!.servedAt(nodePort)).toBe(Number(moved));
  } finally {
    one.close();
    await sharing.stop();
    await alone.stop();
  }
});
