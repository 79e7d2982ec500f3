import { type Current, groupName } from './current.ts';
import { differing, sayAttributes } from './defaults.ts';
import type { Desired } from './desired.ts';
import { TAG } from './names.ts';
import { writeRecord } from './own-targets.ts';
import type { Observed, SeenCheck, SeenGroup, Tags } from './picture.ts';
import { noteOwn, ownTargets } from './plan-own-targets.ts';
import { deregister, destined, half, planTargets, register, type Surroundings } from './plan-targets.ts';
import type { DesiredGroup } from './ports.ts';
import { openRoom, wantedTargets } from './room.ts';
import { groupsOf } from './shares.ts';
import { type AwsStep, step, type TargetSpec } from './steps.ts';

/** Steps that can be done now, and those that must wait and come last. */
export interface Planned {
  readonly steps: readonly AwsStep[];
  readonly waiting: readonly AwsStep[];
}

/** Target groups with everything that belongs to them. */
export function planGroups(desired: Desired, current: Current, observed: Observed): Planned {
  const zoneOf = ({ id }: TargetSpec): string => observed.facts?.instances[id]?.zone ?? '';
  const around = { room: openRoom(desired, current, observed), zoneOf };
  const names = new Set(groupsOf(desired.listeners).map((group) => groupName(desired, current.name, group)));
  const attached = observed.groups.filter(({ balancerArns }) => balancerArns.includes(current.balancer?.arn ?? ''));
  const going = new Set(attached.filter(({ name }) => !names.has(name)));
  const plans = groupsOf(desired.listeners).map((group) => {
    const name = groupName(desired, current.name, group);
    const seen = observed.groups.find((one) => one.name === name);
    const old = [...going].find(({ tags }) => isPlaceOf(group, tags[TAG.listener]));
    if (old) going.delete(old); // nobody gives way twice
    const way = seen?.targets?.length === 0 || !seen ? giveWay(wantedTargets(group, desired), old, around) : [];
    const plan = seen
      ? changeGroup(seen, group, desired, around)
      : { steps: createGroup(name, group, desired, around), waiting: [] };
    return { steps: [...way, ...plan.steps], waiting: plan.waiting };
  });
  return { steps: plans.flatMap(({ steps }) => steps), waiting: plans.flatMap(({ waiting }) => waiting) };
}

/** Whether a target group has been for the same port, and both for its own Service or both for another one. */
function isPlaceOf({ serves }: DesiredGroup, served = ''): boolean {
  const placeOf = (words: string): string => `${words.slice(0, words.indexOf('/'))} ${words.includes('@')}`;
  return placeOf(serves) === placeOf(served);
}

/**
 * Where an NLB is full, half of the targets of a group that is about to be replaced leave, so that its successor gets some at all.
 * @param old the one whose place it takes; undefined: none is replaced
 */
function giveWay(wanted: readonly TargetSpec[], old: SeenGroup | undefined, { room, zoneOf }: Surroundings): readonly AwsStep[] {
  const targets = old?.targets ?? [];
  if (!old || targets.length < 2 || room.isWide || wanted.length === 0) return [];
  const first = room.take(wanted);
  room.free(first);
  if (first.length > 0) return [];
  const leaving = half(targets, zoneOf);
  room.free(leaving);
  return deregister({ group: old.name }, leaving, 'the NLB takes no more, and another target group takes over');
}

function createGroup(name: string, group: DesiredGroup, desired: Desired, { room }: Surroundings): readonly AwsStep[] {
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
    ...register(destined(name, desired), room.take(wantedTargets(group, desired)), 'every eligible node is a target'),
  ];
}

function groupTags(group: DesiredGroup, desired: Desired): Tags {
  const { [TAG.retain]: _, ...tags } = desired.tags;
  return { ...tags, [TAG.services]: group.uids.join(' '), [TAG.listener]: group.serves };
}

function changeGroup(seen: SeenGroup, group: DesiredGroup, desired: Desired, around: Surroundings): Planned {
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
  const targets = planTargets(own, destined(seen.name, desired), wantedTargets(group, desired), around);
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
