import { setTimeout as sleep } from 'node:timers/promises';

/** What a worker answers when it is done with a key. */
export interface Next {
  /** Look at the key again after this many milliseconds, though nothing may have changed; undefined or Infinity: do not. */
  readonly afterMs?: number;
}

export interface QueueOptions {
  /** Keys worked on at one time. */
  readonly workers: number;
  work(key: string): Promise<Next>;
  /** Called for each failure, with how many there have been in a row and when the next try comes. */
  failed(key: string, thrown: unknown, attempt: number, retryMs: number): void;
  readonly meter: QueueMeter;
  readonly random?: () => number;
}

/** What the queue tells about itself, in client-go's terms. */
export interface QueueMeter {
  /** Keys that wait for a worker. */
  depth(keys: number): void;
  added(): void;
  retried(): void;
  waited(seconds: number): void;
  worked(seconds: number): void;
}

export interface Queue {
  /** Some input of the key has changed: it is worked on as soon as a worker is free, and its backoff begins anew. */
  add(key: string): void;
  /** Milliseconds until the key's next try after a failure, or undefined. For the curious (status page, logs). */
  retriesAt(key: string): number | undefined;
  start(): void;
  /** Hands out no more keys; resolves when the work under way has ended. `start` may be called again. */
  pause(): Promise<void>;
  /** Resolves when nothing waits and nothing is under way (delayed keys do not count). */
  idle(): Promise<void>;
  /**
   * Resolves when it has been idle for CALM_MS, or is paused: a burst has gaps. There is no limit to how long that may take; whoever
   * waits sets one.
   */
  calm(): Promise<void>;
}

/** Between two changes of one burst there is less: 1,000 Services made by 32 clients come some 4 ms apart, and a slow disk takes 100. */
const CALM_MS = 200;

/** First and longest pause after a failure. */
const BACKOFF_MIN_MS = 250;
const BACKOFF_MAX_MS = 60_000;
/** The longest time that a timer of Node takes. @see https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * A queue of keys, never of objects or events. A key is worked on by one worker at a time; a key that is added meanwhile is
 * worked on once more afterwards, however often it was added. Unbounded only in the number of distinct keys, which is the
 * number of balancers.
 */
export function makeQueue(options: QueueOptions): Queue {
  const waiting = new Map<string, number>(); // key -> when it was added, in the order of adding
  const running = new Map<string, { again: boolean }>();
  const delayed = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  const failures = new Map<string, number>();
  const idlers = new Set<() => void>();
  const random = options.random ?? Math.random;
  let started = false;
  let idleSince: number | undefined = performance.now(); // undefined: it is not idle
  let calming: Promise<void> | undefined;

  function add(key: string): void {
    failures.delete(key);
    enqueue(key);
  }

  function enqueue(key: string): void {
    cancelDelay(key);
    const busy = running.get(key);
    if (busy) {
      busy.again = true;
      return;
    }
    if (waiting.has(key)) return;
    waiting.set(key, performance.now());
    options.meter.added();
    options.meter.depth(waiting.size);
    handOut();
  }

  function handOut(): void {
    while (started && running.size < options.workers) {
      const first = waiting.entries().next();
      if (first.done) break;
      const [key, since] = first.value;
      waiting.delete(key);
      options.meter.depth(waiting.size);
      options.meter.waited((performance.now() - since) / 1000);
      running.set(key, { again: false });
      void work(key);
    }
    tellIdlers();
  }

  async function work(key: string): Promise<void> {
    const began = performance.now();
    try {
      const next = await options.work(key);
      failures.delete(key);
      finish(key, next.afterMs);
    } catch (thrown) {
      finish(key, recordFailure(key, thrown));
    } finally {
      options.meter.worked((performance.now() - began) / 1000);
    }
  }

  function recordFailure(key: string, thrown: unknown): number {
    const attempt = (failures.get(key) ?? 0) + 1;
    failures.set(key, attempt);
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** (attempt - 1));
    const retryMs = ceiling * (0.75 + random() / 4); // jitter, so that many failures do not come back in step
    options.meter.retried();
    options.failed(key, thrown, attempt, retryMs);
    return retryMs;
  }

  function finish(key: string, afterMs: number | undefined): void {
    const again = running.get(key)?.again;
    running.delete(key);
    if (again) enqueue(key);
    else if (afterMs !== undefined && Number.isFinite(afterMs)) delay(key, Math.min(afterMs, TIMER_MAX_MS));
    handOut();
  }

  function delay(key: string, ms: number): void {
    cancelDelay(key);
    if (!started) {
      waiting.set(key, performance.now()); // no timer outlives a pause
      return;
    }
    const timer = setTimeout(() => {
      delayed.delete(key);
      enqueue(key);
    }, ms);
    delayed.set(key, { timer, at: Date.now() + ms });
  }

  function cancelDelay(key: string): void {
    const pending = delayed.get(key);
    if (!pending) return;
    clearTimeout(pending.timer);
    delayed.delete(key);
  }

  function tellIdlers(): void {
    idleSince = isIdle() ? (idleSince ?? performance.now()) : undefined;
    if (idleSince === undefined) return;
    for (const tell of idlers) tell();
    idlers.clear();
  }

  function isIdle(): boolean {
    return running.size === 0 && (waiting.size === 0 || !started);
  }

  async function whenIdle(): Promise<void> {
    if (!isIdle()) await new Promise<void>((resolve) => idlers.add(resolve));
  }

  async function calmDown(): Promise<void> {
    for (;;) {
      await whenIdle();
      if (!started) return;
      const leftMs = CALM_MS - (performance.now() - (idleSince ?? performance.now()));
      if (leftMs <= 0) return;
      await sleep(leftMs, undefined, { ref: false });
    }
  }

  return {
    add,
    retriesAt: (key) => delayed.get(key)?.at,
    start() {
      started = true;
      handOut();
    },
    async pause() {
      started = false;
      for (const key of [...delayed.keys()]) {
        cancelDelay(key);
        waiting.set(key, performance.now()); // not forgotten: looked at again after the next start
      }
      await whenIdle();
    },
    idle: whenIdle,
    calm() {
      calming ??= calmDown().finally(() => {
        calming = undefined;
      });
      return calming;
    },
  };
}
