import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, oneOf, record, text } from '../shapes.ts';
import { arnPrefix, type LoadBalancer, type World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { checkArn } from './found.ts';
import { holdZone, releaseZone } from './interfaces.ts';
import { dropListener } from './listener-use.ts';
import { newLoadBalancerAttributes } from './load-balancer-attributes.ts';
import { checkNamed, pageFields, pageOf } from './paging.ts';
import { checkGroups } from './security-groups.ts';
import { mergeTags, sortedTags, tagsShape } from './tag-rules.ts';
import { askedZones, checkZones, zoneFields, zonesXml } from './zones.ts';

/** Of Network Load Balancers. @see https://docs.aws.amazon.com/general/latest/gr/elb.html */
const hostedZones: Readonly<Record<string, string>> = {
  'eu-central-1': 'Z3F0SRJ5LGBH90',
  'eu-west-1': 'Z2IFOLAFXWLO4F',
  'us-east-1': 'Z26RNL4JYFTOTI',
  'us-east-2': 'ZLMOA37VPKANP',
  'us-west-2': 'Z18D5FSROUN65G',
};

const create = record(
  {
    Name: text,
    ...zoneFields,
    SecurityGroups: list(text),
    Scheme: oneOf('internet-facing', 'internal'),
    Tags: tagsShape,
    Type: oneOf('application', 'network', 'gateway'),
    IpAddressType: oneOf('ipv4', 'dualstack', 'dualstack-without-public-ipv4'),
    EnablePrefixForIpv6SourceNat: oneOf('on', 'off'),
  },
  ['Name'],
);
type Create = ReturnType<typeof create>;

const find = record({ LoadBalancerArns: list(text), Names: list(text), ...pageFields });
const drop = record({ LoadBalancerArn: text }, ['LoadBalancerArn']);

export const loadBalancerActions: Actions = {
  CreateLoadBalancer: action(create, createLoadBalancer),
  DescribeLoadBalancers: action(find, describeLoadBalancers),
  DeleteLoadBalancer: action(drop, deleteLoadBalancer),
};

function createLoadBalancer(world: World, input: Create): XmlObject {
  checkName(input.Name);
  if (input.Type !== 'network') {
    throw new AwsFailure('ValidationError', `The sandbox has Network Load Balancers only, not '${input.Type ?? 'application'}'`);
  }
  const addressType = input.IpAddressType ?? 'ipv4';
  if (addressType === 'dualstack-without-public-ipv4') {
    throw new AwsFailure(
      'InvalidConfigurationRequest',
      `IP address type '${addressType}' is not supported for network load balancers`,
    );
  }
  const asked = askedZones(input);
  const same = world.loadBalancers.find(({ name }) => name === input.Name);
  if (same) return answerAgain(same, input);
  const scheme = input.Scheme ?? 'internet-facing';
  const prefixNat = input.EnablePrefixForIpv6SourceNat ?? 'off';
  if (prefixNat === 'on' && addressType !== 'dualstack') {
    throw new AwsFailure('InvalidConfigurationRequest', 'IPv6 source NAT prefixes need the IP address type dualstack');
  }
  const subnets = checkZones(world, asked, { scheme, addressType, prefixNat: prefixNat === 'on', present: [] });
  const securityGroups = [...new Set(input.SecurityGroups ?? [])];
  const vpcId = subnets[0]!.vpcId;
  checkGroups(world, securityGroups, vpcId);
  const tags = mergeTags(world, undefined, input.Tags);
  checkRoom(world, subnets.length);
  const id = world.newId(16);
  const arn = `${arnPrefix(world)}loadbalancer/net/${input.Name}/${id}`;
  const owner = { arn, scheme, addressType, securityGroups };
  const balancer: LoadBalancer = {
    arn,
    name: input.Name,
    dnsName: `${input.Name}-${id}.elb.${world.region}.amazonaws.com`,
    scheme,
    vpcId,
    createdAt: world.now(),
    asked: settingsOf(world, input),
    madeWithGroups: securityGroups.length > 0,
    activeAt: world.now() + world.timings.activeMs,
    addressType,
    zones: subnets.map((subnet, index) => holdZone(world, owner, subnet, asked[index]!)),
    securityGroups,
    privateLink: securityGroups.length > 0 ? 'on' : undefined,
    prefixNat,
    capacity: undefined,
    attributes: newLoadBalancerAttributes(scheme),
    listeners: new Set(),
  };
  world.loadBalancers.put(arn, balancer);
  if (tags.size > 0) world.tags.set(arn, tags);
  // The answer to the creation says provisioning, however soon it is active.
  return { LoadBalancers: [{ ...loadBalancerXml(world, balancer), State: { Code: 'provisioning' } }] };

  function answerAgain(present: LoadBalancer, again: Create): XmlObject {
    if (present.asked === settingsOf(world, again)) return { LoadBalancers: [loadBalancerXml(world, present)] };
    const message = `A load balancer with the same name '${present.name}' exists, but with different settings`;
    throw new AwsFailure('DuplicateLoadBalancerName', message);
  }
}

/** @throws {AwsFailure} ValidationError. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html */
function checkName(name: string): void {
  const refuse = (why: string) => new AwsFailure('ValidationError', `The load balancer name '${name}' ${why}`);
  if (name.length > 32) throw refuse("cannot be longer than '32' characters");
  if (!/^[A-Za-z0-9-]+$/.test(name)) throw refuse('can only contain characters that are alphanumeric characters and hyphens(-)');
  if (/^-|-$/.test(name)) throw refuse('cannot begin or end with a hyphen(-)');
  if (/^internal-/.test(name)) throw refuse("cannot begin with 'internal-'");
}

function checkRoom(world: World, interfaces: number): void {
  if (world.loadBalancers.size >= world.limits.loadBalancers) {
    const message = `The maximum number of load balancers has been reached: ${world.limits.loadBalancers}`;
    throw new AwsFailure('TooManyLoadBalancers', message);
  }
  if (world.interfaces.size + interfaces > world.limits.interfacesPerVpc) {
    const message = `The maximum number of network interfaces per VPC has been reached: ${world.limits.interfacesPerVpc}`;
    throw new AwsFailure('ResourceInUse', message);
  }
}

/** What makes a second request the same as the first. */
function settingsOf(world: World, input: Create): string {
  const zones = askedZones(input).map((zone) => JSON.stringify(Object.entries(zone).sort()));
  return JSON.stringify([
    zones.sort(),
    [...(input.SecurityGroups ?? [])].sort(),
    input.Scheme ?? 'internet-facing',
    input.IpAddressType ?? 'ipv4',
    input.EnablePrefixForIpv6SourceNat ?? 'off',
    world.tagsAreSettings ? sortedTags(input.Tags) : [],
  ]);
}

function describeLoadBalancers(world: World, input: ReturnType<typeof find>): XmlObject {
  const { LoadBalancerArns: arns, Names: names } = input;
  if (arns?.length && names?.length) {
    throw new AwsFailure('ValidationError', 'Load balancer names and load balancer ARNs cannot be specified at the same time');
  }
  checkNamed(arns ?? names, 'load balancers');
  for (const arn of arns ?? []) checkArn(arn, 'loadbalancer', 'load balancer');
  const seen = world.loadBalancers.allSeen();
  const missing =
    arns?.find((arn) => !world.loadBalancers.seen(arn)) ?? names?.find((name) => !seen.some((one) => one.name === name));
  if (missing !== undefined) throw new AwsFailure('LoadBalancerNotFound', `Load balancers '[${missing}]' not found`);
  const wanted = arns?.length
    ? arns.map((arn) => world.loadBalancers.seen(arn)!)
    : names?.length
      ? seen.filter(({ name }) => names.includes(name))
      : seen;
  const { page, next } = pageOf(wanted, ({ arn }) => arn, input);
  return { LoadBalancers: page.map((one) => loadBalancerXml(world, one)), NextMarker: next };
}

/** What is gone already deletes without complaint. Target groups and security groups stay. */
function deleteLoadBalancer(world: World, { LoadBalancerArn: arn }: ReturnType<typeof drop>): XmlObject {
  checkArn(arn, 'loadbalancer', 'load balancer');
  const balancer = world.loadBalancers.get(arn);
  if (!balancer) return {};
  if (balancer.attributes.get('deletion_protection.enabled') === 'true') {
    const message = `Load balancer '${arn}' cannot be deleted because deletion protection is enabled`;
    throw new AwsFailure('OperationNotPermitted', message);
  }
  for (const listener of [...balancer.listeners]) dropListener(world, listener);
  for (const hold of balancer.zones) releaseZone(world, hold);
  world.loadBalancers.remove(arn);
  world.tags.delete(arn);
  return {};
}

export function loadBalancerXml(world: World, balancer: LoadBalancer): XmlObject {
  return {
    LoadBalancerArn: balancer.arn,
    DNSName: balancer.dnsName,
    CanonicalHostedZoneId: hostedZones[world.region] ?? 'Z00000000000000000000',
    CreatedTime: new Date(balancer.createdAt),
    LoadBalancerName: balancer.name,
    Scheme: balancer.scheme,
    VpcId: balancer.vpcId,
    State: { Code: world.now() >= balancer.activeAt ? 'active' : 'provisioning' },
    Type: 'network',
    AvailabilityZones: zonesXml(balancer.zones, balancer),
    SecurityGroups: balancer.madeWithGroups ? balancer.securityGroups : undefined,
    IpAddressType: balancer.addressType,
    EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: balancer.privateLink,
    EnablePrefixForIpv6SourceNat: balancer.prefixNat,
  };
}
