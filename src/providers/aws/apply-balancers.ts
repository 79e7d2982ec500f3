import {
  CreateLoadBalancerCommand,
  DeleteLoadBalancerCommand,
  ModifyCapacityReservationCommand,
  ModifyLoadBalancerAttributesCommand,
  SetIpAddressTypeCommand,
  SetSecurityGroupsCommand,
  SetSubnetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { Refusal } from '../../errors.ts';
import { readBalancer, writeAttributes, writeTags } from './answers.ts';
import { type ActOf, type Bench, balancerOf, Vanished } from './bench.ts';
import type { DesiredZone } from './desired.ts';
import { isCalled } from './failures.ts';
import type { Inventory } from './inventory.ts';
import { SHARED_GROUP, TAG } from './names.ts';
import type { SeenBalancer } from './picture.ts';

export async function createBalancer({ calls, reader, inventory }: Bench, { spec }: ActOf<'create-balancer'>): Promise<void> {
  if (inventory.balancerNamed(spec.name)?.tags[TAG.balancer] === spec.tags[TAG.balancer]) return;
  const groups = spec.groups.map((name) => securityGroupId(inventory, name));
  const input = {
    Name: spec.name,
    Type: 'network' as const,
    Scheme: spec.scheme,
    IpAddressType: spec.ipAddressType,
    ...(spec.zones.some(hasAddress)
      ? { SubnetMappings: spec.zones.map(writeZone) }
      : { Subnets: spec.zones.map(({ subnetId }) => subnetId) }),
    ...(groups.length > 0 ? { SecurityGroups: groups } : {}),
    ...(spec.ipv6SourceNat ? { EnablePrefixForIpv6SourceNat: spec.ipv6SourceNat } : {}),
    Tags: writeTags(spec.tags),
  };
  const fresh = { attributes: {}, listeners: [], capacityUnits: 0 };
  try {
    const answer = await calls.elb('CreateLoadBalancer', (elb) => elb.send(new CreateLoadBalancerCommand(input)));
    inventory.put('balancers', { ...readBalancer(answer.LoadBalancers![0]!, spec.tags), ...fresh });
  } catch (thrown) {
    const fixed = spec.zones.flatMap(({ allocationId }) => allocationId ?? []);
    if (isCalled(thrown, 'ResourceInUseException') && fixed.length > 0) {
      throw new Refusal('AddressInUse', `Elastic IPs ${fixed.join(', ')}: something else has one of them`, { cause: thrown });
    }
    if (!isCalled(thrown, 'DuplicateLoadBalancerNameException')) throw thrown;
    const [found] = await reader.balancers({ Names: [spec.name] });
    const tags = found && (await reader.tags([found.LoadBalancerArn!])).get(found.LoadBalancerArn!);
    if (!tags || tags[TAG.cluster] !== spec.tags[TAG.cluster] || tags[TAG.balancer] !== spec.tags[TAG.balancer]) throw thrown;
    inventory.put('balancers', readBalancer(found, tags)); // made by a try of ours whose answer was lost
  }
}

function hasAddress(zone: DesiredZone): boolean {
  return (zone.allocationId ?? zone.privateIpv4 ?? zone.ipv6 ?? zone.sourceNatPrefix) !== undefined;
}

function writeZone(zone: DesiredZone) {
  return {
    SubnetId: zone.subnetId,
    ...(zone.allocationId === undefined ? {} : { AllocationId: zone.allocationId }),
    ...(zone.privateIpv4 === undefined ? {} : { PrivateIPv4Address: zone.privateIpv4 }),
    ...(zone.ipv6 === undefined ? {} : { IPv6Address: zone.ipv6 }),
    ...(zone.sourceNatPrefix === undefined ? {} : { SourceNatIpv6Prefix: zone.sourceNatPrefix }),
  };
}

function securityGroupId(inventory: Inventory, name: string): string {
  const group = name === SHARED_GROUP ? inventory.backend() : inventory.securityGroupNamed(name);
  if (group) return group.id;
  if (name.startsWith('sg-')) return name;
  throw new Vanished(`security group ${name} is not there any more`);
}

export async function changeBalancer(
  bench: Bench,
  act: ActOf<'set-balancer-attributes' | 'set-subnets' | 'set-security-groups' | 'set-address-type' | 'set-capacity'>,
): Promise<void> {
  const seen = balancerOf(bench, act.balancer);
  const put = (change: Partial<SeenBalancer>): void =>
    bench.inventory.put('balancers', { ...balancerOf(bench, act.balancer), ...change });
  const LoadBalancerArn = seen.arn;
  switch (act.kind) {
    case 'set-balancer-attributes': {
      const input = { LoadBalancerArn, Attributes: writeAttributes(act.attributes) };
      await bench.calls.elb('ModifyLoadBalancerAttributes', (elb) => elb.send(new ModifyLoadBalancerAttributesCommand(input)));
      return put({ attributes: { ...seen.attributes, ...act.attributes } });
    }
    case 'set-subnets': {
      const nat = act.ipv6SourceNat;
      const input = {
        LoadBalancerArn,
        SubnetMappings: act.zones.map(writeZone),
        ...(nat ? { EnablePrefixForIpv6SourceNat: nat } : {}),
        ...(act.ipAddressType ? { IpAddressType: act.ipAddressType } : {}),
      };
      const answer = await bench.calls.elb('SetSubnets', (elb) => elb.send(new SetSubnetsCommand(input)));
      const told = readBalancer({ AvailabilityZones: answer.AvailabilityZones }, {}).zones;
      const asked = new Map(act.zones.map(({ subnetId, sourceNatPrefix }) => [subnetId, sourceNatPrefix]));
      const zones = told.map((zone) => {
        const sourceNatPrefix = zone.sourceNatPrefix ?? asked.get(zone.subnetId); // not every answer tells it
        return sourceNatPrefix === undefined ? zone : { ...zone, sourceNatPrefix };
      });
      const { ipAddressType } = act;
      put({
        zones,
        ...afterZones(seen, zones),
        ...(nat ? { ipv6SourceNat: nat } : {}),
        ...(ipAddressType ? { ipAddressType } : {}),
      });
      return expectTargets(bench, seen.arn);
    }
    case 'set-security-groups': {
      const groups = act.groups.map((name) => securityGroupId(bench.inventory, name));
      const rules = act.privateLinkRules;
      const input = {
        LoadBalancerArn,
        SecurityGroups: groups,
        ...(rules ? { EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: rules } : {}),
      };
      await bench.calls.elb('SetSecurityGroups', (elb) => elb.send(new SetSecurityGroupsCommand(input)));
      return put({ securityGroups: groups, ...(rules ? { privateLinkRules: rules } : {}) });
    }
    case 'set-address-type': {
      const input = { LoadBalancerArn, IpAddressType: act.ipAddressType };
      await bench.calls.elb('SetIpAddressType', (elb) => elb.send(new SetIpAddressTypeCommand(input)));
      const ips = act.ipAddressType === 'ipv4' ? seen.ips?.filter(({ ip }) => !ip.includes(':')) : seen.ips;
      return put({ ipAddressType: act.ipAddressType, ips });
    }
    case 'set-capacity': {
      const asked =
        act.capacityUnits === 0
          ? { ResetCapacityReservation: true }
          : { MinimumLoadBalancerCapacity: { CapacityUnits: act.capacityUnits } };
      await bench.calls.elb('ModifyCapacityReservation', (elb) =>
        elb.send(new ModifyCapacityReservationCommand({ LoadBalancerArn, ...asked })),
      );
      return put({ capacityUnits: act.capacityUnits });
    }
  }
}

/** Zones that have come take their time; the others serve on. */
function afterZones({ zones: had, state, ips }: SeenBalancer, zones: SeenBalancer['zones']): Pick<SeenBalancer, 'state' | 'ips'> {
  const before = new Set(had.map(({ zone }) => zone));
  const now = new Set(zones.map(({ zone }) => zone));
  const isMore = zones.some(({ zone }) => !before.has(zone));
  return { state: isMore ? 'provisioning' : state, ips: ips?.filter(({ zone }) => now.has(zone)) };
}

/** AWS begins to check targets in a zone that has come. */
function expectTargets({ inventory }: Bench, arn: string): void {
  for (const group of [...inventory.groups.values()]) {
    if (!group.balancerArns.includes(arn) || !group.targets?.some(({ state }) => state === 'unused')) continue;
    const targets = group.targets.map(({ id, port, ...one }) =>
      one.state === 'unused' ? { id, port, state: 'unread' } : { id, port, ...one },
    );
    inventory.put('groups', { ...group, targets });
  }
}

export async function deleteBalancer({ calls, inventory }: Bench, { balancer }: ActOf<'delete-balancer'>): Promise<void> {
  const seen = inventory.balancerNamed(balancer);
  if (!seen) return;
  await calls.elb('DeleteLoadBalancer', (elb) => elb.send(new DeleteLoadBalancerCommand({ LoadBalancerArn: seen.arn })));
  inventory.remove('balancers', seen.arn);
}
