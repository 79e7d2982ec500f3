import type { Listener, World } from '../world.ts';

/** Notes at the target groups that a listener sends to them from now on, and at those that it left that it does not. */
export function noteUse(world: World, listener: Listener, before: Listener['forward']): void {
  const now = world.now();
  for (const { arn } of before) {
    if (listener.forward.some((one) => one.arn === arn)) continue;
    release(world, arn, listener.arn);
  }
  for (const { arn } of listener.forward) {
    const group = world.targetGroups.get(arn);
    if (!group || group.users.has(listener.arn)) continue;
    const sinceMs = Math.min(now, ...[...group.users.values()].map((user) => user.sinceMs)); // its targets are being checked already
    group.users.set(listener.arn, { loadBalancerArn: listener.loadBalancerArn, sinceMs });
  }
}

/** Deletes a listener, with what hangs on it. Nothing happens when it is not there. */
export function dropListener(world: World, arn: string): void {
  const listener = world.listeners.get(arn);
  if (!listener) return;
  for (const { arn: group } of listener.forward) release(world, group, arn);
  world.loadBalancers.get(listener.loadBalancerArn)?.listeners.delete(arn);
  world.listeners.remove(arn);
  world.tags.delete(arn);
}

function release(world: World, groupArn: string, listenerArn: string): void {
  const group = world.targetGroups.get(groupArn);
  if (group?.users.delete(listenerArn)) group.releasedAt = world.now() + world.timings.consistencyMs;
}
