import { setTimeout as sleepFor } from 'node:timers/promises';
import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';
import type { KubeApi, MaySend } from './api.ts';
import {
  cutBytes,
  decideAfter,
  type EventContent,
  type EventSubject,
  eventBody,
  eventName,
  MESSAGE_BYTES,
  timestamp,
} from './event-body.ts';

export interface EventRecorder {
  /** Never blocks and never fails: what cannot be recorded is logged. */
  tell(about: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Writes what is waiting. Resolves when all is written or given up, after 5 s at the latest. */
  flush(): Promise<void>;
}

export interface EventOptions {
  readonly api: KubeApi;
  /** For `source.component`: who says so. */
  readonly component: string;
  readonly log: Log;
  /** Resolves when nothing more urgent is to be written. An event waits for it, for at most 30 s. */
  turn?(): Promise<void>;
  /** Asked before each write. Who may not write forgets what was to be told. */
  readonly may?: MaySend;
  /** Milliseconds since the epoch. */
  now?(): number;
  sleep?(ms: number): Promise<void>;
}

/** Events not yet written; when it is full the oldest is dropped and counted. 1,000 Services tell about three each. */
const QUEUE_LIMIT = 4096;
/** With more than these none waits for its turn, so that none is dropped for having waited. */
const PRESSING = QUEUE_LIMIT / 2;
/** Events remembered, so that a repeat is a count; when it is full the one not told for longest is forgotten (client-go: 4096). */
const TABLE_LIMIT = 4096;
/** Writes at a time: few, so that the status patches go first. */
const WRITERS = 4;
/** kube-apiserver forgets an event after an hour (--event-ttl). */
const REMEMBER_MS = 3_600_000;
/** Repeats within it are written once. */
const GATHER_MS = 10_000;
/** What a person waits for goes first: an event is told about something that has happened and can wait this long. */
const PATIENCE_MS = 30_000;
const TRIES = 4;
const RETRY_MS = 1000;
const FLUSH_MS = 5000;

/** One event as the API server has it, or is to have it. */
interface Entry extends EventContent {
  readonly key: string;
  name: string;
  first: number;
  last: number;
  count: number;
  /** The count that the API server knows; 0: it does not have the event. */
  written: number;
  writtenAt: number;
  state: 'idle' | 'queued' | 'writing';
  timer?: NodeJS.Timeout;
}

export function recordEvents(options: EventOptions): EventRecorder {
  return new Recorder(options);
}

class Recorder implements EventRecorder {
  readonly #options: EventOptions;
  readonly #now: () => number;
  /** In the order of the last telling. */
  readonly #table = new Map<string, Entry>();
  readonly #queue = new Set<Entry>();
  readonly #idle = new Set<() => void>();
  /** Writers that wait for their turn. */
  readonly #patient = new Set<() => void>();
  #writing = 0;
  /** Repeats that are gathered before they are written. */
  readonly #waiting = new Set<Entry>();
  #dropped = 0;
  #denied = false;
  #flushing = false;

  constructor(options: EventOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  tell(about: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const now = this.#now();
    const entry = this.#remember(about, type, reason, cutBytes(message, MESSAGE_BYTES), now);
    entry.last = now;
    entry.count += 1;
    this.#schedule(entry);
  }

  async flush(): Promise<void> {
    this.#flushing = true;
    this.#hurry();
    for (const entry of [...this.#waiting]) this.#enqueue(entry);
    if (this.#writing > 0) await this.#drained();
    this.#flushing = false;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#idle.delete(done);
        resolve();
      };
      const timer = setTimeout(done, FLUSH_MS);
      this.#idle.add(done);
    });
  }

  /** A new event is written at once, a repeat when the last writing is long enough ago. */
  #schedule(entry: Entry): void {
    if (entry.state !== 'idle' || entry.timer) return;
    const dueMs = entry.written === 0 || this.#flushing ? 0 : entry.writtenAt + GATHER_MS - this.#now();
    if (dueMs <= 0) {
      this.#enqueue(entry);
      return;
    }
    entry.timer = setTimeout(() => this.#enqueue(entry), dueMs);
    entry.timer.unref();
    this.#waiting.add(entry);
  }

  #remember(about: EventSubject, type: Entry['type'], reason: string, message: string, now: number): Entry {
    const key = [about.kind, about.namespace, about.name, about.uid, type, reason, message].join('\0');
    const had = this.#table.get(key);
    this.#table.delete(key);
    const fresh = had !== undefined && now - had.last < REMEMBER_MS;
    const entry = fresh ? had : newEntry(key, about, type, reason, message, now);
    this.#table.set(key, entry);
    if (this.#table.size > TABLE_LIMIT) this.#table.delete(this.#table.keys().next().value!);
    return entry;
  }

  #enqueue(entry: Entry): void {
    clearTimeout(entry.timer);
    delete entry.timer;
    this.#waiting.delete(entry);
    entry.state = 'queued';
    this.#queue.add(entry);
    if (this.#queue.size > PRESSING) this.#hurry();
    if (this.#queue.size > QUEUE_LIMIT) this.#drop(this.#queue.values().next().value!);
    if (this.#writing >= WRITERS) return;
    this.#writing += 1;
    void this.#work();
  }

  #drop(entry: Entry): void {
    this.#queue.delete(entry);
    this.#table.delete(entry.key);
    this.#dropped += 1;
    if (this.#dropped % 1000 !== 1) return;
    this.#options.log.warn({ dropped: this.#dropped }, 'more events than the API server takes; the oldest are dropped');
  }

  async #work(): Promise<void> {
    await undefined; // what is told in one breath is counted before the first of it is written
    for (let entry = this.#first(); entry; entry = this.#first()) {
      await this.#takeTurn(entry);
      if (!this.#queue.delete(entry)) continue; // dropped, or written by another writer meanwhile
      entry.state = 'writing';
      await this.#write(entry);
      entry.state = 'idle';
      if (entry.written > 0 && entry.count > entry.written) this.#schedule(entry);
    }
    this.#writing -= 1;
    if (this.#writing === 0) for (const done of this.#idle) done();
  }

  #first(): Entry | undefined {
    return this.#queue.values().next().value;
  }

  async #takeTurn(entry: Entry): Promise<void> {
    const { turn } = this.#options;
    const leftMs = entry.last + PATIENCE_MS - this.#now();
    if (!turn || this.#flushing || leftMs <= 0 || this.#queue.size > PRESSING) return;
    await new Promise<void>((resolve) => {
      this.#patient.add(resolve);
      void Promise.race([turn(), this.#sleep(leftMs)]).then(() => {
        this.#patient.delete(resolve);
        resolve();
      });
    });
  }

  /** Nobody waits for his turn any longer. */
  #hurry(): void {
    for (const resolve of this.#patient) resolve();
    this.#patient.clear();
  }

  async #write(entry: Entry): Promise<void> {
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const { count } = entry;
      try {
        await this.#send(entry);
        this.#noteWritten(entry, count);
        return;
      } catch (error) {
        const next = decideAfter(error, entry.written > 0);
        if (next === 'done') return this.#noteWritten(entry, 1);
        if (next === 'recreate') this.#forget(entry);
        else if (next !== 'retry' || tries === TRIES) return this.#giveUp(entry, next, error);
        else await this.#sleep(RETRY_MS * 2 ** (tries - 1));
      }
    }
  }

  #noteWritten(entry: Entry, count: number): void {
    entry.written = count;
    entry.writtenAt = this.#now();
  }

  #send(entry: Entry): Promise<unknown> {
    const namespace = entry.about.namespace || 'default';
    const { api, component, may } = this.#options;
    if (entry.written === 0) return api.create('createEvent', namespace, eventBody(entry, component), may);
    const news = { count: entry.count, lastTimestamp: timestamp(entry.last) };
    return api.patch('patchEvent', namespace, entry.name, news, 'merge', may);
  }

  #forget(entry: Entry): void {
    entry.written = 0;
    entry.name = eventName(entry.about.name, `${entry.key}\0${this.#now()}`);
  }

  #giveUp(entry: Entry, next: ReturnType<typeof decideAfter>, error: unknown): void {
    if (next === 'gone') {
      this.#table.delete(entry.key);
      entry.written = entry.count; // nor again by itself
    }
    const told = { about: `${entry.about.kind} ${entry.about.namespace}/${entry.about.name}`, reason: entry.reason };
    if (next === 'gone') this.#options.log.debug(told, `event not recorded: ${explain(error)}`);
    else if (next === 'denied' && this.#denied) this.#options.log.debug(told, `event not recorded: ${explain(error)}`);
    else this.#options.log.warn(told, `event not recorded: ${explain(error)}`);
    if (next === 'denied') this.#denied = true; // a namespace that is being deleted, or a right that lacks: once is enough
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#options.sleep) return this.#options.sleep(ms);
    await sleepFor(ms, undefined, { ref: false });
  }
}

function newEntry(key: string, about: EventSubject, type: Entry['type'], reason: string, message: string, now: number): Entry {
  const name = eventName(about.name, `${key}\0${now}`);
  return { key, about, type, reason, message, name, first: now, last: now, count: 0, written: 0, writtenAt: 0, state: 'idle' };
}
