import { expect } from '@jest/globals';
import { type Promises, refused, type Stage } from './stage.ts';

type Pairs = readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] | undefined;

function asRecord(attributes: Pairs): Record<string, string | undefined> {
  return Object.fromEntries((attributes ?? []).map(({ Key, Value }) => [Key, Value]));
}

async function ofBalancer(stage: Stage, LoadBalancerArn: string) {
  return asRecord((await stage.elb.describeLoadBalancerAttributes({ LoadBalancerArn })).Attributes);
}

async function ofGroup(stage: Stage, TargetGroupArn: string) {
  return asRecord((await stage.elb.describeTargetGroupAttributes({ TargetGroupArn })).Attributes);
}

export const attributePromises: Promises = {
  'a load balancer begins with these': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    expect(await ofBalancer(stage, LoadBalancerArn)).toMatchObject({
      'deletion_protection.enabled': 'false',
      'load_balancing.cross_zone.enabled': 'false',
      'access_logs.s3.enabled': 'false',
    });
  },
  'a load balancer has its routing policy from the beginning': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    expect((await ofBalancer(stage, LoadBalancerArn))['dns_record.client_routing_policy']).toBe('any_availability_zone');
  },
  'a load balancer keeps what is set and leaves the rest': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const before = await ofBalancer(stage, LoadBalancerArn);
    const change = {
      'load_balancing.cross_zone.enabled': 'true',
      'dns_record.client_routing_policy': 'availability_zone_affinity',
    };
    const Attributes = Object.entries(change).map(([Key, Value]) => ({ Key, Value }));
    await stage.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes });
    expect(await ofBalancer(stage, LoadBalancerArn)).toEqual({ ...before, ...change });
  },
  'a key that load balancers do not have is refused': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const Attributes = [{ Key: 'nothing.such', Value: 'true' }];
    await refused(stage.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes }), 'ValidationError');
  },
  'a key that only application load balancers have is refused': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    const Attributes = [{ Key: 'routing.http2.enabled', Value: 'true' }];
    await refused(
      stage.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes }),
      'InvalidConfigurationRequestException',
    );
  },
  'whether IPv6 is let in is for dual stack only': async (stage) => {
    const Attributes = [{ Key: 'ipv6.deny_all_igw_traffic', Value: 'true' }];
    const modify = (LoadBalancerArn: string) => stage.elb.modifyLoadBalancerAttributes({ LoadBalancerArn, Attributes });
    const { LoadBalancerArn } = await stage.balancer();
    await refused(modify(LoadBalancerArn), 'InvalidConfigurationRequestException');
    await modify((await stage.balancer({ IpAddressType: 'dualstack' })).LoadBalancerArn);
  },
  'a target group begins with these': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    expect(await ofGroup(stage, TargetGroupArn)).toMatchObject({
      'deregistration_delay.timeout_seconds': '300',
      'stickiness.enabled': 'false',
      'load_balancing.cross_zone.enabled': 'use_load_balancer_configuration',
    });
  },
  'a target group says from the beginning whose address the target sees': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    expect(await ofGroup(stage, TargetGroupArn)).toMatchObject({
      'preserve_client_ip.enabled': 'true',
      'proxy_protocol_v2.enabled': 'false',
    });
  },
  'a target group has none of the keys of application load balancers': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    expect(await ofGroup(stage, TargetGroupArn)).not.toHaveProperty(['load_balancing.algorithm.type']);
  },
  'a target group keeps what is set': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const change = { 'proxy_protocol_v2.enabled': 'true', 'deregistration_delay.timeout_seconds': '30' };
    const Attributes = Object.entries(change).map(([Key, Value]) => ({ Key, Value }));
    await stage.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes });
    expect(await ofGroup(stage, TargetGroupArn)).toMatchObject(change);
  },
  'an hour of draining is allowed': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const Attributes = [{ Key: 'deregistration_delay.timeout_seconds', Value: '3600' }];
    await stage.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes });
  },
  'more than an hour of draining is refused': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const Attributes = [{ Key: 'deregistration_delay.timeout_seconds', Value: '3601' }];
    await refused(stage.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes }), 'ValidationError');
  },
  'a key that target groups do not have is refused': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const Attributes = [{ Key: 'nothing.such', Value: 'true' }];
    await refused(stage.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes }), 'ValidationError');
  },
  'UDP always preserves the address of the client': async (stage) => {
    const { TargetGroupArn } = await stage.group({ Protocol: 'UDP' });
    const Attributes = [{ Key: 'preserve_client_ip.enabled', Value: 'false' }];
    const modify = stage.elb.modifyTargetGroupAttributes({ TargetGroupArn, Attributes });
    await refused(modify, 'InvalidConfigurationRequestException');
  },
  'a TCP listener has an idle timeout': async (stage) => {
    const { listener } = await stage.served();
    const { ListenerArn } = listener;
    const Attributes = [{ Key: 'tcp.idle_timeout.seconds', Value: '120' }];
    await stage.elb.modifyListenerAttributes({ ListenerArn, Attributes });
    const told = await stage.elb.describeListenerAttributes({ ListenerArn });
    expect(asRecord(told.Attributes)['tcp.idle_timeout.seconds']).toBe('120');
  },
  'an idle timeout of less than a minute is refused': async (stage) => {
    const { ListenerArn } = (await stage.served()).listener;
    const Attributes = [{ Key: 'tcp.idle_timeout.seconds', Value: '59' }];
    await refused(stage.elb.modifyListenerAttributes({ ListenerArn, Attributes }), 'ValidationError');
  },
};
