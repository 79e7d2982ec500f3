import { expect, test } from '@jest/globals';
import { Budget, DueQueue, Round } from '../../src/forwarder/pace.ts';
import type { NodeEntry } from '../../src/forwarder/targets.ts';

const node = (slot: number): NodeEntry => ({ id: `n${slot}`, slot, rule: { id: `n${slot}`, addresses: [] }, addresses: [] });
const check = (name: string, members: number) => ({ name, members: Array.from({ length: members }, (_, slot) => node(slot)) });

test('over any second no more begins than the ceiling and what was saved up', () => {
  const budget = new Budget(200, 0);
  let begun = 0;
  for (let ms = 0; ms <= 10_000; ms += 25) {
    const may = budget.available(ms);
    budget.spend(may);
    begun += may;
  }
  expect(begun).toBeGreaterThan(1_990);
  expect(begun).toBeLessThanOrEqual(2_100);
});

test('what was spent beyond the budget is paid for before anything else begins', () => {
  const budget = new Budget(100, 0);
  budget.spend(150);
  expect([budget.available(0), budget.available(400), budget.available(600)]).toEqual([0, 0, 10]);
});

test('tasks come when they are due, the one that waits longest first', () => {
  const queue = new DueQueue<string>(25, 0);
  queue.add('later', 500);
  queue.add('now', 0);
  queue.add('soon', 100);
  expect(queue.take(0)).toBe('now');
  expect(queue.take(99)).toBeUndefined();
  expect(queue.take(100)).toBe('soon');
  expect(queue.take(10_000)).toBe('later');
  expect([queue.take(20_000), queue.size]).toEqual([undefined, 0]);
});

test('a round has every target once in its interval, evenly', () => {
  const round = new Round<ReturnType<typeof check>>(10_000, 0);
  round.add(check('a', 3));
  round.add(check('b', 2));
  const seen: string[] = [];
  const most: number[] = [];
  for (let ms = 25; ms <= 10_025; ms += 25) {
    const tasks = round.take(ms, 10);
    most.push(tasks.length);
    for (const task of tasks) seen.push(`${task.check.name}${task.node.slot}`);
  }
  expect(seen.sort()).toEqual(['a0', 'a1', 'a2', 'b0', 'b1']);
  expect(Math.max(...most)).toBe(1);
});

test('a round that may not keep its pace goes on where it was, and makes nothing up', () => {
  const round = new Round<ReturnType<typeof check>>(1_000, 0);
  const a = check('a', 100);
  round.add(a);
  const seen = new Set<number>();
  for (let ms = 100; ms <= 10_000; ms += 100) for (const task of round.take(ms, 1)) seen.add(task.node.slot);
  expect(seen.size).toBe(100);
  expect(round.take(60_000, 5).length).toBe(5);
  round.remove(a);
  expect([round.isEmpty, round.take(120_000, 5)]).toEqual([true, []]);
});
