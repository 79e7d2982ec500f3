import type { Observed, SeenGroup, SeenListener } from './picture.ts';
import { isServing } from './readiness.ts';
import { arnsOf } from './shares.ts';
import type { ListenerSpec } from './steps.ts';

/** Pure. What a listener sends to, and what it shall send to. */

export type Share = NonNullable<ListenerSpec['spread']>['others'][number];

/** A target group that the port shall send to: ours by name, and by ARN once it is there. */
export interface Wanted {
  readonly weight: number;
  readonly group?: string;
  readonly arn: string | undefined;
}

export function sharesOf({ group, spread }: ListenerSpec, { groups }: Observed): readonly Wanted[] {
  const all: readonly Share[] = [{ weight: spread?.weight ?? 1, group }, ...(spread?.others ?? [])];
  return all.map((one) => ({ ...one, arn: one.arn ?? groups.find(({ name }) => name === one.group)?.arn }));
}

export function sayGoal({ group, spread }: ListenerSpec): string {
  if (!spread) return group;
  const all: readonly Share[] = [{ weight: spread.weight, group }, ...spread.others];
  return all.map((one) => `${one.group ?? one.arn} (weight ${one.weight})`).join(', ');
}

/** AWS ends the connections to a target group that gets no more of them. */
export function isCutting(spec: ListenerSpec, had: SeenListener, wanted: readonly Wanted[]): boolean {
  const isOff = ({ arn, weight }: NonNullable<SeenListener['forward']>[number]): boolean =>
    weight > 0 && spec.spread !== undefined && wanted.some((one) => one.arn === arn && one.weight === 0);
  if ((had.forward ?? [{ arn: had.groupArn, weight: 1 }]).some(isOff)) return true;
  return had.protocol !== spec.protocol && !(had.protocol === 'TCP' && spec.protocol === 'TCP_UDP');
}

export function sendsAsWanted({ spread }: ListenerSpec, had: SeenListener, wanted: readonly Wanted[]): boolean {
  const forward = had.forward ?? [{ arn: had.groupArn, weight: wanted[0]?.weight }];
  const isSame = wanted.every((one) => forward.some(({ arn, weight }) => arn === one.arn && weight === one.weight));
  return isSame && forward.length === wanted.length && (spread?.sticky ?? false) === (had.sticky ?? false);
}

/** Of what the port sends to now, a target group that serves, if there is one. What others made may always serve. */
export function oldGroup(had: SeenListener, observed: Observed): SeenGroup | undefined {
  const groups = groupsUsedBy(had, observed);
  const serving = groups.find(({ targets }) => targets === undefined || targets.some(isServing));
  const [first] = groups;
  if (serving || !first || groups.length === arnsOf(had).length) return serving ?? first;
  const { targets: _, ...unknown } = first;
  return unknown;
}

/** Ours, in an order that stays the same. */
export function groupsUsedBy(listener: SeenListener, { groups }: Observed): readonly SeenGroup[] {
  const arns = arnsOf(listener);
  return groups.filter(({ arn }) => arns.includes(arn)).sort((a, b) => (a.name < b.name ? -1 : 1));
}
