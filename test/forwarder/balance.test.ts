import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Affinity, MAX_AFFINITY_CLIENTS } from '../../src/forwarder/affinity.ts';
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

test('a client is remembered for its time, which each connection begins anew', () => {
  const affinity = new Affinity<string>();
  affinity.keep('10.0.0.1', 'node-1', 1_000);
  expect(affinity.find('10.0.0.1', 999)).toBe('node-1');
  expect(affinity.find('10.0.0.2', 999)).toBeUndefined();
  affinity.keep('10.0.0.1', 'node-1', 1_999);
  expect(affinity.find('10.0.0.1', 1_998)).toBe('node-1');
  expect(affinity.find('10.0.0.1', 1_999)).toBeUndefined();
});

test('when more clients come than are remembered, the one unused for longest is forgotten', () => {
  const affinity = new Affinity<number>();
  for (let i = 0; i < MAX_AFFINITY_CLIENTS; i++) affinity.keep(`client ${i}`, i, 1);
  affinity.keep('client 0', 0, 1);
  affinity.keep('one more', 1, 1);
  expect([affinity.find('client 0', 0), affinity.find('client 1', 0), affinity.find('one more', 0)]).toEqual([0, undefined, 1]);
});
