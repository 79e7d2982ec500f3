import { expect } from '@jest/globals';
import { only, type Promises, refused } from './stage.ts';

export const ec2Promises: Promises = {
  'instances are found by id, with state, zone, network and groups': async (stage) => {
    const { instances, nodeGroup, vpcId, privateSubnets } = stage.ground;
    const { Reservations } = await stage.ec2.describeInstances({ InstanceIds: [...instances] });
    const found = (Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
    expect(found.map(({ InstanceId }) => InstanceId).sort()).toEqual([...instances].sort());
    for (const one of found) {
      expect(one).toMatchObject({ State: { Name: 'running' }, VpcId: vpcId });
      expect(one.SecurityGroups?.map(({ GroupId }) => GroupId)).toEqual([nodeGroup]);
      expect(privateSubnets).toContain(one.SubnetId);
      expect(one.Placement?.AvailabilityZone).toMatch(/^eu-west-1[a-c]$/);
      expect(one.PrivateIpAddress).toMatch(/^10\./);
      expect(only(one.NetworkInterfaces).Attachment?.DeviceIndex).toBe(0);
    }
  },
  'instances are found by filters together': async (stage) => {
    const [InstanceId] = stage.ground.instances;
    const { Reservations } = await stage.ec2.describeInstances({
      Filters: [
        { Name: 'instance-id', Values: [InstanceId!, stage.ground.stoppedInstance] },
        { Name: 'instance-state-name', Values: ['running', 'pending'] },
      ],
    });
    expect(only(only(Reservations).Instances).InstanceId).toBe(InstanceId);
  },
  'an instance id that is not there fails the whole call': (stage) => {
    const InstanceIds = [stage.ground.instances[0]!, 'i-0123456789abcdef0'];
    return refused(stage.ec2.describeInstances({ InstanceIds }), 'InvalidInstanceID.NotFound');
  },
  'instances come in pages': async (stage) => {
    const first = await stage.ec2.describeInstances({ MaxResults: 5 });
    expect(first.Reservations?.length).toBeLessThanOrEqual(5);
  },
  'a page of fewer than five is refused': (stage) =>
    refused(stage.ec2.describeInstances({ MaxResults: 1 }), 'InvalidParameterValue'),
  'a filter that there is not is refused': (stage) =>
    refused(stage.ec2.describeInstances({ Filters: [{ Name: 'no-such-filter', Values: ['x'] }] }), 'InvalidParameterValue'),
  'subnets are found by tag, with what is left in them': async (stage) => {
    const { vpcId, publicSubnets } = stage.ground;
    const { Subnets } = await stage.ec2.describeSubnets({
      Filters: [
        { Name: 'vpc-id', Values: [vpcId] },
        { Name: 'tag:kubernetes.io/role/elb', Values: ['', '1'] },
      ],
    });
    expect(Subnets?.map(({ SubnetId }) => SubnetId).sort()).toEqual([...publicSubnets].sort());
    for (const one of Subnets ?? []) {
      expect(one.AvailableIpAddressCount).toBeGreaterThan(8);
      expect(one.AvailabilityZone).toMatch(/^eu-west-1[a-c]$/);
      expect(one.Ipv6CidrBlockAssociationSet?.[0]?.Ipv6CidrBlock).toMatch(/\/64$/);
      expect(one.Tags).toContainEqual({ Key: 'kubernetes.io/role/elb', Value: '1' });
    }
  },
  'the IPv6 range of a subnet is associated': async (stage) => {
    const [id] = stage.ground.publicSubnets;
    const { Subnets } = await stage.ec2.describeSubnets({ SubnetIds: [id!] });
    expect(only(only(Subnets).Ipv6CidrBlockAssociationSet).Ipv6CidrBlockState?.State).toBe('associated');
  },
  'a subnet id that is not there is not found': (stage) =>
    refused(stage.ec2.describeSubnets({ SubnetIds: ['subnet-0123456789abcdef0'] }), 'InvalidSubnetID.NotFound'),
  'route tables tell which subnets reach the internet': async (stage) => {
    const { RouteTables } = await stage.ec2.describeRouteTables({ Filters: [{ Name: 'vpc-id', Values: [stage.ground.vpcId] }] });
    const open = (RouteTables ?? []).filter(({ Routes }) => Routes?.some(({ GatewayId }) => GatewayId?.startsWith('igw-')));
    const subnets = open.flatMap(({ Associations }) => Associations ?? []).flatMap(({ SubnetId }) => SubnetId ?? []);
    expect(subnets).toEqual(expect.arrayContaining([...stage.ground.publicSubnets]));
    expect(subnets).not.toContain(stage.ground.privateSubnets[0]);
  },
  'the internet gateway of a VPC is found': async (stage) => {
    const { InternetGateways } = await stage.ec2.describeInternetGateways({
      Filters: [{ Name: 'attachment.vpc-id', Values: [stage.ground.vpcId] }],
    });
    expect(only(InternetGateways).Attachments?.[0]?.VpcId).toBe(stage.ground.vpcId);
  },
  'zones have names and ids': async (stage) => {
    const { AvailabilityZones } = await stage.ec2.describeAvailabilityZones({});
    expect(AvailabilityZones?.map(({ ZoneName }) => ZoneName)).toEqual(['eu-west-1a', 'eu-west-1b', 'eu-west-1c']);
    expect(new Set(AvailabilityZones?.map(({ ZoneId }) => ZoneId)).size).toBe(3);
  },
  'a VPC is found, with its blocks': async (stage) => {
    const { Vpcs } = await stage.ec2.describeVpcs({ VpcIds: [stage.ground.vpcId] });
    expect(only(only(Vpcs).CidrBlockAssociationSet).CidrBlock).toBe('10.0.0.0/16');
    await refused(stage.ec2.describeVpcs({ VpcIds: ['vpc-0123456789abcdef0'] }), 'InvalidVpcID.NotFound');
  },
  'Elastic IPs are found by allocation': async (stage) => {
    const AllocationIds = [...stage.ground.allocations];
    expect((await stage.ec2.describeAddresses({ AllocationIds })).Addresses).toHaveLength(3);
    const stranger = { AllocationIds: ['eipalloc-0123456789abcdef0'] };
    await refused(stage.ec2.describeAddresses(stranger), 'InvalidAllocationID.NotFound');
  },
  'prefix lists are found': async (stage) => {
    const PrefixListIds = [stage.ground.prefixList];
    const { PrefixLists } = await stage.ec2.describeManagedPrefixLists({ PrefixListIds });
    expect(only(PrefixLists).MaxEntries).toBe(5);
  },
  'tags are written on what is there, and on nothing else': async (stage) => {
    const [subnet] = stage.ground.privateSubnets;
    const Tags = [{ Key: 'mark', Value: 'x' }];
    await stage.ec2.createTags({ Resources: [subnet!], Tags });
    const { Subnets } = await stage.ec2.describeSubnets({ SubnetIds: [subnet!] });
    expect(only(Subnets).Tags).toContainEqual(Tags[0]);
    const stranger = { Resources: ['subnet-0123456789abcdef0'], Tags };
    await refused(stage.ec2.createTags(stranger), 'InvalidSubnetID.NotFound');
  },
  'a dry run says that it would have been done': (stage) =>
    refused(stage.ec2.describeInstances({ DryRun: true }), 'DryRunOperation'),
};
