import { expect } from '@jest/globals';
import { only, type Promises, refused } from './stage.ts';

export const targetGroupPromises: Promises = {
  'what a creation answers is what a read finds, with the health check': async (stage) => {
    const made = await stage.group({
      HealthCheckProtocol: 'HTTP',
      HealthCheckPort: '10256',
      HealthCheckPath: '/healthz',
      HealthCheckIntervalSeconds: 10,
      HealthCheckTimeoutSeconds: 6,
      HealthyThresholdCount: 2,
      UnhealthyThresholdCount: 2,
    });
    const { TargetGroups } = await stage.elb.describeTargetGroups({ Names: [made.TargetGroupName!] });
    expect(only(TargetGroups)).toEqual({ ...made, LoadBalancerArns: [] });
    expect(made).toMatchObject({
      Protocol: 'TCP',
      Port: 30_080,
      TargetType: 'instance',
      HealthCheckProtocol: 'HTTP',
      HealthCheckPort: '10256',
      HealthCheckPath: '/healthz',
      HealthCheckIntervalSeconds: 10,
      HealthCheckTimeoutSeconds: 6,
      HealthyThresholdCount: 2,
      UnhealthyThresholdCount: 2,
    });
  },
  'its ARN has the name in it': async (stage) => {
    const made = await stage.group();
    expect(made.TargetGroupArn).toMatch(
      new RegExp(`^arn:aws:elasticloadbalancing:[^:]+:\\d{12}:targetgroup/${made.TargetGroupName}/[0-9a-f]{16}$`),
    );
  },
  'a check by TCP asks the port of the traffic': async (stage) => {
    expect(await stage.group()).toMatchObject({
      HealthCheckProtocol: 'TCP',
      HealthCheckPort: 'traffic-port',
      HealthCheckIntervalSeconds: 30,
      HealthCheckEnabled: true,
    });
  },
  'UDP, TCP_UDP and TLS are protocols, checked by TCP': async (stage) => {
    for (const Protocol of ['UDP', 'TCP_UDP', 'TLS'] as const) {
      expect(await stage.group({ Protocol })).toMatchObject({ Protocol, HealthCheckProtocol: 'TCP' });
    }
  },
  'the same name with the same settings is the same target group': async (stage) => {
    const Name = stage.name();
    const first = await stage.group({ Name });
    expect((await stage.group({ Name })).TargetGroupArn).toBe(first.TargetGroupArn);
  },
  'the same name with another port is refused': async (stage) => {
    const Name = stage.name();
    await stage.group({ Name });
    await refused(stage.group({ Name, Port: 30_081 }), 'DuplicateTargetGroupNameException');
  },
  'a group name of 33 characters is refused': (stage) => refused(stage.group({ Name: 'a'.repeat(33) }), 'ValidationError'),
  'a group name with an underscore is refused': (stage) => refused(stage.group({ Name: 'a_b' }), 'ValidationError'),
  'a VPC that is not there is refused': (stage) => refused(stage.group({ VpcId: 'vpc-0123456789abcdef0' }), 'ValidationError'),
  'an interval of 301 seconds is refused': (stage) =>
    refused(stage.group({ HealthCheckIntervalSeconds: 301 }), 'ValidationError'),
  'a threshold of 11 is refused': (stage) => refused(stage.group({ HealthyThresholdCount: 11 }), 'ValidationError'),
  'a health check port that is no port is refused': (stage) =>
    refused(stage.group({ HealthCheckPort: 'abc' }), 'ValidationError'),
  'a path for a check by TCP is refused': (stage) =>
    refused(stage.group({ HealthCheckProtocol: 'TCP', HealthCheckPath: '/healthz' }), 'ValidationError'),
  'the health check is changed in place': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    const { TargetGroups } = await stage.elb.modifyTargetGroup({
      TargetGroupArn,
      HealthCheckProtocol: 'HTTP',
      HealthCheckPath: '/healthz',
      HealthCheckPort: '10256',
      HealthyThresholdCount: 3,
    });
    const changed = {
      HealthCheckProtocol: 'HTTP',
      HealthCheckPath: '/healthz',
      HealthCheckPort: '10256',
      HealthyThresholdCount: 3,
    };
    expect(only(TargetGroups)).toMatchObject({ ...changed, HealthCheckIntervalSeconds: 30 });
    const found = await stage.elb.describeTargetGroups({ TargetGroupArns: [TargetGroupArn] });
    expect(only(found.TargetGroups)).toMatchObject(changed);
  },
  'it names the load balancer that uses it, once': async (stage) => {
    const { balancer, group } = await stage.served();
    await stage.listener(balancer, group, { Port: 81 });
    const { TargetGroups } = await stage.elb.describeTargetGroups({ LoadBalancerArn: balancer.LoadBalancerArn });
    expect(only(TargetGroups).LoadBalancerArns).toEqual([balancer.LoadBalancerArn]);
  },
  'it is not deleted while a listener uses it': async (stage) => {
    const { group, listener } = await stage.served();
    const { TargetGroupArn } = group;
    await refused(stage.elb.deleteTargetGroup({ TargetGroupArn }), 'ResourceInUseException');
    await stage.elb.deleteListener({ ListenerArn: listener.ListenerArn });
    await stage.elb.deleteTargetGroup({ TargetGroupArn });
    await refused(stage.elb.describeTargetGroups({ TargetGroupArns: [TargetGroupArn] }), 'TargetGroupNotFoundException');
  },
  'deleting a group twice succeeds twice': async (stage) => {
    const { TargetGroupArn } = await stage.group();
    await stage.elb.deleteTargetGroup({ TargetGroupArn });
    await stage.elb.deleteTargetGroup({ TargetGroupArn });
  },
  'the groups of a load balancer without any are none': async (stage) => {
    const { LoadBalancerArn } = await stage.balancer();
    expect((await stage.elb.describeTargetGroups({ LoadBalancerArn })).TargetGroups).toEqual([]);
  },
  'a group name that is not there is not found': (stage) =>
    refused(stage.elb.describeTargetGroups({ Names: [stage.name()] }), 'TargetGroupNotFoundException'),
  'twenty groups are described at a time, and not twenty-one': async (stage) => {
    const made = await Promise.all(Array.from({ length: 21 }, () => stage.group()));
    const arns = made.map(({ TargetGroupArn }) => TargetGroupArn);
    const twenty = await stage.elb.describeTargetGroups({ TargetGroupArns: arns.slice(1) });
    expect(twenty.TargetGroups).toHaveLength(20);
    await refused(stage.elb.describeTargetGroups({ TargetGroupArns: arns }), 'ValidationError');
  },
  'groups come in pages': async (stage) => {
    const made = [await stage.group(), await stage.group(), await stage.group()];
    const found: (string | undefined)[] = [];
    let marker: string | undefined;
    do {
      const page = await stage.elb.describeTargetGroups({ PageSize: 2, ...(marker ? { Marker: marker } : {}) });
      expect(page.TargetGroups?.length).toBeLessThanOrEqual(2);
      found.push(...(page.TargetGroups ?? []).map(({ TargetGroupArn }) => TargetGroupArn));
      marker = page.NextMarker;
    } while (marker && found.length < 1000);
    expect(found).toEqual(expect.arrayContaining(made.map(({ TargetGroupArn }) => TargetGroupArn)));
  },
};
