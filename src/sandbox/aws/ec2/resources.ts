import { AwsFailure } from '../failure.ts';
import { flag, list, text } from '../shapes.ts';
import type { World } from '../world.ts';
import type { XmlObject } from '../xml.ts';
import { filterShape } from './filters.ts';

/** What every Describe takes. */
export const describeFields = { DryRun: flag, Filter: filterShape };
export const ids = list(text, 1000);

/** The things with these ids, or all of them.
 *  @param code of the failure: `InvalidSubnetID.NotFound`; @param called `subnet ID` */
export function pick<T>(
  wanted: readonly string[] | undefined,
  find: (id: string) => T | undefined,
  all: () => readonly T[],
  { code, called }: { readonly code: string; readonly called: string },
): readonly T[] {
  if (!wanted?.length) return all();
  const missing = wanted.filter((id) => find(id) === undefined);
  if (missing.length > 0) {
    const [word, verb] = missing.length === 1 ? [called, 'does'] : [`${called}s`, 'do'];
    throw new AwsFailure(code, `The ${word} '${missing.join(', ')}' ${verb} not exist`);
  }
  return [...new Set(wanted)].map((id) => find(id)!);
}

export function tagSet(world: World, id: string): readonly XmlObject[] {
  return [...(world.tags.get(id) ?? [])].map(([key, value]) => ({ key, value }));
}
