import { type Actions, ec2Action } from '../action.ts';
import { flag, record } from '../shapes.ts';
import type { Instance, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { type Facets, keepMatching } from './filters.ts';
import { pageFields, pageOf } from './paging.ts';
import { describeFields, ids, pick, tagSet } from './resources.ts';

/** @see https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html */
const stateCodes = { pending: 0, running: 16, 'shutting-down': 32, terminated: 48, stopping: 64, stopped: 80 };

const find = record({ ...describeFields, InstanceId: ids, IncludeManagedResources: flag, ...pageFields(5, 1000) });

const facets: Facets<Instance> = {
  'instance-id': ({ id }) => [id],
  'instance-state-name': ({ state }) => [state],
  'instance-state-code': ({ state }) => [stateCodes[state]],
  'vpc-id': ({ vpcId }) => [vpcId],
  'subnet-id': ({ subnetId }) => [subnetId],
  'availability-zone': ({ zone }) => [zone],
  'private-ip-address': ({ privateIp }) => [privateIp],
  'ip-address': ({ publicIp }) => [publicIp],
  'private-dns-name': (instance) => [privateName(instance)],
  'instance.group-id': ({ securityGroups }) => securityGroups,
  'network-interface.group-id': ({ securityGroups }) => securityGroups,
  'network-interface.network-interface-id': ({ id }) => [interfaceIdOf(id)],
};

export const instanceActions: Actions = {
  DescribeInstances: ec2Action(find, (world, input) => {
    const missing = { code: 'InvalidInstanceID.NotFound', called: 'instance ID' };
    const all = () => [...world.instances.values()];
    const picked = pick(input.InstanceId, (id) => world.instances.get(id), all, missing);
    const kept = keepMatching(world, picked, input.Filter, facets, ({ id }) => id);
    const { page, next } = pageOf(kept, input, input.InstanceId);
    return { reservationSet: page.map((instance) => reservation(world, instance)), nextToken: next };
  }),
};

/** An instance's only interface; made of its id, so that it need not be kept. */
export function interfaceIdOf(instanceId: string): string {
  return instanceId.replace(/^i-/, 'eni-1');
}

function privateName({ privateIp }: Instance): string {
  return `ip-${privateIp.replaceAll('.', '-')}.ec2.internal`;
}

function reservation(world: World, instance: Instance): XmlObject {
  return {
    reservationId: instance.id.replace(/^i-/, 'r-'),
    ownerId: world.accountId,
    groupSet: [],
    instancesSet: [instanceXml(world, instance)],
  };
}

function instanceXml(world: World, instance: Instance): XmlObject {
  const here = instance.state !== 'terminated'; // a terminated one keeps its id and its tags for a while, and nothing else
  const groupSet = here ? groupsXml(world, instance.securityGroups) : [];
  return {
    instanceId: instance.id,
    imageId: 'ami-1',
    instanceState: { code: stateCodes[instance.state], name: instance.state },
    privateDnsName: here ? privateName(instance) : '',
    dnsName: '',
    instanceType: 'm7i.large',
    launchTime: new Date(instance.launchedAt),
    placement: { availabilityZone: instance.zone, tenancy: 'default' },
    subnetId: here ? instance.subnetId : undefined,
    vpcId: here ? instance.vpcId : undefined,
    privateIpAddress: here ? instance.privateIp : undefined,
    ipAddress: here ? instance.publicIp : undefined,
    ipv6Address: here ? instance.ipv6 : undefined,
    sourceDestCheck: true,
    groupSet,
    tagSet: tagSet(world, instance.id),
    networkInterfaceSet: here ? [interfaceXml(world, instance, groupSet)] : [],
  };
}

function interfaceXml(world: World, instance: Instance, groupSet: readonly XmlObject[]): XmlObject {
  return {
    networkInterfaceId: interfaceIdOf(instance.id),
    subnetId: instance.subnetId,
    vpcId: instance.vpcId,
    description: '',
    ownerId: world.accountId,
    status: 'in-use',
    privateIpAddress: instance.privateIp,
    sourceDestCheck: true,
    groupSet,
    attachment: { deviceIndex: 0, status: 'attached', deleteOnTermination: true, networkCardIndex: 0 },
    privateIpAddressesSet: [{ privateIpAddress: instance.privateIp, primary: true }],
    ipv6AddressesSet: instance.ipv6 === undefined ? [] : [{ ipv6Address: instance.ipv6 }],
    interfaceType: 'interface',
  };
}

export function groupsXml(world: World, ids: readonly string[]): readonly XmlObject[] {
  return ids.map((groupId) => ({ groupId, groupName: world.securityGroups.get(groupId)?.name ?? groupId }));
}
