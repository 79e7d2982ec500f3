import { BadParameter } from './failure.ts';
import { type Branch, elementsOf } from './query.ts';

/** Reads one parameter. @throws {BadParameter} */
export type Reader<T> = (branch: Branch, where: string) => T;

type Fields = Readonly<Record<string, Reader<unknown>>>;
type Read<F extends Fields, R extends keyof F> = { readonly [K in R]: ReturnType<F[K]> } & {
  readonly [K in Exclude<keyof F, R>]?: ReturnType<F[K]> | undefined;
};

export const text: Reader<string> = (branch, where) => {
  if (branch.text === undefined) throw new BadParameter('value', where, '', 'It is not a structure');
  return branch.text;
};

/** A text whose length is bounded, in characters. */
export function textOf(min: number, max: number): Reader<string> {
  return (branch, where) => {
    const value = text(branch, where);
    if (value.length < min) throw tooShort(where, value, min);
    if (value.length > max) throw tooLong(where, value, max);
    return value;
  };
}

export const flag: Reader<boolean> = (branch, where) => {
  const value = text(branch, where);
  if (value !== 'true' && value !== 'false') throw new BadParameter('value', where, value, 'Member must be true or false');
  return value === 'true';
};

/** A whole number from min to max. */
export function whole(min: number, max: number): Reader<number> {
  return (branch, where) => {
    const value = text(branch, where);
    if (!/^-?\d{1,15}$/.test(value)) throw new BadParameter('value', where, value, 'Member must be a number');
    if (Number(value) < min) {
      throw new BadParameter('value', where, value, `Member must have value greater than or equal to ${min}`);
    }
    if (Number(value) > max) {
      throw new BadParameter('value', where, value, `Member must have value less than or equal to ${max}`);
    }
    return Number(value);
  };
}

export function oneOf<const V extends string>(...values: readonly V[]): Reader<V> {
  return (branch, where) => {
    const value = text(branch, where);
    const known = values.find((one) => one === value);
    if (known === undefined) {
      throw new BadParameter('value', where, value, `Member must satisfy enum value set: [${values.join(', ')}]`);
    }
    return known;
  };
}

/** A list with at most `max` elements. */
export function list<T>(of: Reader<T>, max = 10_000): Reader<readonly T[]> {
  return (branch, where) => {
    const elements = elementsOf(branch);
    if (elements.length > max) throw tooLong(where, `[${elements.length} elements]`, max);
    return elements.map((element, index) => of(element, `${where}.${index + 1}`));
  };
}

/** A structure. What it does not name is refused, so that nothing that is sent is passed over in silence. */
export function record<F extends Fields, R extends keyof F & string = never>(
  fields: F,
  required: readonly R[] = [],
): Reader<Read<F, R>> {
  return (branch, where) => {
    const inside = (name: string) => (where ? `${where}.${name}` : name);
    for (const name of branch.twigs.keys()) {
      if (!Object.hasOwn(fields, name)) throw new BadParameter('unknown', inside(name));
    }
    for (const name of required) {
      if (!branch.twigs.has(name)) throw new BadParameter('missing', inside(name));
    }
    const read = Object.entries(fields).flatMap(([name, reader]) => {
      const twig = branch.twigs.get(name);
      return twig ? [[name, reader(twig, inside(name))]] : [];
    });
    return Object.fromEntries(read) as Read<F, R>;
  };
}

function tooLong(where: string, value: string, max: number): BadParameter {
  return new BadParameter('value', where, value, `Member must have length less than or equal to ${max}`);
}

function tooShort(where: string, value: string, min: number): BadParameter {
  return new BadParameter('value', where, value, `Member must have length greater than or equal to ${min}`);
}
