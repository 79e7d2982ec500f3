import ipaddr from 'ipaddr.js';
import { AwsFailure } from '../failure.ts';
import type { Subnet, World, ZoneHold } from '../world.ts';
import type { AskedZone } from './zones.ts';

interface Owner {
  readonly arn: string;
  readonly scheme: 'internal' | 'internet-facing';
  readonly addressType: 'ipv4' | 'dualstack';
  readonly securityGroups: readonly string[];
}

const FIRST_HOST = 200; // well apart from the instances of a typical account

/** Takes an interface with its addresses in the subnet. Everything has been checked before. */
export function holdZone(world: World, owner: Owner, subnet: Subnet, asked: AskedZone): ZoneHold {
  const privateIp = asked.PrivateIPv4Address ?? freeAddress(subnet);
  const interfaceId = `eni-${world.newId(17)}`;
  const allocated = asked.AllocationId === undefined ? undefined : world.addresses.get(asked.AllocationId);
  if (allocated) allocated.holder = { interfaceId, associationId: `eipassoc-${world.newId(17)}`, privateIp };
  const publicIp = owner.scheme === 'internal' ? undefined : (allocated?.publicIp ?? givenAddress(world));
  const ipv6 = owner.addressType === 'dualstack' ? (asked.IPv6Address ?? freeIpv6(world, subnet)) : undefined;
  subnet.held.add(privateIp);
  subnet.free--;
  world.interfaces.put(interfaceId, {
    id: interfaceId,
    description: `ELB ${owner.arn.split(':loadbalancer/')[1]}`,
    vpcId: subnet.vpcId,
    subnetId: subnet.id,
    zone: subnet.zone,
    privateIp,
    publicIp,
    allocationId: asked.AllocationId,
    ipv6,
    securityGroups: owner.securityGroups,
  });
  return {
    zone: subnet.zone,
    subnetId: subnet.id,
    interfaceId,
    privateIp,
    fixed: {
      allocationId: asked.AllocationId,
      privateIpv4: asked.PrivateIPv4Address,
      ipv6: asked.IPv6Address,
      sourceNatPrefix: asked.SourceNatIpv6Prefix,
    },
    publicIp,
    ipv6,
  };
}

/** The zone with an IPv6 address, or without one. */
export function withFamily(world: World, hold: ZoneHold, addressType: Owner['addressType']): ZoneHold {
  const subnet = world.subnets.get(hold.subnetId);
  const given = addressType === 'dualstack' && subnet ? (hold.ipv6 ?? freeIpv6(world, subnet)) : undefined;
  const one = world.interfaces.get(hold.interfaceId);
  if (one) one.ipv6 = given;
  return { ...hold, ipv6: given, fixed: { ...hold.fixed, ipv6: given === undefined ? undefined : hold.fixed.ipv6 } };
}

/** Gives back the interface and its addresses. The interface itself lingers in reads for the consistency time. */
export function releaseZone(world: World, hold: ZoneHold): void {
  world.interfaces.remove(hold.interfaceId);
  const subnet = world.subnets.get(hold.subnetId);
  if (subnet?.held.delete(hold.privateIp)) subnet.free++;
  const address = hold.fixed.allocationId === undefined ? undefined : world.addresses.get(hold.fixed.allocationId);
  if (address?.holder?.interfaceId === hold.interfaceId) address.holder = undefined;
}

/** @throws {AwsFailure} InvalidSubnet when the subnet is full */
function freeAddress(subnet: Subnet): string {
  const [network, bits] = ipaddr.parseCIDR(subnet.cidr);
  const [a = 0, b = 0, c = 0, d = 0] = network.toByteArray();
  const base = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const size = 2 ** (32 - bits);
  for (let step = 0; step < size; step++) {
    const offset = (FIRST_HOST + step) % size;
    if (offset < 4 || offset === size - 1) continue; // AWS's own
    const address = base + offset;
    const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
    if (!subnet.held.has(text)) return text;
  }
  throw new AwsFailure('InvalidSubnet', `Not enough IP space available in ${subnet.id}`);
}

function freeIpv6(world: World, subnet: Subnet): string {
  const id = world.newId(12);
  return `${subnet.ipv6Cidr!.split('::')[0]}:0:${id.slice(0, 4)}:${id.slice(4, 8)}:${id.slice(8)}`;
}

/** An address that AWS gives for as long as the zone is held; out of 100.64.0.0/10, which nobody routes. */
function givenAddress(world: World): string {
  const number = Number.parseInt(world.newId(5), 16);
  return `100.${64 + ((number >> 16) & 15)}.${(number >> 8) & 255}.${number & 255}`;
}
