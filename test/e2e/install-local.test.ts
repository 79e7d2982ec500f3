import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CHART, Helm, prepareHelm } from './chart-helm.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { INGRESS, PRODUCT } from './cluster/images.ts';
import { appManifest } from './cluster/kubia.ts';
import { ingressManifest, traefikManifest } from './cluster/traefik.ts';
import { addressOf, answers, readService, underLoad } from './cluster/traffic.ts';
import { run } from './lab/command.ts';
import { FINALIZER, type IngressObject } from './lab/product.ts';
import { until } from './lab/until.ts';

/** The chart with provider local, a pool and agents, under the traffic of a real Deployment, on nodes with kubelets. */

const [NAMESPACE, NAME] = ['nodeport-lb', 'nodeport-lb'];
/** The pool: n1 has its addresses. */
const POOL = ['172.31.77.60', '172.31.77.61'];
const VALUES = { provider: 'local', localPools: POOL, cleanupOnUninstall: true };
const WAIT = ['--wait', '--timeout', '180s'];
const kubia = { namespace: 'shop', name: 'kubia', replicas: 3, version: '1', type: 'LoadBalancer', image: PRODUCT } as const;

let cluster: Cluster;
let helm: Helm;

beforeAll(async () => {
  cluster = await startCluster(2);
  helm = new Helm(await prepareHelm(), cluster.plane.directory);
  for (const address of POOL) await cluster.addAddress('n1', address);
}, 45 * 60_000);

afterAll(async () => {
  await cluster?.close();
});

test('controller and agents get ready', async () => {
  const args = ['install', NAME, CHART, '--namespace', NAMESPACE, '--create-namespace', ...WAIT];
  await helm.inLab(cluster, args, VALUES);
  await cluster.rolledOut(NAMESPACE, `daemonset/${NAME}-forwarder`);
});

test('a Service of a real Deployment gets an address of the pool, and every pod is reached', async () => {
  await cluster.kubectl(['create', 'namespace', 'shop']);
  await cluster.kubectl(['apply', '-f', '-'], { input: appManifest(kubia) });
  await cluster.rolledOut('shop', 'deploy/kubia');
  const address = await addressOf(cluster, 'shop', 'kubia');
  expect(POOL).toContain(address);
  await answers(cluster, `http://${address}/`, /"app":"kubia"/);
  const pods = new Set<string>();
  await until(
    async () => {
      pods.add((await cluster.client.json(`http://${address}/`)).pod);
      return pods.size === 3;
    },
    { withinMs: 60_000, what: 'all three pods have answered' },
  );
  const exec = ['-n', NAMESPACE, 'exec', `deploy/${NAME}`, '--', 'nodeport-lb'];
  expect(await cluster.kubectl([...exec, 'status'])).toMatch(/^shop +kubia .*Ready/m);
  expect(await cluster.kubectl([...exec, 'url', 'shop/kubia'])).toContain(address);
});

test('a new version is rolled out, and no request fails', async () => {
  const failures = await underLoad(cluster, `http://${await addressOf(cluster, 'shop', 'kubia')}/`, async () => {
    await cluster.kubectl(['-n', 'shop', 'set', 'env', 'deploy/kubia', 'VERSION=2']);
    await cluster.rolledOut('shop', 'deploy/kubia');
    await answers(cluster, `http://${await addressOf(cluster, 'shop', 'kubia')}/`, /"version":"2"/);
  });
  expect(failures).toEqual([]);
});

test('an Ingress controller behind a balancer serves two Services through one address, and repeats it', async () => {
  const foo = { ...kubia, name: 'foo', replicas: 1, type: 'ClusterIP' } as const;
  const all = [appManifest(foo), traefikManifest(INGRESS), ingressManifest('shop')];
  await cluster.kubectl(['apply', '-f', '-'], { input: all.join('---\n') });
  const address = await addressOf(cluster, 'ingress', 'traefik');
  const base = `http://${address}:8080`;
  await answers(cluster, `${base}/kubia`, /"app":"kubia"/, 'kubia.example.com');
  await answers(cluster, `${base}/foo`, /"app":"foo"/, 'kubia.example.com');
  type Ingress = { readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly IngressObject[] } } };
  const path = '/apis/networking.k8s.io/v1/namespaces/shop/ingresses/kubia';
  await until(
    async () => (await cluster.api.get<Ingress>(path)).status?.loadBalancer?.ingress?.some(({ ip }) => ip === address),
    { withinMs: 60_000, what: `the Ingress says ${address}`, everyMs: 250 },
  );
});

test('an upgrade that changes controller and agents, a restarted controller and a rollback cost no request', async () => {
  const upgrade = ['upgrade', NAME, CHART, '--namespace', NAMESPACE, ...WAIT];
  const failures = await underLoad(cluster, `http://${await addressOf(cluster, 'shop', 'kubia')}/`, async () => {
    await helm.inLab(cluster, upgrade, { ...VALUES, replicaCount: 2, shareAcrossNamespaces: true, logLevel: 'debug' });
    await cluster.rolledOut(NAMESPACE, `daemonset/${NAME}-forwarder`);
    await cluster.kubectl(['-n', NAMESPACE, 'rollout', 'restart', `deploy/${NAME}`]);
    await cluster.rolledOut(NAMESPACE, `deploy/${NAME}`);
    await helm.inLab(cluster, ['rollback', NAME, '1', '--namespace', NAMESPACE, ...WAIT]);
    await cluster.rolledOut(NAMESPACE, `deploy/${NAME}`);
    await cluster.rolledOut(NAMESPACE, `daemonset/${NAME}-forwarder`);
  });
  expect(failures).toEqual([]);
});

test('an agent’s pod that is deleted is made anew, and costs no request: the kernel goes on meanwhile', async () => {
  const agent = ['-n', NAMESPACE, '-l', 'app.kubernetes.io/component=forwarder', '--field-selector', 'spec.nodeName=n1'];
  const nameOf = () => cluster.kubectl(['get', 'pods', ...agent, '-o', 'name']);
  const before = await nameOf();
  const failures = await underLoad(cluster, `http://${await addressOf(cluster, 'shop', 'kubia')}/`, async () => {
    await cluster.kubectl(['delete', 'pod', ...agent]);
    await cluster.rolledOut(NAMESPACE, `daemonset/${NAME}-forwarder`);
  });
  expect(await nameOf()).not.toBe(before);
  expect(failures).toEqual([]);
});

test('uninstalled with cleanupOnUninstall, it takes every balancer down first and leaves nothing', async () => {
  const address = await addressOf(cluster, 'shop', 'kubia');
  const { stdout, stderr } = await helm.toldInLab(cluster, ['uninstall', NAME, '--namespace', NAMESPACE, ...WAIT]);
  expect(stdout + stderr).toContain('no Service has a balancer any more'); // the words of the Job
  for (const [namespace, name] of [['shop', 'kubia'] as const, ['ingress', 'traefik'] as const]) {
    const { metadata, status } = await readService(cluster, namespace, name);
    expect(status.loadBalancer.ingress ?? []).toEqual([]);
    expect(status.conditions ?? []).toEqual([]);
    expect(metadata.finalizers ?? []).not.toContain(FINALIZER);
    expect(Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith('nodeport-lb.io/'))).toEqual([]);
  }
  const kinds = 'all,configmaps,leases,serviceaccounts,roles,rolebindings,secrets';
  const notOurs = /^$|kube-root-ca.crt$|serviceaccount\/default$/;
  await until(
    async () => {
      const found = (await cluster.kubectl(['get', kinds, '-n', NAMESPACE, '-o', 'name'])).split('\n');
      const left = found.filter((line) => !notOurs.test(line));
      if (left.length > 0) throw new Error(`there is ${left.join(', ')}`);
      return true;
    },
    { withinMs: 90_000, what: `namespace ${NAMESPACE} is empty`, everyMs: 500 },
  );
  expect(await cluster.client.knock(address, 80)).toBe('refused');
  for (const { namespace } of cluster.nets) {
    const { stdout: tables } = await run('ip', ['netns', 'exec', namespace, 'nft', 'list', 'tables']);
    expect(tables).not.toContain('nodeport-lb');
  }
});
