import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { connectionLimit, flowLimit, MAX_FLOWS, MAX_NEW_FLOWS_PER_SECOND } from '../../src/forwarder/limits.ts';
import { FlowTable, type Placed } from '../../src/forwarder/udp-flows.ts';
import { LEAST_MS, MOST_MS, Refusals } from '../../src/forwarder/udp-refusals.ts';

interface Named extends Placed {
  readonly name: number;
  idleMs: number;
}

const named = (of: number, idleMs: number): Named => ({ name: of, idleMs, lastMs: -1, place: undefined });

const LIMIT = 4;
const name = fc.nat({ max: 6 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('datagram' as const), name, idleMs: fc.constantFrom(10, 50, Number.POSITIVE_INFINITY) }),
  fc.record({ kind: fc.constant('end' as const), name }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 30 }) }),
  fc.record({ kind: fc.constant('times' as const), idleMs: fc.constantFrom(10, 50) }),
);

test('whatever happens, the table never holds more than its limit, and who goes was silent for longest', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new FlowTable<Named>(LIMIT);
      const flows = new Map<number, Named>();
      let now = 0;
      const drop = (flow: Named): void => {
        expect(table.delete(flow)).toBe(true);
        flows.delete(flow.name);
      };
      for (const each of steps) {
        if (each.kind === 'wait') now += each.ms;
        else if (each.kind === 'end') {
          const flow = flows.get(each.name);
          if (flow) drop(flow);
        } else if (each.kind === 'times') {
          for (const flow of flows.values()) flow.idleMs = each.idleMs;
          table.renewTimes();
        } else {
          const had = flows.get(each.name);
          if (had) table.touch(had, now);
          else {
            const silentLongest = Math.min(...[...flows.values()].map(({ lastMs }) => lastMs));
            if (flows.size === LIMIT) {
              expect(table.oldest!.lastMs).toBe(silentLongest);
              drop(table.oldest!);
            }
            const flow = named(each.name, each.idleMs);
            table.add(flow, now);
            flows.set(each.name, flow);
          }
        }
        const overdue = [...flows.values()].filter(({ lastMs, idleMs }) => now - lastMs >= idleMs);
        const found = table.silent(now);
        const names = (of: readonly Named[]) => of.map((flow) => flow.name);
        expect(names(found).sort()).toEqual(names(overdue).sort());
        expect(names(found)).toEqual(names(found.toSorted((a, b) => a.lastMs - b.lastMs)));
        for (const flow of found) drop(flow);
        expect(table.size).toBe(flows.size);
        expect(table.size).toBeLessThanOrEqual(LIMIT);
      }
    }),
  );
});

test('a full table takes no more, and what is not in it stays out', () => {
  const table = new FlowTable<Named>(1);
  const [first, second] = [1, 2].map((n) => named(n, 10));
  table.add(first!, 0);
  expect(() => table.add(second!, 0)).toThrow(RangeError);
  table.touch(second!, 5);
  expect(table.delete(second!)).toBe(false);
  expect(table.oldest === first).toBe(true);
});

test('no more flows begin in a second than the limit says', () => {
  const table = new FlowTable<Named>(1);
  const begun = (nowMs: number) => Array.from({ length: 30_000 }, () => table.mayBegin(nowMs)).filter((may) => may).length;
  expect([begun(1_500), begun(1_999), begun(2_000)]).toEqual([MAX_NEW_FLOWS_PER_SECOND, 0, MAX_NEW_FLOWS_PER_SECOND]);
});

test('flows take at most half of the descriptors that connections may', () => {
  expect(flowLimit(9_250)).toBe(9_250);
  expect(flowLimit(30_000)).toBe(MAX_FLOWS);
  expect(flowLimit(connectionLimit())).toBeGreaterThanOrEqual(100);
});

describe('a target that refuses', () => {
  test('is passed over for longer each time, at most for half a minute, until it answers', () => {
    const refusals = new Refusals<string>();
    let now = 0;
    for (let forMs = LEAST_MS; forMs <= MOST_MS * 2; forMs *= 2) {
      expect(refusals.refused('a', now)).toBe(true);
      expect(refusals.refused('a', now)).toBe(false);
      now += Math.min(forMs, MOST_MS) - 1;
      expect(refusals.isPassedOver('a', now)).toBe(true);
      now += 1;
      expect(refusals.isPassedOver('a', now)).toBe(false);
    }
    refusals.answered('a');
    refusals.refused('a', now);
    expect(refusals.isPassedOver('a', now + LEAST_MS)).toBe(false);
    expect(refusals.isPassedOver('b', now)).toBe(false);
  });

  test('is forgotten with its place in the rules', () => {
    const refusals = new Refusals<string>();
    refusals.refused('a', 0);
    refusals.keepOnly(new Set(['b']));
    expect(refusals.isPassedOver('a', 0)).toBe(false);
  });
});
