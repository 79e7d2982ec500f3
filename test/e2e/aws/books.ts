import type { EC2, IpPermission, SecurityGroup } from '@aws-sdk/client-ec2';
import type {
  ElasticLoadBalancingV2,
  Listener,
  LoadBalancer,
  LoadBalancerAttribute,
  TargetGroup,
  TargetGroupTuple,
} from '@aws-sdk/client-elastic-load-balancing-v2';

const CLUSTER = 'nodeport-lb.io/cluster';
const BALANCER = 'nodeport-lb.io/balancer';
const TAGS_PER_CALL = 20;
/** Calls under way at a time: emulators are single processes. */
const WIDTH = 16;

export type Attributes = Readonly<Record<string, string>>;

/** A target group that a listener sends to. */
export interface ShareEntry {
  readonly group: TargetGroup;
  /** Undefined: none is said, as where it gets everything. */
  readonly weight: number | undefined;
  /** `INSTANCE:PORT`, sorted, without those that drain. */
  readonly targets: readonly string[];
}

/** One listener, with the target groups that it sends to. */
export interface ListenerEntry {
  readonly arn: string;
  readonly protocol: string;
  readonly port: number;
  readonly certificates: readonly string[];
  /** The first one, and its targets. */
  readonly group: TargetGroup;
  readonly targets: readonly string[];
  readonly shares: readonly ShareEntry[];
}

export interface BalancerEntry {
  readonly arn: string;
  readonly name: string;
  readonly dnsName: string;
  /** The balancer key, out of its tag; empty: it is not ours. */
  readonly key: string;
  readonly tags: Attributes;
  readonly scheme: string;
  readonly addressType: string;
  /** Subnet ids, sorted. */
  readonly subnets: readonly string[];
  readonly allocations: readonly string[];
  readonly securityGroups: readonly string[];
  /** By port. */
  readonly listeners: readonly ListenerEntry[];
}

/** Everything that the account holds of load balancing and security groups, whoever made it. */
export interface Books {
  readonly balancers: readonly BalancerEntry[];
  /** Names of target groups that no listener sends to. */
  readonly looseGroups: readonly string[];
  /** Without the default group of each VPC. */
  readonly securityGroups: readonly GroupEntry[];
}

export interface GroupEntry {
  readonly id: string;
  readonly name: string;
  readonly cluster: string;
  /** The balancer key, `:shared`, or empty. */
  readonly key: string;
  /** `tcp 80-80 from 0.0.0.0/0`, sorted. */
  readonly ingress: readonly string[];
}

/** Reads the account through the SDK, page by page, as anybody could. */
export async function readBooks(elb: ElasticLoadBalancingV2, ec2: EC2): Promise<Books> {
  const [balancers, groups, security] = await Promise.all([
    pages(async (Marker) => {
      const answer = await elb.describeLoadBalancers({ ...(Marker ? { Marker } : {}) });
      return [answer.LoadBalancers ?? [], answer.NextMarker];
    }),
    pages(async (Marker) => {
      const answer = await elb.describeTargetGroups({ ...(Marker ? { Marker } : {}) });
      return [answer.TargetGroups ?? [], answer.NextMarker];
    }),
    ec2.describeSecurityGroups({}),
  ]);
  const arns = balancers.map(({ LoadBalancerArn }) => LoadBalancerArn!);
  const tags = new Map<string, Attributes>();
  const batches = Array.from({ length: Math.ceil(arns.length / TAGS_PER_CALL) }, (_, at) =>
    arns.slice(at * TAGS_PER_CALL, (at + 1) * TAGS_PER_CALL),
  );
  await spread(batches, async (ResourceArns) => {
    for (const { ResourceArn, Tags } of (await elb.describeTags({ ResourceArns })).TagDescriptions ?? []) {
      tags.set(ResourceArn!, Object.fromEntries((Tags ?? []).map(({ Key, Value }) => [Key!, Value ?? ''])));
    }
  });
  const byArn = new Map(groups.map((group) => [group.TargetGroupArn!, group]));
  const entries = await spread(balancers, (one) => readBalancer(elb, one, byArn, tags.get(one.LoadBalancerArn!) ?? {}));
  const used = new Set(
    entries.flatMap(({ listeners }) => listeners.flatMap(({ shares }) => shares.map(({ group }) => group.TargetGroupArn))),
  );
  return {
    balancers: [...entries].sort((a, b) => (`${a.key} ${a.name}` < `${b.key} ${b.name}` ? -1 : 1)),
    looseGroups: groups.filter(({ TargetGroupArn }) => !used.has(TargetGroupArn)).map(({ TargetGroupName }) => TargetGroupName!),
    securityGroups: (security.SecurityGroups ?? []).filter(({ GroupName }) => GroupName !== 'default').map(readGroup),
  };
}

async function readBalancer(
  elb: ElasticLoadBalancingV2,
  one: LoadBalancer,
  groups: ReadonlyMap<string, TargetGroup>,
  tags: Attributes,
): Promise<BalancerEntry> {
  const { Listeners } = await elb.describeListeners({ LoadBalancerArn: one.LoadBalancerArn! });
  const listeners = await Promise.all((Listeners ?? []).map((listener) => readListener(elb, listener, groups)));
  const zones = one.AvailabilityZones ?? [];
  return {
    arn: one.LoadBalancerArn!,
    name: one.LoadBalancerName!,
    dnsName: one.DNSName!,
    key: tags[BALANCER] ?? '',
    tags,
    scheme: one.Scheme ?? '',
    addressType: one.IpAddressType ?? '',
    subnets: zones.map(({ SubnetId }) => SubnetId!).sort(),
    allocations: zones.flatMap(({ LoadBalancerAddresses }) => (LoadBalancerAddresses ?? []).flatMap((a) => a.AllocationId ?? [])),
    securityGroups: one.SecurityGroups ?? [],
    listeners: listeners.sort((a, b) => a.port - b.port),
  };
}

async function readListener(
  elb: ElasticLoadBalancingV2,
  listener: Listener,
  groups: ReadonlyMap<string, TargetGroup>,
): Promise<ListenerEntry> {
  const action = listener.DefaultActions?.[0];
  const forward = action?.ForwardConfig?.TargetGroups ?? [];
  const all = forward.length > 0 ? forward : [{ TargetGroupArn: action?.TargetGroupArn ?? '' }];
  const shares = await Promise.all(all.map((one) => readShare(elb, one, groups)));
  return {
    arn: listener.ListenerArn!,
    protocol: listener.Protocol!,
    port: listener.Port!,
    certificates: (listener.Certificates ?? []).map(({ CertificateArn }) => CertificateArn!),
    group: shares[0]!.group,
    targets: shares[0]!.targets,
    shares,
  };
}

async function readShare(
  elb: ElasticLoadBalancingV2,
  { TargetGroupArn = '', Weight }: TargetGroupTuple,
  groups: ReadonlyMap<string, TargetGroup>,
): Promise<ShareEntry> {
  const { TargetHealthDescriptions = [] } = await elb.describeTargetHealth({ TargetGroupArn });
  const there = TargetHealthDescriptions.filter(({ TargetHealth }) => TargetHealth?.State !== 'draining');
  const targets = there.map(({ Target }) => `${Target!.Id}:${Target!.Port}`).sort();
  return { group: groups.get(TargetGroupArn) ?? {}, weight: Weight, targets };
}

function readGroup({ GroupId, GroupName, Tags, IpPermissions }: SecurityGroup): GroupEntry {
  const tag = (name: string) => Tags?.find(({ Key }) => Key === name)?.Value ?? '';
  return {
    id: GroupId!,
    name: GroupName!,
    cluster: tag(CLUSTER),
    key: tag(BALANCER),
    ingress: (IpPermissions ?? []).flatMap(sayPermission).sort(),
  };
}

function sayPermission({ IpProtocol, FromPort, ToPort, ...from }: IpPermission): readonly string[] {
  const peers = [
    ...(from.IpRanges ?? []).map(({ CidrIp }) => CidrIp),
    ...(from.Ipv6Ranges ?? []).map(({ CidrIpv6 }) => CidrIpv6),
    ...(from.UserIdGroupPairs ?? []).map(({ GroupId }) => GroupId),
    ...(from.PrefixListIds ?? []).map(({ PrefixListId }) => PrefixListId),
  ];
  return peers.map((peer) => `${IpProtocol} ${FromPort}-${ToPort} from ${peer}`);
}

export async function groupAttributes(elb: ElasticLoadBalancingV2, TargetGroupArn: string): Promise<Attributes> {
  return asRecord((await elb.describeTargetGroupAttributes({ TargetGroupArn })).Attributes);
}

export async function balancerAttributes(elb: ElasticLoadBalancingV2, LoadBalancerArn: string): Promise<Attributes> {
  return asRecord((await elb.describeLoadBalancerAttributes({ LoadBalancerArn })).Attributes);
}

export async function listenerAttributes(elb: ElasticLoadBalancingV2, ListenerArn: string): Promise<Attributes> {
  return asRecord((await elb.describeListenerAttributes({ ListenerArn })).Attributes);
}

/** The first is the default one. */
export async function certificatesOf(elb: ElasticLoadBalancingV2, ListenerArn: string): Promise<readonly string[]> {
  const { Certificates } = await elb.describeListenerCertificates({ ListenerArn });
  const sorted = [...(Certificates ?? [])].sort((a, b) => Number(b.IsDefault ?? false) - Number(a.IsDefault ?? false));
  return [...new Set(sorted.map(({ CertificateArn }) => CertificateArn!))];
}

function asRecord(list: readonly LoadBalancerAttribute[] | undefined): Attributes {
  return Object.fromEntries((list ?? []).map(({ Key, Value }) => [Key!, Value ?? '']));
}

async function pages<T>(read: (marker: string | undefined) => Promise<[readonly T[], string | undefined]>): Promise<T[]> {
  const all: T[] = [];
  let marker: string | undefined;
  do {
    const [items, next] = await read(marker);
    all.push(...items);
    marker = next || undefined;
  } while (marker !== undefined);
  return all;
}

/** Results in the order of the list. */
async function spread<T, R>(list: readonly T[], work: (one: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  let at = 0;
  const worker = async (): Promise<void> => {
    while (at < list.length) {
      const index = at++;
      results[index] = await work(list[index]!);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  return results;
}
