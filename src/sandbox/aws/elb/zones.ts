import ipaddr from 'ipaddr.js';
import { AwsFailure } from '../failure.ts';
import { list, record, text } from '../shapes.ts';
import type { AddressType, LoadBalancer, Subnet, World, ZoneHold } from '../world.ts';
import type { XmlObject } from '../xml.ts';

/** The two ways of naming subnets. */
export const zoneFields = {
  Subnets: list(text),
  SubnetMappings: list(
    record({ SubnetId: text, AllocationId: text, PrivateIPv4Address: text, IPv6Address: text, SourceNatIpv6Prefix: text }, [
      'SubnetId',
    ]),
  ),
};

export interface AskedZone {
  readonly SubnetId: string;
  readonly AllocationId?: string | undefined;
  readonly PrivateIPv4Address?: string | undefined;
  readonly IPv6Address?: string | undefined;
  readonly SourceNatIpv6Prefix?: string | undefined;
}

const FREE_ADDRESSES = 8; // what a subnet must have left

/** @throws {AwsFailure} ValidationError unless exactly one of the two ways is used */
export function askedZones(input: {
  readonly Subnets?: readonly string[] | undefined;
  readonly SubnetMappings?: readonly AskedZone[] | undefined;
}): readonly AskedZone[] {
  if (input.Subnets?.length && input.SubnetMappings?.length) {
    throw new AwsFailure('ValidationError', 'You can specify either subnets or subnet mappings, but not both');
  }
  const zones = input.SubnetMappings ?? (input.Subnets ?? []).map((SubnetId) => ({ SubnetId }));
  if (zones.length === 0) throw new AwsFailure('ValidationError', 'At least one subnet must be specified');
  return zones;
}

interface Wanted {
  readonly scheme: LoadBalancer['scheme'];
  readonly addressType: AddressType;
  readonly prefixNat: boolean;
  /** Zones that the load balancer has already: their addresses are its own. */
  readonly present: readonly ZoneHold[];
}

/** The subnets, in the order that was asked for. @throws {AwsFailure} for what AWS refuses */
export function checkZones(world: World, asked: readonly AskedZone[], wanted: Wanted): readonly Subnet[] {
  const missing = asked.find(({ SubnetId }) => !world.subnets.has(SubnetId));
  if (missing) throw new AwsFailure('SubnetNotFound', `The subnet ID '${missing.SubnetId}' does not exist`);
  const subnets = asked.map(({ SubnetId }) => world.subnets.get(SubnetId)!);
  const vpcs = new Set(subnets.map(({ vpcId }) => vpcId));
  if (vpcs.size > 1) {
    throw new AwsFailure('InvalidConfigurationRequest', `All subnets must belong to the same VPC: '${[...vpcs].join(', ')}'`);
  }
  const zones = subnets.map(({ zone }) => zone);
  const twice = zones.find((zone, index) => zones.indexOf(zone) !== index);
  if (twice) {
    const message = `A load balancer cannot be attached to multiple subnets in the same Availability Zone: ${twice}`;
    throw new AwsFailure('InvalidConfigurationRequest', message);
  }
  for (const subnet of subnets) checkSubnet(world, subnet, wanted);
  for (const [index, subnet] of subnets.entries()) checkAddresses(world, asked[index]!, subnet, wanted);
  return subnets;
}

function checkSubnet(world: World, subnet: Subnet, { scheme, addressType, present }: Wanted): void {
  const open = [...world.gateways.values()].some(({ vpcId }) => vpcId === subnet.vpcId);
  if (scheme === 'internet-facing' && !open) {
    throw new AwsFailure('InvalidSubnet', `VPC ${subnet.vpcId} has no internet gateway`);
  }
  if (subnet.free < FREE_ADDRESSES && !present.some(({ subnetId }) => subnetId === subnet.id)) {
    const message = `Not enough IP space available in ${subnet.id}. ELB requires at least ${FREE_ADDRESSES} free IP addresses in each subnet.`;
    throw new AwsFailure('InvalidSubnet', message);
  }
  if (addressType === 'dualstack' && !subnet.ipv6Cidr) {
    const message = `You must specify subnets with an associated IPv6 CIDR block: ${subnet.id} has none`;
    throw new AwsFailure('InvalidConfigurationRequest', message);
  }
}

function checkAddresses(world: World, asked: AskedZone, subnet: Subnet, wanted: Wanted): void {
  const own = wanted.present.find(({ subnetId }) => subnetId === subnet.id);
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  if (asked.AllocationId !== undefined) {
    if (wanted.scheme === 'internal') throw refuse('Elastic IP addresses are not supported for internal load balancers');
    const address = world.addresses.get(asked.AllocationId);
    if (!address) throw new AwsFailure('AllocationIdNotFound', `The allocation IDs '${asked.AllocationId}' do not exist`);
    if (address.holder && address.holder.interfaceId !== own?.interfaceId) {
      throw new AwsFailure('ResourceInUse', 'The allocation IDs are not available for use');
    }
  }
  if (asked.PrivateIPv4Address !== undefined) {
    if (wanted.scheme !== 'internal') throw refuse('Private IPv4 addresses are supported for internal load balancers only');
    if (!isWithin(asked.PrivateIPv4Address, subnet.cidr)) {
      throw refuse(`The private IPv4 address ${asked.PrivateIPv4Address} is not in the range of ${subnet.id}: ${subnet.cidr}`);
    }
    if (own?.privateIp !== asked.PrivateIPv4Address && subnet.held.has(asked.PrivateIPv4Address)) {
      throw refuse(`The private IPv4 address ${asked.PrivateIPv4Address} is already in use`);
    }
  }
  if (asked.IPv6Address !== undefined) {
    if (wanted.addressType !== 'dualstack') throw refuse('IPv6 addresses need the IP address type dualstack');
    if (!subnet.ipv6Cidr || !isWithin(asked.IPv6Address, subnet.ipv6Cidr)) {
      throw refuse(`The IPv6 address ${asked.IPv6Address} is not in the range of ${subnet.id}`);
    }
  }
  if (asked.SourceNatIpv6Prefix !== undefined) checkPrefix(asked.SourceNatIpv6Prefix, subnet, wanted);
}

function checkPrefix(prefix: string, subnet: Subnet, { prefixNat }: Wanted): void {
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  if (!prefixNat) throw refuse('A source NAT prefix needs EnablePrefixForIpv6SourceNat to be on');
  if (prefix === 'auto_assigned') return;
  const [address = '', bits] = prefix.split('/');
  if (bits !== '80' || !subnet.ipv6Cidr || !isWithin(address, subnet.ipv6Cidr)) {
    throw refuse(`The source NAT prefix ${prefix} is not a /80 within ${subnet.id}`);
  }
}

function isWithin(address: string, cidr: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const [range, bits] = ipaddr.parseCIDR(cidr);
  const parsed = ipaddr.parse(address);
  return parsed.kind() === range.kind() && parsed.match(range, bits);
}

/** As an answer tells it. */
export function zonesXml(zones: readonly ZoneHold[], { prefixNat }: { readonly prefixNat: string }): readonly XmlObject[] {
  return zones.map(({ zone, subnetId, fixed, publicIp }) => {
    const address = {
      IpAddress: fixed.allocationId ? publicIp : undefined,
      AllocationId: fixed.allocationId,
      PrivateIPv4Address: fixed.privateIpv4,
      IPv6Address: fixed.ipv6,
    };
    const told = Object.values(address).some((value) => value !== undefined);
    return {
      ZoneName: zone,
      SubnetId: subnetId,
      LoadBalancerAddresses: told ? [address] : [],
      SourceNatIpv6Prefixes: prefixNat === 'on' ? [fixed.sourceNatPrefix ?? 'auto_assigned'] : undefined,
    };
  });
}
