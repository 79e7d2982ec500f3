/** What is known of AWS, as plain data in AWS's own words. Everything here is a snapshot: nothing in it changes later. */

export type Tags = Readonly<Record<string, string>>;
export type ListenerProtocol = 'TCP' | 'UDP' | 'TCP_UDP' | 'TLS';

/** A network load balancer that carries our tags. */
export interface SeenBalancer {
  readonly arn: string;
  readonly name: string;
  readonly dnsName: string;
  readonly scheme: 'internal' | 'internet-facing';
  readonly ipAddressType: string;
  readonly state: 'provisioning' | 'active' | 'active_impaired' | 'failed';
  readonly vpcId: string;
  readonly zones: readonly SeenZone[];
  readonly securityGroups: readonly string[];
  readonly privateLinkRules?: string;
  readonly ipv6SourceNat?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly tags: Tags;
  /** Undefined: not read yet. What AWS sets by itself may be left out: see `defaults.ts`. */
  readonly attributes?: Tags;
  /** Undefined: not read yet. */
  readonly listeners?: readonly SeenListener[];
  /** Undefined: not read yet, or none was ever asked for. */
  readonly capacityUnits?: number;
  /** Of its network interfaces, one a zone and family. Undefined: not read. */
  readonly ips?: readonly SeenIp[] | undefined;
}

export interface SeenIp {
  readonly ip: string;
  readonly zone: string;
}

export interface SeenZone {
  readonly zone: string;
  readonly subnetId: string;
  /** For IPv6 source NAT: a /80, or `auto_assigned`. */
  readonly sourceNatPrefix?: string;
  readonly addresses: readonly SeenAddress[];
}

export interface SeenAddress {
  readonly ip?: string;
  readonly allocationId?: string;
  readonly privateIpv4?: string;
  readonly ipv6?: string;
}

export interface SeenListener {
  readonly arn: string;
  readonly port: number;
  readonly protocol: string;
  /** The first one, where there are several. */
  readonly groupArn: string;
  /** All target groups, where there are several. Absent: `groupArn` gets everything. */
  readonly forward?: readonly SeenShare[];
  /** Clients stay with the target group that they were given first. */
  readonly sticky?: true;
  /** The default certificate first. */
  readonly certificates: readonly string[];
  readonly tlsPolicy?: string;
  readonly alpnPolicy?: string;
  /** Undefined: not read yet. */
  readonly attributes?: Tags;
}

export interface SeenShare {
  readonly arn: string;
  /** 0 to 999. */
  readonly weight: number;
}

/** A target group that carries our tags. */
export interface SeenGroup {
  readonly arn: string;
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly vpcId: string;
  readonly ipAddressType: string;
  readonly check: SeenCheck;
  readonly balancerArns: readonly string[];
  readonly tags: Tags;
  /** Undefined: not read yet. */
  readonly attributes?: Tags;
  /** Ours. Undefined: not read yet. Without those that are on their way out. */
  readonly targets?: readonly SeenTarget[];
  /** What others registered in a group that they use, too. Undefined: not read, or ours alone. */
  readonly others?: readonly SeenTarget[];
  /** When the targets' health was read, milliseconds since the epoch; 0: never. */
  readonly healthAt: number;
}

export interface SeenCheck {
  readonly protocol: string;
  /** A number or `traffic-port`. */
  readonly port: string;
  readonly path?: string;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly successCodes?: string;
}

export interface SeenTarget {
  readonly id: string;
  readonly port: number;
  /** As AWS says it; `unread`: registered by us and not looked at yet; `proven`: registered, as the tags prove, and not looked at. */
  readonly state: string;
  readonly reason?: string;
}

export interface SeenSecurityGroup {
  readonly id: string;
  readonly name: string;
  readonly vpcId: string;
  readonly tags: Tags;
  readonly rules: readonly Rule[];
  /** Milliseconds since the epoch: AWS said that something still uses the group, and it is not tried again before. */
  readonly busyUntil?: number;
  /** How long that pause is; the next one is twice as long. */
  readonly busyMs?: number;
}

/** One permission of incoming traffic from one source. */
export interface Rule {
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | string;
  /** ICMP: the type. */
  readonly from: number;
  /** ICMP: the code. */
  readonly to: number;
  /** A CIDR, a prefix list (`pl-…`) or a security group (`sg-…`). */
  readonly source: string;
  readonly description?: string;
}

export interface SeenSubnet {
  readonly id: string;
  readonly name?: string;
  readonly vpcId: string;
  readonly zone: string;
  readonly onOutpost?: true;
  readonly cidr: string;
  /** Undefined: it has no IPv6 range. */
  readonly ipv6Cidr?: string;
  readonly freeAddresses: number;
  readonly tags: Tags;
  /** Its route table leads to an internet gateway. Undefined: not read. */
  readonly isPublic?: boolean;
}

export interface SeenInstance {
  readonly id: string;
  readonly accountId?: string;
  readonly state: string;
  readonly vpcId: string;
  readonly zone: string;
  readonly securityGroups: readonly string[];
}

/** What all balancers of the cluster have in common. */
export interface SeenShared {
  /** The group that every NLB of ours sends from. */
  readonly backend?: SeenSecurityGroup;
  /** Security groups of nodes, by id. */
  readonly nodeGroups: Readonly<Record<string, SeenSecurityGroup>>;
  /** Balancer keys that have anything, and so may need it. */
  readonly users: readonly string[];
}

/** Things that are needed to describe what is wanted, and that others made. */
export interface Facts {
  readonly vpcId: string;
  /** Whose instances they are; undefined: not known. */
  readonly accountId?: string;
  readonly subnets: readonly SeenSubnet[];
  readonly instances: Readonly<Record<string, SeenInstance>>;
  /** Ids of security groups that annotations name, by id and by Name tag; and of Elastic IPs, by their own. */
  readonly named: Readonly<Record<string, string>>;
}

/** One balancer as the provider hands it around. */
export interface Observed {
  readonly key: string;
  /** Milliseconds since the epoch, when the snapshot was taken. */
  readonly at: number;
  /** Oldest first. */
  readonly balancers: readonly SeenBalancer[];
  readonly groups: readonly SeenGroup[];
  /** Managed frontend groups. */
  readonly securityGroups: readonly SeenSecurityGroup[];
  readonly shared: SeenShared;
  /** Undefined: AWS has not been asked yet. */
  readonly facts?: Facts;
  /** What was asked for when the provider was last told, as fingerprints. */
  readonly goal?: Goal;
  /** Node names by instance id, and nodes that cannot be targets. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly skipped: readonly SkippedNode[];
  /** Services that are carried here and wanted by another balancer. */
  readonly moves: readonly Move[];
  /** UIDs of Services that come from another balancer and are served there so far. */
  readonly arrivals: readonly string[];
  /** Why the account has no room for what is still to be made. */
  readonly shortage?: string;
  /** Why some nodes are no targets, where an NLB takes no more. */
  readonly limit?: string;
}

export interface Goal {
  readonly config: string;
  /** Fingerprint of the instances; undefined: the note on the shared group does not speak for them. */
  readonly basis?: string;
  /** The targets are known, or proven, to be just those that are wanted. */
  readonly hasTargets: boolean;
  /** Names of the target groups. */
  readonly groups: readonly string[];
  readonly publish: 'ip' | 'hostname';
  /** Of addresses, where those are published. */
  readonly ipMode: 'VIP' | 'Proxy';
}

/** A Service whose balancer is another one now. */
export interface Move {
  readonly uid: string;
  /** Its clients may go there. */
  readonly isServed: boolean;
  /** How long its clients have for that. */
  readonly graceSeconds: number;
}

export interface SkippedNode {
  readonly node: string;
  readonly why: string;
}
