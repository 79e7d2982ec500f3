/** What the account holds before anybody calls. Ids are the caller's; `typicalAccount` makes a usual set. */
export interface Seed {
  /** `eu-west-1` */
  readonly region: string;
  /** 12 digits; default 123456789012 */
  readonly accountId?: string;
  readonly vpcs: readonly SeedVpc[];
  readonly subnets: readonly SeedSubnet[];
  readonly securityGroups?: readonly SeedSecurityGroup[];
  readonly instances?: readonly SeedInstance[];
  /** Elastic IPs. */
  readonly addresses?: readonly SeedAddress[];
  readonly internetGateways?: readonly SeedInternetGateway[];
  readonly routeTables?: readonly SeedRouteTable[];
  readonly prefixLists?: readonly SeedPrefixList[];
  /** ARNs of certificates of ACM or IAM. */
  readonly certificates?: readonly string[];
  /** S3 buckets that load balancers may write their access logs to. */
  readonly logBuckets?: readonly string[];
}

export type Tags = Readonly<Record<string, string>>;

export interface SeedVpc {
  readonly id: string;
  readonly cidr: string;
  readonly ipv6Cidr?: string;
  readonly tags?: Tags;
}

export interface SeedSubnet {
  readonly id: string;
  readonly vpcId: string;
  /** `eu-west-1a` */
  readonly zone: string;
  readonly cidr: string;
  /** A /64; without it no dual-stack balancer fits. */
  readonly ipv6Cidr?: string;
  /** Addresses left; default: all of the CIDR but the five that AWS keeps. */
  readonly freeAddresses?: number;
  readonly mapPublicIp?: boolean;
  readonly tags?: Tags;
}

export interface SeedSecurityGroup {
  readonly id: string;
  readonly name: string;
  readonly vpcId: string;
  readonly description?: string;
  readonly tags?: Tags;
}

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated';

export interface SeedInstance {
  readonly id: string;
  readonly subnetId: string;
  /** Default: running. */
  readonly state?: InstanceState;
  readonly privateIp: string;
  readonly publicIp?: string;
  readonly ipv6?: string;
  readonly securityGroups: readonly string[];
  readonly tags?: Tags;
}

export interface SeedAddress {
  readonly allocationId: string;
  readonly publicIp: string;
  /** It belongs to something else already, for instance a NAT gateway. */
  readonly inUse?: boolean;
  readonly tags?: Tags;
}

export interface SeedInternetGateway {
  readonly id: string;
  readonly vpcId: string;
}

export interface SeedRouteTable {
  readonly id: string;
  readonly vpcId: string;
  /** The one for every subnet that no other table names. */
  readonly main?: boolean;
  readonly subnetIds?: readonly string[];
  readonly routes: readonly { readonly destination: string; readonly target: string }[];
  readonly tags?: Tags;
}

export interface SeedPrefixList {
  readonly id: string;
  readonly name: string;
  /** What it counts for among a security group's rules. */
  readonly maxEntries: number;
  readonly family?: 'IPv4' | 'IPv6';
}

/** What a usual account holds, for tests and the demo. */
export interface TypicalAccount {
  /** Default eu-west-1. */
  readonly region?: string;
  /** Worker nodes, spread over the zones; default 3, at most 3,000. */
  readonly instances?: number;
  /** Zones a, b, …; default 3, at most 6. */
  readonly zones?: number;
  /** Elastic IPs that are free; default 3. */
  readonly addresses?: number;
  /** Marks subnets and the node group as this cluster's; default `kubernetes`. */
  readonly clusterName?: string;
  /** Subnets have IPv6 too; default true. */
  readonly dualStack?: boolean;
}

const MAX_INSTANCES = 3000;
const MAX_ZONES = 6;

/**
 * One VPC `vpc-1`; a public and a private subnet a zone (`subnet-public-a`, `subnet-private-a`) with the role tags that Kubernetes
 * knows; a route table of each kind; the node group `sg-nodes`; instances `i-0000000000000001` and so on in the private subnets;
 * Elastic IPs `eipalloc-1`; two certificates; one prefix list `pl-1`.
 */
export function typicalAccount(wanted: TypicalAccount = {}): Seed {
  const { region = 'eu-west-1', clusterName = 'kubernetes', dualStack = true } = wanted;
  const letters = 'abcdef'.slice(0, Math.min(wanted.zones ?? 3, MAX_ZONES)).split('');
  const owned = { [`kubernetes.io/cluster/${clusterName}`]: 'owned' };
  const subnet = (kind: 'public' | 'private', letter: string, index: number): SeedSubnet => {
    const third = kind === 'public' ? 16 * (index + 8) : 16 * (index + 1);
    return {
      id: `subnet-${kind}-${letter}`,
      vpcId: 'vpc-1',
      zone: region + letter,
      cidr: `10.0.${third}.0/20`,
      ...(dualStack ? { ipv6Cidr: `2001:db8:0:${(third + 1).toString(16)}::/64` } : {}),
      mapPublicIp: kind === 'public',
      tags: {
        Name: `${kind}-${letter}`,
        [kind === 'public' ? 'kubernetes.io/role/elb' : 'kubernetes.io/role/internal-elb']: '1',
        ...owned,
      },
    };
  };
  const publicSubnets = letters.map((letter, index) => subnet('public', letter, index));
  const privateSubnets = letters.map((letter, index) => subnet('private', letter, index));
  return {
    region,
    vpcs: [{ id: 'vpc-1', cidr: '10.0.0.0/16', ...(dualStack ? { ipv6Cidr: '2001:db8::/56' } : {}), tags: { Name: 'main' } }],
    subnets: [...publicSubnets, ...privateSubnets],
    securityGroups: [
      { id: 'sg-default', name: 'default', vpcId: 'vpc-1', description: 'default VPC security group' },
      { id: 'sg-nodes', name: 'nodes', vpcId: 'vpc-1', description: 'worker nodes', tags: { Name: 'nodes', ...owned } },
    ],
    instances: numbers(Math.min(wanted.instances ?? 3, MAX_INSTANCES)).map((n) => typicalInstance(n, letters, owned)),
    addresses: numbers(wanted.addresses ?? 3).map((n) => ({ allocationId: `eipalloc-${n}`, publicIp: `198.51.100.${n}` })),
    internetGateways: [{ id: 'igw-1', vpcId: 'vpc-1' }],
    routeTables: routeTables(publicSubnets, privateSubnets),
    prefixLists: [{ id: 'pl-1', name: 'offices', maxEntries: 5 }],
    certificates: numbers(2).map((n) => `arn:aws:acm:${region}:123456789012:certificate/00000000-0000-4000-8000-00000000000${n}`),
    logBuckets: ['logs'],
  };
}

/** The `number`-th worker of a typical account, from 1 on; also for instances that come later. */
export function typicalInstance(number: number, letters: readonly string[] = ['a', 'b', 'c'], tags: Tags = {}): SeedInstance {
  const zone = (number - 1) % letters.length;
  const inZone = Math.floor((number - 1) / letters.length) + 10; // the first addresses of a subnet are AWS's own
  return {
    id: `i-${number.toString(16).padStart(17, '0')}`,
    subnetId: `subnet-private-${letters[zone]}`,
    privateIp: `10.0.${16 * (zone + 1) + Math.floor(inZone / 256)}.${inZone % 256}`,
    securityGroups: ['sg-nodes'],
    tags: { Name: `worker-${number}`, ...tags },
  };
}

function routeTables(open: readonly SeedSubnet[], closed: readonly SeedSubnet[]): readonly SeedRouteTable[] {
  const local = { destination: '10.0.0.0/16', target: 'local' };
  return [
    { id: 'rtb-main', vpcId: 'vpc-1', main: true, routes: [local] },
    {
      id: 'rtb-public',
      vpcId: 'vpc-1',
      subnetIds: open.map(({ id }) => id),
      routes: [local, { destination: '0.0.0.0/0', target: 'igw-1' }],
    },
    {
      id: 'rtb-private',
      vpcId: 'vpc-1',
      subnetIds: closed.map(({ id }) => id),
      routes: [local, { destination: '0.0.0.0/0', target: 'nat-1' }],
    },
  ];
}

function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
