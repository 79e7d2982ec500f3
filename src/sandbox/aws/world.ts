import type { Limits, Timings } from './limits.ts';
import type { InstanceState, SeedInternetGateway, SeedPrefixList, SeedRouteTable, SeedSubnet, SeedVpc } from './seed.ts';
import type { Sessions } from './sessions.ts';
import type { Shelf } from './shelf.ts';

/** Everything that the account holds, as it is now. */
export interface World {
  readonly region: string;
  readonly accountId: string;
  /** ms since 1970, moved on by `advance`. */
  readonly now: () => number;
  readonly timings: Timings;
  readonly limits: Limits;
  /** Whether other tags make a second creation by the same name another one. */
  readonly tagsAreSettings: boolean;
  /** How long STS's credentials last at most. */
  readonly sessionMs: number;
  readonly sessions: Sessions;
  /** A hexadecimal number that no other thing has. @param digits at most 17 */
  readonly newId: (digits: number) => string;
  readonly vpcs: ReadonlyMap<string, SeedVpc>;
  readonly subnets: ReadonlyMap<string, Subnet>;
  readonly gateways: ReadonlyMap<string, SeedInternetGateway>;
  readonly routeTables: ReadonlyMap<string, SeedRouteTable>;
  readonly prefixLists: ReadonlyMap<string, SeedPrefixList>;
  readonly certificates: ReadonlySet<string>;
  readonly logBuckets: ReadonlySet<string>;
  readonly instances: Map<string, Instance>;
  readonly addresses: Map<string, Address>;
  readonly securityGroups: Shelf<SecurityGroup>;
  readonly loadBalancers: Shelf<LoadBalancer>;
  readonly targetGroups: Shelf<TargetGroup>;
  readonly listeners: Shelf<Listener>;
  /** Network interfaces of load balancers; an instance's are made up when they are asked for. */
  readonly interfaces: Shelf<Interface>;
  /** Tags of everything, by id or ARN. */
  readonly tags: Map<string, Map<string, string>>;
}

export interface Subnet extends SeedSubnet {
  free: number;
  /** IPv4 addresses that instances and load balancers have. */
  readonly held: Set<string>;
}

export interface Instance {
  readonly id: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly zone: string;
  state: InstanceState;
  readonly privateIp: string;
  readonly publicIp: string | undefined;
  readonly ipv6: string | undefined;
  readonly securityGroups: readonly string[];
  readonly launchedAt: number;
}

export interface Address {
  readonly allocationId: string;
  readonly publicIp: string;
  /** Which interface holds it; `foreign` when that is none of ours. */
  holder: { readonly interfaceId: string; readonly associationId: string; readonly privateIp: string } | undefined;
}

export interface Interface {
  readonly id: string;
  readonly description: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly zone: string;
  readonly privateIp: string;
  readonly publicIp: string | undefined;
  readonly allocationId: string | undefined;
  ipv6: string | undefined;
  securityGroups: readonly string[];
}

export interface Rule {
  readonly id: string;
  readonly egress: boolean;
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `-1`, or a number. */
  readonly protocol: string;
  readonly fromPort: number | undefined;
  readonly toPort: number | undefined;
  readonly peer: Peer;
  description: string | undefined;
}

export interface Peer {
  readonly kind: 'ipv4' | 'ipv6' | 'prefixList' | 'group';
  /** A CIDR, or the id of the prefix list or group. */
  readonly value: string;
}

export interface SecurityGroup {
  readonly id: string;
  readonly name: string;
  readonly vpcId: string;
  readonly description: string;
  readonly rules: Map<string, Rule>;
}

export type OnOff = 'on' | 'off';
export type AddressType = 'ipv4' | 'dualstack';
export type NlbProtocol = 'TCP' | 'TLS' | 'UDP' | 'TCP_UDP';

/** One zone of a load balancer: a subnet, and the addresses there. */
export interface ZoneHold {
  readonly zone: string;
  readonly subnetId: string;
  readonly interfaceId: string;
  readonly privateIp: string;
  /** What was asked for, as against given by AWS. */
  readonly fixed: {
    readonly allocationId: string | undefined;
    readonly privateIpv4: string | undefined;
    readonly ipv6: string | undefined;
    readonly sourceNatPrefix: string | undefined;
  };
  readonly publicIp: string | undefined;
  readonly ipv6: string | undefined;
}

export interface LoadBalancer {
  readonly arn: string;
  readonly name: string;
  readonly dnsName: string;
  readonly scheme: 'internal' | 'internet-facing';
  readonly vpcId: string;
  readonly createdAt: number;
  /** What was asked for at creation, so that the same request finds the same load balancer. */
  readonly asked: string;
  readonly madeWithGroups: boolean;
  activeAt: number;
  addressType: AddressType;
  zones: readonly ZoneHold[];
  securityGroups: readonly string[];
  privateLink: OnOff | undefined;
  prefixNat: OnOff;
  capacity: { readonly units: number; readonly changedAt: number; readonly decreasesLeft: number } | undefined;
  readonly attributes: Map<string, string>;
  /** ARNs. */
  readonly listeners: Set<string>;
}

export interface HealthCheck {
  readonly protocol: 'TCP' | 'HTTP' | 'HTTPS';
  /** A number, or `traffic-port`. */
  readonly port: string;
  readonly path: string | undefined;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly httpCode: string | undefined;
}

export interface TargetGroup {
  readonly arn: string;
  readonly name: string;
  readonly protocol: NlbProtocol;
  readonly port: number;
  readonly vpcId: string;
  readonly targetType: 'instance' | 'ip';
  readonly addressType: 'ipv4' | 'ipv6';
  readonly asked: string;
  check: HealthCheck;
  readonly attributes: Map<string, string>;
  /** By `id:port`. */
  readonly targets: Map<string, Target>;
  /** Listeners that send here, with the moment since when. */
  readonly users: Map<string, { readonly loadBalancerArn: string; readonly sinceMs: number }>;
  /** Until when a listener that is gone still counts as a user. */
  releasedAt: number;
}

export interface Target {
  readonly id: string;
  readonly port: number;
  readonly registeredAt: number;
  /** When it was deregistered; it is gone after its time of draining. */
  drainingSince: number | undefined;
  /** Set from outside; undefined: what the state of the instance gives. */
  forced: 'healthy' | 'unhealthy' | 'initial' | undefined;
}

export interface Listener {
  readonly arn: string;
  readonly loadBalancerArn: string;
  port: number;
  protocol: NlbProtocol;
  /** Target groups with weights; a single one without. */
  forward: readonly { readonly arn: string; readonly weight: number | undefined }[];
  /** Clients stay with the target group that they were given first. */
  sticky: boolean;
  /** How the action was given, which is how it is told. */
  forwardForm: 'arn' | 'config';
  sslPolicy: string | undefined;
  /** The first is the default. */
  certificates: readonly string[];
  alpn: string | undefined;
  readonly attributes: Map<string, string>;
}

/** `arn:aws:elasticloadbalancing:eu-west-1:123456789012:` */
export function arnPrefix(world: World): string {
  return `arn:aws:elasticloadbalancing:${world.region}:${world.accountId}:`;
}
