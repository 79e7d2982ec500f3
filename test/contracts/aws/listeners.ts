import { expect } from '@jest/globals';
import { forwardTo, only, type Promises, refused } from './stage.ts';

export const listenerPromises: Promises = {
  'what a creation answers is what a listing finds': async (stage) => {
    const { balancer, listener, group } = await stage.served();
    const { Listeners } = await stage.elb.describeListeners({ LoadBalancerArn: balancer.LoadBalancerArn });
    expect(only(Listeners)).toEqual(listener);
    expect(listener).toMatchObject({ Protocol: 'TCP', Port: 80, LoadBalancerArn: balancer.LoadBalancerArn });
    expect(only(listener.DefaultActions)).toMatchObject({ Type: 'forward', TargetGroupArn: group.TargetGroupArn });
  },
  'a TCP listener has no security policy': async (stage) => {
    expect((await stage.served()).listener.SslPolicy).toBeUndefined();
  },
  'its ARN tells its load balancer': async (stage) => {
    const { balancer, listener } = await stage.served();
    const own = balancer.LoadBalancerArn.split(':loadbalancer/')[1];
    expect(listener.ListenerArn).toContain(`:listener/${own}/`);
  },
  'UDP and TCP_UDP listeners send to groups of their protocol': async (stage) => {
    const balancer = await stage.balancer();
    for (const [Protocol, Port] of [
      ['UDP', 53],
      ['TCP_UDP', 54],
    ] as const) {
      const group = await stage.group({ Protocol });
      expect(await stage.listener(balancer, group, { Protocol, Port })).toMatchObject({ Protocol, Port });
    }
  },
  'the same listener again is the same': async (stage) => {
    const { balancer, group, listener } = await stage.served();
    expect((await stage.listener(balancer, group)).ListenerArn).toBe(listener.ListenerArn);
  },
  'another listener on the port is refused': async (stage) => {
    const { balancer } = await stage.served();
    await refused(stage.listener(balancer, await stage.group()), 'DuplicateListenerException');
  },
  'TCP and UDP do not share a port': async (stage) => {
    const { balancer } = await stage.served();
    const group = await stage.group({ Protocol: 'UDP' });
    await refused(stage.listener(balancer, group, { Protocol: 'UDP' }), 'DuplicateListenerException');
  },
  'a listener does not move to a port that another one has': async (stage) => {
    const { balancer, group } = await stage.served();
    const other = await stage.listener(balancer, group, { Port: 81 });
    await refused(stage.elb.modifyListener({ ListenerArn: other.ListenerArn, Port: 80 }), 'DuplicateListenerException');
  },
  'a protocol that does not suit the group is refused': async (stage) => {
    const balancer = await stage.balancer();
    const listen = stage.listener(balancer, await stage.group({ Protocol: 'UDP' }), { Protocol: 'TCP' });
    await refused(listen, 'IncompatibleProtocolsException');
  },
  'a target group serves one load balancer': async (stage) => {
    const { group } = await stage.served();
    const other = await stage.balancer();
    await refused(stage.listener(other, group), 'TargetGroupAssociationLimitException');
  },
  'a target group that is not there is refused': async (stage) => {
    const balancer = await stage.balancer();
    const group = await stage.group();
    await stage.elb.deleteTargetGroup({ TargetGroupArn: group.TargetGroupArn });
    await refused(stage.listener(balancer, group), 'TargetGroupNotFoundException');
  },
  'an HTTP listener is refused': async (stage) => {
    const balancer = await stage.balancer();
    await refused(stage.listener(balancer, await stage.group(), { Protocol: 'HTTP' }), 'ValidationError');
  },
  'an action that does not forward is refused': async (stage) => {
    const balancer = await stage.balancer();
    const DefaultActions = [{ Type: 'fixed-response' as const, FixedResponseConfig: { StatusCode: '200' } }];
    const listen = stage.listener(balancer, {}, { DefaultActions });
    await expect(listen).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
  },
  'it turns to another target group': async (stage) => {
    const { group, listener } = await stage.served();
    const other = await stage.group();
    const { ListenerArn } = listener;
    const { Listeners } = await stage.elb.modifyListener({ ListenerArn, DefaultActions: forwardTo(other) });
    expect(only(only(Listeners).DefaultActions)).toMatchObject({ TargetGroupArn: other.TargetGroupArn });
    expect(only(Listeners).Port).toBe(80);
    await stage.elb.deleteTargetGroup({ TargetGroupArn: group.TargetGroupArn });
  },
  'it does not turn to a target group that is not there': async (stage) => {
    const { ListenerArn } = (await stage.served()).listener;
    const other = await stage.group();
    await stage.elb.deleteTargetGroup({ TargetGroupArn: other.TargetGroupArn });
    const modify = stage.elb.modifyListener({ ListenerArn, DefaultActions: forwardTo(other) });
    await refused(modify, 'TargetGroupNotFoundException');
  },
  'its protocol becomes UDP': async (stage) => {
    const { ListenerArn } = (await stage.served()).listener;
    const group = await stage.group({ Protocol: 'UDP' });
    const { Listeners } = await stage.elb.modifyListener({ ListenerArn, Protocol: 'UDP', DefaultActions: forwardTo(group) });
    expect(only(Listeners).Protocol).toBe('UDP');
  },
  'weights of target groups are kept': async (stage) => {
    const balancer = await stage.balancer();
    const [one, two] = [await stage.group(), await stage.group()];
    const TargetGroups = [
      { TargetGroupArn: one.TargetGroupArn, Weight: 90 },
      { TargetGroupArn: two.TargetGroupArn, Weight: 10 },
    ];
    const listener = await stage.listener(balancer, one, {
      DefaultActions: [{ Type: 'forward', ForwardConfig: { TargetGroups } }],
    });
    expect(only(listener.DefaultActions).ForwardConfig?.TargetGroups).toEqual(TargetGroups);
  },
  'weights change in place': async (stage) => {
    const { listener, group } = await stage.served();
    const other = await stage.group();
    const shares = (weight: number) => [
      { TargetGroupArn: group.TargetGroupArn, Weight: weight },
      { TargetGroupArn: other.TargetGroupArn, Weight: 10 },
    ];
    for (const weight of [90, 0]) {
      const DefaultActions = [{ Type: 'forward' as const, ForwardConfig: { TargetGroups: shares(weight) } }];
      await stage.elb.modifyListener({ ListenerArn: listener.ListenerArn!, DefaultActions });
      const { Listeners } = await stage.elb.describeListeners({ ListenerArns: [listener.ListenerArn!] });
      expect(only(only(Listeners).DefaultActions).ForwardConfig?.TargetGroups).toEqual(shares(weight));
    }
  },
  'clients may stay with the target group that they were given first': async (stage) => {
    const { listener, group } = await stage.served();
    const other = await stage.group();
    const TargetGroups = [group, other].map(({ TargetGroupArn }) => ({ TargetGroupArn, Weight: 1 }));
    const ForwardConfig = { TargetGroups, TargetGroupStickinessConfig: { Enabled: true } };
    const DefaultActions = [{ Type: 'forward' as const, ForwardConfig }];
    await stage.elb.modifyListener({ ListenerArn: listener.ListenerArn!, DefaultActions });
    const { Listeners } = await stage.elb.describeListeners({ ListenerArns: [listener.ListenerArn!] });
    expect(only(only(Listeners).DefaultActions).ForwardConfig?.TargetGroupStickinessConfig?.Enabled).toBe(true);
  },
  'a listener is gone once': async (stage) => {
    const { ListenerArn } = (await stage.served()).listener;
    await stage.elb.deleteListener({ ListenerArn });
    await refused(stage.elb.deleteListener({ ListenerArn }), 'ListenerNotFoundException');
    await refused(stage.elb.describeListeners({ ListenerArns: [ListenerArn] }), 'ListenerNotFoundException');
  },
  'listeners come in pages': async (stage) => {
    const { balancer, group } = await stage.served();
    for (const Port of [81, 82]) await stage.listener(balancer, group, { Port });
    const { LoadBalancerArn } = balancer;
    const first = await stage.elb.describeListeners({ LoadBalancerArn, PageSize: 2 });
    expect(first.Listeners).toHaveLength(2);
    const rest = await stage.elb.describeListeners({ LoadBalancerArn, PageSize: 2, Marker: first.NextMarker! });
    const ports = [...first.Listeners!, ...rest.Listeners!].map(({ Port }) => Port);
    expect(ports.sort()).toEqual([80, 81, 82]);
    expect(rest.NextMarker).toBeUndefined();
  },
};
