import { AwsFailure } from '../failure.ts';
import type { LoadBalancer, TargetGroup, World } from '../world.ts';

interface Supposed {
  readonly crossZone?: boolean;
  /** A group that is about to be used, or about to hold more targets. */
  readonly group?: TargetGroup;
  /** Instances by (id, port) that are about to come. */
  readonly adding?: readonly { readonly id: string; readonly port: number }[];
}

/** Every target of every group counts, once for each group that it is in.
 *  @throws {AwsFailure} TooManyTargets
 *  @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html */
export function checkTargetCounts(world: World, balancer: LoadBalancer, supposed: Supposed = {}): void {
  const crossZone = supposed.crossZone ?? balancer.attributes.get('load_balancing.cross_zone.enabled') === 'true';
  const perZone = new Map<string, number>();
  let total = 0;
  for (const id of countedTargets(world, balancer, supposed)) {
    const zone = world.instances.get(id)?.zone ?? 'elsewhere';
    perZone.set(zone, (perZone.get(zone) ?? 0) + 1);
    total++;
  }
  const { targetsPerLoadBalancer, targetsPerZone } = world.limits;
  const most = crossZone ? Math.min(targetsPerLoadBalancer, targetsPerZone) : targetsPerLoadBalancer;
  if (total > most) {
    throw new AwsFailure('TooManyTargets', `The maximum number of targets per load balancer has been reached: ${most}`);
  }
  const full = crossZone ? undefined : [...perZone].find(([, count]) => count > targetsPerZone);
  if (full) {
    const message = `The maximum number of targets per Availability Zone per load balancer has been reached: ${targetsPerZone} in ${full[0]}`;
    throw new AwsFailure('TooManyTargets', message);
  }
}

function* countedTargets(world: World, balancer: LoadBalancer, { group, adding = [] }: Supposed): Generator<string> {
  const groups = groupsOf(world, balancer);
  if (group) groups.add(group);
  for (const one of groups) for (const target of one.targets.values()) if (target.drainingSince === undefined) yield target.id;
  for (const { id } of adding) yield id;
}

/** The target groups that listeners of a load balancer send to. */
export function groupsOf(world: World, balancer: LoadBalancer): Set<TargetGroup> {
  const groups = new Set<TargetGroup>();
  for (const arn of balancer.listeners) {
    for (const { arn: groupArn } of world.listeners.get(arn)?.forward ?? []) {
      const group = world.targetGroups.get(groupArn);
      if (group) groups.add(group);
    }
  }
  return groups;
}
