import { AwsFailure } from '../failure.ts';
import type { Listener, LoadBalancer, TargetGroup, World } from '../world.ts';

/** @throws {AwsFailure} LoadBalancerNotFound, or ValidationError when it is no ARN of one */
export function loadBalancer(world: World, arn: string): LoadBalancer {
  checkArn(arn, 'loadbalancer', 'load balancer');
  const found = world.loadBalancers.get(arn);
  if (!found) throw new AwsFailure('LoadBalancerNotFound', `Load balancer '${arn}' not found`);
  return found;
}

/** @throws {AwsFailure} TargetGroupNotFound, or ValidationError */
export function targetGroup(world: World, arn: string): TargetGroup {
  checkArn(arn, 'targetgroup', 'target group');
  const found = world.targetGroups.get(arn);
  if (!found) throw new AwsFailure('TargetGroupNotFound', `Target groups '${arn}' not found`);
  return found;
}

/** @throws {AwsFailure} ListenerNotFound, or ValidationError */
export function listener(world: World, arn: string): Listener {
  checkArn(arn, 'listener', 'listener');
  const found = world.listeners.get(arn);
  if (!found) throw new AwsFailure('ListenerNotFound', `Listener '${arn}' not found`);
  return found;
}

export function checkArn(arn: string, kind: string, called: string): void {
  if (!arn.startsWith('arn:') || arn.split(':')[5]?.split('/')[0] !== kind) {
    throw new AwsFailure('ValidationError', `'${arn}' is not a valid ${called} ARN`);
  }
}
