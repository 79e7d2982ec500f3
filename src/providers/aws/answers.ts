import type { Tag as Ec2Tag, Instance, IpPermission, RouteTable, SecurityGroup, Subnet } from '@aws-sdk/client-ec2';
import type {
  Listener,
  LoadBalancer,
  Tag,
  TargetGroup,
  TargetHealthDescription,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { readAddress } from '../../config/addresses.ts';
import type {
  Rule,
  SeenBalancer,
  SeenCheck,
  SeenGroup,
  SeenInstance,
  SeenListener,
  SeenSecurityGroup,
  SeenSubnet,
  SeenTarget,
  Tags,
} from './picture.ts';
import type { GroupSpec } from './steps.ts';

/** AWS's answers as pictures. Total: what AWS leaves out becomes an empty text, and is looked at where it matters. */

export function readTags(tags: readonly (Tag | Ec2Tag)[] | undefined): Tags {
  return Object.fromEntries((tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

export function writeTags(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Attributes come as the same pairs. */
export const writeAttributes = writeTags;

export function readBalancer(answer: LoadBalancer, tags: Tags): SeenBalancer {
  const state = answer.State?.Code;
  return {
    arn: answer.LoadBalancerArn ?? '',
    name: answer.LoadBalancerName ?? '',
    dnsName: (answer.DNSName ?? '').toLowerCase(),
    scheme: answer.Scheme === 'internal' ? 'internal' : 'internet-facing',
    ipAddressType: answer.IpAddressType ?? 'ipv4',
    state: state === 'active' || state === 'active_impaired' || state === 'failed' ? state : 'provisioning',
    vpcId: answer.VpcId ?? '',
    zones: (answer.AvailabilityZones ?? []).map((zone) => ({
      zone: zone.ZoneName ?? '',
      subnetId: zone.SubnetId ?? '',
      ...given('sourceNatPrefix', zone.SourceNatIpv6Prefixes?.[0]),
      addresses: (zone.LoadBalancerAddresses ?? []).map((one) => ({
        ...given('ip', one.IpAddress),
        ...given('allocationId', one.AllocationId),
        ...given('privateIpv4', one.PrivateIPv4Address),
        ...given('ipv6', one.IPv6Address === undefined ? undefined : (readAddress(one.IPv6Address)?.address ?? one.IPv6Address)),
      })),
    })),
    securityGroups: answer.SecurityGroups ?? [],
    ...given('privateLinkRules', answer.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic),
    ...given('ipv6SourceNat', answer.EnablePrefixForIpv6SourceNat),
    createdAt: answer.CreatedTime?.getTime() ?? 0,
    tags,
  };
}

export function readGroup(answer: TargetGroup, tags: Tags): SeenGroup {
  return {
    arn: answer.TargetGroupArn ?? '',
    name: answer.TargetGroupName ?? '',
    protocol: answer.Protocol ?? '',
    port: answer.Port ?? 0,
    vpcId: answer.VpcId ?? '',
    ipAddressType: answer.IpAddressType ?? 'ipv4',
    check: readCheck(answer),
    balancerArns: [...new Set(answer.LoadBalancerArns ?? [])],
    tags,
    healthAt: 0,
  };
}

function readCheck(answer: TargetGroup): SeenCheck {
  const protocol = answer.HealthCheckProtocol ?? 'TCP';
  return {
    protocol,
    port: answer.HealthCheckPort ?? 'traffic-port',
    ...(protocol === 'TCP'
      ? {}
      : { ...given('path', answer.HealthCheckPath), ...given('successCodes', answer.Matcher?.HttpCode) }),
    intervalSeconds: answer.HealthCheckIntervalSeconds ?? 0,
    timeoutSeconds: answer.HealthCheckTimeoutSeconds ?? 0,
    healthyThreshold: answer.HealthyThresholdCount ?? 0,
    unhealthyThreshold: answer.UnhealthyThresholdCount ?? 0,
  };
}

export function writeCheck(check: SeenCheck) {
  return {
    HealthCheckEnabled: true,
    HealthCheckProtocol: check.protocol as 'TCP' | 'HTTP' | 'HTTPS',
    HealthCheckPort: check.port,
    ...(check.path === undefined ? {} : { HealthCheckPath: check.path }),
    ...(check.successCodes === undefined ? {} : { Matcher: { HttpCode: check.successCodes } }),
    HealthCheckIntervalSeconds: check.intervalSeconds,
    HealthCheckTimeoutSeconds: check.timeoutSeconds,
    HealthyThresholdCount: check.healthyThreshold,
    UnhealthyThresholdCount: check.unhealthyThreshold,
  };
}

/** A target group as it is right after it was made. */
export function freshGroup(arn: string, spec: GroupSpec): SeenGroup {
  const { name, protocol, port, vpcId, check, tags } = spec;
  return {
    arn,
    name,
    protocol,
    port,
    vpcId,
    ipAddressType: 'ipv4',
    check,
    balancerArns: [],
    tags,
    attributes: {},
    targets: [],
    healthAt: 0,
  };
}

export function readListener(answer: Listener, certificates: readonly string[]): SeenListener {
  const action = answer.DefaultActions?.[0];
  const groups = action?.ForwardConfig?.TargetGroups ?? [];
  const forwarded = action?.TargetGroupArn ?? groups[0]?.TargetGroupArn;
  const forward = groups.map(({ TargetGroupArn = '', Weight = 1 }) => ({ arn: TargetGroupArn, weight: Weight }));
  return {
    arn: answer.ListenerArn ?? '',
    port: answer.Port ?? 0,
    protocol: answer.Protocol ?? '',
    groupArn: forwarded ?? '',
    ...(forward.length > 1 ? { forward } : {}),
    ...(forward.length > 1 && action?.ForwardConfig?.TargetGroupStickinessConfig?.Enabled ? { sticky: true as const } : {}),
    certificates,
    ...(answer.Protocol === 'TLS' ? given('tlsPolicy', answer.SslPolicy) : {}),
    ...given('alpnPolicy', answer.AlpnPolicy?.[0]),
  };
}

/** Targets that drain are on their way out and count no more. */
export function readTargets(answer: readonly TargetHealthDescription[] | undefined): readonly SeenTarget[] {
  return (answer ?? []).flatMap(({ Target, TargetHealth }) => {
    const state = TargetHealth?.State ?? 'unavailable';
    if (state === 'draining' || !Target?.Id) return [];
    return [
      { id: Target.Id, port: Target.Port ?? 0, state, ...given('reason', TargetHealth?.Description ?? TargetHealth?.Reason) },
    ];
  });
}

export function readSecurityGroup(answer: SecurityGroup): SeenSecurityGroup {
  return {
    id: answer.GroupId ?? '',
    name: answer.GroupName ?? '',
    vpcId: answer.VpcId ?? '',
    tags: readTags(answer.Tags),
    rules: (answer.IpPermissions ?? []).flatMap(readRules),
  };
}

function readRules(permission: IpPermission): readonly Rule[] {
  const { IpProtocol: protocol = '-1', FromPort: from = -1, ToPort: to = -1 } = permission;
  const sources = [
    ...(permission.IpRanges ?? []).map((one) => [one.CidrIp, one.Description] as const),
    ...(permission.Ipv6Ranges ?? []).map((one) => [one.CidrIpv6, one.Description] as const),
    ...(permission.PrefixListIds ?? []).map((one) => [one.PrefixListId, one.Description] as const),
    ...(permission.UserIdGroupPairs ?? []).map((one) => [one.GroupId, one.Description] as const),
  ];
  return sources.map(([source = '', description]) => ({ protocol, from, to, source, ...given('description', description) }));
}

export function writeRule({ protocol, from, to, source, description }: Rule): IpPermission {
  const said = description === undefined ? {} : { Description: description };
  const base = { IpProtocol: protocol, FromPort: from, ToPort: to };
  if (source.startsWith('sg-')) return { ...base, UserIdGroupPairs: [{ GroupId: source, ...said }] };
  if (source.startsWith('pl-')) return { ...base, PrefixListIds: [{ PrefixListId: source, ...said }] };
  if (source.includes(':')) return { ...base, Ipv6Ranges: [{ CidrIpv6: source, ...said }] };
  return { ...base, IpRanges: [{ CidrIp: source, ...said }] };
}

export function readInstance(answer: Instance, accountId: string | undefined): SeenInstance {
  const primary = answer.NetworkInterfaces?.find((one) => one.Attachment?.DeviceIndex === 0);
  const groups = primary?.Groups?.length ? primary.Groups : (answer.SecurityGroups ?? []);
  return {
    id: answer.InstanceId ?? '',
    ...given('accountId', accountId),
    state: answer.State?.Name ?? 'unknown',
    vpcId: answer.VpcId ?? '',
    zone: answer.Placement?.AvailabilityZone ?? '',
    securityGroups: groups.flatMap(({ GroupId }) => GroupId ?? []).sort(),
  };
}

/** @param tables every route table of the VPC; subnets that none names have the main one */
export function readSubnet(answer: Subnet, tables: readonly RouteTable[]): SeenSubnet {
  const tags = readTags(answer.Tags);
  const id = answer.SubnetId ?? '';
  const own = tables.find((table) => table.Associations?.some((one) => one.SubnetId === id));
  const table = own ?? tables.find((one) => one.Associations?.some(({ Main }) => Main === true));
  return {
    id,
    ...given('name', tags['Name']),
    vpcId: answer.VpcId ?? '',
    zone: answer.AvailabilityZone ?? '',
    ...(answer.OutpostArn === undefined ? {} : { onOutpost: true as const }),
    cidr: answer.CidrBlock ?? '',
    ...given(
      'ipv6Cidr',
      answer.Ipv6CidrBlockAssociationSet?.find((one) => one.Ipv6CidrBlockState?.State === 'associated')?.Ipv6CidrBlock,
    ),
    freeAddresses: answer.AvailableIpAddressCount ?? 0,
    tags,
    ...(table ? { isPublic: (table.Routes ?? []).some((route) => route.GatewayId?.startsWith('igw-')) } : {}),
  };
}

function given<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: T });
}
