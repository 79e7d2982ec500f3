import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, oneOf, record, text } from '../shapes.ts';
import type { LoadBalancer, World, ZoneHold } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { loadBalancer } from './found.ts';
import { holdZone, releaseZone, withFamily } from './interfaces.ts';
import { checkGroups } from './security-groups.ts';
import { type AskedZone, askedZones, checkZones, zoneFields, zonesXml } from './zones.ts';

const onOff = oneOf('on', 'off');
const addressTypes = oneOf('ipv4', 'dualstack', 'dualstack-without-public-ipv4');

const subnets = record(
  { LoadBalancerArn: text, ...zoneFields, IpAddressType: addressTypes, EnablePrefixForIpv6SourceNat: onOff },
  ['LoadBalancerArn'],
);
const groups = record(
  { LoadBalancerArn: text, SecurityGroups: list(text), EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: onOff },
  ['LoadBalancerArn', 'SecurityGroups'],
);
const addressType = record({ LoadBalancerArn: text, IpAddressType: addressTypes }, ['LoadBalancerArn', 'IpAddressType']);

export const loadBalancerSettingActions: Actions = {
  SetSubnets: action(subnets, setSubnets),
  SetSecurityGroups: action(groups, setSecurityGroups),
  SetIpAddressType: action(addressType, (world, { LoadBalancerArn, IpAddressType }) => {
    const balancer = loadBalancer(world, LoadBalancerArn);
    const wanted = checkAddressType(world, balancer, IpAddressType, balancer.prefixNat);
    for (const { subnetId } of balancer.zones) checkFamily(world, subnetId, wanted);
    balancer.addressType = wanted;
    balancer.zones = balancer.zones.map((hold) => withFamily(world, hold, wanted));
    if (wanted === 'ipv4') balancer.prefixNat = 'off';
    return { IpAddressType: wanted };
  }),
};

function setSubnets(world: World, input: ReturnType<typeof subnets>): XmlObject {
  const balancer = loadBalancer(world, input.LoadBalancerArn);
  const asked = askedZones(input);
  const prefixNat = input.EnablePrefixForIpv6SourceNat ?? balancer.prefixNat;
  const wantedType = checkAddressType(world, balancer, input.IpAddressType ?? balancer.addressType, prefixNat);
  const found = checkZones(world, asked, {
    scheme: balancer.scheme,
    addressType: wantedType,
    prefixNat: prefixNat === 'on',
    present: balancer.zones,
  });
  if (found[0]!.vpcId !== balancer.vpcId) {
    throw new AwsFailure('InvalidConfigurationRequest', `The subnets must belong to the load balancer's VPC '${balancer.vpcId}'`);
  }
  for (const zone of asked) checkKept(world, balancer, zone);
  const kept = new Map(balancer.zones.map((hold) => [hold.subnetId, hold]));
  for (const { SubnetId } of asked) if (!kept.has(SubnetId)) balancer.activeAt = world.now() + world.timings.activeMs;
  const wanted = new Set(asked.map(({ SubnetId }) => SubnetId));
  for (const hold of balancer.zones) if (!wanted.has(hold.subnetId)) releaseZone(world, hold);
  const owner = { ...balancer, addressType: wantedType };
  balancer.zones = found.map((subnet, index): ZoneHold => {
    const zone = asked[index]!;
    const present = kept.get(subnet.id);
    if (!present) return holdZone(world, owner, subnet, zone);
    const sourceNatPrefix = zone.SourceNatIpv6Prefix ?? present.fixed.sourceNatPrefix;
    return withFamily(world, { ...present, fixed: { ...present.fixed, sourceNatPrefix } }, wantedType);
  });
  balancer.addressType = wantedType;
  balancer.prefixNat = prefixNat;
  return {
    AvailabilityZones: zonesXml(balancer.zones, balancer),
    IpAddressType: wantedType,
    EnablePrefixForIpv6SourceNat: prefixNat,
  };
}

/** A zone that stays keeps its subnet and its addresses: only a new load balancer gets others. */
function checkKept(world: World, balancer: LoadBalancer, asked: AskedZone): void {
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  const zone = world.subnets.get(asked.SubnetId)?.zone;
  const present = balancer.zones.find((hold) => hold.zone === zone);
  if (!present) return;
  if (present.subnetId !== asked.SubnetId) {
    throw refuse(`The subnet of an enabled Availability Zone cannot be changed: ${zone} has ${present.subnetId}`);
  }
  const changes = [
    [asked.AllocationId, present.fixed.allocationId],
    [asked.PrivateIPv4Address, present.fixed.privateIpv4],
    [asked.IPv6Address, present.fixed.ipv6],
  ];
  const changed = changes.find(([wanted, had]) => wanted !== undefined && wanted !== had);
  if (changed)
    throw refuse(
      `The addresses of an enabled Availability Zone cannot be changed: ${zone} has ${changed[1] ?? 'none of its own'}`,
    );
}

/** A load balancer made without groups never gets any, and one that has some never loses the last. */
function setSecurityGroups(world: World, input: ReturnType<typeof groups>): XmlObject {
  const balancer = loadBalancer(world, input.LoadBalancerArn);
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  if (!balancer.madeWithGroups) {
    throw refuse('You cannot set security groups on a Network Load Balancer which was created without any security groups.');
  }
  const wanted = [...new Set(input.SecurityGroups)];
  if (wanted.length === 0) throw refuse('At least one security group must stay associated with the load balancer');
  checkGroups(world, wanted, balancer.vpcId);
  balancer.securityGroups = wanted;
  for (const { interfaceId } of balancer.zones) {
    const one = world.interfaces.get(interfaceId);
    if (one) one.securityGroups = wanted;
  }
  balancer.privateLink = input.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic ?? balancer.privateLink;
  return {
    SecurityGroupIds: wanted,
    EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: balancer.privateLink,
  };
}

function checkAddressType(world: World, balancer: LoadBalancer, wanted: string, prefixNat: string): LoadBalancer['addressType'] {
  const refuse = (message: string) => new AwsFailure('InvalidConfigurationRequest', message);
  if (wanted !== 'ipv4' && wanted !== 'dualstack') {
    throw refuse(`IP address type '${wanted}' is not supported for network load balancers`);
  }
  const datagrams = [...balancer.listeners].some((arn) => /UDP/.test(world.listeners.get(arn)?.protocol ?? ''));
  if (wanted === 'dualstack' && datagrams && prefixNat === 'off') {
    throw refuse('UDP listeners on dualstack load balancers need EnablePrefixForIpv6SourceNat to be on');
  }
  return wanted;
}

function checkFamily(world: World, subnetId: string, wanted: LoadBalancer['addressType']): void {
  if (wanted === 'ipv4' || world.subnets.get(subnetId)?.ipv6Cidr) return;
  const message = `You must specify subnets with an associated IPv6 CIDR block: ${subnetId} has none`;
  throw new AwsFailure('InvalidConfigurationRequest', message);
}
