import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import { cures } from '../../../src/errors.ts';
import type { AwsParts } from '../../../src/providers/aws/provider.ts';
import type { AwsOptions, SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import type { Running } from '../../controller/running.ts';
import { makeAws, makeProvider } from './stage.ts';
import { runWorkers } from './workers.ts';

jest.setTimeout(120_000); // a controller at work, on a machine that may be busy

/** What people are told of Services at AWS, by condition, event and status. */
const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const certificate = 'arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-000000000001';
let aws: SandboxAws;
let cluster: Running;

beforeEach(async () => {
  cluster = await runWorkers();
});
afterEach(async () => {
  await cluster.close();
  await aws.close();
});

async function begin(options: AwsOptions = {}, parts: Partial<AwsParts> = {}): Promise<void> {
  aws = await makeAws(options);
  await cluster.start(makeProvider(aws, parts));
}

const annotated = (short: Record<string, string>) => ({
  annotations: Object.fromEntries(Object.entries(short).map(([name, value]) => [name.includes('/') ? name : AWS + name, value])),
});
const condition = (name: string) => cluster.service(name)?.conditions.find(({ type }) => type === CONDITION);
const said = (name: string, reason: string) => cluster.events(name).filter((event) => event.reason === reason);

test('Provisioning until the NLB is active, and nothing is published before', async () => {
  await begin({ timings: { activeMs: 3_600_000 } });
  cluster.create('web');
  await cluster.until('told', () => condition('web')?.reason === 'Provisioning' && aws.listeners().length === 1);
  expect(condition('web')).toMatchObject({ status: 'False', reason: 'Provisioning' });
  expect(cluster.service('web')?.ingress).toEqual([]);
  aws.advance(3_600_000);
  await cluster.until('Ready', () => condition('web')?.status === 'True');
  expect(cluster.service('web')?.ingress).toHaveLength(1);
  await cluster.until('an event', () => said('web', 'EnsuredLoadBalancer').length === 1);
});

test('nodes in zones that the NLB does not cover are named, in the condition and in one event', async () => {
  await begin();
  cluster.create('web', {}, annotated({ subnets: 'public-a' }));
  await cluster.until('Degraded', () => condition('web')?.reason === 'Degraded');
  await cluster.until('an event', () => said('web', 'LoadBalancerNotes').length > 0);
  const { message = '', status } = condition('web') ?? {};
  expect(status).toBe('True');
  expect(message).toMatch(/2 of 3 targets are unhealthy: n2 \(.*does not cover its zone eu-west-1b\), n3 \(.*eu-west-1c\)/);
  expect(message).toMatch(/Nodes in eu-west-1b, eu-west-1c get no traffic: the NLB covers eu-west-1a only/);
  expect(said('web', 'LoadBalancerNotes')).toHaveLength(1);
});

test('addresses are published with ipMode Proxy where a listener ends TLS, else VIP', async () => {
  await begin();
  const publish = { 'nodeport-lb.io/publish': 'ip', scheme: 'internal' };
  cluster.create('plain', {}, annotated(publish));
  cluster.create('tls', { ports: [{ port: 443 }] }, annotated({ ...publish, 'ssl-cert': certificate }));
  await cluster.until('Ready', () => ['plain', 'tls'].every((name) => condition(name)?.status === 'True'));
  const modes = (name: string) => cluster.service(name)?.ingress.map(({ ipMode }) => ipMode);
  expect([modes('plain'), modes('tls')]).toEqual([
    ['VIP', 'VIP', 'VIP'],
    ['Proxy', 'Proxy', 'Proxy'],
  ]);
});

test('credentials that run out: one event and the cure, nothing is lost or half-built, and it goes on by itself', async () => {
  await begin();
  cluster.create('old');
  await cluster.until('Ready', () => condition('old')?.status === 'True');
  const before = aws.leftovers();
  const { resourceVersion } = cluster.service('old')!;
  const expired = aws.inject({ action: '*', code: 'ExpiredToken', status: 403 });
  cluster.create('new');
  await cluster.until(
    'told',
    () => condition('new')?.reason === 'AwsCredentials' && said('new', 'SyncLoadBalancerFailed').length > 0,
  );
  expect(condition('new')?.message).toContain(cures.AwsCredentials);
  const met = expired.met();
  for (const deadline = Date.now() + 60_000; expired.met() < met + 3 && Date.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, 5)); // it is tried again meanwhile
  }
  expect(said('new', 'SyncLoadBalancerFailed')).toHaveLength(1);
  expect(aws.leftovers()).toEqual(before);
  expect(cluster.service('old')?.resourceVersion).toBe(resourceVersion);
  expired.remove();
  await cluster.until('Ready, too', () => condition('new')?.status === 'True');
});

test('rules on the nodes’ group: one range a protocol, however many Services; ours go with the last, and others’ stay', async () => {
  await begin();
  const { rules } = aws.securityGroups().find(({ id }) => id === 'sg-nodes')!;
  const range = { protocol: 'tcp', fromPort: 30_000, toPort: 32_767 };
  const peer = { kind: 'ipv4' as const, value: '10.0.0.0/8' };
  rules.set('sgr-ops', { id: 'sgr-ops', egress: false, ...range, peer, description: 'ops' });
  const ours = () =>
    [...rules.values()]
      .filter(({ egress, description }) => !egress && description === 'nodeport-lb')
      .map(({ protocol, fromPort, toPort }) => `${protocol} ${fromPort}-${toPort}`)
      .sort();
  const names = Array.from({ length: 4 }, (_, at) => `web-${at}`);
  for (const [at, name] of names.entries()) {
    cluster.create(name, { ports: [{ port: 53 + at, protocol: at % 2 === 0 ? 'TCP' : 'UDP' }] });
  }
  await cluster.until('Ready', () => names.every((name) => condition(name)?.status === 'True'));
  expect(ours()).toEqual(['tcp 10256-10256', 'tcp 30000-32767', 'udp 30000-32767']);
  for (const name of names) cluster.remove(name);
  await cluster.until('all gone', () => names.every((name) => cluster.service(name) === undefined));
  for (const deadline = Date.now() + 60_000; ours().length > 0 && Date.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, 5)); // the shared group goes right after the last balancer
  }
  expect(ours()).toEqual([]);
  expect(rules.get('sgr-ops')).toMatchObject({ ...range, description: 'ops' });
});
