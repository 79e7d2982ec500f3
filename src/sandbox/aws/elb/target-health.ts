import type { Target, TargetGroup, World } from '../world.ts';

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html */
export interface Health {
  readonly [field: string]: string | undefined;
  readonly State: 'initial' | 'healthy' | 'unhealthy' | 'unused' | 'draining';
  readonly Reason?: string;
  readonly Description?: string;
}

/** @param target undefined: it is not registered */
export function healthOf(world: World, group: TargetGroup, target: Target | undefined): Health {
  if (!target) return unused('Target.NotRegistered', 'Target is not registered to the target group');
  if (target.drainingSince !== undefined) {
    return {
      State: 'draining',
      Reason: 'Target.DeregistrationInProgress',
      Description: 'Target deregistration is in progress',
    };
  }
  const inUseSince = Math.min(...[...group.users.values()].map(({ sinceMs }) => sinceMs));
  if (group.users.size === 0) {
    return unused('Target.NotInUse', 'Target group is not configured to receive traffic from the load balancer');
  }
  if (group.targetType === 'instance') {
    const instance = world.instances.get(target.id);
    if (instance?.state !== 'running') {
      return unused('Target.InvalidState', `Target is in the ${instance?.state ?? 'terminated'} state`);
    }
    if (!zonesOf(world, group).has(instance.zone)) {
      return unused('Target.NotInUse', 'Target is in an Availability Zone that is not enabled for the load balancer');
    }
  }
  return checked(world, target, Math.max(target.registeredAt, inUseSince));
}

function checked(world: World, target: Target, since: number): Health {
  const state = target.forced ?? (world.now() >= since + world.timings.healthyMs ? 'healthy' : 'initial');
  switch (state) {
    case 'healthy':
      return { State: 'healthy' };
    case 'unhealthy':
      return { State: 'unhealthy', Reason: 'Target.FailedHealthChecks', Description: 'Health checks failed' };
    case 'initial':
      return { State: 'initial', Reason: 'Elb.InitialHealthChecking', Description: 'Initial health checks in progress' };
  }
}

function unused(Reason: string, Description: string): Health {
  return { State: 'unused', Reason, Description };
}

function zonesOf(world: World, group: TargetGroup): Set<string> {
  const arns = [...group.users.values()].map(({ loadBalancerArn }) => loadBalancerArn);
  return new Set(arns.flatMap((arn) => world.loadBalancers.get(arn)?.zones.map(({ zone }) => zone) ?? []));
}

/** Takes away the targets whose time of draining is over. */
export function forgetDrained(world: World, group: TargetGroup): void {
  const delay = Number(group.attributes.get('deregistration_delay.timeout_seconds')) * 1000;
  const drainingMs = world.timings.drainingMs ?? delay;
  for (const [key, { drainingSince }] of group.targets) {
    if (drainingSince !== undefined && world.now() >= drainingSince + drainingMs) group.targets.delete(key);
  }
}
