import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { type KubeOptions, type SandboxKube, startKube } from '../../../src/sandbox/kube/kube.ts';
import { Client, until } from '../../contracts/kube/client.ts';
import { listIn, metaOf, serviceIn } from '../../contracts/kube/read.ts';

const running: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

async function start(
  options: KubeOptions = {},
  headers: Record<string, string> = {},
): Promise<{ kube: SandboxKube; client: Client }> {
  const kube = await startKube(options);
  const client = new Client({ url: kube.url, headers, compact: async () => kube.compact(), close: () => kube.close() });
  running.push(
    () => kube.close(),
    async () => client.close(),
  );
  return { kube, client };
}

const home = '/api/v1/namespaces/default';
const service = (name: string, spec: object = {}): object => ({ metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } });

test('it stops and listens again on the same port with everything it had', async () => {
  const { kube, client } = await start();
  const { url } = kube;
  const made = await client.post(`${home}/services`, service('kept'));
  const watch = await client.watch(`${home}/services`, { resourceVersion: metaOf(made).resourceVersion });
  await kube.stop();
  await watch.end();
  await expect(client.get(`${home}/services/kept`)).rejects.toThrow(/ECONNREFUSED|ECONNRESET|socket hang up/);
  await kube.start();
  expect(kube.url).toBe(url);
  expect((await client.get(`${home}/services/kept`)).body).toEqual(made.body);
  const later = await client.watch(`${home}/services`, { resourceVersion: metaOf(made).resourceVersion });
  await client.delete(`${home}/services/kept`);
  await later.count(1);
  expect(later.told).toEqual(['DELETED kept']);
});

test('watches are cut on demand and can be taken up where they ended', async () => {
  const { kube, client } = await start();
  const since = listIn(await client.get(`${home}/services`)).metadata.resourceVersion;
  const watch = await client.watch(`${home}/services`, { resourceVersion: since });
  kube.disconnectWatches();
  await watch.end();
  await client.post(`${home}/services`, service('meanwhile'));
  const again = await client.watch(`${home}/services`, { resourceVersion: since });
  await again.count(1);
  expect(again.told).toEqual(['ADDED meanwhile']);
});

test('without the token nothing is answered, and the kubeconfig carries it', async () => {
  const { kube, client } = await start({ token: 'secret' });
  expect(await client.get(`${home}/services`)).toMatchObject({ status: 401, body: { reason: 'Unauthorized', code: 401 } });
  const directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  try {
    await kube.writeKubeconfig(join(directory, 'config'));
    const config = parse(await readFile(join(directory, 'config'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      'current-context': 'sandbox',
      clusters: [{ name: 'sandbox', cluster: { server: kube.url } }],
      users: [{ name: 'sandbox', user: { token: 'secret' } }],
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('the audit log tells verb, object, subresource, agent and answer, and is bounded', async () => {
  const { kube, client } = await start({ maxAuditKept: 3 });
  await client.post(`${home}/services`, service('a'), { agent: 'writer/1' });
  await client.patch(`${home}/services/a/status`, 'merge', { status: { conditions: [] } });
  await client.get(`${home}/services/nope`);
  const watch = await client.watch('/api/v1/services', {});
  await watch.count(1);
  expect(kube.audit).toMatchObject([
    {
      verb: 'patch',
      resource: 'services',
      namespace: 'default',
      name: 'a',
      subresource: 'status',
      agent: 'contract/1.0',
      code: 200,
    },
    { verb: 'get', path: `${home}/services/nope`, code: 404 },
    { verb: 'watch', resource: 'services', namespace: '', code: 200 },
  ]);
});

test('only so many events are kept, the oldest go', async () => {
  const { client } = await start({ maxEventsKept: 5 });
  for (let i = 0; i < 12; i++) {
    const involvedObject = { kind: 'Service', namespace: 'default', name: 'a' };
    await client.post(`${home}/events`, {
      metadata: { name: `e${String(i).padStart(2, '0')}` },
      involvedObject,
      reason: 'R',
      type: 'Normal',
    });
  }
  const names = async (): Promise<string[]> => listIn(await client.get(`${home}/events`)).items.map((item) => item.metadata.name);
  await until('the oldest events to go', async () => (await names()).length === 5);
  expect(await names()).toEqual(['e07', 'e08', 'e09', 'e10', 'e11']);
});

test('components in this process write by the same rules and see every change', async () => {
  const { kube, client } = await start();
  const told: string[] = [];
  const stop = kube.objects.watch({ resource: 'services' }, (type, object) => told.push(`${type} ${object.metadata.name}`));
  const objects = kube.objects.as('part');
  objects.create({ resource: 'services', namespace: 'default' }, service('inner', { type: 'LoadBalancer' }));
  const ref = { resource: 'services', namespace: 'default', name: 'inner' };
  objects.patch({ ...ref, subresource: 'status' }, { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } });
  expect(() => objects.patch(ref, { spec: { type: 'Magic' } })).toThrow('spec.type: Unsupported value');
  expect(objects.list({ resource: 'services', namespace: 'default' }).map((each) => each.metadata.name)).toContain('inner');
  const reply = await client.get(`${home}/services/inner`);
  expect(serviceIn(reply).status.loadBalancer.ingress).toEqual([{ ip: '192.0.2.1', ipMode: 'VIP' }]);
  expect(metaOf(reply).managedFields?.map((entry) => entry.manager)).toEqual(['part', 'part']);
  objects.delete(ref);
  stop();
  objects.create({ resource: 'services', namespace: 'default' }, service('unseen'));
  expect(objects.get(ref)).toBeUndefined();
  expect(told).toEqual(['ADDED inner', 'MODIFIED inner', 'DELETED inner']);
});

test('ranges of its own: a full one says so, one that is none is refused', async () => {
  const { client } = await start({ serviceCidr: '10.1.0.0/29', nodePortRange: [31_000, 31_001] });
  const kubernetes = serviceIn(await client.get(`${home}/services/kubernetes`));
  expect(kubernetes.spec.clusterIP).toBe('10.1.0.1');
  for (const name of ['a', 'b'])
    expect((await client.post(`${home}/services`, service(name, { type: 'NodePort' }))).status).toBe(201);
  expect(await client.post(`${home}/services`, service('c', { type: 'NodePort' }))).toMatchObject({
    status: 500,
    body: { reason: 'InternalError' },
  });
  for (const name of ['c', 'd', 'e']) expect((await client.post(`${home}/services`, service(name))).status).toBe(201);
  expect(await client.post(`${home}/services`, service('f'))).toMatchObject({ status: 500, body: { reason: 'InternalError' } });
  await expect(startKube({ serviceCidr: 'here' })).rejects.toThrow('serviceCidr');
  await expect(startKube({ nodePortRange: [5, 1] })).rejects.toThrow('nodePortRange');
});

test('a body that is too large is refused, and the server lives on', async () => {
  const { client } = await start();
  const reply = await client
    .post(`${home}/configmaps`, { metadata: { name: 'big' }, data: { a: 'x'.repeat(4 * 1024 * 1024) } })
    .catch(() => ({ status: 413 }));
  expect(reply.status).toBe(413);
  expect((await client.get('/readyz', { accept: '*/*' })).status).toBe(200);
});

test('changes in quick succession reach a watcher once each', async () => {
  const { client } = await start();
  const since = listIn(await client.get(`${home}/configmaps`)).metadata.resourceVersion;
  const watch = await client.watch(`${home}/configmaps`, { resourceVersion: since });
  for (let i = 0; i < 20; i++) await client.post(`${home}/configmaps`, { metadata: { name: `c${i}` } });
  await watch.count(20);
  expect(new Set(watch.told).size).toBe(20);
});
