import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { awsAnnotationNames } from '../../../src/config/annotation-table.ts';
import { readAnnotations } from '../../../src/config/annotations.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import type { SandboxAws } from '../../../src/sandbox/aws/aws.ts';
import { type BalancerWish, nothingReserved, refusalOf } from '../builders.ts';
import { drop, reportOf, want } from '../drive.ts';
import { makeAws, makeProvider, nlb, workers } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const certificate = (number: number) =>
  `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-00000000000${number}`;

let aws: SandboxAws;
let provider: Provider;
beforeAll(async () => {
  aws = await makeAws();
  provider = makeProvider(aws);
  await provider.open({ balancers: [nlb()], surroundings: nothingReserved, changed: () => {} });
});
afterAll(async () => {
  await provider.close(0);
  await aws.close();
});
afterEach(() => drop(provider, 'default/web'));

/** Names without the prefix; ours and those without `aws-` are written out. */
function annotate(short: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(short).map(([name, value]) => [name.includes('/') ? name : AWS + name, value]));
}

/** The account as the row looks at it. */
function look() {
  const [lb] = aws.loadBalancers();
  const [group] = aws.targetGroups();
  const frontend = aws.securityGroups().find(({ name }) => name.startsWith('np-default-web'));
  const rules = [...(frontend?.rules.values() ?? [])].filter(({ egress }) => !egress);
  return {
    lb: lb!,
    group: group!,
    groups: aws.targetGroups(),
    listeners: aws.listeners(),
    groupNames: lb!.securityGroups.map((id) => aws.securityGroups().find((one) => one.id === id)!.name),
    rules: rules.map((rule) => `${rule.protocol} ${rule.fromPort}-${rule.toPort} ${rule.peer.value}`).sort(),
    nodeRules: aws.securityGroups().find(({ id }) => id === 'sg-nodes')!,
    tags: aws.tagsOf(lb!.arn),
    subnets: lb!.zones.map(({ subnetId }) => subnetId).sort(),
  };
}
type Look = ReturnType<typeof look>;

interface Row {
  readonly why: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly wish?: BalancerWish;
  readonly see: (account: Look) => unknown;
  readonly is: unknown;
}

const three = (kind: 'public' | 'private') => ['a', 'b', 'c'].map((zone) => `subnet-${kind}-${zone}`);
const withUdp = [{ port: 53 }, { port: 53, protocol: 'UDP' as const }];
const checked = ({ group }: Look) => group.check;

const rows: readonly Row[] = [
  {
    why: 'no scheme: internet-facing, in the public subnets',
    see: ({ lb, subnets }) => [lb.scheme, subnets],
    is: ['internet-facing', three('public')],
  },
  {
    why: 'scheme',
    annotations: { scheme: 'internal' },
    see: ({ lb, subnets }) => [lb.scheme, subnets],
    is: ['internal', three('private')],
  },
  {
    why: 'multi-cluster-target-group: a record of what is ours; more in multi-cluster.test.ts',
    annotations: { 'multi-cluster-target-group': 'true' },
    see: ({ group }) => aws.tagsOf(group.arn)['nodeport-lb.io/own-targets']?.length,
    is: 3 * 6,
  },
  { why: 'internal, the old name', annotations: { internal: 'true' }, see: ({ lb }) => lb.scheme, is: 'internal' },
  {
    why: 'type external keeps the default of AWS Load Balancer Controller',
    annotations: { type: 'external', 'nlb-target-type': 'instance' },
    see: ({ lb }) => lb.scheme,
    is: 'internal',
  },
  { why: 'name', annotations: { name: 'shop' }, see: ({ lb }) => lb.name, is: 'shop' },
  {
    why: 'ip-address-type',
    annotations: { 'ip-address-type': 'dualstack' },
    see: ({ lb, rules }) => [lb.addressType, rules],
    is: ['dualstack', ['tcp 80-80 0.0.0.0/0', 'tcp 80-80 ::/0']],
  },
  { why: 'ipFamilies of the Service', wish: { families: ['IPv4', 'IPv6'] }, see: ({ lb }) => lb.addressType, is: 'dualstack' },
  {
    why: 'subnets by id and by Name tag',
    annotations: { subnets: 'subnet-public-b, public-a' },
    see: ({ subnets }) => subnets,
    is: ['subnet-public-a', 'subnet-public-b'],
  },
  {
    why: 'eip-allocations, by position',
    annotations: { subnets: 'subnet-public-a,subnet-public-b', 'eip-allocations': 'eipalloc-2,eipalloc-1' },
    see: ({ lb }) => lb.zones.map(({ zone, fixed }) => `${zone} ${fixed.allocationId}`).sort(),
    is: ['eu-west-1a eipalloc-2', 'eu-west-1b eipalloc-1'],
  },
  {
    why: 'private-ipv4-addresses, by range',
    annotations: {
      scheme: 'internal',
      subnets: 'subnet-private-a,subnet-private-b',
      'private-ipv4-addresses': '10.0.32.99,10.0.16.99',
    },
    see: ({ lb }) => lb.zones.map(({ zone, privateIp }) => `${zone} ${privateIp}`).sort(),
    is: ['eu-west-1a 10.0.16.99', 'eu-west-1b 10.0.32.99'],
  },
  {
    why: 'enable-prefix-for-ipv6-source-nat',
    annotations: { 'ip-address-type': 'dualstack', 'enable-prefix-for-ipv6-source-nat': 'on' },
    wish: { ports: [{ port: 53, protocol: 'UDP' }] },
    see: ({ lb }) => lb.prefixNat,
    is: 'on',
  },
  {
    why: 'ipv6-addresses, by range, however they are written',
    annotations: {
      'ip-address-type': 'dualstack',
      subnets: 'subnet-public-a,subnet-public-b',
      'ipv6-addresses': '2001:0DB8:0:91::b, 2001:db8:0:81::a',
    },
    see: ({ lb }) => lb.zones.map(({ zone, ipv6 }) => `${zone} ${ipv6}`).sort(),
    is: ['eu-west-1a 2001:db8:0:81::a', 'eu-west-1b 2001:db8:0:91::b'],
  },
  {
    why: 'source-nat-ipv6-prefixes, by position',
    annotations: {
      'ip-address-type': 'dualstack',
      subnets: 'subnet-public-a,subnet-public-b',
      'enable-prefix-for-ipv6-source-nat': 'on',
      'source-nat-ipv6-prefixes': '2001:db8:0:81:1::/80,auto_assigned',
    },
    wish: { ports: [{ port: 53, protocol: 'UDP' }] },
    see: ({ lb }) => lb.zones.map(({ zone, fixed }) => `${zone} ${fixed.sourceNatPrefix}`).sort(),
    is: ['eu-west-1a 2001:db8:0:81:1::/80', 'eu-west-1b auto_assigned'],
  },
  {
    why: 'managed groups: one of its own and the shared one, and one range on the nodes',
    see: ({ groupNames, nodeRules }) => [
      groupNames.length,
      [...nodeRules.rules.values()].filter(({ egress }) => !egress).map(({ fromPort, toPort }) => [fromPort, toPort]),
    ],
    is: [2, [[30_000, 32_767]]],
  },
  {
    why: 'security-groups: own ones, and the nodes are left alone',
    annotations: { 'security-groups': 'sg-default' },
    see: ({ lb }) => lb.securityGroups,
    is: ['sg-default'],
  },
  {
    why: 'security-groups by Name tag, with manage-backend-security-group-rules',
    annotations: { 'security-groups': 'nodes', 'manage-backend-security-group-rules': 'true' },
    see: ({ lb }) => [lb.securityGroups.length, lb.securityGroups[0]],
    is: [2, 'sg-nodes'],
  },
  {
    why: 'manage-backend-security-group-rules: false, and the NLB has its own group only',
    annotations: { 'manage-backend-security-group-rules': 'false' },
    see: ({ groupNames }) => groupNames.map((name) => name.startsWith('np-default-web')),
    is: [true],
  },
  { why: 'disable-nlb-sg', annotations: { 'disable-nlb-sg': 'true' }, see: ({ lb }) => lb.securityGroups, is: [] },
  {
    why: 'inbound-sg-rules-on-private-link-traffic',
    annotations: { 'inbound-sg-rules-on-private-link-traffic': 'off' },
    see: ({ lb }) => lb.privateLink,
    is: 'off',
  },
  {
    why: 'load-balancer-source-ranges',
    annotations: { 'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8,192.168.0.0/16' },
    see: ({ rules }) => rules,
    is: ['tcp 80-80 10.0.0.0/8', 'tcp 80-80 192.168.0.0/16'],
  },
  {
    why: 'loadBalancerSourceRanges beats the annotation',
    annotations: { 'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8' },
    wish: { ports: [{ port: 80, sourceRanges: ['172.16.0.0/12'] }] },
    see: ({ rules }) => rules,
    is: ['tcp 80-80 172.16.0.0/12'],
  },
  {
    why: 'security-group-prefix-lists, and then nobody else',
    annotations: { 'security-group-prefix-lists': 'pl-1' },
    see: ({ rules }) => rules,
    is: ['tcp 80-80 pl-1'],
  },
  {
    why: 'enable-icmp-for-path-mtu-discovery',
    annotations: { 'enable-icmp-for-path-mtu-discovery': 'on' },
    see: ({ rules }) => rules,
    is: ['icmp 3-4 0.0.0.0/0', 'tcp 80-80 0.0.0.0/0'],
  },
  {
    why: 'target-group-attributes',
    annotations: { 'target-group-attributes': 'deregistration_delay.timeout_seconds=30,preserve_client_ip.enabled=false' },
    see: ({ group }) => [
      group.attributes.get('deregistration_delay.timeout_seconds'),
      group.attributes.get('preserve_client_ip.enabled'),
    ],
    is: ['30', 'false'],
  },
  {
    why: 'target-group-attributes of one port',
    annotations: {
      'target-group-attributes': 'stickiness.enabled=true',
      'target-group-attributes.80': 'stickiness.enabled=false',
    },
    wish: { ports: [{ port: 80 }, { port: 81 }] },
    see: ({ groups }) => groups.map(({ attributes, port }) => `${port} ${attributes.get('stickiness.enabled')}`).sort(),
    is: ['30080 false', '30081 true'],
  },
  {
    why: 'proxy-protocol',
    annotations: { 'proxy-protocol': '*', 'target-group-attributes': 'proxy_protocol_v2.enabled=false' },
    see: ({ group }) => group.attributes.get('proxy_protocol_v2.enabled'),
    is: 'true',
  },
  {
    why: 'proxy-protocol-per-target-group',
    annotations: { 'proxy-protocol-per-target-group': '81' },
    wish: { ports: [{ port: 80 }, { port: 81 }] },
    see: ({ groups }) => groups.map(({ attributes, port }) => `${port} ${attributes.get('proxy_protocol_v2.enabled')}`).sort(),
    is: ['30080 false', '30081 true'],
  },
  {
    why: 'nodeport-lb.io/proxy-protocol: v2',
    wish: { settings: { proxyProtocol: 'v2' } },
    see: ({ group }) => group.attributes.get('proxy_protocol_v2.enabled'),
    is: 'true',
  },
  {
    why: 'drain-seconds',
    wish: { settings: { drainSeconds: 20 } },
    see: ({ group }) => group.attributes.get('deregistration_delay.timeout_seconds'),
    is: '20',
  },
  {
    why: 'sessionAffinity: ClientIP',
    wish: { ports: [{ port: 80, affinitySeconds: 600 }] },
    see: ({ group }) => [group.attributes.get('stickiness.enabled'), group.attributes.get('stickiness.type')],
    is: ['true', 'source_ip'],
  },
  {
    why: 'attributes',
    annotations: {
      attributes:
        'load_balancing.cross_zone.enabled=true,dns_record.client_routing_policy=availability_zone_affinity,zonal_shift.config.enabled=true',
    },
    see: ({ lb }) =>
      ['load_balancing.cross_zone.enabled', 'dns_record.client_routing_policy', 'zonal_shift.config.enabled'].map((name) =>
        lb.attributes.get(name),
      ),
    is: ['true', 'availability_zone_affinity', 'true'],
  },
  {
    why: 'cross-zone-load-balancing-enabled, the old name',
    annotations: { 'cross-zone-load-balancing-enabled': 'true' },
    see: ({ lb }) => lb.attributes.get('load_balancing.cross_zone.enabled'),
    is: 'true',
  },
  {
    why: 'access-log-*, the old names',
    annotations: { 'access-log-enabled': 'true', 'access-log-s3-bucket-name': 'logs', 'access-log-s3-bucket-prefix': 'web' },
    see: ({ lb }) => ['enabled', 'bucket', 'prefix'].map((name) => lb.attributes.get(`access_logs.s3.${name}`)),
    is: ['true', 'logs', 'web'],
  },
  {
    why: 'listener-attributes',
    annotations: { 'listener-attributes.TCP-80': 'tcp.idle_timeout.seconds=600' },
    see: ({ listeners }) => listeners[0]!.attributes.get('tcp.idle_timeout.seconds'),
    is: '600',
  },
  {
    why: 'idle-timeout-seconds',
    wish: { settings: { idleTimeoutSeconds: 500 } },
    see: ({ listeners }) => listeners[0]!.attributes.get('tcp.idle_timeout.seconds'),
    is: '500',
  },
  {
    why: 'ssl-cert on every port',
    annotations: { 'ssl-cert': certificate(1) },
    wish: { ports: [{ port: 443 }] },
    see: ({ listeners, group }) => [listeners[0]!.protocol, listeners[0]!.certificates, listeners[0]!.sslPolicy, group.protocol],
    is: ['TLS', [certificate(1)], 'ELBSecurityPolicy-2016-08', 'TCP'],
  },
  {
    why: 'ssl-ports, with several certificates',
    annotations: { 'ssl-cert': `${certificate(1)},${certificate(2)}`, 'ssl-ports': '443' },
    wish: { ports: [{ port: 80 }, { port: 443 }] },
    see: ({ listeners }) =>
      listeners.map(({ port, protocol, certificates }) => `${port} ${protocol} ${certificates.length}`).sort(),
    is: ['443 TLS 2', '80 TCP 0'],
  },
  {
    why: 'ssl-ports by name',
    annotations: { 'ssl-cert': certificate(1), 'ssl-ports': 'p443' },
    wish: { ports: [{ port: 80 }, { port: 443 }] },
    see: ({ listeners }) => listeners.map(({ port, protocol }) => `${port} ${protocol}`).sort(),
    is: ['443 TLS', '80 TCP'],
  },
  {
    why: 'ssl-ports: * is every port',
    annotations: { 'ssl-cert': certificate(1), 'ssl-ports': '*' },
    see: ({ listeners }) => listeners[0]!.protocol,
    is: 'TLS',
  },
  {
    why: 'ssl-negotiation-policy, alpn-policy, backend-protocol',
    annotations: {
      'ssl-cert': certificate(1),
      'ssl-negotiation-policy': 'ELBSecurityPolicy-TLS13-1-2-2021-06',
      'alpn-policy': 'HTTP2Preferred',
      'backend-protocol': 'ssl',
    },
    see: ({ listeners, group }) => [listeners[0]!.sslPolicy, listeners[0]!.alpn, group.protocol],
    is: ['ELBSecurityPolicy-TLS13-1-2-2021-06', 'HTTP2Preferred', 'TLS'],
  },
  {
    why: 'TCP and UDP on one port are one listener',
    annotations: { 'enable-tcp-udp-listener': 'true' },
    wish: { ports: withUdp.map((port) => ({ ...port, nodePort: 30_053 })) },
    see: ({ listeners, rules }) => [listeners.map(({ protocol }) => protocol), rules],
    is: [['TCP_UDP'], ['tcp 53-53 0.0.0.0/0', 'udp 53-53 0.0.0.0/0']],
  },
  {
    why: 'healthcheck-* for externalTrafficPolicy Cluster',
    see: checked,
    is: {
      protocol: 'TCP',
      port: 'traffic-port',
      path: undefined,
      httpCode: undefined,
      intervalSeconds: 10,
      timeoutSeconds: 10,
      healthyThreshold: 3,
      unhealthyThreshold: 3,
    },
  },
  {
    why: 'healthcheck-* for Local',
    wish: { ports: [{ port: 80, localOnly: true, healthCheck: { protocol: 'http', port: 32_000, path: '/healthz' } }] },
    see: checked,
    is: {
      protocol: 'HTTP',
      port: '32000',
      path: '/healthz',
      httpCode: '200-399',
      intervalSeconds: 10,
      timeoutSeconds: 6,
      healthyThreshold: 2,
      unhealthyThreshold: 2,
    },
  },
  {
    why: 'healthcheck-* as asked',
    annotations: {
      'healthcheck-protocol': 'http',
      'healthcheck-port': 'p81',
      'healthcheck-path': '/ok',
      'healthcheck-interval': '20',
      'healthcheck-timeout': '7',
      'healthcheck-healthy-threshold': '4',
      'healthcheck-unhealthy-threshold': '5',
      'healthcheck-success-codes': '200',
    },
    wish: { ports: [{ port: 81 }] },
    see: checked,
    is: {
      protocol: 'HTTP',
      port: 'traffic-port',
      path: '/ok',
      httpCode: '200',
      intervalSeconds: 20,
      timeoutSeconds: 7,
      healthyThreshold: 4,
      unhealthyThreshold: 5,
    },
  },
  {
    why: "a UDP-only port is checked at kube-proxy's port, and the nodes admit that",
    wish: { ports: [{ port: 53, protocol: 'UDP', healthCheck: { protocol: 'http', port: 10_256, path: '/healthz' } }] },
    see: ({ group, nodeRules }) => [
      group.check.port,
      ['tcp 10256', 'udp 30000'].every((one) =>
        [...nodeRules.rules.values()].some(({ protocol, fromPort }) => `${protocol} ${fromPort}` === one),
      ),
    ],
    is: ['10256', true],
  },
  {
    why: 'a UDP-only port with traffic policy Local is checked at its healthCheckNodePort, which the nodes admit',
    wish: {
      ports: [{ port: 53, protocol: 'UDP', localOnly: true, healthCheck: { protocol: 'http', port: 32_000, path: '/healthz' } }],
    },
    see: ({ group, nodeRules }) => [
      group.check.port,
      [...nodeRules.rules.values()].some(
        (rule) => rule.protocol === 'tcp' && (rule.fromPort ?? 0) <= 32_000 && (rule.toPort ?? 0) >= 32_000,
      ),
    ],
    is: ['32000', true],
  },
  {
    why: 'healthcheck-protocol https',
    annotations: { 'healthcheck-protocol': 'HTTPS', 'healthcheck-port': '8443' },
    see: ({ group }) => [group.check.protocol, group.check.port, group.check.path, group.check.httpCode],
    is: ['HTTPS', '8443', '/', '200-399'],
  },
  {
    why: 'additional-resource-tags, on everything',
    annotations: { 'additional-resource-tags': 'team=shop,cost=42' },
    see: ({ tags, group, listeners, lb }) => [
      tags['cost'],
      ...[lb.arn, group.arn, listeners[0]!.arn, lb.securityGroups[0]!].map((id) => aws.tagsOf(id)['team']),
    ],
    is: ['42', 'shop', 'shop', 'shop', 'shop'],
  },
  {
    why: 'ICMP in both families, for prefix lists and ranges alike',
    annotations: {
      'ip-address-type': 'dualstack',
      'enable-icmp-for-path-mtu-discovery': 'on',
      'security-group-prefix-lists': 'pl-1',
      'service.beta.kubernetes.io/load-balancer-source-ranges': '10.0.0.0/8,2001:db8::/32',
    },
    see: ({ rules }) => rules,
    is: ['icmp 3-4 10.0.0.0/8', 'icmpv6 2-0 2001:db8::/32', 'tcp 80-80 10.0.0.0/8', 'tcp 80-80 2001:db8::/32', 'tcp 80-80 pl-1'],
  },
  {
    why: 'minimum-load-balancer-capacity',
    annotations: { 'minimum-load-balancer-capacity': 'CapacityUnits=9000' },
    see: ({ lb }) => lb.capacity?.units,
    is: 9000,
  },
];

describe('what the account holds', () => {
  test.each(rows)('$why', async ({ annotations = {}, wish = {}, see, is }) => {
    await want(provider, nlb(wish, annotate(annotations)));
    expect(see(look())).toEqual(is);
  });

  test.each(rows)('by a change in place or beside the old one: $why', async ({ annotations = {}, wish = {}, see, is }) => {
    const plain = nlb({}, annotate({ ...('disable-nlb-sg' in annotations ? annotations : {}) }));
    await want(provider, plain);
    await want(provider, nlb(wish, annotate(annotations)));
    expect(see(look())).toEqual(is);
    expect(aws.loadBalancers()).toHaveLength(1);
  });
});

test('Elastic IPs are published as addresses', async () => {
  await want(provider, nlb({}, annotate({ subnets: 'subnet-public-a', 'eip-allocations': 'eipalloc-1' })));
  expect((await reportOf(provider, 'default/web')).addresses).toEqual([{ ip: '198.51.100.1', ipMode: 'VIP' }]);
});

test('nodeport-lb.io/publish: ip publishes the addresses of the NLB’s interfaces; with PROXY protocol kube-proxy stays out', async () => {
  await want(provider, nlb({ settings: { publish: 'ip', proxyProtocol: 'v2' } }, annotate({ scheme: 'internal' })));
  const { addresses } = await reportOf(provider, 'default/web');
  expect(addresses.map(({ ipMode }) => ipMode)).toEqual(['Proxy', 'Proxy', 'Proxy']);
  expect(addresses.map(({ ip }) => ip)).toEqual(aws.loadBalancers()[0]!.zones.map(({ privateIp }) => privateIp));
});

test('the addresses of a dualstack NLB are published in both families', async () => {
  const wish = nlb({ settings: { publish: 'ip' } }, annotate({ subnets: 'subnet-public-a', 'ip-address-type': 'dualstack' }));
  await want(provider, wish);
  const [zone] = aws.loadBalancers()[0]!.zones;
  expect((await reportOf(provider, 'default/web')).addresses.map(({ ip }) => ip)).toEqual([zone!.publicIp, zone!.ipv6]);
});

test('capacity that is no longer wanted is given back with 0', async () => {
  for (const units of [9_000, 0]) {
    await want(provider, nlb({}, annotate({ 'minimum-load-balancer-capacity': `CapacityUnits=${units}` })));
    expect(aws.loadBalancers()[0]!.capacity?.units ?? 0).toBe(units);
  }
});

test('certificates beside the first come and go in place', async () => {
  const asking = (numbers: readonly number[]) =>
    nlb({ ports: [{ port: 443 }] }, annotate({ 'ssl-cert': numbers.map(certificate).join(',') }));
  await want(provider, asking([1]));
  const { arn } = aws.listeners()[0]!;
  for (const numbers of [[1, 2], [2, 1], [2]]) {
    await want(provider, asking(numbers));
    const [listener] = aws.listeners();
    expect([listener!.arn, [...new Set(listener!.certificates)]]).toEqual([arn, numbers.map(certificate)]); // the default one may be in the list, too
  }
});

test('another source NAT prefix is set in place, and back', async () => {
  const asking = (prefix: string) =>
    nlb(
      { ports: [{ port: 53, protocol: 'UDP' }] },
      annotate({
        'ip-address-type': 'dualstack',
        subnets: 'subnet-public-a',
        'enable-prefix-for-ipv6-source-nat': 'on',
        'source-nat-ipv6-prefixes': prefix,
      }),
    );
  await want(provider, asking('auto_assigned'));
  const { arn } = aws.loadBalancers()[0]!;
  for (const prefix of ['2001:db8:0:81:1::/80', 'auto_assigned']) {
    await want(provider, asking(prefix));
    expect(aws.loadBalancers().map((lb) => [lb.arn, lb.zones[0]!.fixed.sourceNatPrefix])).toEqual([[arn, prefix]]);
  }
});

const refused: readonly {
  readonly why: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly wish?: BalancerWish;
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    why: 'an unknown subnet',
    annotations: { subnets: 'subnet-0' },
    code: 'AwsResourceUnknown',
    says: /"subnet-0".*no such subnet.*subnet-public-a/,
  },
  {
    why: 'two subnets in one zone',
    annotations: { subnets: 'subnet-public-a,subnet-private-a' },
    code: 'SubnetUnavailable',
    says: /both in zone eu-west-1a/,
  },
  {
    why: 'fewer Elastic IPs than subnets',
    annotations: { 'eip-allocations': 'eipalloc-1' },
    code: 'AwsAddressMismatch',
    says: /1 Elastic IPs for 3 subnets/,
  },
  {
    why: 'internal with Elastic IPs',
    annotations: { scheme: 'internal', 'eip-allocations': 'eipalloc-1' },
    code: 'AwsAddressMismatch',
    says: /internal NLB has no Elastic IPs/,
  },
  {
    why: 'private addresses of an internet-facing NLB',
    annotations: { 'private-ipv4-addresses': '10.0.0.9' },
    code: 'AwsAddressMismatch',
    says: /internal NLBs only/,
  },
  {
    why: 'an IPv6 address of no subnet',
    annotations: { 'ip-address-type': 'dualstack', subnets: 'public-a', 'ipv6-addresses': '2001:db8:9::1' },
    code: 'AwsAddressMismatch',
    says: /2001:db8:9::1 is in subnet subnet-public-a \(2001:db8:0:81::\/64\)/,
  },
  {
    why: 'IPv6 addresses of an IPv4 NLB',
    annotations: { subnets: 'public-a', 'ipv6-addresses': '2001:db8:0:81::a' },
    code: 'FamilyUnsupported',
    says: /need ip-address-type dualstack/,
  },
  {
    why: 'a source NAT prefix that is no /80',
    annotations: {
      'ip-address-type': 'dualstack',
      subnets: 'public-a',
      'enable-prefix-for-ipv6-source-nat': 'on',
      'source-nat-ipv6-prefixes': '2001:db8:0:81::/64',
    },
    code: 'AwsAddressMismatch',
    says: /no \/80 in subnet subnet-public-a of 2001:db8:0:81::\/64, nor auto_assigned/,
  },
  {
    why: 'source NAT prefixes without source NAT',
    annotations: { 'ip-address-type': 'dualstack', subnets: 'public-a', 'source-nat-ipv6-prefixes': 'auto_assigned' },
    code: 'AwsAddressMismatch',
    says: /enable-prefix-for-ipv6-source-nat: on/,
  },
  {
    why: 'UDP without the client address',
    annotations: { 'target-group-attributes': 'preserve_client_ip.enabled=false' },
    wish: { ports: [{ port: 53, protocol: 'UDP' }] },
    code: 'AnnotationInvalid',
    says: /UDP an NLB always keeps/,
  },
  {
    why: 'a port that the Service lacks',
    annotations: { 'ssl-cert': certificate(1), 'ssl-ports': '443' },
    code: 'AnnotationInvalid',
    says: /no port "443".*it has 80/,
  },
  {
    why: 'TCP and UDP with different nodePorts',
    wish: { ports: withUdp.map((port, at) => ({ ...port, nodePort: 30_053 + at })) },
    code: 'ProtocolUnsupported',
    says: /TCP 30053, UDP 30054/,
  },
  { why: 'SCTP', wish: { ports: [{ port: 9, protocol: 'SCTP' }] }, code: 'ProtocolUnsupported', says: /does not carry SCTP/ },
  { why: 'ip targets', annotations: { 'nlb-target-type': 'ip' }, code: 'NotSupported', says: /never pod addresses/ },
  {
    why: 'more ports than an NLB has listeners',
    wish: { ports: Array.from({ length: 51 }, (_, at) => ({ port: 8000 + at, nodePort: 30_000 + at })) },
    code: 'QuotaExceeded',
    says: /51 ports.*at most 50 listeners/,
  },
  {
    why: 'more rules than a security group has',
    annotations: {
      'service.beta.kubernetes.io/load-balancer-source-ranges': Array.from({ length: 61 }, (_, at) => `10.${at}.0.0/16`).join(),
    },
    code: 'QuotaExceeded',
    says: /61 rules.*at most 60/,
  },
  {
    why: 'a name that is too long',
    annotations: { name: 'a'.repeat(33) },
    code: 'AnnotationInvalid',
    says: /-name.*1 to 32 letters/,
  },
  { why: 'pods by type', annotations: { type: 'nlb-ip' }, code: 'NotSupported', says: /never pod addresses/ },
  { why: 'QUIC', annotations: { 'quic-enabled-ports': '443' }, code: 'NotSupported', says: /need ip targets/ },
  { why: 'PROXY protocol v1', wish: { settings: { proxyProtocol: 'v1' } }, code: 'NotSupported', says: /v2 only/ },
  {
    why: 'UDP on dualstack without source NAT',
    annotations: { 'ip-address-type': 'dualstack' },
    wish: { ports: [{ port: 53, protocol: 'UDP' }] },
    code: 'FamilyUnsupported',
    says: /enable-prefix-for-ipv6-source-nat: on/,
  },
  {
    why: 'a value out of range',
    annotations: { 'healthcheck-interval': '1' },
    code: 'AnnotationInvalid',
    says: /healthcheck-interval.*5 to 300/,
  },
  {
    why: 'a scheme that is none',
    annotations: { scheme: 'public' },
    code: 'AnnotationInvalid',
    says: /must be internal or internet-facing/,
  },
  {
    why: 'an unknown security group',
    annotations: { 'security-groups': 'edge' },
    code: 'AwsResourceUnknown',
    says: /"edge".*none of that id or Name tag/,
  },
  { why: 'reserved tags', annotations: { 'additional-resource-tags': 'aws:x=y' }, code: 'AnnotationInvalid', says: /reserved/ },
];

describe('what is refused, with nothing left behind', () => {
  beforeEach(async () => {
    const named = { 'security-groups': 'edge', 'eip-allocations': 'eipalloc-1,eipalloc-77' };
    const wish = nlb({ name: 'other' }, annotate(named)); // names are looked up on the first look
    refusalOf(() => provider.adjust(wish, nothingReserved));
    await provider.observe('default/other');
  });

  test.each(refused)('$why', ({ annotations = {}, wish = {}, code, says }) => {
    const refusal = refusalOf(() => provider.adjust(nlb({ nodes: workers, ...wish }, annotate(annotations)), nothingReserved));
    expect(refusal).toEqual({ code, message: expect.stringMatching(says) });
    expect(aws.loadBalancers()).toEqual([]);
  });
});

test('no annotation that the established controllers know is passed over in silence', () => {
  const covered = new Set([...rows, ...refused].flatMap(({ annotations = {} }) => Object.keys(annotations)));
  const elsewhere = ['target-node-labels']; // nodes are chosen by the controller: its own tests
  const silent = awsAnnotationNames.filter((name) => {
    const isNamed = readAnnotations({ [AWS + name]: 'x' }, 'aws').warnings.length > 0;
    return !isNamed && !covered.has(name) && ![...covered].some((one) => one.startsWith(`${name}.`)) && !elsewhere.includes(name);
  });
  expect(silent).toEqual([]);
});
