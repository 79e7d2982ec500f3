import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Affinity } from '../../src/forwarder/affinity.ts';
import type { Attempt } from '../../src/forwarder/dial.ts';
import { SLOTS, slotOf } from '../../src/forwarder/kernel/slots.ts';

const HOUR_MS = 3_600_000;

function targetsOf(count: number): readonly Attempt[] {
  return Array.from({ length: count }, (_, i) => {
    const address = `10.0.0.${i + 1}`;
    const id = `node-${i + 1}`;
    return {
      node: { id, slot: i, rule: { id, addresses: [address] }, addresses: [address] },
      endpoint: { address, port: 30_080 },
    };
  });
}

/** A client connects: it is sent somewhere, and its slot has that target from then on. */
function connect(affinity: Affinity, client: string, healthy: readonly Attempt[], nowMs = 0, forMs = HOUR_MS): string {
  const chosen = affinity.choose(client, healthy, nowMs)!;
  affinity.keep(client, chosen.node, nowMs + forMs);
  return chosen.node.id;
}

const clients = fc.uniqueArray(fc.oneof(fc.ipV4(), fc.ipV6()), { minLength: 1, maxLength: 60 });

describe('session affinity of the userspace path', () => {
  test('a target that goes moves only the clients of its own slots', () => {
    fc.assert(
      fc.property(clients, fc.integer({ min: 2, max: 9 }), fc.nat(), (all, count, which) => {
        const affinity = new Affinity();
        const healthy = targetsOf(count);
        const before = all.map((client) => connect(affinity, client, healthy));
        const gone = healthy[which % count]!.node.id;
        const rest = healthy.filter(({ node }) => node.id !== gone);
        const after = all.map((client) => connect(affinity, client, rest));
        expect(after.filter((target, i) => before[i] !== gone && before[i] !== target)).toEqual([]);
        expect(after).not.toContain(gone);
      }),
    );
  });

  test('a target that comes, or comes back, moves nobody before his time is over', () => {
    fc.assert(
      fc.property(clients, fc.integer({ min: 1, max: 9 }), (all, count) => {
        const affinity = new Affinity();
        const healthy = targetsOf(count + 1);
        const few = healthy.slice(1);
        const before = all.map((client) => connect(affinity, client, few));
        expect(all.map((client) => connect(affinity, client, healthy, HOUR_MS - 1))).toEqual(before);
        expect(all.map((client) => connect(affinity, client, healthy, 2 * HOUR_MS - 2))).toEqual(before);
        const late = all.map((client) => connect(affinity, client, healthy, 4 * HOUR_MS));
        expect(late).toEqual(all.map((client) => connect(new Affinity(), client, healthy)));
      }),
    );
  });

  test('a forwarder that is started anew, and one on another machine, choose the same', () => {
    fc.assert(
      fc.property(clients, fc.integer({ min: 1, max: 9 }), (all, count) => {
        const healthy = targetsOf(count);
        const [one, other] = [new Affinity(), new Affinity()];
        const chosen = all.map((client) => connect(one, client, healthy));
        expect([...all].reverse().map((client) => connect(other, client, [...healthy].reverse()))).toEqual(chosen.reverse());
      }),
    );
  });

  test('the time of a slot begins anew with each connection, and without one it ends', () => {
    const affinity = new Affinity();
    const [own, other] = targetsOf(2);
    affinity.keep('10.1.0.1', own!.node, 1_000);
    expect(affinity.choose('10.1.0.1', [own!, other!], 999)).toBe(own);
    affinity.keep('10.1.0.1', other!.node, 1_999);
    expect(affinity.choose('10.1.0.1', [own!, other!], 1_998)).toBe(other);
    const fresh = new Affinity().choose('10.1.0.1', [own!, other!], 0);
    expect(affinity.choose('10.1.0.1', [own!, other!], 1_999)).toBe(fresh);
    expect(affinity.choose('10.1.0.1', [], 0)).toBeUndefined();
  });

  test('however many clients come they fall into 1,024 slots, evenly, and all of a slot are together', () => {
    expect(SLOTS).toBe(1024);
    const healthy = targetsOf(5);
    const affinity = new Affinity();
    const ofSlot = new Map<number, string>();
    const ofTarget = new Map<string, number>();
    const filled = new Map<number, number>();
    const apart: string[] = [];
    for (let i = 0; i < 50_000; i++) {
      const client = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      const target = connect(affinity, client, healthy, i);
      const slot = slotOf(client);
      if ((ofSlot.get(slot) ?? target) !== target) apart.push(client);
      ofSlot.set(slot, target);
      filled.set(slot, (filled.get(slot) ?? 0) + 1);
      ofTarget.set(target, (ofTarget.get(target) ?? 0) + 1);
    }
    expect(apart).toEqual([]);
    expect(filled.size).toBe(SLOTS);
    expect(Math.max(...filled.values())).toBeLessThan(4 * (50_000 / SLOTS));
    for (const count of ofTarget.values()) expect(Math.abs(count - 10_000)).toBeLessThan(3_000);
  });

  test('a client is the same by its IPv4 address and by the IPv6 form of it', () => {
    expect(slotOf('::ffff:10.0.0.1')).toBe(slotOf('10.0.0.1'));
  });
});
