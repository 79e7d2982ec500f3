import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { PlanDocument } from '../../src/cli/plan-document.ts';
import type { SandboxAws } from '../../src/sandbox/aws/aws.ts';
import type { Running } from '../controller/running.ts';
import { accountEnv, makeAws, makeProvider, workers } from '../providers/aws/stage.ts';
import { runWorkers } from '../providers/aws/workers.ts';
import { call } from './call.ts';
import { endAll, run } from './run.ts';

jest.setTimeout(120_000); // controllers at work, on a machine that may be busy

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let cluster: Running;
let folder: string;
let kubeconfig: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  aws = await makeAws();
  cluster = await runWorkers();
  kubeconfig = join(folder, 'kubeconfig');
  await cluster.kube.writeKubeconfig(kubeconfig);
});
afterEach(async () => {
  endAll();
  await cluster.close();
  await aws.close();
});

const environment = process.env;

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Plans in this process, and holds that neither the cluster nor AWS was written to. */
function plan(...words: readonly string[]): Promise<Ended> {
  return planBy(words, async (argv) => {
    process.env = { ...environment, ...accountEnv(aws) };
    try {
      const called = call(argv);
      const code = await called.ended;
      return { code, stdout: called.stdout(), stderr: called.stderr() };
    } finally {
      process.env = environment;
    }
  });
}

async function planBy(words: readonly string[], act: (argv: readonly string[]) => Promise<Ended>): Promise<Ended> {
  const from = cluster.kube.audit.length;
  aws.calls.reset();
  const ended = await act(['plan', '--kubeconfig', kubeconfig, '--provider', 'aws', ...words]);
  expect(cluster.writes(from)).toEqual([]);
  expect(Object.keys(aws.calls.counts()).filter((action) => !action.startsWith('Describe'))).toEqual([]);
  return ended;
}

async function planJson(...words: readonly string[]): Promise<PlanDocument> {
  const { stdout, stderr } = await plan('-o', 'json', ...words);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as PlanDocument;
}

/** Lets a controller bring everything about. */
async function serve(...names: readonly string[]): Promise<void> {
  const controller = await cluster.start(makeProvider(aws));
  await cluster.until('served', () => names.every((name) => cluster.service(name)?.conditions[0]?.status === 'True'));
  await controller.stop(0);
}

test('the calls that would be made, by name, with their parameters and reasons, from a process of its own', async () => {
  cluster.create('web');
  const { stdout, code } = await planBy([], (argv) => run(argv, { env: accountEnv(aws) }));
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\+ create default\/web\n {2}because /);
  const actions = [...stdout.matchAll(/^ +(?:elasticloadbalancing|ec2):(\w+)/gm)].map(([, action]) => action);
  expect(actions).toEqual(expect.arrayContaining(['CreateSecurityGroup', 'CreateTargetGroup', 'RegisterTargets']));
  expect(actions.slice(-2)).toEqual(['CreateLoadBalancer', 'CreateListener']);
  expect(stdout).toMatch(/Scheme=internet-facing/);
  expect(stdout).toMatch(/Plan: 1 to create, 0 to change, 0 to delete; none of them cuts traffic\.\n$/);
});

test('what all balancers have in common is made once', async () => {
  cluster.create('one');
  cluster.create('two');
  const { balancers } = await planJson();
  const shared = balancers.map(({ steps }) =>
    steps.flatMap(({ kind, sharedWith }) => (sharedWith ? [`${kind}: ${sharedWith}`] : [])),
  );
  expect(shared).toEqual([[], ['create-security-group: default/one', 'allow-traffic: default/one']]);
});

test('what stands asks for nothing; a change is planned make before break, with what waits', async () => {
  cluster.create('web');
  await serve('web');
  expect(await planJson()).toMatchObject({ balancers: [{ change: 'none', steps: [] }] });
  cluster.patch('web', { metadata: { annotations: { [`${AWS}scheme`]: 'internal' } } });
  const [{ change, steps } = { change: '', steps: [] }] = (await planJson('--exit-code', 'default/web')).balancers;
  expect(change).toBe('change');
  expect(steps.find(({ kind }) => kind === 'create-balancer')?.call).toMatch(/CreateLoadBalancer .*Scheme=internal/);
  expect(steps.at(-1)).toMatchObject({ waitsFor: { what: 'healthy' } });
});

test('a gap needs consent, and what it would bring is shown', async () => {
  const named = { [`${AWS}name`]: 'fixed' };
  cluster.create('web', {}, { annotations: named });
  await serve('web');
  cluster.patch('web', { metadata: { annotations: { [`${AWS}scheme`]: 'internal' } } });
  const { stdout } = await plan();
  expect(stdout).toMatch(/^! refuse default\/web at .*\n {2}DisruptionNotAllowed: /);
  expect(stdout).toMatch(
    /With nodeport-lb.io\/allow-disruption: "true" it would:\n(.*\n)* +1\. delete NLB fixed \[CUTS TRAFFIC\]\n/,
  );
});

test('what no Service wants any more is taken down, also where only AWS knows of it', async () => {
  cluster.create('web');
  cluster.create('gone');
  await serve('web', 'gone');
  cluster.patch('gone', { metadata: { finalizers: null } });
  cluster.remove('gone');
  const { balancers, summary } = await planJson();
  expect(balancers.find(({ key }) => key === 'default/gone')).toMatchObject({
    change: 'delete',
    services: [],
    steps: expect.arrayContaining([expect.objectContaining({ kind: 'delete-balancer', disrupts: true })]),
  });
  expect(summary).toMatchObject({ create: 0, change: 0, delete: 1, unchanged: 1 });
});

test('a manifest that names what is not there is refused, and exits 2', async () => {
  const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
  const metadata = { name: 'web', annotations: { [`${AWS}subnets`]: 'subnet-0' } };
  const file = join(folder, 'web.yaml');
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec }));
  const { code, stdout } = await plan('-f', file, '--exit-code');
  expect(code).toBe(2);
  expect(stdout).toMatch(/^! refuse default\/web\n {2}AwsResourceUnknown: /);
});

test('a manifest that would be refused leaves what is served as it is', async () => {
  cluster.create('web');
  await serve('web');
  const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
  const file = join(folder, 'served.yaml');
  for (const annotations of [{ [`${AWS}subnets`]: 'subnet-0' }, { [`${AWS}scheme`]: 'outer-space' }]) {
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', annotations }, spec }));
    const { balancers } = await planJson('-f', file);
    expect(balancers).toMatchObject([{ key: 'default/web', change: 'none', steps: [], refused: [{ service: 'default/web' }] }]);
  }
});

test('the plan of a Service that gets a share of connections shows what changes there', async () => {
  const forwardConfig = { baseServiceWeight: 90, targetGroups: [{ serviceName: 'canary', servicePort: 80, weight: 10 }] };
  const action = JSON.stringify({ type: 'forward', forwardConfig });
  cluster.create('web', {}, { annotations: { 'service.beta.kubernetes.io/actions.TCP-80': action } });
  cluster.create('aside');
  const file = join(folder, 'canary.json');
  const spec = { type: 'NodePort', ports: [{ port: 80, nodePort: 31_081 }] };
  const metadata = { name: 'canary', namespace: 'default' };
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec }));
  const { balancers } = await planJson('-f', file, 'default/canary');
  expect(balancers.map(({ key }) => key)).toEqual(['default/web']);
  const calls = balancers[0]!.steps.map(({ call }) => call ?? '');
  expect(calls).toContainEqual(expect.stringMatching(/CreateTargetGroup .*Port=31081/));
  expect(calls).toContainEqual(
    expect.stringMatching(/CreateListener .*TargetGroups=np-default-web-\w+:90,np-default-web-\w+:10/),
  );
});

test('a node that a manifest takes away is deregistered', async () => {
  cluster.create('web');
  await serve('web');
  const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' };
  const file = join(folder, 'node.yaml');
  await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: workers[0]!.name, labels } }));
  const [found] = (await planJson('-f', file)).balancers;
  expect(found?.steps.find(({ kind }) => kind === 'deregister-targets')?.call).toMatch(/DeregisterTargets .*Targets=i-0+1:\d+$/);
});

test('an AWS that cannot be read is told, and nothing is called a plan', async () => {
  cluster.create('web');
  aws.inject({ action: 'DescribeLoadBalancers', code: 'AccessDenied', status: 403 });
  const { code, stdout, stderr } = await plan('--exit-code');
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('elasticloadbalancing:DescribeLoadBalancers');
});
