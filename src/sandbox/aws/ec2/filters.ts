import { AwsFailure } from '../failure.ts';
import { list, record, text } from '../shapes.ts';
import type { World } from '../world.ts';

/** `Filter` of a request. */
export const filterShape = list(record({ Name: text, Value: list(text) }, ['Name']));
export type AskedFilters = readonly { readonly Name: string; readonly Value?: readonly string[] | undefined }[];

/** What a filter looks at: the values of one thing. Any of them may match. */
export type Facets<T> = Readonly<Record<string, (thing: T) => readonly (string | number | boolean | undefined)[]>>;

const MAX_VALUES = 200;

/** All filters must match; of one filter's values any one. `*` stands for any text and `?` for one character.
 *  @param idOf whose tags `tag:KEY` and `tag-key` look at; undefined: the thing has none
 *  @throws {AwsFailure} InvalidParameterValue for a filter that the action does not know */
export function keepMatching<T>(
  world: World,
  things: readonly T[],
  filters: AskedFilters | undefined,
  facets: Facets<T>,
  idOf?: (thing: T) => string,
): readonly T[] {
  const tests = (filters ?? []).map((filter) => testOf(world, filter, facets, idOf));
  return things.filter((thing) => tests.every((test) => test(thing)));
}

function testOf<T>(
  world: World,
  { Name, Value = [] }: AskedFilters[number],
  facets: Facets<T>,
  idOf: ((thing: T) => string) | undefined,
): (thing: T) => boolean {
  if (Value.length === 0) throw new AwsFailure('InvalidParameterValue', `The filter '${Name}' has no values`);
  if (Value.length > MAX_VALUES) {
    throw new AwsFailure(
      'FilterLimitExceeded',
      `The maximum number of filter values specified on a single call is ${MAX_VALUES}`,
    );
  }
  const patterns = Value.map(patternOf);
  const any = (values: readonly (string | number | boolean | undefined)[]) =>
    values.some((value) => value !== undefined && patterns.some((pattern) => pattern.test(String(value))));
  if (idOf && Name.startsWith('tag:')) {
    return (thing) => any([world.tags.get(idOf(thing))?.get(Name.slice('tag:'.length))]);
  }
  if (idOf && Name === 'tag-key') return (thing) => any([...(world.tags.get(idOf(thing))?.keys() ?? [])]);
  const facet = Object.hasOwn(facets, Name) ? facets[Name] : undefined;
  if (!facet) throw new AwsFailure('InvalidParameterValue', `The filter '${Name}' is invalid`);
  return (thing) => any(facet(thing));
}

function patternOf(value: string): RegExp {
  const escaped = value.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/\*+/g, '.*').replace(/\?/g, '.')}$`, 's');
}
