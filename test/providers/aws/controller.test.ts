import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER } from '../../../src/controller/claim.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { type Running, runSandbox } from '../../controller/running.ts';
import { makeAws, makeProvider, workers } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
let aws: SandboxAws;
let cluster: Running;
let provider: Provider;

beforeEach(async () => {
  aws = await makeAws();
  cluster = await runSandbox();
  for (const { name, addresses, providerId } of workers) {
    cluster.kube.objects.create(
      { resource: 'nodes' },
      {
        metadata: { name },
        spec: { providerID: providerId },
        status: { addresses: [{ type: 'InternalIP', address: addresses[0] }] },
      },
    );
  }
  provider = makeProvider(aws);
  await cluster.start(provider);
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

const condition = (name: string) => cluster.service(name)?.conditions.find(({ type }) => type === CONDITION);

test('a Service gets an NLB, its hostname, and loses both', async () => {
  cluster.create('web');
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  const [lb] = aws.loadBalancers();
  expect(cluster.service('web')).toMatchObject({
    finalizers: [FINALIZER],
    ingress: [{ hostname: lb!.dnsName.toLowerCase(), ports: [{ port: 80, protocol: 'TCP' }] }],
  });
  cluster.remove('web');
  await cluster.until('gone', () => cluster.service('web') === undefined);
  expect(aws.leftovers()).toMatchObject({ loadBalancers: [], targetGroups: [], listeners: [], securityGroups: [], rules: [] });
});

test('a Service that is refused is told why, and nothing is made; the others are served', async () => {
  cluster.create('bad', {}, { annotations: { [`${AWS}subnets`]: 'subnet-0' } });
  cluster.create('good');
  await cluster.until(
    'both judged',
    () => condition('good')?.status === 'True' && condition('bad')?.reason === 'AwsResourceUnknown',
  );
  expect(condition('bad')?.message).toMatch(/"subnet-0".*no such subnet/);
  expect(aws.loadBalancers()).toHaveLength(1);
  await cluster.until('an event', () => cluster.events('bad').some(({ reason }) => reason === 'SyncLoadBalancerFailed'));
});

test('an action that is denied is named in the condition, and all is well once it is allowed', async () => {
  const denied = aws.inject({ action: 'CreateLoadBalancer', code: 'AccessDenied', status: 403 });
  cluster.create('web');
  await cluster.until('denied', () => condition('web')?.reason === 'AwsDenied');
  expect(condition('web')?.message).toContain('elasticloadbalancing:CreateLoadBalancer');
  denied.remove();
  await cluster.until('Ready', () => condition('web')?.status === 'True');
});

test('Services of a share group have one NLB, which goes with the last of them', async () => {
  const share = { annotations: { 'nodeport-lb.io/share': 'edge' } };
  cluster.create('one', { ports: [{ port: 80 }] }, share);
  cluster.create('two', { ports: [{ port: 81 }] }, share);
  await cluster.until('both ready', () => ['one', 'two'].every((name) => condition(name)?.status === 'True'));
  expect([
    aws.loadBalancers().length,
    aws
      .listeners()
      .map(({ port }) => port)
      .sort(),
  ]).toEqual([1, [80, 81]]);
  cluster.remove('one');
  await cluster.until('one is gone', () => cluster.service('one') === undefined);
  expect(aws.listeners().map(({ port }) => port)).toEqual([81]);
  cluster.remove('two');
  await cluster.until('two is gone', () => cluster.service('two') === undefined);
  expect(aws.leftovers()).toMatchObject({ loadBalancers: [], targetGroups: [], securityGroups: [], rules: [] });
});

test('forty Services at once, and none is left over', async () => {
  const names = Array.from({ length: 40 }, (_, at) => `web-${at}`);
  for (const name of names) cluster.create(name);
  await cluster.until('all ready', () => names.every((name) => condition(name)?.status === 'True'));
  for (const name of names) cluster.remove(name);
  await cluster.until('all gone', () => names.every((name) => cluster.service(name) === undefined));
  await cluster.start(makeProvider(aws)).then((controller) => controller.stop(0));
  expect(aws.leftovers()).toMatchObject({ loadBalancers: [], targetGroups: [], listeners: [], securityGroups: [], rules: [] });
}, 30_000);
