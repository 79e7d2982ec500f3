import ipaddr from 'ipaddr.js';
import { AwsFailure } from '../failure.ts';
import { list, record, text, textOf, whole } from '../shapes.ts';
import type { Peer, Rule, World } from '../world.ts';

const description = textOf(0, 255);

/** `IpPermissions` of a request. */
export const permissionsShape = list(
  record(
    {
      IpProtocol: text,
      FromPort: whole(-1, 65535),
      ToPort: whole(-1, 65535),
      Groups: list(record({ GroupId: text, GroupName: text, UserId: text, VpcId: text, Description: description })),
      IpRanges: list(record({ CidrIp: text, Description: description }, ['CidrIp'])),
      Ipv6Ranges: list(record({ CidrIpv6: text, Description: description }, ['CidrIpv6'])),
      PrefixListIds: list(record({ PrefixListId: text, Description: description }, ['PrefixListId'])),
    },
    ['IpProtocol'],
  ),
);
type Permission = ReturnType<typeof permissionsShape>[number];
export type AskedRule = Omit<Rule, 'id' | 'egress'>;

const protocolNames: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', '17': 'udp', '58': 'icmpv6' };

/** One rule for each peer of each permission. @throws {AwsFailure} InvalidPermission.Malformed, InvalidParameterValue, and what is not found */
export function rulesOf(world: World, permissions: readonly Permission[]): readonly AskedRule[] {
  return permissions.flatMap((permission) => {
    const traffic = trafficOf(permission);
    const peers = peersOf(permission);
    if (peers.length === 0) throw malformed('A permission needs at least one IP range, prefix list or group');
    return peers.map(({ peer, description }) => ({ ...traffic, description, peer: checkPeer(world, peer) }));
  });
}

function malformed(message: string): AwsFailure {
  return new AwsFailure('InvalidPermission.Malformed', message);
}

function trafficOf({ IpProtocol, FromPort, ToPort }: Permission): Pick<Rule, 'protocol' | 'fromPort' | 'toPort'> {
  const asked = IpProtocol.toLowerCase();
  const protocol = protocolNames[asked] ?? asked;
  if (!/^(tcp|udp|icmp|icmpv6|-1|\d{1,3})$/.test(protocol) || Number(protocol) > 255) {
    throw new AwsFailure('InvalidParameterValue', `Invalid value '${IpProtocol}' for IP protocol. Unknown protocol.`);
  }
  if (protocol !== 'tcp' && protocol !== 'udp' && !protocol.startsWith('icmp')) {
    return { protocol, fromPort: undefined, toPort: undefined };
  }
  if (protocol.startsWith('icmp')) return { protocol, fromPort: FromPort ?? -1, toPort: ToPort ?? -1 };
  if (FromPort === undefined || ToPort === undefined) throw malformed(`Must specify both from and to ports with ${protocol}.`);
  if (FromPort < 0 || ToPort < FromPort) {
    throw new AwsFailure('InvalidParameterValue', `Invalid TCP/UDP port range (${FromPort}:${ToPort})`);
  }
  return { protocol, fromPort: FromPort, toPort: ToPort };
}

type Described = Pick<Rule, 'peer' | 'description'>;

function peersOf({ Groups, IpRanges, Ipv6Ranges, PrefixListIds }: Permission): readonly Described[] {
  const peer = (kind: Peer['kind'], value: string, description: string | undefined): Described => ({
    peer: { kind, value },
    description,
  });
  return [
    ...(IpRanges ?? []).map(({ CidrIp, Description }) => peer('ipv4', CidrIp, Description)),
    ...(Ipv6Ranges ?? []).map(({ CidrIpv6, Description }) => peer('ipv6', CidrIpv6, Description)),
    ...(PrefixListIds ?? []).map(({ PrefixListId, Description }) => peer('prefixList', PrefixListId, Description)),
    ...(Groups ?? []).map(({ GroupId = '', Description }) => peer('group', GroupId, Description)),
  ];
}

/** The peer as EC2 keeps it. @throws {AwsFailure} */
function checkPeer(world: World, { kind, value }: Peer): Peer {
  switch (kind) {
    case 'ipv4':
    case 'ipv6':
      return { kind, value: canonical(value, kind) };
    case 'prefixList':
      if (world.prefixLists.has(value)) return { kind, value };
      throw new AwsFailure('InvalidPrefixListID.NotFound', `The prefix list ID '${value}' does not exist`);
    case 'group':
      if (world.securityGroups.get(value)) return { kind, value };
      throw new AwsFailure('InvalidGroup.NotFound', `The security group '${value}' does not exist`);
  }
}

/** With its host bits zero, and IPv6 in its short form: EC2 tells ranges so, whatever they were when they came.
 *  @see https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html */
function canonical(text: string, kind: 'ipv4' | 'ipv6'): string {
  if (!ipaddr.isValidCIDR(text) || ipaddr.parseCIDR(text)[0].kind() !== kind) {
    throw new AwsFailure('InvalidParameterValue', `CIDR block ${text} is malformed`);
  }
  const [, bits] = ipaddr.parseCIDR(text);
  const network = kind === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
  return `${network.toString()}/${bits}`;
}

/** Two rules that admit the same traffic are the same, whatever their descriptions. */
export function sameRule(a: AskedRule, b: AskedRule): boolean {
  return keyOf(a) === keyOf(b);
}

export function keyOf({ protocol, fromPort, toPort, peer }: AskedRule): string {
  return `${protocol} ${fromPort} ${toPort} ${peer.kind} ${peer.value}`;
}

/** `peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW` */
export function inWords({ protocol, fromPort, toPort, peer }: AskedRule): string {
  const called = protocol === '-1' ? 'ALL' : protocol.toUpperCase();
  const ports = fromPort === undefined ? '' : `, from port: ${fromPort}, to port: ${toPort}`;
  return `peer: ${peer.value}, ${called}${ports}, ALLOW`;
}
