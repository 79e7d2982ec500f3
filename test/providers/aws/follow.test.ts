import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import type { RunningController } from '../../../src/controller/start.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import type { Running } from '../../controller/running.ts';
import { addNode, makeAws, makeProvider, worker } from './stage.ts';
import { runWorkers } from './workers.ts';

jest.setTimeout(120_000); // controllers at work, on a machine that may be busy

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let cluster: Running;
let controller: RunningController;

beforeEach(async () => {
  aws = await makeAws({ seed: typicalAccount({ instances: 6 }), limits: { targetGroups: 2 } });
  cluster = await runWorkers();
  controller = await cluster.start(makeProvider(aws));
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

const removeNode = (number: number) => cluster.kube.objects.delete({ resource: 'nodes', name: `n${number}` });
const condition = (name: string) => cluster.service(name)?.conditions.find(({ type }) => type === CONDITION);

/** By target group: the numbers of its instances, and their port. */
const registered = (): readonly string[] =>
  aws
    .targetGroups()
    .map(({ arn }) => aws.targetsOf(arn))
    .map((targets) => targets.map(({ id, port }) => `${Number.parseInt(id.slice(2), 16)}:${port}`).sort())
    .map((targets) => targets.join(' '));

/** What happens at AWS alone is told by no change of the cluster. */
async function reach(what: readonly string[]): Promise<void> {
  for (const deadline = Date.now() + 60_000; registered().join() !== what.join(); ) {
    if (Date.now() > deadline) throw new Error(`the targets stay ${registered().join()}, not ${what.join()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The change is made while no controller runs; the one that comes remembers nothing of what was wanted before. */
async function changeAndRestart(name: string, patch: object): Promise<void> {
  await controller.stop(0);
  cluster.patch(name, patch);
  controller = await cluster.start(makeProvider(aws));
}

const annotations = (short: Record<string, string>) => ({
  metadata: {
    annotations: Object.fromEntries(
      Object.entries(short).map(([name, value]) => [name.includes('/') ? name : AWS + name, value]),
    ),
  },
});

describe('what serves follows the nodes while its Service is refused', () => {
  test.each<{ why: string; short: Record<string, string>; code: string }>([
    { why: 'by the controller', short: { 'nodeport-lb.io/drain-seconds': 'long' }, code: 'AnnotationInvalid' },
    { why: 'by the provider', short: { subnets: 'subnet-0' }, code: 'AwsResourceUnknown' },
  ])('$why', async ({ short, code }) => {
    cluster.create('web');
    await cluster.until('Ready', () => condition('web')?.status === 'True');
    cluster.patch('web', annotations(short));
    await cluster.until('refused', () => condition('web')?.reason === code);
    addNode(cluster.kube, worker(4));
    removeNode(1);
    const port = cluster.service('web')!.ports[0]!.nodePort;
    await reach([[2, 3, 4].map((number) => `${number}:${port}`).join(' ')]);
    expect(condition('web')?.reason).toBe(code);
  });
});

describe('after a start with a Service that is refused, what serves follows the nodes', () => {
  test.each([
    { why: 'an annotation that is not valid', patch: annotations({ 'healthcheck-interval': '1' }), code: 'AnnotationInvalid' },
    {
      why: 'one of ours that is not valid',
      patch: annotations({ 'nodeport-lb.io/drain-seconds': 'long' }),
      code: 'AnnotationInvalid',
    },
    { why: 'a subnet that nobody knows', patch: annotations({ subnets: 'subnet-0' }), code: 'AwsResourceUnknown' },
    {
      why: 'a name that another NLB has',
      patch: annotations({ 'eip-allocations': 'eipalloc-1', subnets: 'public-a', name: 'np-taken' }),
      code: 'AwsNameInUse',
    },
    {
      why: 'what the account has no room for',
      patch: { spec: { ports: [80, 81, 82].map((port) => ({ port, name: `p${port}` })) } },
      code: 'QuotaExceeded',
    },
  ])('$why', async ({ patch, code }) => {
    cluster.create('other', {}, annotations({ name: 'np-taken' }).metadata);
    cluster.create('web');
    await cluster.until('Ready', () => ['other', 'web'].every((name) => condition(name)?.status === 'True'));
    const before = cluster.service('web')!;
    const listeners = aws.listeners().length;
    await changeAndRestart('web', patch);
    await cluster.until('refused', () => condition('web')?.reason === code);
    const port = before.ports[0]!.nodePort;
    const other = cluster.service('other')!.ports[0]!.nodePort;
    for (const number of [4, 5]) addNode(cluster.kube, worker(number));
    removeNode(1);
    const as = (own: number) => [2, 3, 4, 5].map((number) => `${number}:${own}`).join(' ');
    await reach(aws.targetGroups().map((group) => as(group.port === port ? port : other)));
    expect(condition('web')).toMatchObject({ status: 'False', reason: code });
    expect(cluster.service('web')!.ingress).toEqual(before.ingress);
    expect(aws.listeners().length).toBe(listeners);
    if (!('metadata' in patch)) return; // what was refused for its ports is not mended by its annotations
    const mended = Object.fromEntries(Object.keys(patch.metadata.annotations).map((name) => [name, null]));
    cluster.patch('web', { metadata: { annotations: mended } });
    await cluster.until('Ready again', () => condition('web')?.status === 'True');
  });

  test('so does a member of a shared NLB, and its listener stays', async () => {
    const share = { 'nodeport-lb.io/share': 'edge' };
    for (const [at, name] of ['one', 'two'].entries()) {
      cluster.create(name, { ports: [{ port: 80 + at, nodePort: 30_080 + at }] }, annotations(share).metadata);
    }
    await cluster.until('both ready', () => ['one', 'two'].every((name) => condition(name)?.status === 'True'));
    await changeAndRestart('two', annotations({ 'nodeport-lb.io/health-check-port': 'none' }));
    await cluster.until('refused', () => condition('two')?.reason === 'AnnotationInvalid');
    addNode(cluster.kube, worker(4));
    removeNode(1);
    await reach(aws.targetGroups().map(({ port }) => [2, 3, 4].map((number) => `${number}:${port}`).join(' ')));
    expect(
      aws
        .listeners()
        .map(({ port }) => port)
        .sort(),
    ).toEqual([80, 81]);
  });

  test('while AWS does not answer it goes on saying what it was refused for, once', async () => {
    cluster.create('web');
    await cluster.until('Ready', () => condition('web')?.status === 'True');
    const { nodePort } = cluster.service('web')!.ports[0]!;
    await controller.stop(0);
    const away = aws.inject({ action: '*', code: 'InternalError', status: 400 });
    cluster.patch('web', annotations({ 'healthcheck-interval': '1' }));
    controller = await cluster.start(makeProvider(aws));
    await cluster.until('refused', () => condition('web')?.reason === 'AnnotationInvalid');
    const { resourceVersion } = cluster.service('web')!;
    const met = away.met();
    for (const deadline = Date.now() + 20_000; away.met() < met + 4 && Date.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 5)); // it is tried again meanwhile
    }
    expect(cluster.service('web')?.resourceVersion).toBe(resourceVersion);
    const failures = () => cluster.events('web').filter(({ reason }) => reason === 'SyncLoadBalancerFailed');
    await cluster.until('an event', () => failures().length > 0);
    expect(failures()).toHaveLength(1);
    away.remove();
    addNode(cluster.kube, worker(4));
    await reach([[1, 2, 3, 4].map((number) => `${number}:${nodePort}`).join(' ')]);
  });

  test('what its targets were chosen by is not guessed', async () => {
    cluster.kube.objects.patch({ resource: 'nodes', name: 'n2' }, { metadata: { labels: { edge: 'yes' } } });
    cluster.create('web', {}, annotations({ 'target-node-labels': 'edge=yes' }).metadata);
    cluster.create('all');
    await cluster.until('Ready', () => ['all', 'web'].every((name) => condition(name)?.status === 'True'));
    const chosen = `2:${cluster.service('web')!.ports[0]!.nodePort}`;
    await changeAndRestart('web', annotations({ 'target-node-labels': 'edge=?!' }));
    await cluster.until('refused', () => condition('web')?.reason === 'AnnotationInvalid');
    addNode(cluster.kube, worker(4));
    const { nodePort } = cluster.service('all')!.ports[0]!;
    const all = [1, 2, 3, 4].map((number) => `${number}:${nodePort}`).join(' ');
    await reach(aws.targetGroups().map(({ port }) => (port === nodePort ? all : chosen)));
  });
});
