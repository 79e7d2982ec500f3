import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { CONDITION, FINALIZER } from '../../../src/controller/claim.ts';
import type { AwsParts } from '../../../src/providers/aws/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { makeAws, makeProvider } from './stage.ts';
import { runWorkers } from './workers.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
jest.setTimeout(120_000); // controllers at work, on a machine that may be busy

let aws: SandboxAws;
let cluster: Running;

beforeEach(async () => {
  aws = await makeAws();
  cluster = await runWorkers();
  await begin({});
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

async function begin(parts: Partial<AwsParts>): Promise<void> {
  await cluster.start(makeProvider(aws, parts));
}

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
  await nothingLeft();
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
  await nothingLeft();
});

test('AWS takes its time and forgets what it was just told: the end is the same', async () => {
  await slowAws({ timings: { activeMs: 100, healthyMs: 100, consistencyMs: 150, drainingMs: 100 } });
  const names = ['a', 'b'];
  for (const name of names) cluster.create(name);
  await cluster.until('all ready', () => names.every((name) => condition(name)?.status === 'True'));
  cluster.patch('a', { spec: { ports: [{ port: 80, nodePort: 31_999 }] } });
  cluster.patch('b', { metadata: { annotations: { [`${AWS}scheme`]: 'internal' } } });
  const nameOfInternal = () =>
    aws
      .loadBalancers()
      .find(({ scheme }) => scheme === 'internal')
      ?.dnsName.toLowerCase();
  const isPublished = () => cluster.service('b')?.ingress[0]?.hostname === nameOfInternal();
  await cluster.until(
    'all is as it was changed',
    () => isPublished() && names.every((name) => condition(name)?.status === 'True'),
  );
  for (const name of names) cluster.remove(name);
  await cluster.until('all gone', () => names.every((name) => cluster.service(name) === undefined));
  await nothingLeft();
}, 120_000);

test('a third of all calls is throttled: slower, and the same', async () => {
  await slowAws({});
  const throttled = aws.inject({ action: '*', code: 'Throttling', status: 400, probability: 0.3 });
  cluster.create('web');
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  throttled.remove();
  cluster.remove('web');
  await cluster.until('gone', () => cluster.service('web') === undefined);
  await nothingLeft();
}, 120_000);

test('another Service of the namespace gets its share, follows its nodePort, and is missed when it goes', async () => {
  const forwardConfig = { baseServiceWeight: 90, targetGroups: [{ serviceName: 'canary', servicePort: 80, weight: 10 }] };
  const action = JSON.stringify({ type: 'forward', forwardConfig });
  cluster.create('web', {}, { annotations: { 'service.beta.kubernetes.io/actions.TCP-80': action } });
  await cluster.until('missed', () => condition('web')?.reason === 'AnnotationInvalid');
  expect(condition('web')?.message).toMatch(
    /actions\.TCP-80: forwardConfig\.targetGroups\[0\]: there is no Service default\/canary/,
  );
  expect(aws.loadBalancers()).toEqual([]);
  cluster.create('canary', { type: 'NodePort', ports: [{ port: 80, nodePort: 31_081 }] });
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  expect(weightsByPort().get(31_081)).toBe(10);
  cluster.patch('canary', { spec: { ports: [{ port: 80, nodePort: 31_082 }] } });
  const ports = () => new Set(aws.targetGroups().flatMap(({ arn }) => aws.targetsOf(arn).map(({ port }) => port)));
  await untilAws('its targets have the other nodePort', () => ports().has(31_082) && !ports().has(31_081));
  cluster.remove('canary');
  await cluster.until('missed again', () => condition('web')?.reason === 'AnnotationInvalid');
  expect(aws.listeners()[0]?.forward).toHaveLength(2); // a refusal leaves what exists
  cluster.remove('web');
  await cluster.until('gone', () => cluster.service('web') === undefined);
  await nothingLeft();
});

function weightsByPort(): ReadonlyMap<number | undefined, number | undefined> {
  const groups = new Map(aws.targetGroups().map(({ arn, port }) => [arn, port]));
  return new Map(aws.listeners().flatMap(({ forward }) => forward.map(({ arn, weight }) => [groups.get(arn), weight])));
}

async function untilAws(what: string, condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !condition(); ) {
    if (Date.now() >= deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The shared group goes right after the last balancer. */
async function nothingLeft(): Promise<void> {
  const empty = { loadBalancers: [], targetGroups: [], listeners: [], securityGroups: [], rules: [], heldAddresses: [] };
  for (
    const deadline = Date.now() + 60_000;
    JSON.stringify(aws.leftovers()) !== JSON.stringify(empty) && Date.now() < deadline;
  ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(aws.leftovers()).toEqual(empty);
}

/** Begins anew with an AWS as it is. */
async function slowAws(options: AwsOptions, parts: Partial<AwsParts> = { tickMs: 50 }): Promise<void> {
  await cluster.close();
  await aws.close();
  aws = await makeAws(options);
  cluster = await runWorkers();
  await begin(parts);
}

test('a replaced NLB goes after its grace time, though nothing else happens', async () => {
  await slowAws({}, { graceSeconds: 1 });
  cluster.create('web');
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  cluster.patch('web', { metadata: { annotations: { [`${AWS}scheme`]: 'internal' } } });
  const seen = (): unknown => [
    aws.loadBalancers().map(({ scheme }) => scheme),
    aws.targetGroups().length,
    condition('web')?.status,
  ];
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && JSON.stringify(seen()) !== '[["internal"],1,"True"]') {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(seen()).toEqual([['internal'], 1, 'True']);
}, 120_000);

test('forty Services at once, and none is left over', async () => {
  const names = Array.from({ length: 40 }, (_, at) => `web-${at}`);
  for (const name of names) cluster.create(name);
  await cluster.until('all ready', () => names.every((name) => condition(name)?.status === 'True'));
  for (const name of names) cluster.remove(name);
  await cluster.until('all gone', () => names.every((name) => cluster.service(name) === undefined));
  await nothingLeft();
}, 120_000);

test('an event says which default applied, and what an annotation means here that others read otherwise', async () => {
  const share = { [`${AWS}proxy-protocol`]: '*' };
  cluster.create('web', {}, { annotations: share });
  cluster.create('inner', {}, { annotations: { [`${AWS}nlb-target-type`]: 'instance' } });
  cluster.create('said', {}, { annotations: { [`${AWS}scheme`]: 'internal' } });
  const names = ['web', 'inner', 'said'];
  await cluster.until('all ready', () => names.every((name) => condition(name)?.status === 'True'));
  const said = (name: string, reason: string) =>
    cluster.events(name).flatMap((event) => (event.reason === reason ? [event.message] : []));
  await cluster.until('all told', () => names.every((name) => said(name, 'EnsuringLoadBalancer').length > 0)); // events have time
  expect(names.map((name) => said(name, 'EnsuringLoadBalancer'))).toEqual([
    [
      expect.stringMatching(
        /internet-facing, the default of --aws-default-scheme; AWS Load Balancer Controller would make it internal/,
      ),
    ],
    [expect.stringMatching(/internal, the default of AWS Load Balancer Controller, .*; cloud-provider-aws would/)],
    [expect.not.stringContaining('default')],
  ]);
  expect(said('web', 'AnnotationUnderstood')).toEqual([expect.stringMatching(/cloud-provider-aws ignores it/)]);
});

test('target-node-labels chooses the nodes, and follows their labels', async () => {
  const label = (name: string, edge: string | null) =>
    cluster.kube.objects.patch({ resource: 'nodes', name }, { metadata: { labels: { edge } } });
  const targets = () =>
    aws.targetGroups().flatMap(({ arn }) => aws.targetsOf(arn).map(({ id }) => `n${Number.parseInt(id.slice(-4), 16)}`));
  label('n1', 'yes');
  label('n2', 'no');
  cluster.create('web', {}, { annotations: { [`${AWS}target-node-labels`]: 'edge=yes' } });
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  expect(targets()).toEqual(['n1']);
  label('n3', 'yes');
  label('n1', null);
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline && targets().join() !== 'n3') await new Promise((resolve) => setTimeout(resolve, 20));
  expect(targets()).toEqual(['n3']);
});
