import { Refusal } from '../../errors.ts';
import type { SeenSubnet } from './picture.ts';

export interface SubnetWish {
  readonly scheme: 'internal' | 'internet-facing';
  readonly dualStack: boolean;
  /** Ids or Name tags; empty: found by tags and reachability. */
  readonly named: readonly string[];
  readonly clusterName: string;
  /** Where an NLB of the balancer is already: it has its address there, and shall not move because another subnet comes. */
  readonly held: readonly string[];
}

/** An NLB takes an address of its own in each subnet, and AWS wants this many to be free.
 *  @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html */
const FREE_ADDRESSES = 8;
const CLUSTER_TAG = 'kubernetes.io/cluster/';
const ROLE_TAG = { 'internet-facing': 'kubernetes.io/role/elb', internal: 'kubernetes.io/role/internal-elb' } as const;

/**
 * The subnets of an NLB, one for each zone. Named ones in the order in which they are named; otherwise those with the scheme's
 * role tag, and where none has it, public ones for internet-facing and all others for internal NLBs. Of several in one zone the
 * one that an NLB is in comes first, then the cluster's own, then the lowest id.
 * @throws {Refusal} when none fits, with every candidate and why not, or when two named ones are in one zone
 */
export function chooseSubnets(subnets: readonly SeenSubnet[], wish: SubnetWish): readonly SeenSubnet[] {
  return wish.named.length > 0 ? takeNamed(subnets, wish) : discover(subnets, wish);
}

function takeNamed(subnets: readonly SeenSubnet[], wish: SubnetWish): readonly SeenSubnet[] {
  const taken: SeenSubnet[] = [];
  for (const named of wish.named) {
    const found = subnets.filter((subnet) => subnet.id === named || subnet.name === named);
    const rival = taken.find((one) => found.some((subnet) => subnet.zone === one.zone));
    if (found.length !== 1)
      throw new Refusal('AwsResourceUnknown', `Subnet ${JSON.stringify(named)}: ${sayFound(found, subnets)}`);
    const [subnet] = found as [SeenSubnet];
    if (rival) {
      throw new Refusal(
        'SubnetUnavailable',
        `Subnets ${rival.id} and ${subnet.id} are both in zone ${subnet.zone}; an NLB takes one a zone`,
      );
    }
    if (wish.dualStack && subnet.ipv6Cidr === undefined)
      throw new Refusal('SubnetUnavailable', `Subnet ${subnet.id} has no IPv6 range, which dualstack needs`);
    taken.push(subnet);
  }
  refuseMixed(taken);
  return taken;
}

/** All zones of a load balancer are of one kind. */
function refuseMixed(subnets: readonly SeenSubnet[]): void {
  const outside = subnets.find(({ zone }) => !isAvailabilityZone(zone));
  const inside = subnets.find(({ zone }) => isAvailabilityZone(zone));
  if (!outside || !inside) return;
  const where = `Subnet ${outside.id} is in ${outside.zone}, a Local or Wavelength Zone, and ${inside.id} in ${inside.zone}`;
  throw new Refusal('SubnetUnavailable', `${where}: the zones of an NLB are all of one kind`);
}

/** A Local or Wavelength Zone has a place between the region and its own letter: `us-west-2-lax-1a`.
 *  @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-regions-availability-zones.html */
function isAvailabilityZone(zone: string): boolean {
  return /^[a-z]+(?:-[a-z]+)+-\d+[a-z]$/.test(zone);
}

function sayFound(found: readonly SeenSubnet[], all: readonly SeenSubnet[]): string {
  if (found.length > 1) return `it is the name of ${found.map(({ id }) => id).join(' and ')}`;
  return `the VPC has no such subnet (it has ${all.map(({ id, name }) => (name === undefined ? id : `${id} ${name}`)).join(', ') || 'none'})`;
}

/** Whether some NLB's subnets follow from its routes: none that it could be in has the role tag, whoever else tagged theirs. */
export function needsRoutes(subnets: readonly SeenSubnet[], clusterName: string): boolean {
  const full = subnets.map(({ id }) => id);
  return (['internet-facing', 'internal'] as const).some((scheme) =>
    [false, true].some((dualStack) => {
      const sound = (held: readonly string[]): readonly SeenSubnet[] =>
        subnets.filter((one) => faultOf(one, { scheme, dualStack, named: [], clusterName, held }) === undefined);
      return sound(full).length > 0 && !sound([]).some((one) => hasRole(one, scheme));
    }),
  );
}

function hasRole({ tags }: SeenSubnet, scheme: SubnetWish['scheme']): boolean {
  return ['', '1'].includes(tags[ROLE_TAG[scheme]] ?? 'none');
}

function discover(subnets: readonly SeenSubnet[], wish: SubnetWish): readonly SeenSubnet[] {
  const judged = subnets.map((subnet) => ({ subnet, fault: faultOf(subnet, wish) }));
  const sound = judged.filter(({ fault }) => fault === undefined).map(({ subnet }) => subnet);
  const tagged = sound.filter((subnet) => hasRole(subnet, wish.scheme));
  const reachable = sound.filter(({ isPublic }) => isPublic === (wish.scheme === 'internet-facing'));
  const chosen = onePerZone(tagged.length > 0 ? tagged : reachable, wish);
  if (chosen.length > 0) return chosen;
  const why = judged.map(({ subnet, fault }) => `${subnet.id} in ${subnet.zone}: ${fault ?? sayUnreachable(subnet, wish)}`);
  throw new Refusal('SubnetUnavailable', `No subnet fits an ${wish.scheme} NLB: ${why.join('; ') || 'the VPC has none'}`);
}

function sayUnreachable({ isPublic }: SeenSubnet, { scheme }: SubnetWish): string {
  const said = `it has no tag ${ROLE_TAG[scheme]}`;
  if (isPublic === undefined) return said;
  return `${said} and ${scheme === 'internal' ? 'is public' : 'no route to an internet gateway'}`;
}

function faultOf(subnet: SeenSubnet, wish: SubnetWish): string | undefined {
  const clusters = Object.keys(subnet.tags).filter((tag) => tag.startsWith(CLUSTER_TAG));
  if (clusters.length > 0 && !clusters.includes(CLUSTER_TAG + wish.clusterName)) {
    return `it is tagged for another cluster (${clusters[0]})`;
  }
  if (!isAvailabilityZone(subnet.zone)) return 'it is in a Local or Wavelength Zone, where AWS takes no subnet for an NLB';
  if (subnet.onOutpost) return 'it is on an Outpost, where there are no NLBs';
  if (subnet.freeAddresses < FREE_ADDRESSES && !wish.held.includes(subnet.id))
    return `it has ${subnet.freeAddresses} free addresses, and ${FREE_ADDRESSES} are needed`;
  if (wish.dualStack && subnet.ipv6Cidr === undefined) return 'it has no IPv6 range';
  return undefined;
}

function onePerZone(subnets: readonly SeenSubnet[], { clusterName, held }: SubnetWish): readonly SeenSubnet[] {
  const rank = ({ id, tags }: SeenSubnet): string =>
    `${held.includes(id) ? 0 : 1}${tags[CLUSTER_TAG + clusterName] === undefined ? 1 : 0}${id}`;
  const byZone = new Map<string, SeenSubnet>();
  for (const subnet of subnets) {
    const rival = byZone.get(subnet.zone);
    if (!rival || rank(subnet) < rank(rival)) byZone.set(subnet.zone, subnet);
  }
  return [...byZone.values()].sort((a, b) => (a.zone < b.zone ? -1 : 1));
}
