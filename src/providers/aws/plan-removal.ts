import { readAnnotations } from '../../config/annotations.ts';
import { readAwsAnnotations } from '../../config/aws-annotations.ts';
import type { Member } from '../../model.ts';
import { type Current, frontendName, groupName } from './current.ts';
import { DEFAULTS } from './defaults.ts';
import type { Desired } from './desired.ts';
import { CHANGING, SHARED, SHARED_GROUP, TAG } from './names.ts';
import { isRecorded, recordNames, sayOthers } from './own-targets.ts';
import type { Observed, SeenBalancer, SeenGroup, SeenSecurityGroup } from './picture.ts';
import type { Planned } from './plan-groups.ts';
import { afterMoves } from './plan-moves.ts';
import { deregister } from './plan-targets.ts';
import { isReady } from './readiness.ts';
import { sayRule } from './rules.ts';
import { arnsOf, groupsOf } from './shares.ts';
import { type AwsStep, step } from './steps.ts';

const PROTECTION = 'deletion_protection.enabled';
/** Whether others have left what they share with us is looked at again so soon. */
const LOOK_AGAIN_MS = 60_000;
const UNWANTED = 'no Service wants this balancer any more';

/**
 * Pure. Takes everything of the key away: a sweep by tags, whatever of it is there.
 * @param leaving the Services that want it no longer, oldest first; none: they have gone
 */
export function planRemoval(observed: Observed, now: number, leaving: readonly Member[] = []): readonly AwsStep[] {
  if (observed.key === SHARED) return removeShared(observed, now);
  if (observed.balancers.some(({ tags }) => tags[TAG.retain] === 'true')) return release(observed);
  const isLast = observed.shared.users.every((key) => key === observed.key);
  const spares = consents(leaving) ? [] : observed.groups.filter(isRecorded);
  if (spares.some(({ others = [] }) => others.length > 0)) return afterMoves(leaveToOthers(observed, spares), observed, now);
  const steps = [
    ...spares.map((group) => spare(group)),
    ...observed.balancers.flatMap((one) => deleteBalancer(one, UNWANTED, readAwsAnnotations(leaving[0]?.annotations ?? {}))),
    ...observed.groups.map((one) => deleteGroup(one, UNWANTED)),
    ...(isLast ? removeShared(observed, now) : []),
    ...observed.securityGroups.map((one) => deleteSecurityGroup(one, one.name, UNWANTED, now)),
  ];
  const ready = afterMoves(steps, observed, now);
  return [...ready.filter(({ waitsFor }) => !waitsFor), ...ready.filter(({ waitsFor }) => waitsFor)];
}

function consents([oldest]: readonly Member[]): boolean {
  return oldest !== undefined && readAnnotations(oldest.annotations, 'aws').allowDisruption;
}

/** In target groups that others use, too, theirs go on being served: only ours are taken out, until theirs have gone as well. */
function leaveToOthers(observed: Observed, groups: readonly SeenGroup[]): readonly AwsStep[] {
  const ours = groups.filter(({ targets = [] }) => targets.length > 0);
  const proven = observed.balancers
    .filter(({ tags }) => ours.length > 0 && tags[TAG.targets] !== CHANGING)
    .map(({ name }) => name);
  const act = { kind: 'add-tags', resources: proven, tags: { [TAG.targets]: CHANGING } } as const;
  const why = 'a start after a crash then looks at what is really there';
  return [
    ...(proven.length > 0 ? [step(act, `note on NLB ${proven.join(', ')} that its targets change`, why)] : []),
    ...ours.flatMap(({ name, targets = [] }) => deregister({ group: name }, targets, UNWANTED)),
    ...groups.map((group) => spare(group)),
  ];
}

function spare({ name, others = [] }: SeenGroup): AwsStep {
  const reason = 'aws-load-balancer-multi-cluster-target-group; nodeport-lb.io/allow-disruption would delete it with them';
  const summary =
    others.length > 0
      ? `keep the NLB of target group ${name} as long as it holds ${sayOthers(others)}`
      : `go on only if nobody else has targets in ${name}`;
  return step({ kind: 'spare-others', group: name }, summary, reason);
}

/** The backend group and what the nodes' groups allow it, once no NLB sends from it. */
function removeShared({ key, shared }: Observed, now: number): readonly AwsStep[] {
  const { backend } = shared;
  if (key === SHARED && shared.users.length > 0) return [];
  if (!backend || backend.tags[TAG.retain] === 'true') return [];
  const reason = 'no NLB of the cluster is left';
  const revokes = Object.values(shared.nodeGroups).flatMap((group) => {
    const rules = group.rules.filter(({ source }) => source === backend.id);
    if (rules.length === 0) return [];
    const act = { kind: 'revoke-traffic', group: group.id, rules } as const;
    return [step(act, `no longer allow ${rules.map(sayRule).join(', ')} in ${group.id}`, reason, { disrupts: true })];
  });
  return [...revokes, deleteSecurityGroup(backend, SHARED_GROUP, reason, now)];
}

/** `nodeport-lb.io/retain`: everything stays and works on, and nothing of it is ours any more. */
function release(observed: Observed): readonly AwsStep[] {
  const reason = 'nodeport-lb.io/retain: the Service is gone and its NLB stays';
  const names = [...observed.groups, ...observed.balancers].map(({ name }) => name);
  const ours = [...new Set([...Object.values(TAG), ...observed.groups.flatMap(({ tags }) => recordNames(tags))])];
  const { backend } = observed.shared;
  const keep =
    backend && backend.tags[TAG.retain] !== 'true' && observed.balancers.some((one) => one.securityGroups.includes(backend.id));
  return [
    ...(keep
      ? [step({ kind: 'release-security-group', group: SHARED_GROUP }, 'keep the security group that the NLB sends from', reason)]
      : []),
    ...observed.securityGroups.map((group) =>
      step({ kind: 'release-security-group', group: group.name }, `let go of security group ${group.name}`, reason),
    ),
    step({ kind: 'remove-tags', resources: names, tags: ours }, `let go of ${names.join(', ')}`, reason),
  ];
}

interface Moment {
  /** Something that is wanted is not there yet. */
  readonly busy: boolean;
  /** ARNs of target groups that no listener will use after the steps before. */
  readonly freed: ReadonlySet<string>;
  readonly now: number;
}

/** What the key has and nobody wants: replaced NLBs and target groups go after the grace time, security groups at once. */
export function planLeftovers(desired: Desired, current: Current, observed: Observed, { busy, freed, now }: Moment): Planned {
  const steps: AwsStep[] = [];
  const waiting: AwsStep[] = [];
  const wanted = new Set(groupsOf(desired.listeners).map((group) => groupName(desired, current.name, group)));
  const isBuilt = isComplete(observed, current, wanted);
  const isServing = !busy && isBuilt && takesOver(desired, current, observed, wanted);
  const sort = (one: AwsStep): unknown => (one.waitsFor ? waiting : steps).push(one);
  const stale = current.stale.filter((one) => !current.inTheWay.includes(one));
  const going = new Set(current.inTheWay.map(({ arn }) => arn));
  for (const old of stale) {
    const groups = observed.groups.filter(({ balancerArns }) => balancerArns.includes(old.arn));
    for (const one of retire(old, groups, { isBuilt, isServing, now, desired })) {
      sort(one);
      if (one.kind === 'delete-balancer' && !one.waitsFor) going.add(old.arn);
    }
  }
  const used = new Set([...stale, ...current.inTheWay].map(({ arn }) => arn));
  for (const group of observed.groups) {
    if (wanted.has(group.name) || group.balancerArns.some((arn) => used.has(arn))) continue;
    if (!freed.has(group.arn) && isAttached(group, current)) continue;
    for (const one of outlive(group, desired, now)) sort(one);
  }
  const frontend = desired.security.kind === 'managed' ? frontendName(desired, current.name) : undefined;
  const staying = observed.balancers.filter(({ arn }) => !going.has(arn));
  const inUse = new Set(staying.flatMap(({ securityGroups }) => securityGroups));
  for (const group of observed.securityGroups) {
    if (group.name !== frontend && !inUse.has(group.id))
      sort(deleteSecurityGroup(group, group.name, 'no NLB uses it any more', now));
  }
  return { steps, waiting };
}

function isAttached(group: SeenGroup, { balancer }: Current): boolean {
  return balancer?.listeners?.some((one) => arnsOf(one).includes(group.arn)) ?? group.balancerArns.includes(balancer?.arn ?? '');
}

function isComplete(observed: Observed, { balancer }: Current, wanted: ReadonlySet<string>): boolean {
  if (balancer?.state !== 'active') return false;
  const groups = observed.groups.filter(({ name }) => wanted.has(name));
  return groups.length === wanted.size && groups.every((group) => group.balancerArns.includes(balancer.arn));
}

/** Whether each target group of the successor serves, or as much as the one did from which its clients come. */
function takesOver(desired: Desired, { stale }: Current, { groups }: Observed, wanted: ReadonlySet<string>): boolean {
  const living = new Set(stale.flatMap(({ arn, tags }) => (tags[TAG.retired] === undefined ? [arn] : [])));
  const before = groups.filter(({ balancerArns }) => balancerArns.some((arn) => living.has(arn)));
  const words = ({ tags }: SeenGroup): readonly string[] => tags[TAG.listener]?.split(' ') ?? [];
  return groups.every((group) => {
    const old = before.find((one) => words(one).some((word) => words(group).includes(word)));
    return !wanted.has(group.name) || isReady(group, old, desired.targets.ids.length > 0);
  });
}

interface Succession {
  /** The successor is there, with all its listeners. */
  readonly isBuilt: boolean;
  /** And clients may go there. */
  readonly isServing: boolean;
  readonly now: number;
  readonly desired: Desired;
}

/** The status moves when the old NLB is marked; clients that know the old name have the grace time to look it up again. */
function retire(
  old: SeenBalancer,
  groups: readonly SeenGroup[],
  { isBuilt, isServing, now, desired }: Succession,
): readonly AwsStep[] {
  const since = old.tags[TAG.retired];
  if (since === undefined) {
    const resources = [...groups, old].map(({ name }) => name);
    const act = { kind: 'add-tags', resources, tags: { [TAG.retired]: String(now) } } as const;
    const summary = `publish the successor of NLB ${old.name}, which goes after ${desired.graceSeconds} s`;
    if (!isServing) return [step(act, summary, 'the successor serves', { waitsFor: { what: 'healthy' } })];
    return [
      step(act, summary, 'the successor serves'),
      ...later(removals(old, groups, { desired, now }), now + desired.graceSeconds * 1_000),
    ];
  }
  const until = Number(since) + desired.graceSeconds * 1_000;
  const steps = removals(old, groups, { desired, now });
  if (!isBuilt) return steps.map((one) => ({ ...one, waitsFor: { what: 'healthy' } as const })); // it may be wanted after all
  return now >= until ? steps : later(steps, until);
}

function removals(old: SeenBalancer, groups: readonly SeenGroup[], { desired, now }: Pick<Succession, 'desired' | 'now'>) {
  const steps = [
    ...deleteBalancer(old, 'its successor serves', desired),
    ...groups.map((group) => deleteGroup(group, 'its NLB has been replaced')),
  ];
  return afterOthers(steps, groups, { desired, now });
}

/** Targets that others registered are not cut off: what they are in goes when they have left it, or when the Service consents. */
function afterOthers(
  steps: readonly AwsStep[],
  groups: readonly SeenGroup[],
  { desired, now }: Pick<Succession, 'desired' | 'now'>,
): readonly AwsStep[] {
  const others = groups.flatMap((group) => group.others ?? []);
  if (others.length === 0 || desired.allowDisruption) return steps;
  const said = steps.map((one) => ({ ...one, summary: `${one.summary}, once it is without ${sayOthers(others)}` }));
  return later(said, now + LOOK_AGAIN_MS);
}

/** Steps that wait make the controller look again when their time has come. */
function later(steps: readonly AwsStep[], until: number): readonly AwsStep[] {
  return steps.map((one) => ({ ...one, waitsFor: { what: 'time', until: Math.max(until, one.waitsFor?.until ?? 0) } as const }));
}

/** A target group that no listener uses any more: its connections have the grace time to end. */
function outlive(group: SeenGroup, desired: Desired, now: number): readonly AwsStep[] {
  const since = group.tags[TAG.retired];
  const deletion = afterOthers([deleteGroup(group, 'no listener uses it any more')], [group], { desired, now });
  if (desired.graceSeconds === 0) return deletion;
  if (since === undefined) {
    const act = { kind: 'add-tags', resources: [group.name], tags: { [TAG.retired]: String(now) } } as const;
    const summary = `target group ${group.name} goes after ${desired.graceSeconds} s`;
    return [step(act, summary, 'no listener uses it any more'), ...later(deletion, now + desired.graceSeconds * 1_000)];
  }
  const until = Number(since) + desired.graceSeconds * 1_000;
  return now >= until ? deletion : later(deletion, until);
}

/**
 * Protection goes only when the Service asks for that; else AWS refuses the deletion, and people are told.
 * @param asked the attributes that the Service asks for
 */
export function deleteBalancer(
  { name, tags, attributes: seen }: SeenBalancer,
  reason: string,
  asked: Pick<Desired, 'attributes'>,
): readonly AwsStep[] {
  if (tags[TAG.adopted] !== undefined) {
    const act = { kind: 'leave-balancer', balancer: name } as const;
    return [step(act, `take our listeners and tags off NLB ${name}, which others made`, reason, { disrupts: true })];
  }
  const deletion = step({ kind: 'delete-balancer', balancer: name }, `delete NLB ${name}`, reason, { disrupts: true });
  const isOff = seen !== undefined && (seen[PROTECTION] ?? DEFAULTS[PROTECTION]) === 'false';
  if (asked.attributes[PROTECTION] !== 'false' || isOff) return [deletion];
  const act = { kind: 'set-balancer-attributes', balancer: name, attributes: { [PROTECTION]: 'false' } } as const;
  return [step(act, `set ${PROTECTION}=false on NLB ${name}`, 'the Service asks for it'), deletion];
}

function deleteGroup({ name }: SeenGroup, reason: string): AwsStep {
  return step({ kind: 'delete-target-group', group: name }, `delete target group ${name}`, reason);
}

/** Network interfaces of a deleted NLB hold their groups for a while, as AWS then says. */
function deleteSecurityGroup(group: SeenSecurityGroup, named: string, reason: string, now: number): AwsStep {
  const deletion = step({ kind: 'delete-security-group', group: named }, `delete security group ${group.name}`, reason);
  return (group.busyUntil ?? 0) > now ? { ...deletion, waitsFor: { what: 'time', until: group.busyUntil! } } : deletion;
}
