import { expect } from '@jest/globals';
import { only, type Promises, refused } from './stage.ts';

export const zonePromises: Promises = {
  'one zone is enough': async (stage) => {
    const { AvailabilityZones } = await stage.balancer();
    expect(only(AvailabilityZones).SubnetId).toBe(stage.ground.publicSubnets[0]);
  },
  'two subnets of one zone are refused': (stage) => {
    const Subnets = [stage.ground.publicSubnets[0]!, stage.ground.secondInZone];
    return refused(stage.balancer({ Subnets }), 'InvalidConfigurationRequestException');
  },
  'subnets and subnet mappings together are refused': (stage) => {
    const [first, second] = stage.ground.publicSubnets;
    return refused(stage.balancer({ Subnets: [first!], SubnetMappings: [{ SubnetId: second! }] }), 'ValidationError');
  },
  'no subnet at all is refused': (stage) => refused(stage.balancer({ Subnets: [] }), 'ValidationError'),
  'a zone is added, and a zone is taken away': async (stage) => {
    const [first, second] = stage.ground.publicSubnets;
    const { LoadBalancerArn } = await stage.balancer();
    const more = await stage.elb.setSubnets({ LoadBalancerArn, Subnets: [first!, second!] });
    expect(more.AvailabilityZones?.map(({ SubnetId }) => SubnetId).sort()).toEqual([first, second].sort());
    const fewer = await stage.elb.setSubnets({ LoadBalancerArn, Subnets: [second!] });
    expect(only(fewer.AvailabilityZones).SubnetId).toBe(second);
  },
  'an Elastic IP is the address of its zone, and is free again afterwards': async (stage) => {
    const [SubnetId] = stage.ground.publicSubnets;
    const [AllocationId] = stage.ground.allocations;
    const { LoadBalancerArn, AvailabilityZones } = await stage.balancer({
      SubnetMappings: [{ SubnetId: SubnetId!, AllocationId: AllocationId! }],
    });
    const address = only(only(AvailabilityZones).LoadBalancerAddresses);
    const holder = async () => {
      const { Addresses } = await stage.ec2.describeAddresses({ AllocationIds: [AllocationId!] });
      return only(Addresses);
    };
    expect(address).toMatchObject({ AllocationId, IpAddress: (await holder()).PublicIp });
    expect((await holder()).AssociationId).toMatch(/^eipassoc-/);
    const again = stage.balancer({ SubnetMappings: [{ SubnetId: SubnetId!, AllocationId: AllocationId! }] });
    await refused(again, 'ResourceInUseException');
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn });
    await stage.until(async () => (await holder()).AssociationId ?? 'free', 'free');
  },
  'an Elastic IP that is not there is refused': (stage) => {
    const SubnetMappings = [{ SubnetId: stage.ground.publicSubnets[0]!, AllocationId: 'eipalloc-0123456789abcdef0' }];
    return refused(stage.balancer({ SubnetMappings }), 'AllocationIdNotFoundException');
  },
  'an Elastic IP on an internal load balancer is refused': (stage) => {
    const mapping = { SubnetId: stage.ground.privateSubnets[0]!, AllocationId: stage.ground.allocations[1]! };
    return refused(stage.balancer({ Scheme: 'internal', SubnetMappings: [mapping] }), 'InvalidConfigurationRequestException');
  },
  'a private address out of the subnet is held': async (stage) => {
    const SubnetId = stage.ground.privateSubnets[0]!;
    const { Subnets } = await stage.ec2.describeSubnets({ SubnetIds: [SubnetId] });
    const PrivateIPv4Address = only(Subnets).CidrBlock!.replace(/\d+\/\d+$/, '77');
    const made = await stage.balancer({ Scheme: 'internal', SubnetMappings: [{ SubnetId, PrivateIPv4Address }] });
    expect(only(only(made.AvailabilityZones).LoadBalancerAddresses).PrivateIPv4Address).toBe(PrivateIPv4Address);
  },
  'a private address from elsewhere is refused': (stage) => {
    const mapping = { SubnetId: stage.ground.privateSubnets[0]!, PrivateIPv4Address: '192.0.2.7' };
    return refused(stage.balancer({ Scheme: 'internal', SubnetMappings: [mapping] }), 'InvalidConfigurationRequestException');
  },
  'the address type is dual stack and back': async (stage) => {
    const { LoadBalancerArn, IpAddressType } = await stage.balancer();
    expect(IpAddressType).toBe('ipv4');
    const set = await stage.elb.setIpAddressType({ LoadBalancerArn, IpAddressType: 'dualstack' });
    expect(set.IpAddressType).toBe('dualstack');
    await stage.elb.setIpAddressType({ LoadBalancerArn, IpAddressType: 'ipv4' });
  },
  'UDP over dual stack needs prefixes for source NAT': async (stage) => {
    const balancer = await stage.balancer({ IpAddressType: 'dualstack' });
    expect(balancer.EnablePrefixForIpv6SourceNat).toBe('off');
    const group = await stage.group({ Protocol: 'UDP' });
    const listen = () => stage.listener(balancer, group, { Protocol: 'UDP', Port: 53 });
    await refused(listen(), 'InvalidConfigurationRequestException');
    await stage.elb.setSubnets({
      LoadBalancerArn: balancer.LoadBalancerArn,
      Subnets: [stage.ground.publicSubnets[0]!],
      EnablePrefixForIpv6SourceNat: 'on',
    });
    await listen();
  },
  'each zone has an interface that is found by its description': async (stage) => {
    const made = await stage.balancer({ Subnets: [...stage.ground.publicSubnets] });
    const description = `ELB ${made.LoadBalancerArn.split(':loadbalancer/')[1]}`;
    const find = async () => {
      const { NetworkInterfaces } = await stage.ec2.describeNetworkInterfaces({
        Filters: [{ Name: 'description', Values: [description] }],
      });
      return NetworkInterfaces ?? [];
    };
    await stage.until(async () => (await find()).length, 3);
    for (const one of await find()) {
      expect(one).toMatchObject({ InterfaceType: 'network_load_balancer', RequesterManaged: true });
      expect(one.Association?.PublicIp).toBeDefined();
      expect(stage.ground.publicSubnets).toContain(one.SubnetId);
    }
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn: made.LoadBalancerArn });
    await stage.until(async () => (await find()).length, 0);
  },
};
