import { type Actions, ec2Action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, record, text } from '../shapes.ts';
import type { Address, Instance, Interface, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { type Facets, keepMatching } from './filters.ts';
import { groupsXml, interfaceIdOf } from './instances.ts';
import { pageFields, pageOf } from './paging.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';

const findAddresses = record({ ...describeFields, AllocationId: ids, PublicIp: list(text) });
const findInterfaces = record({ ...describeFields, NetworkInterfaceId: ids, ...pageFields(5, 1000) });

const addressFacets: Facets<Address> = {
  'allocation-id': ({ allocationId }) => [allocationId],
  'public-ip': ({ publicIp }) => [publicIp],
  'association-id': ({ holder }) => [holder?.associationId],
  'network-interface-id': ({ holder }) => [holder?.interfaceId],
  domain: () => ['vpc'],
};

const ofInstance = (one: Interface) => one.description === '';

const interfaceFacets: Facets<Interface> = {
  'network-interface-id': ({ id }) => [id],
  description: ({ description }) => [description],
  'vpc-id': ({ vpcId }) => [vpcId],
  'subnet-id': ({ subnetId }) => [subnetId],
  'availability-zone': ({ zone }) => [zone],
  'group-id': ({ securityGroups }) => securityGroups,
  'private-ip-address': ({ privateIp }) => [privateIp],
  'interface-type': (one) => [ofInstance(one) ? 'interface' : 'network_load_balancer'],
  'requester-managed': (one) => [!ofInstance(one)],
  status: () => ['in-use'],
};

export const addressActions: Actions = {
  DescribeAddresses: ec2Action(findAddresses, (world, input) => {
    const all = () => [...world.addresses.values()];
    const missing = { code: 'InvalidAllocationID.NotFound', called: 'allocation ID' };
    const picked = pick(input.AllocationId, (id) => world.addresses.get(id), all, missing);
    const stranger = input.PublicIp?.find((ip) => !all().some(({ publicIp }) => publicIp === ip));
    if (stranger !== undefined) throw new AwsFailure('InvalidAddress.NotFound', `Address '${stranger}' not found.`);
    const wanted = input.PublicIp?.length ? picked.filter(({ publicIp }) => input.PublicIp?.includes(publicIp)) : picked;
    const kept = keepMatching(world, wanted, input.Filter, addressFacets, ({ allocationId }) => allocationId);
    return { addressesSet: kept.map((address) => addressXml(world, address)) };
  }),
  DescribeNetworkInterfaces: ec2Action(findInterfaces, (world, input) => {
    const all = interfacesOf(world);
    const missing = { code: 'InvalidNetworkInterfaceID.NotFound', called: 'networkInterface ID' };
    const picked = pick(
      input.NetworkInterfaceId,
      (id) => all.find((one) => one.id === id),
      () => all,
      missing,
    );
    const kept = keepMatching(world, picked, input.Filter, interfaceFacets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.NetworkInterfaceId);
    return { networkInterfaceSet: page.map((one) => interfaceXml(world, one)), nextToken: next };
  }),
};

/** Those of load balancers and those of instances. */
export function interfacesOf(world: World): readonly Interface[] {
  const instances = [...world.instances.values()].filter(({ state }) => state !== 'terminated');
  return [...world.interfaces.allSeen(), ...instances.map(interfaceOf)];
}

function interfaceOf(instance: Instance): Interface {
  return { ...instance, id: interfaceIdOf(instance.id), description: '', allocationId: undefined };
}

function addressXml(world: World, { allocationId, publicIp, holder }: Address): XmlObject {
  return {
    allocationId,
    publicIp,
    domain: 'vpc',
    associationId: holder?.associationId,
    networkInterfaceId: holder?.interfaceId,
    networkInterfaceOwnerId: holder ? world.accountId : undefined,
    privateIpAddress: holder?.privateIp,
    publicIpv4Pool: 'amazon',
    networkBorderGroup: world.region,
    tagSet: tagSet(world, allocationId),
  };
}

function interfaceXml(world: World, one: Interface): XmlObject {
  const holder = one.allocationId === undefined ? undefined : world.addresses.get(one.allocationId)?.holder;
  const association =
    one.publicIp === undefined
      ? undefined
      : {
          publicIp: one.publicIp,
          ipOwnerId: one.allocationId === undefined ? 'amazon' : world.accountId,
          allocationId: one.allocationId,
          associationId: holder?.associationId,
        };
  return {
    networkInterfaceId: one.id,
    subnetId: one.subnetId,
    vpcId: one.vpcId,
    availabilityZone: one.zone,
    description: one.description,
    ownerId: world.accountId,
    requesterId: ofInstance(one) ? undefined : 'amazon-elb',
    requesterManaged: !ofInstance(one),
    status: 'in-use',
    privateIpAddress: one.privateIp,
    sourceDestCheck: ofInstance(one),
    groupSet: groupsXml(world, one.securityGroups),
    association,
    tagSet: tagSet(world, one.id),
    privateIpAddressesSet: [{ privateIpAddress: one.privateIp, primary: true, association }],
    ipv6AddressesSet: one.ipv6 === undefined ? [] : [{ ipv6Address: one.ipv6 }],
    interfaceType: ofInstance(one) ? 'interface' : 'network_load_balancer',
  };
}
