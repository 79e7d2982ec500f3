import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type KubeApi, KubeError } from '../../src/kube/api.ts';
import { connectKube } from '../../src/kube/client.ts';
import { recordEvents } from '../../src/kube/events.ts';
import { standForLeader } from '../../src/kube/leader.ts';
import { at, readService, type Service } from '../../src/kube/objects.ts';
import { type Watched, watchObjects } from '../../src/kube/watch.ts';
import { type SandboxKube, startKube } from '../../src/sandbox/kube/kube.ts';
import { keepLog } from './memory-api.ts';
import { makeDirectory, until } from './serve.ts';

/** The whole room against an API server over HTTP. */

let directory: ReturnType<typeof makeDirectory>;
let kube: SandboxKube;
let api: KubeApi;
let watched: Watched<Service> | undefined;
const log = keepLog();
beforeEach(async () => {
  directory = makeDirectory();
  kube = await startKube({ token: 'secret' });
  api = await connectKube({ kubeconfig: directory.write('config', kube.kubeconfig()) });
});
afterEach(async () => {
  await watched?.stop();
  await api.close();
  await kube.close();
  directory.remove();
  watched = undefined;
});

function createService(name: string): void {
  const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
  kube.objects.create({ resource: 'services', namespace: 'default' }, { metadata: { name }, spec });
}

test('a watch outlives a server that was away while history was forgotten', async () => {
  const told: string[] = [];
  createService('early');
  watched = watchObjects<Service>({
    api,
    list: 'listServices',
    watch: 'watchServices',
    namespaces: ['default'],
    pageSize: 1,
    read: readService,
    changed: (before, after) => told.push(`${before?.name ?? '-'} > ${after?.name ?? '-'}`),
    log,
    delays: { minMs: 10, maxMs: 50 },
  });
  await watched.synced;
  expect(told.sort()).toEqual(['- > early', '- > kubernetes']);
  await until(() => watched!.healthy().connected);
  await kube.stop();
  await until(() => !watched!.healthy().connected);
  kube.objects.delete({ resource: 'services', namespace: 'default', name: 'early' });
  createService('late');
  kube.compact();
  await kube.start();
  await until(() => told.length === 4);
  expect(told.slice(2).sort()).toEqual(['- > late', 'early > -']);
  await until(() => watched!.healthy().connected);
  kube.disconnectWatches();
  createService('last');
  await until(() => watched!.get('default/last') !== undefined);
});

test('a status is patched, and the answer is what the watch will tell', async () => {
  createService('web');
  const status = { loadBalancer: { ingress: [{ ip: '10.0.0.1' }] } };
  const patched = readService(await api.patch('patchServiceStatus', 'default', 'web', { status }, 'merge'));
  expect(patched?.ingress).toEqual([{ ip: '10.0.0.1', ipMode: 'VIP' }]);
  expect(readService(await api.get('getService', 'default', 'web'))?.resourceVersion).toBe(patched?.resourceVersion);
  const missing = api.patch('patchServiceStatus', 'default', 'gone', { status }, 'merge');
  await expect(missing).rejects.toMatchObject({ status: 404, reason: 'NotFound' });
  await expect(missing).rejects.toBeInstanceOf(KubeError);
});

test('an event is created once and counted', async () => {
  createService('web');
  const about = { kind: 'Service', ...readService(await api.get('getService', 'default', 'web'))! } as const;
  const recorder = recordEvents({ api, component: 'nodeport-lb', log });
  for (const message of ['a', 'b', 'a']) recorder.tell(about, 'Normal', 'EnsuredLoadBalancer', message);
  await recorder.flush();
  recorder.tell(about, 'Normal', 'EnsuredLoadBalancer', 'b');
  await recorder.flush();
  const events = kube.objects.list({ resource: 'events', namespace: 'default' });
  expect(events.map((event) => [at(event, 'message'), at(event, 'count')]).sort()).toEqual([
    ['a', 2],
    ['b', 2],
  ]);
});

test('of two candidates one leads, and the other when it lets go', async () => {
  const times = { leaseMs: 3000, renewDeadlineMs: 2000, retryMs: 50 };
  const [a, b] = ['a', 'b'].map((identity) =>
    standForLeader({ api, namespace: 'kube-system', name: 'nodeport-lb', log, identity, times }),
  ) as [ReturnType<typeof standForLeader>, ReturnType<typeof standForLeader>];
  const told = { gained: () => {}, lost: async () => {} };
  const running = [a.run(told)];
  await a.first;
  running.push(b.run(told));
  await until(() => b.holder() === 'a');
  expect([a.holds(), b.holds()]).toEqual([true, false]);
  await a.release();
  await b.first;
  expect([a.holds(), b.holds()]).toEqual([false, true]);
  await b.release();
  await Promise.all(running);
});
