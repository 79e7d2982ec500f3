import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../../src/errors.ts';

export interface Deadline {
  readonly withinMs: number;
  /** For the message: what was waited for. */
  readonly what: string;
  /** Default 50 ms. */
  readonly everyMs?: number;
}

/**
 * Asks again and again until the answer is neither undefined nor false. A condition that throws counts as not yet: what it
 * said last is in the message when time is up.
 */
export async function until<T>(condition: () => Promise<T> | T, deadline: Deadline): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + deadline.withinMs;
  let last = '';
  for (;;) {
    try {
      const answer = await condition();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
      last = `it was ${String(answer)}`;
    } catch (error) {
      last = explain(error);
    }
    if (Date.now() >= end) throw new Error(`not within ${deadline.withinMs} ms: ${deadline.what} (last: ${last})`);
    await sleep(deadline.everyMs ?? 50);
  }
}
