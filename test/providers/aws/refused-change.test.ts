import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount } from '../../../src/sandbox/aws/seed.ts';
import type { Running } from '../../controller/running.ts';
import { addNode, makeAws, makeProvider, worker } from './stage.ts';
import { runWorkers } from './workers.ts';

jest.setTimeout(120_000); // a controller at work, on a machine that may be busy

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let cluster: Running;
let aheadMs: number;

beforeEach(async () => {
  aheadMs = 0;
  aws = await makeAws({ seed: typicalAccount({ instances: 6 }), limits: { targetGroups: 1 } });
  cluster = await runWorkers();
  await cluster.start(makeProvider(aws, { now: () => Date.now() + aheadMs }));
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

const web = { resource: 'services', namespace: 'default', name: 'web' } as const;
const condition = () => cluster.service('web')?.conditions.find(({ type }) => type === CONDITION);
const registered = (): readonly number[] =>
  aws
    .targetGroups()
    .flatMap(({ arn }) => aws.targetsOf(arn))
    .map(({ id }) => Number.parseInt(id.slice(2), 16))
    .sort();

/** What happens at AWS alone is told by no change of the cluster. */
async function reach(isReached: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !isReached(); ) {
    if (Date.now() > deadline) throw new Error(`the targets stay ${registered().join()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test.each([
  {
    what: 'a second port for which the account has no target group',
    change: {
      spec: {
        ports: [
          { port: 80, name: 'a' },
          { port: 81, name: 'b' },
        ],
      },
    },
  },
  {
    what: 'more certificates than an NLB has',
    change: {
      metadata: {
        annotations: {
          [`${AWS}ssl-cert`]: Array.from(
            { length: 27 },
            (_, at) => `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-1${String(at).padStart(11, '0')}`,
          ).join(),
        },
      },
    },
  },
])('what serves follows the nodes while $what cannot be had', async ({ change }) => {
  cluster.create('web');
  await cluster.until('Ready', () => condition()?.status === 'True');
  cluster.kube.objects.patch(web, change);
  await cluster.until('refused', () => condition()?.reason === 'QuotaExceeded');
  for (const number of [4, 5]) addNode(cluster.kube, worker(number));
  cluster.kube.objects.delete({ resource: 'nodes', name: 'n1' });
  await reach(() => registered().join() === '2,3,4,5');
  expect(condition()).toMatchObject({ status: 'False', reason: 'QuotaExceeded' });
  expect([aws.targetGroups().length, aws.listeners().length]).toEqual([1, 1]);
});

test('what could not be had is tried again, though nobody touches the Service', async () => {
  cluster.create('web');
  await cluster.until('Ready', () => condition()?.status === 'True');
  cluster.kube.objects.patch(web, { spec: { ports: [80, 81].map((port) => ({ port, name: `p${port}` })) } });
  await cluster.until('refused', () => condition()?.reason === 'QuotaExceeded');
  Object.assign(aws.world.limits, { targetGroups: 2 });
  aheadMs = 700_000; // longer than the longest pause
  await cluster.until('Ready again', () => condition()?.status === 'True');
  expect(aws.listeners().map(({ port }) => port)).toEqual([80, 81]);
});
