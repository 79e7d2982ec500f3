import { setTimeout as sleepFor } from 'node:timers/promises';
import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';
import { type CallName, everyCall, type KubeApi, KubeError, type Selectors, type WatchEvent } from './api.ts';
import { at, type ObjectMeta, text } from './objects.ts';
import { compareVersions, type Replica } from './replica.ts';

export interface WatchOptions<T extends ObjectMeta> {
  readonly api: KubeApi;
  readonly list: CallName;
  readonly watch: CallName;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly select?: Selectors;
  /** @returns undefined for what cannot be read; it is logged once and passed over */
  read(raw: unknown): T | undefined;
  /** Told of every change in the order of the server; before undefined: new; after undefined: gone. */
  changed(before: T | undefined, after: T | undefined): void;
  readonly log: Log;
  /** Objects a list page. Default 500, as client-go. */
  readonly pageSize?: number;
  /** Before the 1st, 2nd, … try in a row after a failure. */
  readonly delays?: Delays;
  /** At least so long before another try where a right is missing; default: as after any failure. */
  readonly deniedMs?: number;
  /** The same failure is logged no more often than this. Default 60 s. */
  readonly repeatLogMs?: number;
  /** Monotonic milliseconds. */
  now?(): number;
  /** From 0 to below 1. */
  random?(): number;
  sleep?(ms: number, signal: AbortSignal): Promise<void>;
}

export interface Delays {
  readonly minMs: number;
  readonly maxMs: number;
}

/** An API server that restarts is back in seconds, and to find that out must not take longer than its restart. */
const DELAYS: Delays = { minMs: 250, maxMs: 5000 };
/** A watch that the server ends sooner than this and without a word counts as failed, lest we spin. */
const SHORT_WATCH_MS = 1000;
/** As client-go: the server ends a watch after 5 to 10 minutes, so that load spreads over API servers. */
const WATCH_SECONDS = 300;
/** A server that asks for more is asked again sooner nevertheless. */
const RETRY_AFTER_LIMIT_MS = 60_000;
const REPEAT_LOG_MS = 60_000;

/** Follows one namespace, or all, from list to watch to watch. */
export class Follower<T extends ObjectMeta> {
  readonly #options: WatchOptions<T>;
  readonly #namespace: string;
  readonly #replica: Replica<T>;
  readonly #tellOpen: (isOpen: boolean) => void;
  readonly #now: () => number;
  readonly #listing = Promise.withResolvers<void>();
  /** Where to go on watching; empty: list first. */
  #version = '';
  /** The newest that was ever seen; a list that is older comes from a history that has begun anew (etcd was restored). */
  #newest = '';
  /** In a row. */
  #failures = 0;
  /** In a row. Apart from the failures: after a restart the first watch is usually too old, which is no reason to wait. */
  #expiries = 0;
  #logged = { message: '', at: Number.NEGATIVE_INFINITY };

  constructor(options: WatchOptions<T>, namespace: string, replica: Replica<T>, tellOpen: (isOpen: boolean) => void) {
    this.#options = options;
    this.#namespace = namespace;
    this.#replica = replica;
    this.#tellOpen = tellOpen;
    this.#now = options.now ?? (() => performance.now());
    this.#listing.promise.catch(() => {});
  }

  get listed(): Promise<void> {
    return this.#listing.promise;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, signal);
      }
    }
    this.#listing.reject(new Error('stopped before the first list was complete'));
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, list, pageSize = 500 } = this.#options;
    let pass: ReturnType<Replica<T>['relist']> | undefined;
    let next = '';
    let version = '';
    do {
      const page = await orAborted(api.list(list, this.#namespace, { limit: pageSize, next, ...this.#options.select }), signal);
      version = page.resourceVersion;
      pass ??= this.#replica.relist(this.#namespace, isOlder(version, this.#newest));
      for (const raw of page.items) pass.take(raw);
      next = page.next;
    } while (next !== '');
    pass.finish();
    this.#version = version;
    this.#newest = version;
    this.#listing.resolve();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { api, watch } = this.#options;
    const ended = new AbortController();
    const begun = this.#now();
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + this.#random()));
    const query = { resourceVersion: this.#version, timeoutSeconds, ...this.#options.select };
    let heard = false;
    let opened = false;
    let failure: KubeError | undefined;
    const onEvent = (event: WatchEvent): void => {
      if (event.type === 'ERROR') {
        failure = readError(event.object);
        ended.abort();
        return;
      }
      if (!heard) this.#opened();
      heard = true;
      this.#take(event);
    };
    try {
      await api.watch(watch, this.#namespace, query, onEvent, AbortSignal.any([signal, ended.signal]), () => {
        opened = true;
        this.#opened();
      });
    } catch (error) {
      failure ??= error instanceof KubeError ? error : new KubeError(0, 'Unknown', explain(error), { cause: error });
    }
    const short = this.#now() - begun < SHORT_WATCH_MS;
    if (heard || !short) {
      this.#failures = 0;
      this.#expiries = 0;
    }
    if (opened && failure?.reason === 'Timeout') {
      // An old etcd gives no bookmarks on a quiet cluster: another watch from where we are shows whether the server is there.
      this.#options.log.debug(this.#fields(), failure.message);
      return;
    }
    if (failure) throw failure;
    if (!heard && short) throw new KubeError(0, 'Ended', `watch ${everyCall[watch].resource}: the API server ended it at once`);
  }

  #take({ type, object }: WatchEvent): void {
    const version = text(at(at(object, 'metadata'), 'resourceVersion'));
    if (type === 'ADDED' || type === 'MODIFIED') this.#replica.take(object);
    else if (type === 'DELETED') this.#replica.remove(object);
    if (version === '') return;
    this.#version = version;
    this.#newest = version;
  }

  #opened(): void {
    this.#tellOpen(true);
    if (this.#logged.message === '') return;
    this.#options.log.info(this.#fields(), `watching ${everyCall[this.#options.watch].resource} again`);
    this.#logged = { message: '', at: Number.NEGATIVE_INFINITY };
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    this.#tellOpen(false);
    if (error instanceof KubeError && error.status === 410) {
      this.#version = '';
      this.#expiries += 1;
      this.#options.log.info(
        this.#fields(),
        `${everyCall[this.#options.watch].resource}: too far behind the API server; listing anew`,
      );
      return this.#pause(this.#expiries - 1, 0, signal);
    }
    this.#failures += 1;
    const asked = error instanceof KubeError ? Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_LIMIT_MS) : 0;
    this.#logFailure(error);
    const denied = isDenied(error) ? (this.#options.deniedMs ?? 0) : 0;
    await this.#pause(this.#failures, Math.max(asked, denied), signal);
  }

  /** @param failures in a row; 0: there is no need to wait */
  async #pause(failures: number, askedMs: number, signal: AbortSignal): Promise<void> {
    if (failures === 0) return;
    const ms = Math.max(askedMs, pauseAfter(failures, this.#options.delays ?? DELAYS, this.#random()));
    await (this.#options.sleep ?? sleep)(ms, signal).catch(() => {}); // woken to stop
  }

  #logFailure(error: unknown): void {
    const message = error instanceof KubeError ? error.message : explain(error);
    const now = this.#now();
    if (message === this.#logged.message && now - this.#logged.at < (this.#options.repeatLogMs ?? REPEAT_LOG_MS)) return;
    this.#logged = { message, at: now };
    this.#options.log[isDenied(error) ? 'error' : 'warn'](this.#fields(), `${message}; trying again`);
  }

  #fields(): object {
    return {
      resource: everyCall[this.#options.watch].resource,
      ...(this.#namespace === '' ? {} : { namespace: this.#namespace }),
    };
  }

  #random(): number {
    return (this.#options.random ?? Math.random)();
  }
}

/** Pure. Doubles from failure to failure, with a jitter of ±50% inside the bounds. @param failures in a row, from 1 */
export function pauseAfter(failures: number, { minMs, maxMs }: Delays, random: number): number {
  const base = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return Math.min(maxMs, Math.max(minMs, base * (0.5 + random)));
}

function isDenied(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 401 || error.status === 403);
}

function isOlder(version: string, than: string): boolean {
  return (compareVersions(version, than) ?? 0) < 0;
}

/** The status in a watch's ERROR event; a client that rejects with it too has said the same in better words. */
function readError(status: unknown): KubeError {
  const code = at(status, 'code');
  return new KubeError(
    typeof code === 'number' ? code : 500,
    text(at(status, 'reason')),
    text(at(status, 'message')) || 'watch error',
  );
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await sleepFor(ms, undefined, { signal });
}

async function orAborted<V>(promise: Promise<V>, signal: AbortSignal): Promise<V> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(new Error('stopped'));
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener('abort', abort));
}
