import type { Desired } from './desired.ts';
import { isRecorded, recordNames, writeRecord } from './own-targets.ts';
import type { SeenGroup, SeenTarget, Tags } from './picture.ts';
import type { DesiredGroup } from './ports.ts';
import { type AwsStep, step } from './steps.ts';

/**
 * The targets that are ours to take out. Where the record is only begun they are told by their instances, as nodes of ours; where it
 * ends, all are ours again.
 */
export function ownTargets(seen: SeenGroup, group: DesiredGroup, desired: Desired): readonly SeenTarget[] | undefined {
  if (!group.multiCluster) return seen.targets && [...seen.targets, ...(seen.others ?? [])];
  if (isRecorded(seen)) return seen.targets;
  const nodes = new Set(desired.targets.eligible);
  return seen.targets?.filter(({ id }) => nodes.has(id));
}

/**
 * In a group that others use, too, ours are on record before they are registered, and until they have been taken out.
 * @param tags what it shall have beside the record
 */
export function noteOwn(
  { seen, tags: beside }: { readonly seen: SeenGroup; readonly tags: Tags },
  own: readonly SeenTarget[] | undefined,
  group: Pick<DesiredGroup, 'multiCluster'>,
  desired: { readonly targets: Pick<Desired['targets'], 'ids'> },
): { readonly before: readonly AwsStep[]; readonly after: readonly AwsStep[] } {
  const { name: resource } = seen;
  if (!group.multiCluster) {
    const act = { kind: 'remove-tags', resources: [resource], tags: recordNames(seen.tags) } as const;
    const summary = `all targets of ${resource} are this cluster's again, whoever registered them`;
    const reason = 'aws-load-balancer-multi-cluster-target-group is not asked for any more';
    return { before: isRecorded(seen) ? [step(act, summary, reason)] : [], after: [] };
  }
  const { ids } = desired.targets;
  const note = (had: Tags, record: Tags): readonly AwsStep[] => {
    const tags = Object.fromEntries(Object.entries(record).filter(([name, value]) => had[name] !== value));
    if (Object.keys(tags).length === 0) return [];
    const act = { kind: 'add-tags', resources: [resource], tags } as const;
    return [step(act, `note in ${resource} which targets are this cluster's`, 'others register theirs there, which stay')];
  };
  const all = { ...seen.tags, ...beside };
  const registered = own?.map(({ id }) => id) ?? [];
  const record = writeRecord([...ids, ...registered], { had: seen.tags, keeps: own === undefined, beside: all });
  const last = own === undefined ? record : writeRecord(ids, { had: { ...seen.tags, ...record }, beside: all });
  return { before: note(seen.tags, record), after: note({ ...seen.tags, ...record }, last) };
}
