import { createHash } from 'node:crypto';
import { Refusal } from '../../errors.ts';
import { TAG } from './names.ts';
import type { SeenGroup, SeenTarget, Tags } from './picture.ts';

/**
 * A target group that others use, too (`aws-load-balancer-multi-cluster-target-group`) carries a record of the instances that were
 * registered by us, in its own tags: written before an instance is registered and shortened after it was taken out, so that whatever a
 * crash leaves behind is known as ours, and nothing else ever is.
 */

/** An instance in the record: 36 bits, so that one of another's that is taken for ours is found once in 70,000 groups of a thousand beside a thousand. */
const LETTERS = 6;
/** Fingerprints in one tag, which has at most 256 letters. */
const PER_TAG = 42;
/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddTags.html */
const TAGS_MAX = 50;

function markOf(instanceId: string): string {
  return createHash('sha256').update(instanceId).digest('base64url').slice(0, LETTERS);
}

function tagName(at: number): string {
  return at === 0 ? TAG.own : `${TAG.own}-${at + 1}`;
}

/** The tags that hold the record; empty: the group is ours alone. */
export function recordNames(tags: Tags): readonly string[] {
  return Object.keys(tags).filter((name) => name === TAG.own || name.startsWith(`${TAG.own}-`));
}

/** Whether the targets of the group may be others', too. */
export function isRecorded({ tags }: Pick<SeenGroup, 'tags'>): boolean {
  return tags[TAG.own] !== undefined;
}

function marksIn(tags: Tags): ReadonlySet<string> {
  const marks = recordNames(tags).flatMap((name) => tags[name]!.match(new RegExp(`.{${LETTERS}}`, 'g')) ?? []);
  return new Set(marks);
}

/**
 * The record as tags. What it had more is emptied, which costs no call of its own.
 * @param had tags of the group as it is
 * @param keeps whether what is in the record already stays, because it is not known what is registered
 * @throws {Refusal} when a resource does not take so many tags
 */
export function writeRecord(
  instanceIds: Iterable<string>,
  { had = {}, keeps = false, beside = {} }: { readonly had?: Tags; readonly keeps?: boolean; readonly beside?: Tags } = {},
): Tags {
  const marks = [...new Set([...[...instanceIds].map(markOf), ...(keeps ? marksIn(had) : [])])].sort();
  const count = Math.max(1, Math.ceil(marks.length / PER_TAG));
  const chunks = Array.from({ length: count }, (_, at) => marks.slice(at * PER_TAG, (at + 1) * PER_TAG).join(''));
  const record = Object.fromEntries(chunks.map((chunk, at) => [tagName(at), chunk]));
  const emptied = Object.fromEntries(recordNames(had).map((name) => [name, '']));
  const names = new Set([...Object.keys(emptied), ...Object.keys(record)]);
  const rest = Object.keys(beside).filter((name) => !names.has(name)).length;
  if (names.size + rest > TAGS_MAX) {
    const what = `the record of ${marks.length} instances takes ${names.size} tags beside ${rest} others`;
    throw new Refusal(
      'QuotaExceeded',
      `aws-load-balancer-multi-cluster-target-group: ${what}, and a target group has ${TAGS_MAX}`,
    );
  }
  return { ...emptied, ...record };
}

/** Targets by whose they are; those of a group without a record are all ours. */
export function sortTargets(tags: Tags, targets: readonly SeenTarget[]): Pick<SeenGroup, 'targets' | 'others'> {
  if (!isRecorded({ tags })) return { targets };
  const ours = marksIn(tags);
  return {
    targets: targets.filter(({ id }) => ours.has(markOf(id))),
    others: targets.filter(({ id }) => !ours.has(markOf(id))),
  };
}

/** The same with its targets sorted by the tags that it has now. */
export function sortAgain(group: SeenGroup): SeenGroup {
  const { targets, others = [], ...rest } = group;
  if (targets === undefined || (others.length === 0 && !isRecorded(group))) return group;
  return { ...rest, ...sortTargets(group.tags, [...targets, ...others]) };
}

/** The first few of others' targets, for people. */
const NAMED = 3;

export function sayOthers(others: readonly SeenTarget[]): string {
  const named = others.slice(0, NAMED).map(({ id, port }) => `${id}:${port}`);
  const more = others.length > NAMED ? ` and ${others.length - NAMED} more` : '';
  return `${others.length === 1 ? 'a target' : `${others.length} targets`} that others registered (${named.join(', ')}${more})`;
}
