import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ALL_IDS, groupOf, penalties, planVips, priorityOf, type VipAgent } from '../../../src/agent/vips/plan.ts';

const agent = (name: string, ...addresses: string[]): VipAgent => ({ name, addresses });
const three = [agent('a', '10.0.0.1'), agent('b', '10.0.0.2'), agent('c', '10.0.0.3')];
const pool = Array.from({ length: 240 }, (_, i) => `10.0.0.${10 + i}`);

/** Who is first for each address. */
function firsts(agents: readonly VipAgent[], addresses: readonly string[] = pool): ReadonlyMap<string, string> {
  const { groups } = planVips(agents, addresses, ALL_IDS) ?? { groups: [] };
  return new Map(groups.flatMap((group) => group.addresses.map((address) => [address, group.order[0]!.name])));
}

describe('groups', () => {
  test('neighbouring addresses are in groups of their own', () => {
    expect(new Set(pool.map((address) => groupOf(address, ALL_IDS))).size).toBe(pool.length);
  });

  test('the id of a group depends on nothing but its addresses', () => {
    const [few, many] = [planVips(three, ['10.0.0.77'], ALL_IDS), planVips(three.slice(1), pool, ALL_IDS)];
    expect(many?.groups.find((group) => group.addresses.includes('10.0.0.77'))?.id).toBe(few?.groups[0]?.id);
  });

  test('every id is within the range, for any address and range', () => {
    const id = fc.integer({ min: 1, max: 255 });
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), id, id, (address, x, y) => {
        const ids = { first: Math.min(x, y), last: Math.max(x, y) };
        const found = groupOf(address, ids);
        return found >= ids.first && found <= ids.last;
      }),
    );
  });

  test('more addresses than ids share groups, and none is lost or doubled', () => {
    const { groups } = planVips(three, pool, { first: 100, last: 109 })!;
    expect(groups.map((group) => group.id)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
    expect(groups.flatMap((group) => group.addresses).sort()).toEqual([...pool].sort());
    expect(planVips(three, ['10.0.0.9', '10.0.0.9'], ALL_IDS)?.groups[0]?.addresses).toEqual(['10.0.0.9']);
  });

  test('the plan is the same whatever the order of the lists', () => {
    const sorted = planVips(three, ['10.0.0.10', '10.0.0.11'], ALL_IDS);
    expect(planVips([...three].reverse(), ['10.0.0.11', '10.0.0.10'], ALL_IDS)).toEqual(sorted);
  });
});

describe('the order of agents', () => {
  test('spreads addresses over the agents', () => {
    const counts = new Map<string, number>();
    for (const name of firsts(three).values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect(Math.min(...counts.values())).toBeGreaterThan(pool.length / 3 / 1.5);
  });

  test('an agent that leaves moves only what was its own', () => {
    const [before, after] = [firsts(three), firsts(three.slice(0, 2))];
    const moved = pool.filter((address) => before.get(address) !== after.get(address));
    expect(moved.length).toBeGreaterThan(0);
    expect(new Set(moved.map((address) => before.get(address)))).toEqual(new Set(['c']));
  });

  test('an agent that comes takes only what it shall have', () => {
    const [before, after] = [firsts(three), firsts([...three, agent('d', '10.0.0.4')])];
    const moved = pool.filter((address) => before.get(address) !== after.get(address));
    expect(new Set(moved.map((address) => after.get(address)))).toEqual(new Set(['d']));
  });
});

describe('the family that agents speak', () => {
  test('is IPv4 where all have it, else IPv6, and the first such address of each', () => {
    const both = [agent('a', 'fd00::1', '10.0.0.1', '10.1.0.1'), agent('b', '10.0.0.2', 'fd00::2')];
    expect(planVips(both, ['fd00::99'], ALL_IDS)).toMatchObject({ family: 'IPv4' });
    expect(
      planVips(both, ['fd00::99'], ALL_IDS)
        ?.groups[0]?.order.map((peer) => peer.address)
        .sort(),
    ).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(planVips([...both, agent('c', 'fd00::3')], ['fd00::99'], ALL_IDS)).toMatchObject({ family: 'IPv6' });
  });

  test('there may be none, and there may be no agent', () => {
    expect(planVips([agent('a', '10.0.0.1'), agent('b', 'fd00::2')], pool, ALL_IDS)).toBeUndefined();
    expect(planVips([], pool, ALL_IDS)).toBeUndefined();
  });
});

describe('priorities', () => {
  const fitnesses = ['full', 'partly', 'waiting', 'not'] as const;

  test.each([1, 2, 3, 10, 62, 200])('of %d agents fall with the rank, and any fitter one is above', (agents) => {
    const all = fitnesses.map((fitness) =>
      Array.from({ length: agents }, (_, rank) => priorityOf(rank, agents) + penalties[fitness]),
    );
    for (const band of all) expect([...band].sort((a, b) => b - a)).toEqual(band);
    for (let i = 1; i < all.length; i++) expect(Math.min(...all[i - 1]!)).toBeGreaterThan(Math.max(...all[i]!));
    expect(Math.min(...all.flat())).toBeGreaterThanOrEqual(1);
    expect(Math.max(...all.flat())).toBeLessThanOrEqual(254);
  });

  test('of the first 62 ranks are all different', () => {
    expect(new Set(Array.from({ length: 62 }, (_, rank) => priorityOf(rank, 62))).size).toBe(62);
  });
});
