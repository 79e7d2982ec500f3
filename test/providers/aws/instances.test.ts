import { describe, expect, test } from '@jest/globals';
import { limitTargets } from '../../../src/providers/aws/instances.ts';
import type { SeenInstance } from '../../../src/providers/aws/picture.ts';

function account(count: number): Record<string, SeenInstance> {
  const ids = Array.from({ length: count }, (_, at) => `i-${String(at).padStart(8, '0')}`);
  return Object.fromEntries(
    ids.map((id, at) => [id, { id, state: 'running', vpcId: 'v', zone: 'abc'[at % 3]!, securityGroups: [] }]),
  );
}

const room = { key: 'default/web', groups: 2, isAcrossZones: false };
const all = (instances: Record<string, SeenInstance>) => ({
  eligible: [],
  ids: Object.keys(instances).sort(),
  nodes: {},
  skipped: [],
  leftOut: 0,
});

describe('more instances than an NLB takes', () => {
  test.each([
    { why: 'few', count: 100, room, chosen: 100 },
    { why: 'two ports: 250 a zone', count: 900, room, chosen: 750 },
    { why: 'across zones 500 registrations in all', count: 900, room: { ...room, isAcrossZones: true }, chosen: 250 },
    { why: 'seven ports: 71 a zone', count: 900, room: { ...room, groups: 7 }, chosen: 213 },
  ])('$why', ({ count, room: one, chosen }) => {
    const instances = account(count);
    const { ids, leftOut, limit } = limitTargets(all(instances), { instances }, one);
    expect([ids.length, leftOut, limit === undefined]).toEqual([chosen, count - chosen, count === chosen]);
  });

  test('the same ones each time, and one that comes moves one at most', () => {
    const instances = account(900);
    const before = limitTargets(all(instances), { instances }, room).ids;
    expect(limitTargets(all(instances), { instances }, room).ids).toEqual(before);
    const more = account(901);
    const after = limitTargets(all(more), { instances: more }, room).ids;
    expect(before.filter((id) => !after.includes(id)).length).toBeLessThanOrEqual(1);
  });

  test('each balancer has others, so that all nodes are used', () => {
    const instances = account(900);
    const other = limitTargets(all(instances), { instances }, { ...room, key: 'default/other' }).ids;
    expect(limitTargets(all(instances), { instances }, room).ids).not.toEqual(other);
  });
});
