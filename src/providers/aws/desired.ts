import { overlaps, readRange } from '../../config/addresses.ts';
import { readAnnotations } from '../../config/annotations.ts';
import { type AwsAnnotations, readAwsAnnotations } from '../../config/aws-annotations.ts';
import { Refusal } from '../../errors.ts';
import { type Balancer, nameOf } from '../../model.ts';
import { chooseTargets, limitTargets, type Targets } from './instances.ts';
import { ownershipTags, shortHash, TAG } from './names.ts';
import type { Facts, Rule, SeenBalancer, SeenSubnet, Tags } from './picture.ts';
import { type DesiredListener, describeListeners } from './ports.ts';
import { describeRules } from './rules.ts';
import { groupsOf } from './shares.ts';
import { chooseSubnets } from './subnets.ts';

/** What a balancer shall be in AWS's own words. Ids of what does not exist yet are nowhere in it. */
export interface Desired {
  readonly key: string;
  /** An NLB that others made, and that is used as it is. */
  readonly adoptArn?: string;
  /** Asked for by name; undefined: made up. */
  readonly name?: string;
  readonly scheme: 'internal' | 'internet-facing';
  readonly schemeReason: string;
  /** No word of the Service's: what applied, and what another controller would have made of it. */
  readonly schemeChoice?: string;
  readonly ipAddressType: 'ipv4' | 'dualstack';
  readonly vpcId: string;
  /** In the order in which they were named; one a zone. */
  readonly zones: readonly DesiredZone[];
  readonly security: DesiredSecurity;
  readonly attributes: Tags;
  readonly listeners: readonly DesiredListener[];
  readonly targets: Targets;
  /** Every eligible node is a target, as for all other NLBs that send from the shared group: what is noted there speaks for it. */
  readonly asAll: boolean;
  /** Of every resource. */
  readonly tags: Tags;
  readonly retain: boolean;
  readonly allowDisruption: boolean;
  readonly ipv6SourceNat?: 'on' | 'off';
  readonly privateLinkRules?: 'on' | 'off';
  readonly capacityUnits?: number;
  /** Seconds that what has been replaced lives on. */
  readonly graceSeconds: number;
  /** Fingerprint of all that an identity sweep does not show. */
  readonly config: string;
}

export interface DesiredZone {
  readonly zone: string;
  readonly subnetId: string;
  readonly allocationId?: string;
  readonly privateIpv4?: string;
  readonly ipv6?: string;
  readonly sourceNatPrefix?: string;
}

export interface DesiredSecurity {
  /** `managed`: a frontend group of its own. `own`: the author's. `none`: an NLB without any. */
  readonly kind: 'managed' | 'own' | 'none';
  /** Of the managed frontend group. */
  readonly rules: readonly Rule[];
  /** The author's groups, by id. */
  readonly groupIds: readonly string[];
  /** The shared backend group is attached, and the nodes' groups admit it. */
  readonly backend: boolean;
  /** What the nodes must admit from the backend group. */
  readonly nodePorts: readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[];
}

export interface DescribeOptions {
  readonly clusterName: string;
  readonly defaultScheme: 'internal' | 'internet-facing';
  /** Where the NLBs are; undefined: not known yet. */
  readonly region?: string;
  /** Overrides how long what has been replaced lives on. */
  readonly graceSeconds?: number;
}

/** What of the balancer there is: its NLBs do not move while they need not. */
export type Present = readonly Pick<SeenBalancer, 'scheme' | 'zones'>[];

/** As NLBs have it unless told otherwise. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html */
const DRAIN_SECONDS = 300;
const ADOPT = 'nodeport-lb.io/aws-load-balancer-arn';
const PROTECTED_TAGS = ['aws:', 'nodeport-lb.io/'];

/**
 * Pure. The whole of what is wanted.
 * @param present the balancer's NLBs
 * @throws {Refusal} when instance targets, the API, this version or the VPC cannot do what is asked
 */
export function describe(balancer: Balancer, facts: Facts, options: DescribeOptions, present: Present): Desired {
  const asked = readAwsAnnotations(balancer.members[0]?.annotations ?? {}); // on balancer-wide settings the oldest member's word counts
  for (const member of balancer.members) {
    const wanted = readAwsAnnotations(member.annotations);
    refuseUnreadable(nameOf(member), wanted);
    refuseForeignCertificates(nameOf(member), wanted.certificates, options.region, facts.accountId);
  }
  refuseUnsupported(balancer);
  const { scheme, ...why } = chooseScheme(asked, options);
  const listeners = describeListeners(balancer);
  const ipAddressType = asked.ipAddressType ?? chooseAddressType(balancer, facts.subnets);
  const dualStack = ipAddressType === 'dualstack';
  if (dualStack && asked.ipv6SourceNat !== 'on') refuseBareUdp(listeners);
  const adoptArn = balancer.members[0]?.annotations[ADOPT];
  const held = present.filter((one) => one.scheme === scheme).flatMap(({ zones }) => zones.map(({ subnetId }) => subnetId));
  const found = { scheme, dualStack, named: asked.subnets, clusterName: options.clusterName, held };
  const subnets = adoptArn === undefined ? chooseSubnets(facts.subnets, found) : [];
  refuseUnknownAddresses(asked.eipAllocations, facts);
  const zones = placeAddresses(subnets, asked, scheme, dualStack);
  const uids = balancer.members.map(({ uid }) => uid);
  const retain = balancer.settings.retain;
  const security = describeSecurity(balancer, asked, facts, listeners, dualStack);
  const graceSeconds = options.graceSeconds ?? balancer.settings.drainSeconds ?? DRAIN_SECONDS;
  return {
    key: balancer.key,
    ...given('adoptArn', adoptArn),
    ...given('name', asked.name),
    scheme,
    ...why,
    ipAddressType,
    vpcId: facts.vpcId,
    zones,
    security,
    attributes: asked.attributes,
    listeners,
    targets: limitTargets(chooseTargets(balancer.nodes, facts), facts, {
      key: balancer.key,
      groups: groupsOf(listeners).length,
      isAcrossZones: asked.attributes['load_balancing.cross_zone.enabled'] === 'true',
    }),
    asAll: security.backend && !choosesNodes(balancer),
    tags: {
      ...readTags(asked.tags),
      ...ownershipTags(options.clusterName, balancer.key, uids),
      ...(retain ? { [TAG.retain]: 'true' } : {}),
    },
    retain,
    allowDisruption: balancer.settings.allowDisruption,
    ...given('ipv6SourceNat', asked.ipv6SourceNat),
    ...given('privateLinkRules', asked.privateLinkRules),
    ...given('capacityUnits', asked.capacityUnits),
    graceSeconds,
    config: shortHash(asked.attributes, asked.capacityUnits, listeners.map(fingerprint)),
  };
}

/** Health checks are seen in an identity sweep. */
function fingerprint(listener: DesiredListener): unknown {
  const { group, spread } = listener;
  const others = spread?.others.map((one) => (one.group ? { ...one, group: { ...one.group, check: 0 } } : one));
  return { ...listener, group: { ...group, check: 0 }, ...(spread ? { spread: { ...spread, others } } : {}) };
}

function choosesNodes({ members }: Balancer): boolean {
  return readAnnotations(members[0]?.annotations ?? {}, 'aws').nodeSelector !== undefined;
}

function refuseUnreadable(name: string, { problems, unsupported }: AwsAnnotations): void {
  const problem = problems[0];
  if (problem) {
    const subject = `${name}: annotation ${problem.annotation}: ${JSON.stringify(problem.value)}: ${problem.message}`;
    throw new Refusal('AnnotationInvalid', subject);
  }
  const beyond = unsupported[0];
  if (beyond) throw new Refusal('NotSupported', `${name}: annotation ${beyond.annotation}: ${beyond.why}`);
}

/** Elastic Load Balancing has no way to ask for a certificate; what its ARN says is known before anything is made. */
function refuseForeignCertificates(name: string, arns: readonly string[], region?: string, accountId?: string): void {
  for (const arn of arns) {
    const [, , , itsRegion = '', itsAccount = ''] = arn.split(':');
    const foreign =
      itsRegion !== '' && region !== undefined && itsRegion !== region
        ? `region ${itsRegion}, and the NLB is in ${region}`
        : accountId !== undefined && itsAccount !== accountId
          ? `account ${itsAccount}, and the NLB is in ${accountId}`
          : undefined;
    if (foreign !== undefined) throw new Refusal('AwsResourceUnknown', `${name}: certificate ${arn} is in ${foreign}`);
  }
}

function refuseUnsupported(balancer: Balancer): void {
  const owner = nameOf(balancer.members[0] ?? { namespace: '', name: balancer.key });
  const refuse = (what: string): never => {
    throw new Refusal('NotSupported', `${owner}: ${what}`);
  };
  if (balancer.address.requested.length > 0) {
    refuse(
      `address ${balancer.address.requested[0]}: an NLB takes Elastic IPs (aws-load-balancer-eip-allocations) or private addresses (aws-load-balancer-private-ipv4-addresses)`,
    );
  }
  if (balancer.settings.proxyProtocol === 'v1') refuse('nodeport-lb.io/proxy-protocol: an NLB speaks v2 only');
}

function chooseScheme(
  asked: AwsAnnotations,
  { defaultScheme }: DescribeOptions,
): Pick<Desired, 'scheme' | 'schemeReason' | 'schemeChoice'> {
  if (asked.scheme) return { scheme: asked.scheme, schemeReason: 'the Service asks for it' };
  const scheme = asked.marked ? 'internal' : defaultScheme;
  const schemeReason = asked.marked
    ? 'the default of AWS Load Balancer Controller, whose annotations the Service carries'
    : 'the default of --aws-default-scheme';
  const otherwise =
    scheme === 'internal'
      ? 'cloud-provider-aws would make it internet-facing'
      : 'AWS Load Balancer Controller would make it internal';
  return { scheme, schemeReason, schemeChoice: `It is ${scheme}, ${schemeReason}; ${otherwise}` };
}

function chooseAddressType({ families, preferDualStack }: Balancer, subnets: readonly SeenSubnet[]): Desired['ipAddressType'] {
  if (!families.includes('IPv6')) return 'ipv4';
  return preferDualStack && !subnets.some(({ ipv6Cidr }) => ipv6Cidr !== undefined) ? 'ipv4' : 'dualstack';
}

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/create-listener.html */
function refuseBareUdp(listeners: readonly DesiredListener[]): void {
  const udp = listeners.find(({ protocol }) => protocol === 'UDP' || protocol === 'TCP_UDP');
  if (!udp) return;
  const cure = 'aws-load-balancer-enable-prefix-for-ipv6-source-nat: on';
  throw new Refusal('FamilyUnsupported', `Port ${udp.port}: UDP on a dualstack NLB needs ${cure}`);
}

function refuseUnknownAddresses(allocations: readonly string[], facts: Facts): void {
  const unknown = allocations.find((id) => facts.named[id] === undefined);
  if (unknown !== undefined)
    throw new Refusal('AwsResourceUnknown', `Elastic IP ${unknown}: this account and region have none of that id`);
}

/** Fixed addresses go with the subnets, by position; private ones by the range that they are in. */
function placeAddresses(
  subnets: readonly SeenSubnet[],
  asked: AwsAnnotations,
  scheme: Desired['scheme'],
  dualStack: boolean,
): readonly DesiredZone[] {
  const { eipAllocations, privateIpv4, ipv6Addresses, ipv6SourceNatPrefixes } = asked;
  if (eipAllocations.length > 0 && scheme === 'internal')
    throw new Refusal('AwsAddressMismatch', 'An internal NLB has no Elastic IPs');
  if (privateIpv4.length > 0 && scheme !== 'internal') {
    throw new Refusal('AwsAddressMismatch', 'Private addresses can be chosen for internal NLBs only');
  }
  if (ipv6SourceNatPrefixes.length > 0 && asked.ipv6SourceNat !== 'on') {
    const cure = 'aws-load-balancer-enable-prefix-for-ipv6-source-nat: on';
    throw new Refusal('AwsAddressMismatch', `Source NAT prefixes need ${cure}`);
  }
  if (asked.ipv6SourceNat === 'on' && !dualStack)
    throw new Refusal('FamilyUnsupported', 'IPv6 source NAT needs ip-address-type dualstack');
  if (ipv6Addresses.length > 0 && !dualStack)
    throw new Refusal('FamilyUnsupported', 'IPv6 addresses need ip-address-type dualstack');
  const lists = {
    'Elastic IPs': eipAllocations,
    'private addresses': privateIpv4,
    'IPv6 addresses': ipv6Addresses,
    'source NAT prefixes': ipv6SourceNatPrefixes,
  };
  for (const [what, list] of Object.entries(lists)) {
    if (list.length === 0 || list.length === subnets.length) continue;
    const names = subnets.map(({ id }) => id).join(', ');
    throw new Refusal('AwsAddressMismatch', `${list.length} ${what} for ${subnets.length} subnets (${names}); each needs one`);
  }
  return subnets.map((subnet, at) => ({
    zone: subnet.zone,
    subnetId: subnet.id,
    ...given('allocationId', eipAllocations[at]),
    ...given('privateIpv4', privateIpv4.length > 0 ? addressIn(subnet, subnet.cidr, privateIpv4) : undefined),
    ...given('ipv6', ipv6Addresses.length > 0 ? addressIn(subnet, subnet.ipv6Cidr ?? '', ipv6Addresses) : undefined),
    ...given('sourceNatPrefix', readPrefix(subnet, ipv6SourceNatPrefixes[at])),
  }));
}

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SubnetMapping.html */
function readPrefix(subnet: SeenSubnet, prefix: string | undefined): string | undefined {
  if (prefix === undefined || prefix === 'auto_assigned') return prefix;
  const [address = '', bits] = prefix.split('/');
  if (bits === '80' && isInside(address, subnet.ipv6Cidr ?? '')) return prefix;
  const of = subnet.ipv6Cidr === undefined ? 'which has no IPv6 range' : `of ${subnet.ipv6Cidr}`;
  throw new Refusal(
    'AwsAddressMismatch',
    `Source NAT prefix ${prefix} is no /80 in subnet ${subnet.id} ${of}, nor auto_assigned`,
  );
}

function addressIn(subnet: SeenSubnet, cidr: string, addresses: readonly string[]): string {
  const found = addresses.find((address) => isInside(address, cidr));
  if (found === undefined)
    throw new Refusal('AwsAddressMismatch', `None of ${addresses.join(', ')} is in subnet ${subnet.id} (${cidr})`);
  return found;
}

function isInside(address: string, cidr: string): boolean {
  const range = readRange(cidr);
  const one = readRange(address);
  return typeof range !== 'string' && typeof one !== 'string' && overlaps(range, one);
}

function describeSecurity(
  balancer: Balancer,
  asked: AwsAnnotations,
  facts: Facts,
  listeners: readonly DesiredListener[],
  dualStack: boolean,
): DesiredSecurity {
  const nodePorts = groupsOf(listeners).flatMap((group) => group.nodePorts);
  const adopts = balancer.members[0]?.annotations[ADOPT] !== undefined; // its groups are its owner's affair
  if (asked.withoutSecurityGroups || adopts) return { kind: 'none', rules: [], groupIds: [], backend: false, nodePorts };
  if (asked.securityGroups.length === 0) {
    return {
      kind: 'managed',
      rules: describeRules(balancer, asked, listeners, dualStack),
      groupIds: [],
      backend: asked.manageBackendRules ?? true,
      nodePorts,
    };
  }
  const groupIds = asked.securityGroups.map((group) => resolveGroup(group, facts));
  return { kind: 'own', rules: [], groupIds, backend: asked.manageBackendRules ?? false, nodePorts };
}

function resolveGroup(group: string, facts: Facts): string {
  const id = facts.named[group];
  if (id !== undefined) return id;
  throw new Refusal('AwsResourceUnknown', `Security group ${JSON.stringify(group)}: the VPC has none of that id or Name tag`);
}

function readTags(tags: Tags): Tags {
  const reserved = Object.keys(tags).find((tag) => PROTECTED_TAGS.some((prefix) => tag.startsWith(prefix)));
  if (reserved !== undefined) throw new Refusal('AnnotationInvalid', `Tag ${reserved} is reserved`);
  return tags;
}

function given<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: T });
}
