import { setTimeout as sleep } from 'node:timers/promises';

/** How often it is looked whether connections have ended. */
const LOOK_MS = 100;

/** A listener whose clients may be waited for. */
export interface Outlasted {
  /** Of its rule. */
  readonly drainMs: number;
  /** What is open now, and not about to end by itself. */
  established(): Iterable<object>;
}

/**
 * Resolves when everything that is established now has ended, or has had the drain time of its listener, and at most `mostMs`; and at
 * once when there is reason to hurry. What comes meanwhile is not waited for.
 */
export async function outlast(listeners: Iterable<Outlasted>, mostMs: number, hurry: AbortSignal): Promise<void> {
  const begunMs = performance.now();
  let waits = [...listeners].map((listener) => ({
    listener,
    since: new Set(listener.established()),
    untilMs: begunMs + Math.min(mostMs, listener.drainMs),
  }));
  for (;;) {
    const now = performance.now();
    waits = waits.filter(({ listener, since, untilMs }) => now < untilMs && hasAnyOf(listener.established(), since));
    if (waits.length === 0 || hurry.aborted) return;
    await sleep(LOOK_MS, undefined, { signal: hurry }).catch(() => {}); // woken to hurry
  }
}

function hasAnyOf(open: Iterable<object>, since: ReadonlySet<object>): boolean {
  for (const one of open) if (since.has(one)) return true;
  return false;
}
