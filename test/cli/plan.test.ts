import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { PlanDocument } from '../../src/cli/plan-document.ts';
import { UsageError } from '../../src/errors.ts';
import { createLocalProvider } from '../../src/providers/local/provider.ts';
import { type Running, runSandbox } from '../controller/running.ts';
import { pool, quiet } from '../providers/builders.ts';
import { FakeForwarder } from '../providers/local/fake-forwarder.ts';
import { call } from './call.ts';

jest.setTimeout(120_000); // for a machine that may be busy

const POOL = '192.0.2.1-192.0.2.9';
let cluster: Running;
let folder: string;
let kubeconfig: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  cluster = await runSandbox();
  kubeconfig = join(folder, 'kubeconfig');
  await cluster.kube.writeKubeconfig(kubeconfig);
  for (const number of [1, 2, 3]) cluster.addNode(`n${number}`, `10.0.0.${number}`);
});
afterEach(() => cluster.close());

/** A controller with provider local, whose forwarder has no sockets. */
async function serve(...names: readonly string[]): Promise<void> {
  const context = { clusterName: 'kubernetes', log: quiet, options: { pools: [pool('default', [POOL])] } };
  const startForwarder = ({ onReport }: { onReport: FakeForwarder['report'] }) => new FakeForwarder(onReport as never);
  const provider = createLocalProvider(context, { startForwarder, now: Date.now, inCluster: false });
  const controller = await cluster.start(provider);
  await cluster.until('served', () => names.every((name) => isReady(name)));
  await controller.stop(0);
}

function isReady(name: string): boolean {
  return cluster.service(name)?.conditions.some(({ status }) => status === 'True') ?? false;
}

interface Planned {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Plans, and holds that nothing was written meanwhile. */
async function plan(...words: readonly string[]): Promise<Planned> {
  const from = cluster.kube.audit.length;
  const called = call(['plan', '--kubeconfig', kubeconfig, '--provider', 'local', '--local-pool', POOL, ...words]);
  const code = await called.ended;
  expect(cluster.writes(from)).toEqual([]);
  return { code, stdout: called.stdout(), stderr: called.stderr() };
}

async function planJson(...words: readonly string[]): Promise<PlanDocument> {
  return JSON.parse((await plan('-o', 'json', ...words)).stdout) as PlanDocument;
}

async function manifest(...objects: readonly object[]): Promise<string> {
  const path = join(folder, 'manifest.yaml');
  await writeFile(path, objects.map((one) => JSON.stringify(one)).join('\n---\n'));
  return path;
}

const web = (spec: object, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', ...metadata },
  spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec },
});

describe('the text', () => {
  test('what is there to be created, and what is refused, with its cure', async () => {
    cluster.create('web', { ports: [{ name: 'http', port: 80, nodePort: 30_080 }] });
    cluster.create('odd', { ports: [{ port: 80, nodePort: 30_081 }] }, { annotations: { 'nodeport-lb.io/pool': 'nope' } });
    cluster.create('theirs', { loadBalancerClass: 'example.com/lb' });
    const { stdout, code } = await plan();
    expect(stdout).toBe(`! refuse default/odd
  PoolUnknown: There is no pool "nope"; there are: pool-1.
  Name a pool of the configuration.

+ create default/web at 192.0.2.1
  because default/web asks for it:
   1. listen on TCP 192.0.2.1:80 and forward to port 30080 of 3 nodes

Left alone, because they are not ours:
  default/theirs: its loadBalancerClass is example.com/lb, not nodeport-lb.io/lb

Plan: 1 to create, 0 to change, 0 to delete; none of them cuts traffic; 1
refused.
`);
    expect(code).toBe(0);
  });

  test('with the options of another controller it says so, once', async () => {
    for (const name of ['web', 'api']) cluster.create(name);
    await serve('web', 'api');
    const { stdout, stderr } = await plan('--provider', 'none');
    expect(stdout).toContain('2 refused');
    expect(stderr).toMatch(
      /\nWhat is refused is held by provider local, and this plan was made for provider none: give plan the/,
    );
  });

  test('what a manifest would change and delete', async () => {
    cluster.create('web', { ports: [{ name: 'http', port: 80, nodePort: 30_080 }] });
    cluster.create('old', { ports: [{ port: 81, nodePort: 30_081 }] });
    cluster.create('same');
    await serve('web', 'old', 'same');
    const changed = web({ ports: [{ name: 'http', port: 8080 }] });
    const left = { ...web({ type: 'ClusterIP', ports: [{ port: 81 }] }), metadata: { name: 'old' } };
    cluster.patch('web', { metadata: { annotations: lastApplied(web({ ports: [{ name: 'http', port: 80 }] })) } });
    const address = (name: string) => cluster.service(name)?.ingress[0]?.ip;
    const [old, now] = [address('old'), address('web')];
    const { stdout } = await plan('-f', await manifest(changed, left));
    expect(stdout).toBe(`- delete default/old at ${old}
  - default/old leaves: the Service is of type ClusterIP
  because no Service wants this balancer any more:
   1. stop listening on TCP ${old}:81; open connections have 30 s to finish
      [CUTS TRAFFIC]
   2. give back ${old}

~ change default/web at ${now}
  because default/web asks for it:
   1. listen on TCP ${now}:8080 and forward to port 30080 of 3 nodes
  because nothing asks for it any more:
   2. stop listening on TCP ${now}:80; open connections have 30 s to finish
      [CUTS TRAFFIC]

Plan: 0 to create, 1 to change, 1 to delete; 2 of them cut traffic; 1 as wanted.
`);
  });

  test('no line is longer than 80 cells', async () => {
    cluster.create(
      'web',
      {},
      { annotations: { 'nodeport-lb.io/addresses': '198.51.100.1', 'nodeport-lb.io/drain-secnds': '3' } },
    );
    const { stdout } = await plan('--local-pool', '192.0.2.32-192.0.2.40,192.0.2.48-192.0.2.56,203.0.113.1-203.0.113.9');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/AddressNotInPool.*drain-seconds/s);
  });
});

function lastApplied(object: object): Record<string, string> {
  return { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) };
}

describe('what is served already', () => {
  beforeEach(async () => {
    cluster.create('web');
    await serve('web');
  });

  test('asks for nothing', async () => {
    expect(await planJson()).toMatchObject({
      version: 1,
      balancers: [{ key: 'default/web', change: 'none', services: ['default/web'], steps: [] }],
      summary: { create: 0, change: 0, delete: 0, unchanged: 1 },
    });
    expect((await plan('default/web')).stdout).toContain('nothing to do: it is as it is wanted');
  });

  test('keeps an address that is in no pool of the configuration any more; where it would move is said', async () => {
    const called = call([
      'plan',
      '--kubeconfig',
      kubeconfig,
      '--provider',
      'local',
      '--local-pool',
      '198.51.100.1',
      '-o',
      'json',
    ]);
    await called.ended;
    const { balancers, summary } = JSON.parse(called.stdout()) as PlanDocument;
    expect(balancers[0]).toMatchObject({
      change: 'none',
      steps: [],
      addresses: { now: ['192.0.2.1'], planned: ['192.0.2.1'] },
      withConsent: [
        { kind: 'open-listener', disrupts: false },
        { kind: 'close-listener', disrupts: true },
      ],
      notes: [
        expect.stringMatching(/^192\.0\.2\.1 is kept.*allow-disruption/),
        'with consent it moves from 192.0.2.1 to 198.51.100.1: it is in no pool (pool-1: 198.51.100.1)',
      ],
    });
    expect(summary).toMatchObject({ change: 0, needConsent: 1 });
  });

  test('moves when its author allows it, and that is said', async () => {
    cluster.patch('web', { metadata: { annotations: { 'nodeport-lb.io/allow-disruption': 'true' } } });
    const called = call(['plan', '--kubeconfig', kubeconfig, '--provider', 'local', '--local-pool', '198.51.100.1']);
    await called.ended;
    expect(called.stdout()).toMatch(
      /^~ change default\/web from 192\.0\.2\.1 to 198\.51\.100\.1\n {2}- moves from .* it is in no pool/,
    );
  });

  test('follows a node that a file takes away', async () => {
    const node = {
      kind: 'Node',
      metadata: { name: 'n3', labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' } },
    };
    const { balancers } = await planJson('-f', await manifest({ kind: 'List', items: [node] }));
    expect(balancers[0]?.steps).toMatchObject([{ kind: 'update-listener', disrupts: true, reason: 'the nodes have changed' }]);
  });

  test('keeps what it has when a file makes it something that is refused', async () => {
    const file = await manifest(web({}, { annotations: { 'nodeport-lb.io/publish': 'hostname' } }));
    const { balancers } = await planJson('-f', file);
    expect(balancers).toMatchObject([{ change: 'none', steps: [], refused: [{ reason: 'AnnotationInvalid' }] }]);
    expect(await plan('-f', file, '--exit-code')).toMatchObject({ code: 2 });
  });

  test('is waited for by the share group that it is to join', async () => {
    const { balancers } = await planJson('-f', await manifest(web({}, { annotations: { 'nodeport-lb.io/share': 'edge' } })));
    expect(balancers.map(({ key, change, notes }) => [key, change, notes])).toEqual([
      ['default/share:edge', 'create', ['default/web comes with its address once its present balancer has let go of it']],
      ['default/web', 'delete', ['default/web goes to another balancer once this one has let go of its address']],
    ]);
  });

  test('cannot change its class in place', async () => {
    const file = await manifest(web({ loadBalancerClass: 'nodeport-lb.io/lb' }));
    await expect(plan('-f', file)).rejects.toThrow(/the API server refuses.*NodePort first/);
  });
});

describe('a Service that is only in the file', () => {
  test('is planned with nodePorts that the API server will give it', async () => {
    const udp = {
      ports: [
        { name: 'dns', port: 53 },
        { name: 'dns-udp', port: 53, protocol: 'UDP' },
      ],
      externalTrafficPolicy: 'Local',
    };
    const { balancers } = await planJson('-f', await manifest(web(udp)), 'default/web');
    const [{ change, steps, notes } = { change: '', steps: [], notes: [] }] = balancers;
    expect({ change, summaries: steps.map(({ summary }) => summary) }).toEqual({
      change: 'create',
      summaries: ['TCP', 'UDP'].map((one) => `listen on ${one} 192.0.2.1:53 and forward to port <nodePort-53> of 3 nodes`),
    });
    expect(notes).toEqual([expect.stringContaining('allocated by the API server')]);
    expect(JSON.stringify(balancers)).not.toMatch(/\b319\d\d\b/);
  });

  test('has no nodePort when it asks for none', async () => {
    const { balancers } = await planJson('-f', await manifest(web({ allocateLoadBalancerNodePorts: false })));
    expect(balancers).toMatchObject([{ refused: [{ service: 'default/web', reason: 'NoNodePort' }] }]);
  });
});

describe('exit codes', () => {
  test('0 whatever is to be done; with --exit-code 1, and 0 when nothing is', async () => {
    expect((await plan('--exit-code')).code).toBe(0);
    cluster.create('web');
    expect((await plan()).code).toBe(0);
    expect((await plan('--exit-code')).code).toBe(1);
    await serve('web');
    expect((await plan('--exit-code')).code).toBe(0);
  });

  test('2 with --exit-code when it could not be planned', async () => {
    await cluster.kube.stop();
    const called = call(['plan', '--kubeconfig', kubeconfig, '--provider', 'local', '--exit-code']);
    expect(await called.ended).toBe(2);
    expect(called.stderr()).toContain('nodeport-lb plan: ');
    await cluster.kube.start();
  });
});

describe('what is wrong with the call is told', () => {
  test.each([
    { why: 'a Service that is nowhere', words: ['wbe'], says: /no Service default\/wbe/ },
    { why: 'one namespace and all', words: ['-A', '-n', 'shop'], says: /--all-namespaces.*exclude/ },
    { why: 'a file that is not there', words: ['-f', '/nonexistent.yaml'], says: /--file.*nonexistent/ },
  ])('$why', async ({ words, says }) => {
    const failed = plan(...words);
    await expect(failed).rejects.toThrow(UsageError);
    await expect(failed).rejects.toThrow(says);
  });
});

test('agents that would have to serve, and are not there, are missed by name; nothing is written for them', async () => {
  cluster.create('web');
  const from = cluster.kube.audit.length;
  const called = call(['plan', '--kubeconfig', kubeconfig, '--provider', 'local', '--local-forwarder', 'agents', '-o', 'json']);
  await called.ended;
  const { balancers } = JSON.parse(called.stdout()) as PlanDocument;
  expect(balancers).toMatchObject([{ key: 'default/web', refused: [{ reason: 'NoForwarder' }] }]);
  expect(cluster.writes(from)).toEqual([]);
});
