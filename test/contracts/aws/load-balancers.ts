import { expect } from '@jest/globals';
import { only, type Promises, refused } from './stage.ts';

export const loadBalancerPromises: Promises = {
  'is provisioning at first and active a little later': async (stage) => {
    const made = await stage.balancer();
    expect(made.State?.Code).toBe('provisioning');
    const state = async () => {
      const { LoadBalancers } = await stage.elb.describeLoadBalancers({ LoadBalancerArns: [made.LoadBalancerArn] });
      return only(LoadBalancers).State?.Code;
    };
    await stage.until(state, 'active');
  },
  'what a creation answers is what a read finds': async (stage) => {
    const made = await stage.balancer();
    const { LoadBalancers } = await stage.elb.describeLoadBalancers({ Names: [made.LoadBalancerName!] });
    const { State: _state, ...found } = only(LoadBalancers);
    const { State: _provisioning, ...created } = made;
    expect(found).toEqual(created);
  },
  'its ARN and its DNS name have the shape of a network load balancer': async (stage) => {
    const made = await stage.balancer();
    const hex = /^arn:aws:elasticloadbalancing:[^:]+:\d{12}:loadbalancer\/net\/([^/]+)\/([0-9a-f]{16})$/.exec(
      made.LoadBalancerArn,
    );
    expect(hex?.[1]).toBe(made.LoadBalancerName);
    expect(made.DNSName).toBe(`${made.LoadBalancerName}-${hex?.[2]}.elb.eu-west-1.amazonaws.com`);
  },
  'without a scheme it faces the internet': async (stage) => {
    expect((await stage.balancer()).Scheme).toBe('internet-facing');
  },
  'the same name with the same settings is the same load balancer': async (stage) => {
    const Name = stage.name();
    const tags = [{ Key: 'owner', Value: 'test' }];
    const first = await stage.balancer({ Name, Tags: tags });
    expect((await stage.balancer({ Name, Tags: tags })).LoadBalancerArn).toBe(first.LoadBalancerArn);
  },
  'the same name with other settings is refused': async (stage) => {
    const Name = stage.name();
    await stage.balancer({ Name });
    await refused(stage.balancer({ Name, Scheme: 'internal' }), 'DuplicateLoadBalancerNameException');
  },
  'a name of 33 characters is refused': (stage) => refused(stage.balancer({ Name: 'a'.repeat(33) }), 'ValidationError'),
  'a name with an underscore is refused': (stage) => refused(stage.balancer({ Name: 'a_b' }), 'ValidationError'),
  'a name that begins with a hyphen is refused': (stage) => refused(stage.balancer({ Name: '-a' }), 'ValidationError'),
  'a name that begins with internal- is refused': (stage) => refused(stage.balancer({ Name: 'internal-a' }), 'ValidationError'),
  'a subnet that is not there is refused': (stage) =>
    refused(stage.balancer({ Subnets: ['subnet-0123456789abcdef0'] }), 'SubnetNotFoundException'),
  'a security group that is not there is refused': (stage) =>
    refused(stage.balancer({ SecurityGroups: ['sg-0123456789abcdef0'] }), 'InvalidSecurityGroupException'),
  'a name that is not there is not found, also beside one that is': async (stage) => {
    const made = await stage.balancer();
    await refused(stage.elb.describeLoadBalancers({ Names: [stage.name()] }), 'LoadBalancerNotFoundException');
    const names = { Names: [stage.name(), made.LoadBalancerName!] };
    await refused(stage.elb.describeLoadBalancers(names), 'LoadBalancerNotFoundException');
  },
  'a missing name after one that is there is not found either': async (stage) => {
    const made = await stage.balancer();
    const names = { Names: [made.LoadBalancerName!, stage.name()] };
    await refused(stage.elb.describeLoadBalancers(names), 'LoadBalancerNotFoundException');
  },
  'names and ARNs together are refused': async (stage) => {
    const { LoadBalancerArn, LoadBalancerName } = await stage.balancer();
    const both = { Names: [LoadBalancerName!], LoadBalancerArns: [LoadBalancerArn] };
    await refused(stage.elb.describeLoadBalancers(both), 'ValidationError');
  },
  'pages of the size that was asked for, each load balancer once': async (stage) => {
    const made = [await stage.balancer(), await stage.balancer(), await stage.balancer()];
    const found: (string | undefined)[] = [];
    let marker: string | undefined;
    do {
      const page = await stage.elb.describeLoadBalancers({ PageSize: 2, ...(marker ? { Marker: marker } : {}) });
      expect(page.LoadBalancers?.length).toBeLessThanOrEqual(2);
      found.push(...(page.LoadBalancers ?? []).map(({ LoadBalancerArn }) => LoadBalancerArn));
      marker = page.NextMarker;
    } while (marker && found.length < 1000);
    expect(found).toEqual(expect.arrayContaining(made.map(({ LoadBalancerArn }) => LoadBalancerArn)));
    expect(new Set(found).size).toBe(found.length);
  },
  'a page of more than 400 is refused': (stage) => refused(stage.elb.describeLoadBalancers({ PageSize: 401 }), 'ValidationError'),
  'a marker that nobody gave is refused': (stage) =>
    refused(stage.elb.describeLoadBalancers({ Marker: 'nobody' }), 'ValidationError'),
  'deleting it twice succeeds twice': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn });
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn });
    await refused(stage.elb.describeLoadBalancers({ LoadBalancerArns: [LoadBalancerArn] }), 'LoadBalancerNotFoundException');
  },
  'one that is protected is not deleted until the protection is off': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const protect = (Value: string) =>
      stage.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes: [{ Key: 'deletion_protection.enabled', Value }] });
    await protect('true');
    await refused(stage.elb.deleteLoadBalancer({ LoadBalancerArn }), 'OperationNotPermittedException');
    await protect('false');
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn });
  },
  'its listeners go with it and its target groups stay': async (stage) => {
    const { balancer, group, listener } = await stage.served();
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn: balancer.LoadBalancerArn });
    await refused(stage.elb.describeListeners({ ListenerArns: [listener.ListenerArn] }), 'ListenerNotFoundException');
    const { TargetGroups } = await stage.elb.describeTargetGroups({ TargetGroupArns: [group.TargetGroupArn] });
    expect(only(TargetGroups).TargetGroupName).toBe(group.TargetGroupName);
  },
  'its target groups are free when it is gone': async (stage) => {
    const { balancer, group } = await stage.served();
    await stage.elb.deleteLoadBalancer({ LoadBalancerArn: balancer.LoadBalancerArn });
    const users = async () => {
      const { TargetGroups } = await stage.elb.describeTargetGroups({ TargetGroupArns: [group.TargetGroupArn] });
      return only(TargetGroups).LoadBalancerArns ?? [];
    };
    await stage.until(users, []);
    await stage.elb.deleteTargetGroup({ TargetGroupArn: group.TargetGroupArn });
  },
  'security groups are exchanged': async (stage) => {
    const [one, two] = [await stage.securityGroup(), await stage.securityGroup()];
    const { LoadBalancerArn, SecurityGroups } = await stage.balancer({ SecurityGroups: [one] });
    expect(SecurityGroups).toEqual([one]);
    const set = await stage.elb.setSecurityGroups({ LoadBalancerArn, SecurityGroups: [two] });
    expect(set.SecurityGroupIds).toEqual([two]);
  },
  'one made without security groups never gets any': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const set = stage.elb.setSecurityGroups({ LoadBalancerArn, SecurityGroups: [await stage.securityGroup()] });
    await refused(set, 'InvalidConfigurationRequestException');
  },
  'the inbound rules for PrivateLink are switched with the groups': async (stage) => {
    const group = await stage.securityGroup();
    const made = await stage.balancer({ SecurityGroups: [group] });
    expect(made.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic).toBe('on');
    const { LoadBalancerArn } = made;
    const set = await stage.elb.setSecurityGroups({
      LoadBalancerArn,
      SecurityGroups: [group],
      EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: 'off',
    });
    expect(set.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic).toBe('off');
  },
};
