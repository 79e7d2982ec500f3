import { type Actions, ec2Action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import type { SeedVpc } from '../seed.ts';
import { flag, list, record, text } from '../shapes.ts';
import type { Subnet, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { type Facets, keepMatching } from './filters.ts';
import { pageFields, pageOf } from './paging.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';

const findVpcs = record({ ...describeFields, VpcId: ids, ...pageFields(5, 1000) });
const findSubnets = record({ ...describeFields, SubnetId: ids, ...pageFields(5, 1000) });
const findZones = record({ ...describeFields, ZoneName: list(text), ZoneId: list(text), AllAvailabilityZones: flag });

const vpcFacets: Facets<SeedVpc> = {
  'vpc-id': ({ id }) => [id],
  cidr: ({ cidr }) => [cidr],
  'cidr-block-association.cidr-block': ({ cidr }) => [cidr],
  state: () => ['available'],
  'is-default': () => [false],
};

const subnetFacets: Facets<Subnet> = {
  'subnet-id': ({ id }) => [id],
  'vpc-id': ({ vpcId }) => [vpcId],
  'availability-zone': ({ zone }) => [zone],
  'availability-zone-id': ({ zone }) => [zoneIdOf(zone)],
  'cidr-block': ({ cidr }) => [cidr],
  state: () => ['available'],
};

interface Zone {
  readonly name: string;
  readonly id: string;
}

const zoneFacets: Facets<Zone> = {
  'zone-name': ({ name }) => [name],
  'zone-id': ({ id }) => [id],
  'zone-type': () => ['availability-zone'],
  state: () => ['available'],
  'opt-in-status': () => ['opt-in-not-required'],
};

export const networkActions: Actions = {
  DescribeVpcs: ec2Action(findVpcs, (world, input) => {
    const missing = { code: 'InvalidVpcID.NotFound', called: 'vpc ID' };
    const picked = pick(
      input.VpcId,
      (id) => world.vpcs.get(id),
      () => [...world.vpcs.values()],
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, vpcFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.VpcId);
    return { vpcSet: page.map((vpc) => vpcXml(world, vpc)), nextToken: next };
  }),
  DescribeSubnets: ec2Action(findSubnets, (world, input) => {
    const missing = { code: 'InvalidSubnetID.NotFound', called: 'subnet ID' };
    const picked = pick(
      input.SubnetId,
      (id) => world.subnets.get(id),
      () => [...world.subnets.values()],
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, subnetFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.SubnetId);
    return { subnetSet: page.map((subnet) => subnetXml(world, subnet)), nextToken: next };
  }),
  DescribeAvailabilityZones: ec2Action(findZones, (world, input) => {
    const names = [...new Set([...world.subnets.values()].map(({ zone }) => zone))].sort();
    const zones = names.map((name) => ({ name, id: zoneIdOf(name) }));
    const wanted = zones.filter(
      ({ name, id }) =>
        (!input.ZoneName?.length || input.ZoneName.includes(name)) && (!input.ZoneId?.length || input.ZoneId.includes(id)),
    );
    const unknown = input.ZoneName?.find((name) => !names.includes(name));
    if (unknown !== undefined) throw new AwsFailure('InvalidParameterValue', `Invalid availability zone: [${unknown}]`);
    const kept = keepMatching(world, wanted, input.Filter, zoneFacets);
    return { availabilityZoneInfo: kept.map((zone) => zoneXml(world, zone)) };
  }),
};

/** `eu-west-1a` is `euw1-az1`. */
function zoneIdOf(zone: string): string {
  const [, area = '', side = '', number = '', letter = 'a'] = /^(\w+)-(\w+)-(\d+)(\w)/.exec(zone) ?? [];
  return `${area}${side[0] ?? ''}${number}-az${letter.charCodeAt(0) - 96}`;
}

function vpcXml(world: World, vpc: SeedVpc): XmlObject {
  return {
    vpcId: vpc.id,
    ownerId: world.accountId,
    state: 'available',
    cidrBlock: vpc.cidr,
    cidrBlockAssociationSet: [
      { associationId: `vpc-cidr-assoc-${vpc.id}`, cidrBlock: vpc.cidr, cidrBlockState: { state: 'associated' } },
    ],
    ipv6CidrBlockAssociationSet: ipv6Blocks(vpc.id, vpc.ipv6Cidr),
    dhcpOptionsId: 'dopt-1',
    instanceTenancy: 'default',
    isDefault: false,
    tagSet: tagSet(world, vpc.id),
  };
}

function ipv6Blocks(id: string, cidr: string | undefined): readonly XmlObject[] {
  if (cidr === undefined) return [];
  return [{ associationId: `cidr-assoc-${id}`, ipv6CidrBlock: cidr, ipv6CidrBlockState: { state: 'associated' } }];
}

function subnetXml(world: World, subnet: Subnet): XmlObject {
  return {
    subnetId: subnet.id,
    subnetArn: `arn:aws:ec2:${world.region}:${world.accountId}:subnet/${subnet.id}`,
    state: 'available',
    vpcId: subnet.vpcId,
    ownerId: world.accountId,
    cidrBlock: subnet.cidr,
    ipv6CidrBlockAssociationSet: ipv6Blocks(subnet.id, subnet.ipv6Cidr),
    availableIpAddressCount: subnet.free,
    availabilityZone: subnet.zone,
    availabilityZoneId: zoneIdOf(subnet.zone),
    defaultForAz: false,
    mapPublicIpOnLaunch: subnet.mapPublicIp ?? false,
    assignIpv6AddressOnCreation: false,
    ipv6Native: false,
    tagSet: tagSet(world, subnet.id),
  };
}

function zoneXml(world: World, { name, id }: Zone): XmlObject {
  return {
    zoneName: name,
    zoneId: id,
    zoneType: 'availability-zone',
    zoneState: 'available',
    regionName: world.region,
    groupName: world.region,
    networkBorderGroup: world.region,
    optInStatus: 'opt-in-not-required',
    messageSet: [],
  };
}
