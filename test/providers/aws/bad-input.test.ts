import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { CONDITION } from '../../../src/controller/claim.ts';
import { type Code, cures } from '../../../src/errors.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { typicalAccount, typicalInstance } from '../../../src/sandbox/aws/seed.ts';
import { type Running, runSandbox } from '../../controller/running.ts';
import { makeAws, makeProvider, workers } from './stage.ts';

jest.setTimeout(120_000); // a controller at work, on a machine that may be busy

/** Whatever the author of one Service writes: that one is told what and why, once and with the cure, and nobody else notices. */
const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const certificate = (number: number) =>
  `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-00000000000${number}`;
const instanceId = (number: number) => `i-${number.toString(16).padStart(17, '0')}`;

let aws: SandboxAws;
let cluster: Running;

/** An account without IPv6, with a second VPC. */
function account() {
  const seed = typicalAccount({ dualStack: false });
  const elsewhere = { id: 'subnet-elsewhere', vpcId: 'vpc-2', zone: 'eu-west-1a', cidr: '10.9.0.0/20', tags: {} };
  return {
    ...seed,
    vpcs: [...seed.vpcs, { id: 'vpc-2', cidr: '10.9.0.0/16' }],
    subnets: [...seed.subnets, elsewhere],
    securityGroups: [...(seed.securityGroups ?? []), { id: 'sg-2', name: 'nodes', vpcId: 'vpc-2', description: 'others' }],
    instances: [
      ...(seed.instances ?? []),
      { ...typicalInstance(8), state: 'terminated' as const },
      { id: instanceId(9), subnetId: elsewhere.id, privateIp: '10.9.0.10', securityGroups: ['sg-2'] },
    ],
  };
}

function addNode(name: string, providerID?: string): void {
  const status = { addresses: [{ type: 'InternalIP', address: `10.0.9.${name.length}` }] };
  const spec = providerID === undefined ? {} : { providerID };
  cluster.kube.objects.create({ resource: 'nodes' }, { metadata: { name }, spec, status });
}

const condition = (name: string) => cluster.service(name)?.conditions.find(({ type }) => type === CONDITION);
const failures = (name: string) => cluster.events(name).filter(({ reason }) => reason === 'SyncLoadBalancerFailed');

beforeAll(async () => {
  aws = await makeAws({ seed: account() });
  cluster = await runSandbox();
  for (const { name, providerId } of workers) addNode(name, providerId);
  await cluster.start(makeProvider(aws));
  cluster.create('good');
  await cluster.until('the good one is ready', () => condition('good')?.status === 'True');
});
afterAll(async () => {
  await cluster.close();
  await aws.close();
});

describe('one Service is told, and nothing else changes', () => {
  interface Row {
    readonly why: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ports?: readonly object[];
    readonly code: Code;
    readonly says: RegExp;
  }
  const udp = [{ port: 53, protocol: 'UDP' }];
  const rows: readonly Row[] = [
    {
      why: 'an unknown subnet',
      annotations: { subnets: 'subnet-0' },
      code: 'AwsResourceUnknown',
      says: /"subnet-0".*no such subnet/,
    },
    {
      why: 'an unknown EIP',
      annotations: { subnets: 'public-a', 'eip-allocations': 'eipalloc-77' },
      code: 'AwsResourceUnknown',
      says: /Elastic IP eipalloc-77/,
    },
    {
      why: 'an unknown certificate',
      annotations: { 'ssl-cert': certificate(9) },
      code: 'AwsResourceUnknown',
      says: /CertificateNotFound/,
    },
    {
      why: 'an unknown security group',
      annotations: { 'security-groups': 'sg-77' },
      code: 'AwsResourceUnknown',
      says: /"sg-77"/,
    },
    {
      why: 'fewer EIPs than subnets',
      annotations: { 'eip-allocations': 'eipalloc-1' },
      code: 'AwsAddressMismatch',
      says: /1 Elastic IPs for 3 subnets/,
    },
    {
      why: 'more EIPs than subnets',
      annotations: { subnets: 'public-a', 'eip-allocations': 'eipalloc-1,eipalloc-2' },
      code: 'AwsAddressMismatch',
      says: /2 Elastic IPs for 1 subnets/,
    },
    {
      why: 'internal with EIPs',
      annotations: { scheme: 'internal', 'eip-allocations': 'eipalloc-1,eipalloc-2,eipalloc-3' },
      code: 'AwsAddressMismatch',
      says: /internal NLB has no Elastic IPs/,
    },
    {
      why: 'UDP without the client’s address',
      annotations: { 'target-group-attributes': 'preserve_client_ip.enabled=false' },
      ports: udp,
      code: 'AnnotationInvalid',
      says: /UDP an NLB always keeps/,
    },
    {
      why: 'a port of ssl-ports',
      annotations: { 'ssl-cert': certificate(1), 'ssl-ports': 'https' },
      code: 'AnnotationInvalid',
      says: /ssl-ports: the Service has no port "https" \(it has 80\)/,
    },
    {
      why: 'a port of target-group-attributes',
      annotations: { 'target-group-attributes.81': 'stickiness.enabled=true' },
      code: 'AnnotationInvalid',
      says: /target-group-attributes\.81.*no port "81"/,
    },
    {
      why: 'a port of proxy-protocol-per-target-group',
      annotations: { 'proxy-protocol-per-target-group': '81' },
      code: 'AnnotationInvalid',
      says: /proxy-protocol-per-target-group.*no port "81"/,
    },
    {
      why: 'a port of listener-attributes',
      annotations: { 'listener-attributes.TCP-81': 'tcp.idle_timeout.seconds=60' },
      code: 'AnnotationInvalid',
      says: /listener-attributes\.TCP-81.*no port "81"/,
    },
    {
      why: 'a port of listener-attributes with another protocol',
      annotations: { 'listener-attributes.TLS-80': 'tcp.idle_timeout.seconds=60' },
      code: 'AnnotationInvalid',
      says: /listener-attributes\.TLS-80/,
    },
    {
      why: 'a port of healthcheck-port',
      annotations: { 'healthcheck-port': 'metrics' },
      code: 'AnnotationInvalid',
      says: /healthcheck-port.*metrics/,
    },
    {
      why: 'two subnets in one zone',
      annotations: { subnets: 'subnet-public-a,subnet-private-a' },
      code: 'SubnetUnavailable',
      says: /subnet-public-a and subnet-private-a are both in zone eu-west-1a/,
    },
    {
      why: 'no subnet that fits',
      annotations: { 'ip-address-type': 'dualstack' },
      code: 'SubnetUnavailable',
      says: /subnet-public-a in eu-west-1a: it has no IPv6 range; .*subnet-private-c in eu-west-1c: it has no IPv6 range/,
    },
    {
      why: 'a subnet of another VPC',
      annotations: { subnets: 'subnet-elsewhere' },
      code: 'AwsResourceUnknown',
      says: /"subnet-elsewhere"/,
    },
    {
      why: 'a security group of another VPC',
      annotations: { 'security-groups': 'sg-2' },
      code: 'AwsResourceUnknown',
      says: /"sg-2"/,
    },
    { why: 'SCTP', ports: [{ port: 80, protocol: 'SCTP' }], code: 'ProtocolUnsupported', says: /does not carry SCTP/ },
    {
      why: 'a value out of range',
      annotations: { 'healthcheck-interval': '1' },
      code: 'AnnotationInvalid',
      says: /healthcheck-interval.*5 to 300/,
    },
    { why: 'a list that is none', annotations: { attributes: 'on' }, code: 'AnnotationInvalid', says: /attributes.*KEY=VALUE/ },
  ];
  let bad = '';
  let count = 0;
  let before: unknown;
  let untouched: string | undefined;

  test.each(rows)('$why', async ({ annotations = {}, ports, code, says }) => {
    bad = `bad-${++count}`;
    before = aws.leftovers();
    untouched = cluster.service('good')!.resourceVersion;
    const prefixed = Object.fromEntries(Object.entries(annotations).map(([name, value]) => [AWS + name, value]));
    cluster.create(bad, ports ? { ports } : {}, { annotations: prefixed });
    await cluster.until('it is told, and an event says it', () => condition(bad)?.reason === code && failures(bad).length > 0);
    expect(condition(bad)).toMatchObject({ status: 'False', message: expect.stringMatching(says) });
    expect(condition(bad)!.message).toContain(cures[code]);
    expect(failures(bad).map(({ message }) => message)).toEqual([expect.stringMatching(says)]);
    expect(aws.leftovers()).toEqual(before);
  });

  afterEach(async () => {
    if (!cluster.service(bad)) return;
    cluster.remove(bad);
    await cluster.until('the bad one goes', () => cluster.service(bad) === undefined);
    expect(aws.leftovers()).toEqual(before);
    expect(cluster.service('good')?.resourceVersion).toBe(untouched);
  });
});

test('nodes that cannot be targets are named, each with its reason, and the others serve', async () => {
  addNode('bare');
  addNode('ended', `aws:///eu-west-1a/${instanceId(8)}`);
  addNode('elsewhere', `aws:///eu-west-1a/${instanceId(9)}`);
  await cluster.until('it is told', () => condition('good')?.message.includes('elsewhere') === true);
  cluster.create('next');
  await cluster.until('another is served', () => condition('next')?.status === 'True');
  for (const name of ['good', 'next']) {
    expect(condition(name)).toMatchObject({ status: 'True', reason: 'Degraded' });
    for (const says of [/bare \(.*no spec\.providerID/, /ended \(.*is terminated/, /elsewhere \(.*vpc-2/]) {
      expect(condition(name)!.message).toMatch(says);
    }
  }
  for (const { arn } of aws.targetGroups()) {
    expect(
      aws
        .targetsOf(arn)
        .map(({ id }) => id)
        .sort(),
    ).toEqual([1, 2, 3].map(instanceId));
  }
});
