import type { ActOf } from './bench.ts';
import { type Current, groupName, targetsHash } from './current.ts';
import { differing, sayAttributes } from './defaults.ts';
import type { Desired } from './desired.ts';
import { fitsQuota } from './instances.ts';
import { TAG } from './names.ts';
import { writeRecord } from './own-targets.ts';
import type { Observed, SeenCheck, SeenGroup, SeenTarget, Tags } from './picture.ts';
import { noteOwn, ownTargets } from './plan-own-targets.ts';
import type { DesiredGroup } from './ports.ts';
import { type AwsStep, step, type TargetSpec } from './steps.ts';

/** Steps that can be done now, and those that must wait and come last. */
export interface Planned {
  readonly steps: readonly AwsStep[];
  readonly waiting: readonly AwsStep[];
}

/** Bigger batches have been seen to fail. */
const BATCH = 200;
/** States in which AWS has not made up its mind about a target. */
const UNDECIDED = ['initial', 'unread'];

/** Target groups with everything that belongs to them. */
export function planGroups(desired: Desired, current: Current, observed: Observed): Planned {
  const fits = fitTogether(desired, current, observed);
  const plans = desired.listeners.map(({ group }) => {
    const name = groupName(desired, current.name, group);
    const seen = observed.groups.find((one) => one.name === name);
    return seen ? changeGroup(seen, group, desired, fits) : { steps: createGroup(name, group, desired), waiting: [] };
  });
  return { steps: plans.flatMap(({ steps }) => steps), waiting: plans.flatMap(({ waiting }) => waiting) };
}

/** Whether the NLB takes all that is registered now together with all that shall be: else the old goes before the new comes. */
function fitTogether(desired: Desired, current: Current, observed: Observed): boolean {
  const wanted = new Map(desired.listeners.map(({ group }) => [groupName(desired, current.name, group), group]));
  const byZone = new Map<string, number>();
  for (const { name, targets = [], others = [], balancerArns } of observed.groups) {
    const group = wanted.get(name);
    if (!group && !balancerArns.includes(current.balancer?.arn ?? '')) continue;
    const both = [...targets, ...others, ...(group ? wantedTargets(group, desired) : [])];
    for (const { id } of new Map(both.map((target) => [targetId(target), target])).values()) {
      const zone = observed.facts?.instances[id]?.zone ?? '';
      byZone.set(zone, (byZone.get(zone) ?? 0) + 1);
    }
  }
  return fitsQuota(byZone, desired.attributes['load_balancing.cross_zone.enabled'] === 'true');
}

function createGroup(name: string, group: DesiredGroup, desired: Desired): readonly AwsStep[] {
  const tags = groupTags(group, desired);
  const spec = {
    name,
    protocol: group.protocol,
    port: group.nodePort,
    vpcId: desired.vpcId,
    check: group.check,
    tags: group.multiCluster ? { ...tags, ...writeRecord(desired.targets.ids, { beside: tags }) } : tags,
  };
  const attributes = differing(group.attributes, {}, 'group');
  return [
    step(
      { kind: 'create-target-group', key: desired.key, spec },
      `create target group ${name} for nodePort ${group.nodePort}`,
      'there is none',
    ),
    ...setAttributes(name, attributes),
    ...register(destined(name, desired), wantedTargets(group, desired), 'every eligible node is a target'),
  ];
}

function groupTags(group: DesiredGroup, desired: Desired): Tags {
  const { [TAG.retain]: _, ...tags } = desired.tags;
  return { ...tags, [TAG.services]: group.uids.join(' '), [TAG.listener]: group.serves };
}

function changeGroup(seen: SeenGroup, group: DesiredGroup, desired: Desired, fits: boolean): Planned {
  const steps: AwsStep[] = [];
  const changes = checkChanges(seen.check, group.check);
  if (changes.length > 0) {
    const summary = `change the health check of ${seen.name}: ${changes.join(', ')}`;
    steps.push(step({ kind: 'change-health-check', group: seen.name, check: group.check }, summary, 'the Service asks for it'));
  }
  if (seen.attributes) steps.push(...setAttributes(seen.name, differing(group.attributes, seen.attributes, 'group')));
  const tags = groupTags(group, desired);
  steps.push(...tagSteps(seen, tags));
  const own = ownTargets(seen, group, desired);
  const targets = planTargets(own, destined(seen.name, desired), wantedTargets(group, desired), fits);
  const notes = noteOwn({ seen, tags }, own, group, desired);
  const after = targets.waiting.length > 0 ? [] : notes.after;
  return { steps: [...steps, ...notes.before, ...targets.steps, ...after], waiting: targets.waiting };
}

function tagSteps(seen: SeenGroup, tags: Tags): readonly AwsStep[] {
  const missing = Object.fromEntries(Object.entries(tags).filter(([name, value]) => seen.tags[name] !== value));
  const steps: AwsStep[] = [];
  if (Object.keys(missing).length > 0) {
    const act = { kind: 'add-tags', resources: [seen.name], tags: missing } as const;
    steps.push(step(act, `tag target group ${seen.name} with ${sayAttributes(missing)}`, 'the Service asks for it'));
  }
  if (seen.tags[TAG.retired] !== undefined) {
    const act = { kind: 'remove-tags', resources: [seen.name], tags: [TAG.retired] } as const;
    steps.push(step(act, `target group ${seen.name} is in use again`, 'it is wanted'));
  }
  return steps;
}

function setAttributes(group: string, attributes: Tags): readonly AwsStep[] {
  if (Object.keys(attributes).length === 0) return [];
  const summary = `set ${sayAttributes(attributes)} on target group ${group}`;
  return [step({ kind: 'set-group-attributes', group, attributes }, summary, 'the Service asks for it')];
}

function checkChanges(seen: SeenCheck, wanted: SeenCheck): readonly string[] {
  return (Object.keys(wanted) as (keyof SeenCheck)[])
    .filter((field) => seen[field] !== wanted[field])
    .map((field) => `${field} ${seen[field] ?? 'none'} -> ${wanted[field]}`);
}

export function wantedTargets(group: DesiredGroup, desired: Desired): readonly TargetSpec[] {
  return desired.targets.ids.map((id) => ({ id, port: group.nodePort }));
}

/**
 * New targets come before old ones go. An instance whose port changes keeps the old one until the new one has been checked,
 * as long as the old one still serves.
 */
function planTargets(
  targets: readonly SeenTarget[] | undefined,
  group: Destined,
  wanted: readonly TargetSpec[],
  fits: boolean,
): Planned {
  if (targets === undefined) return { steps: [], waiting: [] }; // the tags prove that they are as they should be
  const had = new Set(targets.map(targetId));
  const want = new Set(wanted.map(targetId));
  const stay = new Set(wanted.map(({ id }) => id));
  const missing = wanted.filter((target) => !had.has(targetId(target)));
  const extra = targets.filter((target) => !want.has(targetId(target)));
  const gone = extra.filter(({ id }) => !stay.has(id));
  const moved = extra.filter(({ id }) => stay.has(id));
  const more = register(group, missing, 'nodes or ports have changed');
  const less = deregister(group, gone, 'the node is no target any more');
  const steps = fits ? [...more, ...less] : [...less, ...more];
  if (moved.length === 0) return { steps, waiting: [] };
  const reason = `the nodePort is ${wanted[0]?.port ?? 'another one'} now`;
  const isUndecided = targets.some((target) => want.has(targetId(target)) && UNDECIDED.includes(target.state));
  const serves = moved.some(({ state }) => ['healthy', 'unread', 'proven'].includes(state));
  const wait = (list: readonly SeenTarget[]): readonly AwsStep[] =>
    deregister(group, list, reason).map((one) => ({ ...one, waitsFor: { what: 'healthy' } }));
  if (!serves)
    return { steps: [...(fits ? steps : less), ...deregister(group, moved, reason), ...(fits ? [] : more)], waiting: [] };
  if (!fits && isUndecided) return { steps: less, waiting: wait(moved) };
  if (!fits) {
    const first = moved.slice(0, Math.ceil(moved.length / 2)); // the others serve until these have been checked
    const others = new Set(moved.slice(first.length).map(({ id }) => id));
    const next = register(
      group,
      missing.filter(({ id }) => !others.has(id)),
      reason,
    );
    return { steps: [...less, ...deregister(group, first, reason), ...next], waiting: wait(moved.slice(first.length)) };
  }
  if (isUndecided || missing.length > 0) return { steps, waiting: wait(moved) };
  return { steps: [...steps, ...deregister(group, moved, reason)], waiting: [] };
}

/** A target group, and what its instances shall be in the end. */
type Destined = Pick<ActOf<'register-targets' | 'deregister-targets'>, 'group' | 'basis'>;

function destined(group: string, desired: Desired): Destined {
  return desired.asAll ? { group, basis: targetsHash(desired) } : { group };
}

function register(to: Destined, targets: readonly TargetSpec[], reason: string): readonly AwsStep[] {
  return batches(targets).map((batch) =>
    step({ kind: 'register-targets', ...to, targets: batch }, `register ${sayTargets(batch)} in ${to.group}`, reason),
  );
}

export function deregister(from: Destined, targets: readonly SeenTarget[], reason: string): readonly AwsStep[] {
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

/** Whether a group has these targets and no others. */
export function hasJust(targets: readonly TargetSpec[], wanted: readonly TargetSpec[]): boolean {
  const had = new Set(targets.map(targetId));
  return had.size === wanted.length && wanted.every((target) => had.has(targetId(target)));
}

export function targetId({ id, port }: TargetSpec): string {
  return `${id}:${port}`;
}

/** Every target has been checked, whatever came of it; a group without targets has nothing to wait for. */
export function isWarm(group: SeenGroup): boolean {
  const targets = group.targets ?? [];
  if (targets.length === 0) return group.targets !== undefined;
  return !targets.some(({ state }) => state === 'proven' || UNDECIDED.includes(state));
}
