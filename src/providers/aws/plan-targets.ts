import type { ActOf } from './bench.ts';
import { targetsHash } from './current.ts';
import type { Desired } from './desired.ts';
import type { SeenTarget } from './picture.ts';
import type { Planned } from './plan-groups.ts';
import { isServing, isUndecided, mayTakeOver } from './readiness.ts';
import { type Room, targetId } from './room.ts';
import { type AwsStep, step, type TargetSpec } from './steps.ts';

/** Bigger batches have been seen to fail. */
const BATCH = 200;

/** A target group, and what its instances shall be in the end. */
export type Destined = Pick<ActOf<'register-targets' | 'deregister-targets'>, 'group' | 'basis'>;

export function destined(group: string, desired: Desired): Destined {
  return desired.asAll ? { group, basis: targetsHash(desired) } : { group };
}

export interface Surroundings {
  readonly room: Room;
  zoneOf(target: TargetSpec): string;
}

/**
 * New targets come before old ones go, as far as the NLB has room. An old one that serves stays until one serves in its place, in its
 * zone if there shall be any: an NLB sends clients to the zone that they came to. Of instances that shall be no targets any more only
 * the check of the others is waited for; those whose port changes stay as long as nobody answers at the new one.
 */
export function planTargets(
  targets: readonly SeenTarget[] | undefined,
  group: Destined,
  wanted: readonly TargetSpec[],
  { room, zoneOf }: Surroundings,
): Planned {
  if (targets === undefined) return { steps: [], waiting: [] }; // the tags prove that they are as they should be
  const had = new Set(targets.map(targetId));
  const want = new Set(wanted.map(targetId));
  const stay = new Set(wanted.map(({ id }) => id));
  const missing = wanted.filter((target) => !had.has(targetId(target)));
  const extra = targets.filter((target) => !want.has(targetId(target)));
  const fresh = targets.filter((target) => want.has(targetId(target)));
  const expected = [...fresh, ...missing.map((one) => ({ ...one, state: 'unread' }))];
  const held = extra.filter((old) => mayServe(old) && isNeeded(old, stay.has(old.id)));
  const idle = extra.filter((old) => !held.includes(old));
  const reason = `the nodePort is ${wanted[0]?.port ?? 'another one'} now`;
  const why = (old: SeenTarget): string => (stay.has(old.id) ? reason : 'the node is no target any more');
  const wait = (list: readonly SeenTarget[]): readonly AwsStep[] =>
    leave(list).map((one) => ({ ...one, waitsFor: { what: 'healthy' } as const }));
  const leave = (list: readonly SeenTarget[]): readonly AwsStep[] =>
    [...new Set(list.map(why))].flatMap((said) =>
      deregister(
        group,
        list.filter((one) => why(one) === said),
        said,
      ),
    );
  const come = (list: readonly TargetSpec[]): readonly AwsStep[] => register(group, list, 'nodes or ports have changed');
  if (room.isWide) return { steps: [...come(missing), ...leave(idle)], waiting: wait(held) };
  room.free(idle);
  const most = room.take(missing);
  if (most.length > 0 || missing.length === 0 || held.length === 0 || fresh.some(isUndecided)) {
    return { steps: [...leave(idle), ...come(most)], waiting: wait(held) };
  }
  const first = half(held, zoneOf); // the others serve until those that come in their place have been checked
  room.free(first);
  return {
    steps: [...leave(idle), ...leave(first), ...come(room.take(missing))],
    waiting: wait(held.filter((one) => !first.includes(one))),
  };

  function isNeeded(old: SeenTarget, isMoved: boolean): boolean {
    const near = expected.filter((one) => zoneOf(one) === zoneOf(old));
    const instead = near.length > 0 ? near : expected;
    if (isMoved) return !mayTakeOver(instead, [old]);
    return !instead.some(isServing) && instead.some(isUndecided);
  }
}

/** Registered by us a moment ago, it may serve by now. */
function mayServe(old: SeenTarget): boolean {
  return isServing(old) || old.state === 'unread';
}

/** Half of them in each zone, so that none is left without; one at least. */
export function half<T extends TargetSpec>(list: readonly T[], zoneOf: Surroundings['zoneOf']): readonly T[] {
  const zones = [...new Set(list.map(zoneOf))].map((zone) => list.filter((one) => zoneOf(one) === zone));
  const halves = zones.flatMap((same) => same.slice(0, Math.floor(same.length / 2)));
  return halves.length > 0 ? halves : list.slice(0, 1);
}

export function register(to: Destined, targets: readonly TargetSpec[], reason: string): readonly AwsStep[] {
  return batches(targets).map((batch) =>
    step({ kind: 'register-targets', ...to, targets: batch }, `register ${sayTargets(batch)} in ${to.group}`, reason),
  );
}

export function deregister(from: Destined, targets: readonly TargetSpec[], reason: string): readonly AwsStep[] {
  return batches(targets.map(({ id, port }) => ({ id, port }))).map((batch) =>
    step({ kind: 'deregister-targets', ...from, targets: batch }, `deregister ${sayTargets(batch)} from ${from.group}`, reason, {
      disrupts: true,
    }),
  );
}

function batches<T>(list: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(list.length / BATCH);
  return Array.from({ length: count }, (_, at) => list.slice(at * BATCH, (at + 1) * BATCH));
}

function sayTargets(targets: readonly TargetSpec[]): string {
  const [first] = targets;
  return targets.length === 1 ? `${first!.id}:${first!.port}` : `${targets.length} targets at port ${first!.port}`;
}
