import type { Balancer } from '../../../src/model.ts';
import type { BalancerWish } from '../builders.ts';
import { nlb, worker, workers } from './stage.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const certificate = (number: number): string =>
  `arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-4000-8000-00000000000${number}`;

/** A balancer whose Service says so; names without a slash are of the usual prefix. */
export function asking(annotations: Readonly<Record<string, string>>, wish: BalancerWish = {}): Balancer {
  const named = Object.entries(annotations).map(([name, value]) => [name.includes('/') ? name : AWS + name, value]);
  return nlb(wish, Object.fromEntries(named));
}

interface ShareWish {
  /** Of the Service's own target group; 90 unless said. */
  readonly weight?: number;
  readonly sticky?: boolean;
  /** By the other Service's name; at nodePort 31081 unless said. */
  readonly others: Readonly<
    Record<string, { readonly weight: number; readonly nodePort?: number; readonly affinitySeconds?: number }>
  >;
}

/** A balancer whose port 80 gives other Services a share, as the controller describes it. */
export function sharing({ weight = 90, sticky, others: asked }: ShareWish, made: Balancer = nlb()): Balancer {
  const spread = {
    weight,
    ...(sticky === undefined ? {} : { sticky }),
    others: Object.entries(asked).map(([name, { weight: share, nodePort = 31_081, ...more }]) => ({
      weight: share,
      service: { namespace: 'default', name, uid: `uid-${name}` },
      port: { name: 'http', port: 81 },
      decrypt: false,
      targetGroup: {
        nodePort,
        healthCheck: { protocol: 'tcp' as const, port: nodePort },
        localOnly: false,
        sourceRanges: [],
        ...more,
      },
    })),
  };
  const annotations = { 'service.beta.kubernetes.io/actions.TCP-80': 'as the controller has read it' };
  return {
    ...made,
    members: made.members.map((member) => ({ ...member, annotations: { ...member.annotations, ...annotations } })),
    listeners: made.listeners.map((listener) => (listener.port === 80 ? { ...listener, spread } : listener)),
  };
}

/**
 * One row of the table "What a change does" of docs/aws.md, told in both directions. `place`: the NLB is changed; `beside`: a new NLB is
 * made beside the old one; `gap`: two cannot stand beside each other, so that it takes consent.
 */
export interface Change {
  readonly what: string;
  readonly one: Balancer;
  readonly other: Balancer;
  readonly way: 'place' | 'beside' | 'gap';
  /** When it is another way back. */
  readonly back?: 'place' | 'beside' | 'gap';
  /** The row whose calls these are: where the process dies is told there. */
  readonly like?: string;
}

const tls = [{ port: 443 }];
const tcp = [{ port: 53, nodePort: 30_053 }];
const udp = [{ port: 53, nodePort: 30_053, protocol: 'UDP' as const }];
const inA = { subnets: 'public-a' };
const inPrivateA = { scheme: 'internal', subnets: 'private-a' };
const publishIp = { settings: { publish: 'ip' as const } };
const others = [worker(4), worker(5), worker(6)];

export const changes: readonly Change[] = [
  { what: 'scheme', one: nlb(), other: asking({ scheme: 'internal' }), way: 'beside' },
  { what: 'a zone more', one: asking(inA), other: asking({ subnets: 'public-a,public-b' }), way: 'place' },
  {
    what: 'a zone more, addresses published',
    one: asking(inA, publishIp),
    other: asking({ subnets: 'public-a,public-b' }, publishIp),
    way: 'place',
    like: 'a zone more',
  },
  { what: 'another zone', one: asking(inA), other: asking({ subnets: 'public-b' }), way: 'place' },
  {
    what: 'another zone with Elastic IPs',
    one: asking({ ...inA, 'eip-allocations': 'eipalloc-1' }),
    other: asking({ subnets: 'public-b', 'eip-allocations': 'eipalloc-2' }),
    way: 'place',
    like: 'another zone',
  },
  {
    what: 'another subnet of the zone',
    one: asking(inA),
    other: asking({ subnets: 'private-a' }),
    way: 'beside',
    like: 'scheme',
  },
  {
    what: 'TLS ends here',
    one: nlb({ ports: tls }),
    other: asking({ 'ssl-cert': certificate(1) }, { ports: tls }),
    way: 'place',
    like: 'another certificate',
  },
  {
    what: 'another certificate',
    one: asking({ 'ssl-cert': certificate(1) }, { ports: tls }),
    other: asking({ 'ssl-cert': `${certificate(2)},${certificate(1)}` }, { ports: tls }),
    way: 'place',
  },
  {
    what: 'TLS to the targets',
    one: asking({ 'ssl-cert': certificate(1) }, { ports: tls }),
    other: asking({ 'ssl-cert': certificate(1), 'backend-protocol': 'ssl' }, { ports: tls }),
    way: 'place',
  },
  {
    what: 'UDP beside TCP',
    one: nlb({ ports: tcp }),
    other: nlb({ ports: [...tcp, ...udp] }),
    way: 'place',
    like: 'UDP instead of TCP',
  },
  { what: 'UDP instead of TCP', one: nlb({ ports: tcp }), other: nlb({ ports: udp }), way: 'place' },
  { what: 'nodePort', one: nlb(), other: nlb({ ports: [{ port: 80, nodePort: 31_000 }] }), way: 'place' },
  {
    what: 'health check',
    one: nlb(),
    other: asking({ 'healthcheck-protocol': 'HTTP', 'healthcheck-path': '/up', 'healthcheck-interval': '20' }),
    way: 'place',
  },
  {
    what: 'externalTrafficPolicy',
    one: nlb(),
    other: nlb({
      ports: [{ port: 80, localOnly: true, healthCheck: { protocol: 'http', port: 32_000, path: '/healthz' } }],
    }),
    way: 'place',
  },
  { what: 'dualstack', one: nlb(), other: asking({ 'ip-address-type': 'dualstack' }), way: 'place' },
  {
    what: 'dualstack with UDP',
    one: nlb({ ports: udp }),
    other: asking({ 'ip-address-type': 'dualstack', 'enable-prefix-for-ipv6-source-nat': 'on' }, { ports: udp }),
    way: 'place',
    like: 'dualstack',
  },
  { what: 'a name', one: nlb(), other: asking({ name: 'shop' }), way: 'beside', back: 'place', like: 'scheme' },
  { what: 'another name', one: asking({ name: 'store' }), other: asking({ name: 'shop' }), way: 'beside', like: 'scheme' },
  {
    what: 'scheme under a fixed name',
    one: asking({ name: 'shop' }),
    other: asking({ name: 'shop', scheme: 'internal' }),
    way: 'gap',
  },
  { what: 'without security groups', one: nlb(), other: asking({ 'disable-nlb-sg': 'true' }), way: 'beside', like: 'scheme' },
  {
    what: 'without security groups under a fixed name',
    one: asking({ name: 'shop' }),
    other: asking({ name: 'shop', 'disable-nlb-sg': 'true' }),
    way: 'gap',
    like: 'scheme under a fixed name',
  },
  {
    what: 'own security groups',
    one: nlb(),
    other: asking({ 'security-groups': 'sg-nodes', 'manage-backend-security-group-rules': 'true' }),
    way: 'place',
  },
  { what: 'source ranges', one: nlb(), other: nlb({ ports: [{ port: 80, sourceRanges: ['10.0.0.0/8'] }] }), way: 'place' },
  {
    what: 'Elastic IPs',
    one: asking(inA),
    other: asking({ ...inA, 'eip-allocations': 'eipalloc-1' }),
    way: 'beside',
    like: 'scheme',
  },
  {
    what: 'other Elastic IPs',
    one: asking({ ...inA, 'eip-allocations': 'eipalloc-1' }),
    other: asking({ ...inA, 'eip-allocations': 'eipalloc-2' }),
    way: 'beside',
    like: 'scheme',
  },
  {
    what: 'the same Elastic IPs, exchanged',
    one: asking({ subnets: 'public-a,public-b', 'eip-allocations': 'eipalloc-1,eipalloc-2' }),
    other: asking({ subnets: 'public-a,public-b', 'eip-allocations': 'eipalloc-2,eipalloc-1' }),
    way: 'gap',
  },
  {
    what: 'private addresses',
    one: asking(inPrivateA),
    other: asking({ ...inPrivateA, 'private-ipv4-addresses': '10.0.16.77' }),
    way: 'beside',
    back: 'place',
    like: 'scheme',
  },
  {
    what: 'the same private address in another subnet list',
    one: asking({ ...inPrivateA, 'private-ipv4-addresses': '10.0.16.77' }),
    other: asking({ ...inPrivateA, 'private-ipv4-addresses': '10.0.16.77', 'disable-nlb-sg': 'true' }),
    way: 'gap',
    like: 'the same Elastic IPs, exchanged',
  },
  {
    what: 'PROXY protocol',
    one: asking({ 'target-group-attributes': 'proxy_protocol_v2.enabled=false' }),
    other: asking({ 'target-group-attributes': 'proxy_protocol_v2.enabled=true' }),
    way: 'place',
    like: 'health check',
  },
  { what: 'other nodes altogether', one: nlb({ nodes: workers }), other: nlb({ nodes: others }), way: 'place' },
  {
    what: 'ports that come and go',
    one: nlb({ ports: [{ port: 80 }, { port: 443 }] }),
    other: nlb({ ports: [{ port: 80 }, { port: 8080 }] }),
    way: 'place',
  },
  { what: 'a share for another Service', one: nlb(), other: sharing({ others: { canary: { weight: 10 } } }), way: 'place' },
  {
    what: 'shares for two other Services',
    one: sharing({ others: { canary: { weight: 10 } } }),
    other: sharing({ others: { green: { weight: 20, nodePort: 31_082 }, blue: { weight: 20, nodePort: 31_083 } } }),
    way: 'place',
  },
  {
    what: 'other weights',
    one: sharing({ others: { canary: { weight: 10 } } }),
    other: sharing({ weight: 0, sticky: true, others: { canary: { weight: 999 } } }),
    way: 'place',
  },
  {
    what: "the other Service's nodePort and affinity",
    one: sharing({ others: { canary: { weight: 10 } } }),
    other: sharing({ others: { canary: { weight: 10, nodePort: 31_999, affinitySeconds: 60 } } }),
    way: 'place',
  },
  {
    what: 'scheme with shares',
    one: sharing({ others: { canary: { weight: 10 } } }),
    other: sharing({ others: { canary: { weight: 10 } } }, asking({ scheme: 'internal' })),
    way: 'beside',
    like: 'scheme',
  },
  { what: 'retain', one: nlb(), other: nlb({ settings: { retain: true } }), way: 'place' },
  {
    what: 'scheme, nodePort and nodes at once',
    one: nlb(),
    other: asking({ scheme: 'internal' }, { ports: [{ port: 80, nodePort: 31_000 }], nodes: others }),
    way: 'beside',
  },
];
