import type { NodeTarget } from '../../model.ts';
import { chooseTargets, limitTargets } from './instances.ts';
import { CHANGING, TAG, uidsOf } from './names.ts';
import { isRecorded } from './own-targets.ts';
import type { Facts, Observed, SeenGroup } from './picture.ts';
import { noteOwn } from './plan-own-targets.ts';
import { planNodeRules } from './plan-security.ts';
import { planTargets } from './plan-targets.ts';
import { roomFor } from './room.ts';
import { type AwsStep, step, type TargetSpec } from './steps.ts';

/** What stands for Services that are refused, and of which nobody remembers what they were given. */
export interface Standing {
  readonly uids: readonly string[];
  /** Those that their Services ask for. */
  readonly nodes: readonly NodeTarget[];
  readonly facts: Facts;
}

/** Target groups that serve these Services. */
export function standingGroups(groups: readonly SeenGroup[], uids: readonly string[]): readonly SeenGroup[] {
  return groups.filter((one) => one.balancerArns.length > 0 && uidsOf(one.tags).some((uid) => uids.includes(uid)));
}

/**
 * Pure. The ports and everything else stay as they are; only instances come and go. Where no node is left that could be a target nothing
 * goes: what is known of the Service may be wrong.
 */
export function planFollow(observed: Observed, { uids, nodes, facts }: Standing): readonly AwsStep[] {
  const standing = standingGroups(observed.groups, uids);
  const arns = new Set(standing.flatMap(({ balancerArns }) => balancerArns));
  const balancers = observed.balancers.filter(({ arn }) => arns.has(arn));
  const used = observed.groups.filter(({ balancerArns }) => balancerArns.some((arn) => arns.has(arn)));
  const isAcrossZones = balancers.some(({ attributes }) => attributes?.['load_balancing.cross_zone.enabled'] === 'true');
  const targets = limitTargets(chooseTargets(nodes, facts), facts, { key: observed.key, groups: used.length, isAcrossZones });
  if (targets.ids.length === 0) return [];
  const zoneOf = ({ id }: TargetSpec): string => facts.instances[id]?.zone ?? '';
  const wanted = new Map(
    standing.map((group) => [group.name, portsOf(group).flatMap((port) => targets.ids.map((id) => ({ id, port })))]),
  );
  const stocks = used.map(({ name, targets: had = [], others = [] }) => ({
    had: [...had, ...others],
    wanted: wanted.get(name) ?? [],
  }));
  const around = { room: roomFor(stocks, isAcrossZones, zoneOf), zoneOf };
  const plans = standing.map((group) => {
    const own = isRecorded(group) ? { multiCluster: true as const } : {};
    const plan = planTargets(group.targets, { group: group.name }, wanted.get(group.name) ?? [], around);
    const notes = noteOwn({ seen: group, tags: {} }, group.targets, own, { targets });
    return { steps: [...notes.before, ...plan.steps, ...(plan.waiting.length > 0 ? [] : notes.after)], waiting: plan.waiting };
  });
  const sending = balancers.some((one) => one.securityGroups.includes(observed.shared.backend?.id ?? ''));
  const steps = [
    ...(sending ? planNodeRules(observed.shared, standing.flatMap(nodePortsOf)) : []),
    ...plans.flatMap((plan) => plan.steps),
  ];
  return [...(steps.length > 0 ? planDoubt(balancers) : []), ...steps, ...plans.flatMap((plan) => plan.waiting)];
}

/** That at which its instances are registered; while it changes there are two. */
function portsOf({ targets = [], port }: SeenGroup): readonly number[] {
  const ports = [...new Set(targets.map((one) => one.port))];
  return ports.length > 0 ? ports : [port];
}

function nodePortsOf(group: SeenGroup): readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[] {
  const transports =
    group.protocol === 'TCP_UDP' ? (['tcp', 'udp'] as const) : ([group.protocol === 'UDP' ? 'udp' : 'tcp'] as const);
  const own = portsOf(group).flatMap((port) => transports.map((protocol) => ({ protocol, port })));
  const { port } = group.check;
  return port === 'traffic-port'
    ? [...own, ...own.map((one) => ({ ...one, protocol: 'tcp' as const }))]
    : [...own, { protocol: 'tcp', port: Number(port) }];
}

/** What the tags say of its targets stands no longer: a start reads them. */
function planDoubt(balancers: Observed['balancers']): readonly AwsStep[] {
  const proven = balancers.filter(({ tags }) => tags[TAG.targets] !== undefined && tags[TAG.targets] !== CHANGING);
  if (proven.length === 0) return [];
  const resources = proven.map(({ name }) => name);
  const summary = `note on NLB ${resources.join(', ')} that its targets change`;
  const act = { kind: 'add-tags', resources, tags: { [TAG.targets]: CHANGING } } as const;
  return [step(act, summary, 'a start after a crash then looks at what is really there')];
}
