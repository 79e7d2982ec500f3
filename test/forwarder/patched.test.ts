import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { patch } from '../../src/forwarder/patched.ts';

const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
const base = () => new Map(keys.slice(0, 150).map((key, i) => [key, i]));
const edits = fc.dictionary(fc.constantFrom(...keys), fc.option(fc.nat(), { nil: undefined }), { maxKeys: 20 });

function edited(map: ReadonlyMap<string, number>, changes: Record<string, number | undefined>): Map<string, number> {
  const copy = new Map(map);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) copy.delete(key);
    else copy.set(key, value);
  }
  return copy;
}

describe('a map with edits', () => {
  test('is in every respect the edited copy, and each map before it stays as it was', () => {
    fc.assert(
      fc.property(fc.array(edits, { maxLength: 12 }), (steps) => {
        let [wanted, map]: [Map<string, number>, ReadonlyMap<string, number>] = [base(), base()];
        const past: [Map<string, number>, ReadonlyMap<string, number>][] = [];
        for (const step of steps) {
          past.push([wanted, map]);
          [wanted, map] = [edited(wanted, step), patch(map, new Map(Object.entries(step)))];
        }
        for (const [want, have] of [...past, [wanted, map] as const]) {
          expect(have.size).toBe(want.size);
          expect(new Map(have)).toEqual(want);
          expect(new Map([...have.keys()].map((key) => [key, have.get(key)]))).toEqual(want);
          expect([...have.values()].sort()).toEqual([...want.values()].sort());
          for (const key of keys) expect([have.get(key), have.has(key)]).toEqual([want.get(key), want.has(key)]);
          const visited = new Map<string, number>();
          have.forEach((value, key) => void visited.set(key, value));
          expect(visited).toEqual(want);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a small edit of a large map does not copy it, and many edits make one map again', () => {
    const large: ReadonlyMap<string, number> = new Map(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]));
    const once = patch(large, new Map([['k5', undefined]]));
    expect(once).not.toBeInstanceOf(Map);
    expect(once.size).toBe(9_999);
    let many = once;
    for (let i = 0; i < 1_000; i++) many = patch(many, new Map([[`more${i}`, i]]));
    expect(many.size).toBe(10_999);
    const all = patch(many, new Map(Array.from({ length: 700 }, (_, i) => [`yet${i}`, i])));
    expect(all).toBeInstanceOf(Map);
    expect(all.size).toBe(11_699);
  });

  test('without edits it is the same map', () => {
    const map = base();
    expect(patch(map, new Map())).toBe(map);
  });
});
