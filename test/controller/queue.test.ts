import { describe, expect, test } from '@jest/globals';
import { makeQueue, type Next, type Queue } from '../../src/controller/queue.ts';

const meter = { depth() {}, added() {}, waited() {}, worked() {}, retried() {} };

function gate(): { open(): void; passed: Promise<void> } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

function queueOf(
  work: (key: string) => Promise<Next>,
  failed: (key: string, attempt: number, retryMs: number) => void = () => {},
): Queue {
  const queue = makeQueue({
    workers: 4,
    work,
    failed: (key, _thrown, attempt, retryMs) => failed(key, attempt, retryMs),
    meter,
    random: () => 1,
  });
  queue.start();
  return queue;
}

describe('the queue of balancer keys', () => {
  test('a key is never worked on by two workers, and once more for all that came meanwhile', async () => {
    const first = gate();
    let running = 0;
    let most = 0;
    let passes = 0;
    const queue = queueOf(async () => {
      passes += 1;
      running += 1;
      most = Math.max(most, running);
      if (passes === 1) await first.passed;
      running -= 1;
      return {};
    });
    queue.add('a');
    for (let i = 0; i < 10; i++) queue.add('a');
    first.open();
    await queue.idle();
    expect({ passes, most }).toEqual({ passes: 2, most: 1 });
  });

  test('a failing key is tried again with growing pauses, and does not hold up the others', async () => {
    const pauses: number[] = [];
    const enough = gate();
    const done: string[] = [];
    const queue = queueOf(
      async (key) => {
        if (key === 'bad') throw new Error('no');
        done.push(key);
        return {};
      },
      (_key, attempt, retryMs) => {
        pauses.push(retryMs);
        if (attempt === 3) enough.open();
      },
    );
    queue.add('bad');
    queue.add('good');
    await enough.passed;
    await queue.pause();
    expect(done).toEqual(['good']);
    expect(pauses).toEqual([250, 500, 1000]);
  });

  test('a changed input ends the pause at once and begins the backoff anew', async () => {
    const attempts: number[] = [];
    let tried = gate();
    const queue = queueOf(
      async () => {
        throw new Error('no');
      },
      (_key, attempt) => {
        attempts.push(attempt);
        tried.open();
      },
    );
    for (let i = 0; i < 3; i++) {
      tried = gate();
      queue.add('bad');
      await tried.passed;
    }
    await queue.pause();
    expect(attempts).toEqual([1, 1, 1]);
  });

  test('a paused queue hands out nothing, forgets nothing, and goes on after the next start', async () => {
    const done: string[] = [];
    const queue = queueOf(async (key) => {
      done.push(key);
      return { afterMs: 60_000 };
    });
    queue.add('a');
    await queue.idle();
    await queue.pause();
    queue.add('b');
    expect(done).toEqual(['a']);
    queue.start();
    await queue.idle();
    expect(done).toEqual(['a', 'a', 'b']);
    await queue.pause();
  });

  test('a key that asks for another look never, or in a year, is not looked at in a hurry', async () => {
    let passes = 0;
    const queue = queueOf(async (key) => {
      passes += 1;
      return { afterMs: key === 'never' ? Number.POSITIVE_INFINITY : 3e10 };
    });
    queue.add('never');
    queue.add('year');
    await queue.idle();
    await new Promise((resolve) => setImmediate(resolve));
    expect({ passes, never: queue.retriesAt('never'), year: queue.retriesAt('year')! > Date.now() + 1e9 }).toEqual({
      passes: 2,
      never: undefined,
      year: true,
    });
    await queue.pause();
  });

  test('a key that asks for another look during a pause sets no timer, and is looked at after the next start', async () => {
    const first = gate();
    let passes = 0;
    const queue = queueOf(async () => {
      passes += 1;
      await first.passed;
      return { afterMs: 60_000 };
    });
    queue.add('a');
    const paused = queue.pause();
    first.open();
    await paused;
    expect(queue.retriesAt('a')).toBeUndefined();
    queue.start();
    await queue.idle();
    expect(passes).toBe(2);
    await queue.pause();
  });

  test('a key that asks for another look gets it', async () => {
    const second = gate();
    let passes = 0;
    const queue = queueOf(async () => {
      passes += 1;
      if (passes === 2) second.open();
      return passes === 1 ? { afterMs: 1 } : {};
    });
    queue.add('a');
    await second.passed;
    await queue.pause();
    expect(passes).toBe(2);
  });

  test('is calm when it has been idle for a while, not in a gap of a burst, and at once when it is paused', async () => {
    let endedAt = 0;
    const queue = queueOf(async () => {
      endedAt = performance.now();
      return {};
    });
    queue.add('first');
    await queue.idle();
    const idleMs = queue.calm().then(() => performance.now() - endedAt);
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      queue.add(`key ${i}`);
    }
    expect(await idleMs).toBeGreaterThan(150);
    const busy = gate();
    const slow = queueOf(async () => {
      await busy.passed;
      return {};
    });
    slow.add('a');
    const paused = slow.calm();
    const end = slow.pause();
    busy.open();
    await Promise.all([paused, end]);
  });
});
