import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { list, oneOf, record, text, whole } from '../shapes.ts';
import type { Instance, Target, TargetGroup, World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { targetGroup } from './found.ts';
import { checkTargetCounts } from './target-counts.ts';
import { forgetDrained, healthOf } from './target-health.ts';

const targetsShape = list(record({ Id: text, Port: whole(1, 65535), AvailabilityZone: text }, ['Id']));
const change = record({ TargetGroupArn: text, Targets: targetsShape }, ['TargetGroupArn', 'Targets']);
const look = record({ TargetGroupArn: text, Targets: targetsShape, Include: list(oneOf('AnomalyDetection', 'All')) }, [
  'TargetGroupArn',
]);

export const targetActions: Actions = {
  RegisterTargets: action(change, registerTargets),
  DeregisterTargets: action(change, deregisterTargets),
  DescribeTargetHealth: action(look, describeTargetHealth),
};

interface Asked {
  readonly id: string;
  readonly port: number;
}

function pairs(world: World, group: TargetGroup, targets: ReturnType<typeof change>['Targets']): readonly Asked[] {
  const { targetsPerCall } = world.limits;
  if (targets.length === 0) throw new AwsFailure('ValidationError', 'At least one target must be specified');
  if (targets.length > targetsPerCall) {
    throw new AwsFailure('ValidationError', `A request can hold ${targetsPerCall} targets, and this one has ${targets.length}`);
  }
  return targets.map(({ Id, Port }) => ({ id: Id, port: Port ?? group.port }));
}

/** All of them or none. A target is an (id, port) pair: one instance on two ports is two. */
function registerTargets(world: World, input: ReturnType<typeof change>): XmlObject {
  const group = targetGroup(world, input.TargetGroupArn);
  forgetDrained(world, group);
  const asked = pairs(world, group, input.Targets);
  for (const { id } of asked) checkInstance(world, group, id);
  const fresh = asked.filter(({ id, port }) => {
    const present = group.targets.get(`${id}:${port}`);
    return !present || present.drainingSince !== undefined;
  });
  const unique = [...new Map(fresh.map((one) => [`${one.id}:${one.port}`, one])).values()];
  const staying = [...group.targets.values()].filter(({ drainingSince }) => drainingSince === undefined).length;
  if (staying + unique.length > world.limits.targetsPerTargetGroup) {
    const message = `The maximum number of targets per target group has been reached: ${world.limits.targetsPerTargetGroup}`;
    throw new AwsFailure('TooManyTargets', message);
  }
  for (const arn of new Set([...group.users.values()].map(({ loadBalancerArn }) => loadBalancerArn))) {
    const balancer = world.loadBalancers.get(arn);
    if (balancer) checkTargetCounts(world, balancer, { adding: unique });
  }
  for (const { id, port } of unique) {
    group.targets.set(`${id}:${port}`, { id, port, registeredAt: world.now(), drainingSince: undefined, forced: undefined });
  }
  return {};
}

function checkInstance(world: World, group: TargetGroup, id: string): void {
  if (group.targetType === 'ip') return;
  const instance: Instance | undefined = world.instances.get(id);
  if (!instance) throw new AwsFailure('InvalidTarget', `The following targets do not exist: '${id}'`);
  if (instance.vpcId !== group.vpcId) {
    throw new AwsFailure('InvalidTarget', `The following targets are not in the target group VPC '${group.vpcId}': '${id}'`);
  }
  if (instance.state !== 'running') {
    const message = `The following targets are not in a running state and cannot be registered: '${id}'`;
    throw new AwsFailure('InvalidTarget', message);
  }
}

/** What is not registered is passed over. */
function deregisterTargets(world: World, input: ReturnType<typeof change>): XmlObject {
  const group = targetGroup(world, input.TargetGroupArn);
  for (const { id, port } of leaving()) {
    const target = group.targets.get(`${id}:${port}`);
    if (!target || target.drainingSince !== undefined) continue;
    if (group.users.size === 0) group.targets.delete(`${id}:${port}`);
    else target.drainingSince = world.now();
  }
  return {};

  /** Without a port, the instance leaves on every port that it is registered with. */
  function leaving(): readonly Asked[] {
    pairs(world, group, input.Targets);
    return input.Targets.flatMap(({ Id, Port }): readonly Asked[] =>
      Port === undefined ? [...group.targets.values()].filter(({ id }) => id === Id) : [{ id: Id, port: Port }],
    );
  }
}

function describeTargetHealth(world: World, input: ReturnType<typeof look>): XmlObject {
  const group = targetGroup(world, input.TargetGroupArn);
  forgetDrained(world, group);
  const told = (target: Target | undefined, id: string, port: number): XmlObject => ({
    Target: { Id: id, Port: port },
    HealthCheckPort: group.check.port === 'traffic-port' ? String(port) : group.check.port,
    TargetHealth: healthOf(world, group, target),
  });
  const wanted: readonly XmlObject[] = input.Targets?.length
    ? pairs(world, group, input.Targets).map(({ id, port }) => told(group.targets.get(`${id}:${port}`), id, port))
    : [...group.targets.values()].map((target) => told(target, target.id, target.port));
  return { TargetHealthDescriptions: wanted };
}
