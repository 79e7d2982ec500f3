import type { Inventory } from './inventory.ts';
import { TAG, uidsOf } from './names.ts';
import type { SeenBalancer, SeenGroup, SeenListener } from './picture.ts';
import { WARM_UP_PORTS } from './plan-listeners.ts';
import { readZoneNote } from './plan-zones.ts';

/**
 * Pure. ARNs of target groups whose health decides when a change goes on: both of what shall be replaced and of what takes over, for as
 * long as it takes. An NLB has a successor, a port is about to move to another target group, targets are about to change their port, or
 * zones come or go.
 */
export function findAwaited({ balancers, groups }: Pick<Inventory, 'balancers' | 'groups'>): ReadonlySet<string> {
  const living = [...balancers.values()].filter(({ tags }) => tags[TAG.retired] === undefined);
  const counts = new Map<string, number>();
  for (const { tags } of living) counts.set(keyOf({ tags }), (counts.get(keyOf({ tags })) ?? 0) + 1);
  const changing = new Set(living.filter((one) => isChanging(one, groups) || counts.get(keyOf(one)) !== 1).map(keyOf));
  const moving = findMoving(groups);
  const used = [...groups.values()].filter((one) => one.balancerArns.length > 0 && one.tags[TAG.retired] === undefined);
  return new Set(
    used
      .filter((one) => changing.has(keyOf(one)) || hasTwoPorts(one) || uidsOf(one.tags).some((uid) => moving.has(uid)))
      .map(({ arn }) => arn),
  );
}

/** UIDs of Services that two balancers carry. */
function findMoving(groups: Inventory['groups']): ReadonlySet<string> {
  const keys = new Map<string, string>();
  const moving = new Set<string>();
  for (const { tags, balancerArns } of groups.values()) {
    if (balancerArns.length === 0 || tags[TAG.retired] !== undefined) continue;
    for (const uid of uidsOf(tags)) {
      const key = keys.get(uid) ?? keyOf({ tags });
      keys.set(uid, key);
      if (key !== keyOf({ tags })) moving.add(uid);
    }
  }
  return moving;
}

function keyOf({ tags }: Pick<SeenBalancer, 'tags'>): string {
  return tags[TAG.balancer] ?? '';
}

function isChanging(balancer: SeenBalancer, groups: Inventory['groups']): boolean {
  return (balancer.listeners ?? []).some((one) => isWarmUp(one, groups)) || readZoneNote(balancer) !== undefined;
}

/** A Service may have a port up there, too; its target group says so. */
function isWarmUp({ port, groupArn }: SeenListener, groups: Inventory['groups']): boolean {
  const words = groups.get(groupArn)?.tags[TAG.listener]?.split(' ') ?? [];
  return port >= WARM_UP_PORTS.from && port <= WARM_UP_PORTS.to && !words.some((word) => word.startsWith(`${port}/`));
}

function hasTwoPorts({ targets = [] }: SeenGroup): boolean {
  return targets.some(({ port }) => port !== targets[0]?.port);
}
