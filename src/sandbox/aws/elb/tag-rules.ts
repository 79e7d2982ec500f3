import { AwsFailure } from '../failure.ts';
import { list, record, textOf } from '../shapes.ts';
import type { World } from '../world.ts';

/** `Tags` of a request. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html */
export const tagsShape = list(record({ Key: textOf(1, 128), Value: textOf(0, 256) }, ['Key']));

export type AskedTags = readonly { readonly Key: string; readonly Value?: string | undefined }[];

/** The tags that a resource will have. @throws {AwsFailure} when they may not be */
export function mergeTags(
  world: World,
  present: ReadonlyMap<string, string> | undefined,
  asked: AskedTags = [],
): Map<string, string> {
  const keys = asked.map(({ Key }) => Key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new AwsFailure('DuplicateTagKeys', `Tag keys must be unique: '${twice}' is given twice`);
  const reserved = keys.find((key) => /^aws:/i.test(key));
  if (reserved !== undefined) {
    throw new AwsFailure('ValidationError', `Tag keys starting with 'aws:' are reserved for internal use: '${reserved}'`);
  }
  const merged = new Map(present);
  for (const { Key, Value } of asked) merged.set(Key, Value ?? '');
  if (merged.size > world.limits.tagsPerResource) {
    throw new AwsFailure('TooManyTags', `The maximum number of tags has been reached: ${world.limits.tagsPerResource}`);
  }
  return merged;
}

/** For comparing what was asked before with what is asked now. */
export function sortedTags(asked: AskedTags = []): readonly (readonly string[])[] {
  return asked.map(({ Key, Value }) => [Key, Value ?? '']).sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
}
