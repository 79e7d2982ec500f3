import { type Current, groupName } from './current.ts';
import type { Desired } from './desired.ts';
import { fitsQuota } from './instances.ts';
import type { Observed } from './picture.ts';
import type { DesiredGroup } from './ports.ts';
import { groupsOf } from './shares.ts';
import type { TargetSpec } from './steps.ts';

/** Registrations that the NLB takes beside those that it has: what one target group takes the next one has not. */
export interface Room {
  /** All that is registered now and all that shall be have room at once, so that nothing needs to be counted. */
  readonly isWide: boolean;
  /** As many of these as have room now; they count from then on. */
  take(targets: readonly TargetSpec[]): readonly TargetSpec[];
  /** These are about to go. */
  free(targets: readonly TargetSpec[]): void;
}

/** Every target group that the NLB uses, or shall use, counts. */
export function openRoom(desired: Desired, current: Current, { groups, facts }: Observed): Room {
  const wanted = new Map(groupsOf(desired.listeners).map((group) => [groupName(desired, current.name, group), group]));
  const isAcrossZones = desired.attributes['load_balancing.cross_zone.enabled'] === 'true';
  const zoneOf = ({ id }: TargetSpec): string => facts?.instances[id]?.zone ?? '';
  const used = groups.filter(({ name, balancerArns }) => wanted.has(name) || balancerArns.includes(current.balancer?.arn ?? ''));
  const names = new Set(used.map(({ name }) => name));
  const stocks = used.map(({ name, targets, others = [] }): Stock => {
    const group = wanted.get(name);
    const mine = group ? wantedTargets(group, desired) : [];
    return { had: [...(targets ?? mine), ...others], wanted: mine }; // those that tags prove are those that are wanted
  });
  const coming = [...wanted].flatMap(([name, group]): readonly Stock[] =>
    names.has(name) ? [] : [{ had: [], wanted: wantedTargets(group, desired) }],
  );
  return roomFor([...stocks, ...coming], isAcrossZones, zoneOf);
}

/** What one target group has, and what it shall have. */
export interface Stock {
  readonly had: readonly TargetSpec[];
  readonly wanted: readonly TargetSpec[];
}

/** @param stocks every target group that the NLB uses, or shall use */
export function roomFor(stocks: readonly Stock[], isAcrossZones: boolean, zoneOf: (target: TargetSpec) => string): Room {
  const has = new Map<string, number>();
  const end = new Map<string, number>();
  const count = (counts: Map<string, number>, targets: readonly TargetSpec[], by: 1 | -1): void => {
    for (const target of targets) counts.set(zoneOf(target), (counts.get(zoneOf(target)) ?? 0) + by);
  };
  for (const { had, wanted } of stocks) {
    count(has, had, 1);
    count(end, [...new Map([...had, ...wanted].map((target) => [targetId(target), target])).values()], 1);
  }
  const isWide = fitsQuota(end, isAcrossZones);
  return {
    isWide,
    take(targets) {
      if (isWide) return targets;
      return targets.filter((target) => {
        count(has, [target], 1);
        if (fitsQuota(has, isAcrossZones)) return true;
        count(has, [target], -1);
        return false;
      });
    },
    free: (targets) => count(has, targets, -1),
  };
}

export function wantedTargets(group: DesiredGroup, desired: Desired): readonly TargetSpec[] {
  return desired.targets.ids.map((id) => ({ id, port: group.nodePort }));
}

/** Whether a group has these targets and no others. */
export function hasJust(targets: readonly TargetSpec[], wanted: readonly TargetSpec[]): boolean {
  const had = new Set(targets.map(targetId));
  return had.size === wanted.length && wanted.every((target) => had.has(targetId(target)));
}

export function targetId({ id, port }: TargetSpec): string {
  return `${id}:${port}`;
}
