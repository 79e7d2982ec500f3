import { expect } from '@jest/globals';
import type { Ground } from '../../contracts/aws/stage.ts';
import {
  type BalancerEntry,
  balancerAttributes,
  certificatesOf,
  groupAttributes,
  type ListenerEntry,
  listenerAttributes,
} from './books.ts';
import type { Expected } from './expected.ts';
import { AWS, type ServiceWish, type Site } from './site.ts';

/** A change that kubectl makes to a Service of its own, and what AWS has afterwards. */
export interface Change {
  readonly what: string;
  /** The Service's name. */
  readonly name: string;
  readonly from?: (ground: Ground) => ServiceWish;
  readonly annotate?: (ground: Ground) => Readonly<Record<string, string>>;
  /** Merge patch of the spec. */
  readonly spec?: object;
  /** What the account holds of it afterwards, where that does not follow from the Service's ports and nodes. */
  readonly holds?: (ground: Ground) => Partial<Expected>;
  readonly holdsBefore?: (ground: Ground) => Partial<Expected>;
  /** What is to be seen besides. */
  readonly sees?: (site: Site, entry: BalancerEntry) => Promise<void>;
  /** Id of a deviation (moto-deviations.ts): an emulator that has it cannot show this. */
  readonly needs?: string;
}

const aws = (pairs: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(pairs).map(([name, value]) => [AWS + name, value]));

const on = ({ listeners }: BalancerEntry, port: number): ListenerEntry => {
  const found = listeners.find((listener) => listener.port === port);
  if (!found) throw new Error(`there is no listener on ${port}`);
  return found;
};

const sees =
  (attributes: Readonly<Record<string, string>>): Change['sees'] =>
  async ({ elb }, entry) =>
    expect(await groupAttributes(elb, on(entry, 80).group.TargetGroupArn!)).toMatchObject(attributes);

/** Rules of the Service's own security group. */
async function ownRules(site: Site, { key }: BalancerEntry): Promise<readonly string[]> {
  return (await site.books()).securityGroups.find((group) => group.key === key)?.ingress ?? [];
}

export const changes: readonly Change[] = [
  {
    what: 'a port goes and two come',
    name: 'ports',
    spec: {
      ports: [
        { name: 'web', port: 8080 },
        { name: 'admin', port: 8443 },
      ],
    },
  },
  {
    what: 'UDP comes beside TCP on one port',
    name: 'protocol',
    needs: 'modify-listener',
    from: () => ({ ports: [{ name: 'dns', port: 53, nodePort: 30_053 }] }),
    spec: {
      ports: [
        { name: 'dns', port: 53, nodePort: 30_053 },
        { name: 'dns-udp', port: 53, nodePort: 30_053, protocol: 'UDP' },
      ],
    },
  },
  {
    what: 'UDP alone takes the place of TCP on another port',
    name: 'udp',
    spec: { ports: [{ name: 'log', port: 514, protocol: 'UDP' }] },
    sees: async (_, entry) =>
      expect(on(entry, 514).group).toMatchObject({ HealthCheckPort: '10256', HealthCheckPath: '/healthz' }),
  },
  {
    what: 'TCP becomes TLS',
    name: 'tls',
    needs: 'modify-listener',
    from: () => ({ ports: [{ name: 'https', port: 443 }] }),
    annotate: ({ certificates }) => aws({ 'ssl-cert': certificates[0]!, 'ssl-ports': '443' }),
    holds: () => ({ protocols: { 443: 'TLS' } }),
    sees: async (_, entry) => expect(on(entry, 443).certificates).toHaveLength(1),
  },
  {
    what: 'a second certificate comes, by SNI',
    name: 'sni',
    from: ({ certificates }) => ({ ports: [{ name: 'https', port: 443 }], annotations: aws({ 'ssl-cert': certificates[0]! }) }),
    annotate: ({ certificates }) => aws({ 'ssl-cert': certificates.join(',') }),
    holdsBefore: () => ({ protocols: { 443: 'TLS' } }),
    holds: () => ({ protocols: { 443: 'TLS' } }),
    sees: async ({ elb, ground }, entry) =>
      expect([...(await certificatesOf(elb, on(entry, 443).arn))].sort()).toEqual([...ground.certificates].sort()),
  },
  {
    what: 'the health check',
    name: 'check',
    annotate: () =>
      aws({
        'healthcheck-protocol': 'http',
        'healthcheck-path': '/ready',
        'healthcheck-port': '10256',
        'healthcheck-interval': '15',
        'healthcheck-healthy-threshold': '4',
      }),
    sees: async (_, entry) =>
      expect(on(entry, 80).group).toMatchObject({
        HealthCheckProtocol: 'HTTP',
        HealthCheckPath: '/ready',
        HealthCheckPort: '10256',
        HealthCheckIntervalSeconds: 15,
        HealthyThresholdCount: 4,
      }),
  },
  {
    what: 'attributes of the target group',
    name: 'group-attributes',
    annotate: () =>
      aws({ 'target-group-attributes': 'preserve_client_ip.enabled=false,deregistration_delay.timeout_seconds=30' }),
    sees: sees({ 'preserve_client_ip.enabled': 'false', 'deregistration_delay.timeout_seconds': '30' }),
  },
  {
    what: 'PROXY protocol',
    name: 'proxied',
    annotate: () => aws({ 'proxy-protocol': '*' }),
    sees: sees({ 'proxy_protocol_v2.enabled': 'true' }),
  },
  {
    what: 'session affinity',
    name: 'sticky',
    spec: { sessionAffinity: 'ClientIP' },
    sees: sees({ 'stickiness.enabled': 'true', 'stickiness.type': 'source_ip' }),
  },
  {
    what: 'attributes of the load balancer',
    name: 'attributes',
    annotate: () => aws({ attributes: 'load_balancing.cross_zone.enabled=true' }),
    sees: async ({ elb }, { arn }) =>
      expect(await balancerAttributes(elb, arn)).toMatchObject({ 'load_balancing.cross_zone.enabled': 'true' }),
  },
  {
    what: 'attributes of a listener',
    name: 'listener-attributes',
    annotate: () => aws({ 'listener-attributes.TCP-80': 'tcp.idle_timeout.seconds=400' }),
    sees: async ({ elb }, entry) =>
      expect(await listenerAttributes(elb, on(entry, 80).arn)).toMatchObject({ 'tcp.idle_timeout.seconds': '400' }),
  },
  {
    what: 'tags',
    name: 'tags',
    annotate: () => aws({ 'additional-resource-tags': 'team=shop,stage=test' }),
    sees: async (_, { tags }) => expect(tags).toMatchObject({ team: 'shop', stage: 'test' }),
  },
  {
    what: 'source ranges',
    name: 'ranges',
    spec: { loadBalancerSourceRanges: ['192.0.2.0/24'] },
    sees: async (site, entry) => expect(await ownRules(site, entry)).toEqual(['tcp 80-80 from 192.0.2.0/24']),
  },
  {
    what: 'prefix lists',
    name: 'lists',
    annotate: ({ prefixList }) => aws({ 'security-group-prefix-lists': prefixList }),
    sees: async (site, entry) => expect(await ownRules(site, entry)).toContain(`tcp 80-80 from ${site.ground.prefixList}`),
  },
  {
    what: 'security groups of the author take the place of ours',
    name: 'groups',
    annotate: ({ nodeGroup }) => aws({ 'security-groups': nodeGroup }),
    holds: () => ({ bare: true }),
    sees: async ({ ground }, { securityGroups }) => expect(securityGroups).toEqual([ground.nodeGroup]),
  },
  {
    what: 'externalTrafficPolicy',
    name: 'local',
    spec: { externalTrafficPolicy: 'Local' },
    sees: async (_, entry) =>
      expect(on(entry, 80).group).toMatchObject({ HealthCheckProtocol: 'HTTP', HealthCheckPath: '/healthz' }),
  },
  {
    what: 'only some nodes',
    name: 'some-nodes',
    annotate: ({ instances }) => aws({ 'target-node-labels': `kubernetes.io/hostname=${instances[1]}` }),
    holds: ({ instances }) => ({ targets: [instances[1]!] }),
  },
  {
    what: 'dual stack',
    name: 'dual-stack',
    needs: 'subnet-ipv6',
    annotate: () => aws({ 'ip-address-type': 'dualstack' }),
    sees: async (_, { addressType }) => expect(addressType).toBe('dualstack'),
  },
  {
    what: 'a zone is given up',
    name: 'zones',
    annotate: ({ publicSubnets }) => aws({ subnets: publicSubnets.slice(0, 2).join(',') }),
    holds: ({ publicSubnets }) => ({ subnets: publicSubnets.slice(0, 2) }),
  },
  {
    what: 'another subnet of the same zone, by another NLB',
    name: 'subnet',
    from: ({ privateSubnets }) => ({ annotations: aws({ scheme: 'internal', subnets: privateSubnets.slice(0, 2).join(',') }) }),
    annotate: ({ privateSubnets, secondInZone }) => aws({ subnets: `${secondInZone},${privateSubnets[1]}` }),
    holdsBefore: ({ privateSubnets }) => ({ scheme: 'internal', subnets: privateSubnets.slice(0, 2) }),
    holds: ({ privateSubnets, secondInZone }) => ({ scheme: 'internal', subnets: [secondInZone, privateSubnets[1]!] }),
  },
  {
    what: 'Elastic IPs, by another NLB',
    name: 'fixed',
    needs: 'addresses-ignored',
    annotate: ({ allocations }) => aws({ 'eip-allocations': allocations.join(',') }),
    sees: async (site, { key, allocations }) => {
      expect([...allocations].sort()).toEqual([...site.ground.allocations].sort());
      const { Addresses } = await site.ec2.describeAddresses({ AllocationIds: [...allocations] });
      const [namespace = '', name = ''] = key.split('/');
      const published = (await site.service(namespace, name)).status.loadBalancer.ingress ?? [];
      const wanted = (Addresses ?? []).map(({ PublicIp }) => ({ ip: PublicIp, ipMode: 'VIP' }));
      expect(published.map(({ ip, ipMode }) => ({ ip, ipMode }))).toEqual(expect.arrayContaining(wanted));
    },
  },
];
