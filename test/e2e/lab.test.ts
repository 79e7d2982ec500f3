import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { chooseKubernetes } from './kubernetes.ts';
import { namespacesOf, removeLeftovers } from './lab/claim.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { until } from './lab/until.ts';
import { type LabDeployment, sliced } from './lab/workload.ts';

/** The lab by itself, without the product: what the scenarios build on must be true. */
describe('the lab', () => {
  let lab: Lab;
  let web: LabDeployment;
  const namespace = 'lab-itself';
  const nodePort = 30_500;

  beforeAll(async () => {
    lab = await startLab({ nodes: [{ external: true, nodePortsOn: 'both' }, {}, {}] });
    await lab.namespace(namespace);
    web = await lab.deployment({
      namespace,
      name: 'web',
      labels: { app: 'web' },
      nodes: lab.nodes,
      ports: [{ name: 'http', port: 8080 }],
    });
    await lab.apply(`
apiVersion: v1
kind: Service
metadata: { name: web, namespace: ${namespace} }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80, targetPort: http, nodePort: ${nodePort} }] }
`);
    await sliced(lab.api, { namespace, name: 'web' }, web.pods);
    for (const node of lab.nodes) await reached(node.address, web.pods.length);
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function reached(address: string, pods: number): Promise<void> {
    await until(
      async () => {
        const { byPod, failed } = await lab.client.burst(`http://${address}:${nodePort}/`, 30);
        return failed === 0 && Object.keys(byPod).length === pods;
      },
      { withinMs: 20_000, what: `all ${pods} pods answer at ${address}:${nodePort}` },
    );
  }

  test('one node spreads 600 requests over the three pods, and is the one that was entered', async () => {
    const node = lab.node('n2');
    const before = await Promise.all(lab.nodes.map((n) => n.entered(nodePort)));
    const result = await lab.client.burst(`http://${node.address}:${nodePort}/`, 600);
    expect(result.failures).toEqual([]);
    expect(result.answered).toBe(600);
    for (const count of Object.values(result.byPod)) expect(count).toBeGreaterThan(120);
    expect(Object.keys(result.byPod)).toHaveLength(3);
    const after = await Promise.all(lab.nodes.map((n) => n.entered(nodePort)));
    expect(after.map((count, i) => count - (before[i] ?? 0))).toEqual([0, 600, 0]);
  });

  test('a bare connection is not counted as a request', async () => {
    const node = lab.node('n3');
    const before = { requests: await node.entered(nodePort), connections: await node.entered(nodePort, 'connections') };
    expect(await lab.client.knock(node.address, nodePort)).toBe('open');
    expect(await node.entered(nodePort, 'connections')).toBe(before.connections + 1);
    expect(await node.entered(nodePort)).toBe(before.requests);
  });

  test('the second address answers, and is silent when it is shut', async () => {
    const node = lab.node('n1');
    await reached(node.external, 3);
    await node.shut('external');
    expect(await lab.client.knock(node.external, nodePort, 500)).toBe('timeout');
    expect(await lab.client.knock(node.address, nodePort, 500)).toBe('open');
    await node.open();
    expect(await lab.client.knock(node.external, nodePort, 500)).toBe('open');
  });

  test('pods are replaced one by one while requests go on, and none fails', async () => {
    const load = await lab.client.load({
      url: `http://${lab.node('n1').address}:${nodePort}/`,
      connections: 'new',
      perSecond: 50,
    });
    await web.replaceOneByOne();
    await sliced(lab.api, { namespace, name: 'web' }, web.pods);
    await reached(lab.node('n1').address, 3);
    const result = await load.stop();
    expect(result.failures).toEqual([]);
    expect(Object.keys(result.byPod)).toHaveLength(6);
  });

  test('a connection that is held goes on until its pod has gone', async () => {
    const held = await lab.client.hold(lab.node('n1').address, nodePort);
    const { pod } = await until(async () => (await held.read()).ticks > 2 && held.read(), { withinMs: 10_000, what: 'it ticks' });
    const victim = web.pods.find((p) => p.name === pod);
    await victim?.process.kill();
    await until(async () => !(await held.read()).open, { withinMs: 10_000, what: 'the held connection ends' });
    await victim?.crash();
    await web.add(lab.node('n1'));
  });

  test('a node without a cable does not answer, and does again with it', async () => {
    const node = lab.node('n3');
    await node.down();
    expect(await lab.client.knock(node.address, nodePort, 500)).not.toBe('open');
    await node.up();
    await until(async () => (await lab.client.knock(node.address, nodePort)) === 'open', {
      withinMs: 20_000,
      what: 'n3 answers again',
    });
  });

  test('a node joins, moves to another address and leaves', async () => {
    const node = await lab.addNode();
    await reached(node.address, web.options.nodes.length);
    await node.moveTo('172.31.77.99');
    await reached('172.31.77.99', web.options.nodes.length);
    await node.remove();
    expect(await lab.tryKubectl(['get', 'node', 'n4'])).toMatchObject({ code: 1 });
    expect(await namespacesOf(lab.claim)).toHaveLength(4);
  });

  test('kubectl is the real one, of the version of the server', async () => {
    const version = JSON.parse(await lab.kubectl(['version', '-o', 'json'])) as Record<string, { gitVersion: string }>;
    const gitVersion = `v${chooseKubernetes().version}`;
    expect(version).toMatchObject({ clientVersion: { gitVersion }, serverVersion: { gitVersion } });
  });

  test('the product has the rights of its table of calls and no others', async () => {
    const product = lab.apiAs('product');
    await expect(product.get('/api/v1/services')).resolves.toMatchObject({ kind: 'ServiceList' });
    await expect(product.get('/api/v1/secrets')).rejects.toMatchObject({ status: 403 });
    await expect(product.patch(`/api/v1/namespaces/${namespace}/services/web`, {})).rejects.toMatchObject({ status: 403 });
  });

  test('the audit log says who changed what, and also what was refused', async () => {
    const since = Date.now();
    await lab.apiAs('product').patch(`/api/v1/namespaces/${namespace}/services/web/status`, {});
    await lab.kubectl(['-n', namespace, 'annotate', 'service', 'web', 'example.org/x=1']);
    await until(() => lab.productWrites({ since }).length > 0, { withinMs: 5_000, what: 'the write is in the log' });
    expect(lab.productWrites({ since })).toMatchObject([
      { verb: 'patch', resource: 'services', subresource: 'status', name: 'web', code: 200 },
    ]);
    expect(lab.audit({ user: 'admin', resource: 'services', name: 'web', writes: true, since })).toHaveLength(1);
  });

  test('the API server comes back as itself, and an old resource version is gone after a compaction', async () => {
    const { metadata } = await lab.api.get<{ metadata: { resourceVersion: string } }>('/api/v1/services');
    await lab.kubectl(['-n', namespace, 'annotate', 'service', 'web', 'example.org/y=1']);
    await lab.stopApiServer();
    expect(await lab.client.knock('172.31.77.1', 6443)).toBe('refused');
    const { failures } = await lab.client.burst(`http://${lab.node('n1').address}:${nodePort}/`, 30);
    expect(failures).toEqual([]); // kube-proxy goes on
    await lab.restartApiServer();
    await lab.compactEtcd();
    const old = `/api/v1/services?resourceVersion=${metadata.resourceVersion}&resourceVersionMatch=Exact`;
    await expect(lab.api.get(old)).rejects.toMatchObject({ status: 410 });
  });

  test('a lab whose owner was killed is removed by the next one, and this one is left alone', async () => {
    const script = `
import { startLab } from ${JSON.stringify(join(import.meta.dirname, 'lab/lab.ts'))};
const lab = await startLab({ nodes: 1 });
console.log(JSON.stringify(lab.claim));
setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve) => createInterface({ input: owner.stdout }).once('line', resolve));
    const claim = JSON.parse(line) as Lab['claim'];
    expect(await namespacesOf(claim)).toHaveLength(2);
    await new Promise((resolve) => owner.on('exit', resolve).kill('SIGKILL'));
    expect(await removeLeftovers()).toContain(claim.id);
    expect(await namespacesOf(claim)).toEqual([]);
    expect(existsSync(claim.directory)).toBe(false);
    await expect(lab.api.get('/readyz')).resolves.toBe('ok');
  });
});
