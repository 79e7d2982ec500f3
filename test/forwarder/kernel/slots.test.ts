import { expect, test } from '@jest/globals';
import { fillSlots, SLOTS } from '../../../src/forwarder/kernel/slots.ts';

const targets = Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}`);
const named = (of: readonly string[]) => fillSlots(of).map((i) => of[i]!);

test('every target has a fair share', () => {
  const counts = new Map<string, number>();
  for (const target of named(targets)) counts.set(target, (counts.get(target) ?? 0) + 1);
  expect(counts.size).toBe(targets.length);
  for (const count of counts.values()) expect(Math.abs(count - SLOTS / targets.length)).toBeLessThan(SLOTS / targets.length / 2);
});

test.each(targets)('when %s goes, only its own slots move', (gone) => {
  const before = named(targets);
  const after = named(targets.filter((target) => target !== gone));
  expect(after.filter((target, slot) => before[slot] !== gone && before[slot] !== target)).toEqual([]);
});

test('the order of the targets does not matter', () => {
  expect(named([...targets].reverse())).toEqual(named(targets));
});
