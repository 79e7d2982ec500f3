import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { firstCursor, orderTargets } from '../../src/forwarder/balance.ts';

const disjoint = fc
  .uniqueArray(fc.nat({ max: 50 }), { maxLength: 12 })
  .chain((all) => fc.nat({ max: all.length }).map((cut) => [all.slice(0, cut), all.slice(cut)] as const));

test('every target is tried once, and all healthy ones before the others', () => {
  fc.assert(
    fc.property(disjoint, fc.nat(), ([healthy, others], cursor) => {
      const order = orderTargets(healthy, others, cursor);
      expect([...order].sort()).toEqual([...healthy, ...others].sort());
      expect(new Set(order.slice(0, healthy.length))).toEqual(new Set(healthy));
    }),
  );
});

test('over any run of connections the first choices differ by one at most', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 10 }),
      fc.nat(),
      fc.nat({ max: 100 }),
      (healthy, from, count) => {
        const chosen = new Map(healthy.map((target) => [target, 0]));
        for (let i = 0; i < count; i++) {
          const [first] = orderTargets(healthy, [], from + i);
          chosen.set(first!, chosen.get(first!)! + 1);
        }
        expect(Math.max(...chosen.values()) - Math.min(...chosen.values())).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test('listeners begin their turns at different targets', () => {
  const begins = Array.from({ length: 300 }, (_, i) => firstCursor(`default/service-${i}:80`) % 3);
  for (const target of [0, 1, 2]) expect(begins.filter((begin) => begin === target).length).toBeGreaterThan(60);
});
