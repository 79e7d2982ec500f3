import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';
import { type KubeApi, KubeError } from './api.ts';
import { claimedBy, heldByAnotherMs, type LeaseRecord, readLease, released, type Sighting, sight, writeLease } from './lease.ts';
import { followLease } from './lease-watch.ts';

export interface LeaderOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  /** Of the Lease; the same for all that must not work at the same time. */
  readonly name: string;
  readonly log: Log;
  /** Default: host name and a UUID of its own, so that no two processes are ever mistaken for each other. */
  readonly identity?: string;
  readonly times?: LeaseTimes;
  readonly clocks?: Clocks;
}

/** leaseMs > renewDeadlineMs > retryMs; the distance of the first two is the time that a write has to arrive. */
export interface LeaseTimes {
  /** Others take over when they have seen no renewal for so long. Default 3,000; whole seconds. */
  readonly leaseMs: number;
  /** The leader stops when no renewal has succeeded for so long. Default 2,250. */
  readonly renewDeadlineMs: number;
  /** Between two renewals. Default 1,000. */
  readonly retryMs: number;
}

/**
 * The times that go with a lease of so many milliseconds. The leader renews it three times in its life, and gives up after three
 * quarters of it: one renewal that is lost costs nothing.
 */
export function timesFor(leaseMs: number): LeaseTimes {
  return { leaseMs, renewDeadlineMs: (leaseMs * 3) / 4, retryMs: leaseMs / 3 };
}

/**
 * 3 s: whoever waits has heard of a renewal that is at most one renewal older than the leader's death, so it leads 2 to 3 s after
 * it, and has time left for a slow API server before the 5 s that are promised. That costs the API server one write a second and
 * leader, a tenth of what 100 kubelets do with Leases of theirs; candidates watch. To lose the Lease for a moment costs little:
 * forwarding goes on, and whoever leads then finds everything as it is. client-go takes 15 s, kube-vip 5 s.
 */
export const LEASE_MS = 3_000;

export interface Clocks {
  /** Milliseconds since the epoch; may jump. */
  wall(): number;
  /** Milliseconds that never go back, but may stand still while the machine sleeps. */
  monotonic(): number;
  random(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** Who works as long as the lease is held. */
export interface Told {
  gained(): void;
  lost(): Promise<void>;
  renewed?(lease: unknown): void;
}

/** One candidate. */
export interface Election {
  /** Asked before each write: false as soon as the last renewal is older than the deadline by either clock. */
  holds(): boolean;
  /** Resolves when this candidate leads for the first time. */
  readonly first: Promise<void>;
  /** Who held the lease when it was last seen; empty: nobody, or not known yet. */
  holder(): string;
  /**
   * Runs until released, and stands again after a loss once `lost` has finished. Never rejects: failures are logged and tried again.
   * @param told `gained` and `lost` are called in turns; `renewed` with the Lease as it was written, just before `gained` and after
   * each renewal, so that what others have noted on it reaches the leader within one
   */
  run(told: Told): Promise<void>;
  /** Ends `run`; when the lease is held it is given up, so that another can take it at once. Takes at most 10 s. */
  release(): Promise<void>;
}

const CLOCKS: Clocks = {
  wall: Date.now,
  monotonic: () => performance.now(),
  random: Math.random,
  sleep: (ms, signal) => sleepFor(ms, undefined, { signal }).catch(() => {}), // woken to stop
};
const RELEASE_MS = 5000;
/** Candidates that hear of a release or an end at one time do not all ask at one time. */
const SPREAD_MS = 50;
/** The same failure is logged no more often than this. */
const REPEAT_LOG_MS = 60_000;

/** Leader election over a Lease, with client-go's meaning, so that `kubectl get lease` and others' tools read it. */
export function standForLeader(options: LeaderOptions): Election {
  return new Candidate(options);
}

/** What came of one try; `lease` is the object as the API server has it now. */
type Outcome =
  | { readonly kind: 'held'; readonly lease: unknown; readonly record: LeaseRecord; readonly sent: Moment }
  | { readonly kind: 'another' }
  | { readonly kind: 'failed' };

/** One instant by both clocks, in milliseconds. */
interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

class Candidate implements Election {
  readonly #options: LeaderOptions;
  readonly #times: LeaseTimes;
  readonly #clocks: Clocks;
  readonly #identity: string;
  readonly #stopping = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly first = this.#first.promise;
  /** The Lease as last read or written; undefined: read it before the next write. */
  #lease: unknown;
  #sighting: Sighting | undefined;
  /** When the last successful renewal was sent, by both clocks; undefined: not leading. */
  #renewed: Moment | undefined;
  #running: Promise<void> = Promise.resolve();
  #logged = { message: '', at: Number.NEGATIVE_INFINITY };
  /** Whether changes of the Lease are heard at once. */
  #hears = false;
  #wake: () => void = () => {};

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#times = options.times ?? timesFor(LEASE_MS);
    this.#clocks = options.clocks ?? CLOCKS;
    this.#identity = options.identity ?? `${hostname()}_${randomUUID()}`;
    const { leaseMs, renewDeadlineMs, retryMs } = this.#times;
    if (!(leaseMs > renewDeadlineMs && renewDeadlineMs > retryMs && retryMs > 0)) {
      throw new RangeError(`lease ${leaseMs} ms > renew deadline ${renewDeadlineMs} ms > retry ${retryMs} ms > 0 does not hold`);
    }
  }

  holds(): boolean {
    if (!this.#renewed) return false;
    const limit = this.#times.renewDeadlineMs;
    // Asleep, the monotonic clock may stand still; set back, the wall clock would make us young: both must agree.
    return this.#clocks.monotonic() - this.#renewed.monotonic < limit && this.#clocks.wall() - this.#renewed.wall < limit;
  }

  holder(): string {
    return this.#sighting?.record.holder ?? '';
  }

  run(told: Told): Promise<void> {
    this.#running = this.#compete(told);
    return this.#running;
  }

  async release(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    if (!this.holds() || this.#lease === undefined) return;
    this.#renewed = undefined;
    const letGo = this.#write(this.#lease, released(readLease(this.#lease), this.#clocks.wall()));
    await this.#within(RELEASE_MS, letGo).catch((error: unknown) => {
      this.#options.log.info({ error: explain(error) }, 'the lease could not be released; another takes over when it expires');
    });
  }

  async #compete(told: Told): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#acquire(signal);
      if (signal.aborted) return;
      this.#options.log.info({ identity: this.#identity }, 'leading');
      await this.#tell(() => told.renewed?.(this.#lease));
      await this.#tell(() => told.gained());
      this.#first.resolve();
      await this.#keep(told, signal);
      if (signal.aborted) return;
      this.#renewed = undefined;
      this.#lease = undefined;
      this.#options.log.warn({ holder: this.holder() }, 'no longer leading');
      await this.#tell(() => told.lost());
    }
  }

  async #tell(what: () => void | Promise<void>): Promise<void> {
    try {
      await what();
    } catch (error) {
      this.#options.log.error({ error: explain(error) }, 'a change of leadership could not be handled');
    }
  }

  async #acquire(signal: AbortSignal): Promise<void> {
    let outcome = await this.#try();
    if (outcome === 'held') return;
    const done = new AbortController();
    this.#follow(AbortSignal.any([signal, done.signal]));
    while (!signal.aborted && outcome !== 'held') {
      await this.#wait(outcome, signal);
      if (!signal.aborted) outcome = await this.#try();
    }
    done.abort();
  }

  /** Hears of renewals and of the end, so that nobody has to ask. */
  #follow(signal: AbortSignal): void {
    const { api, namespace, name, log } = this.#options;
    void followLease(
      {
        api,
        namespace,
        name,
        log,
        sleep: (ms, woken) => this.#clocks.sleep(ms, woken),
        heard: (open) => {
          this.#hears = open;
          if (!open) this.#wake();
        },
        seen: (lease) => {
          if (signal.aborted) return;
          this.#lease = lease; // to be claimed without another look: its version guards the write
          if (lease !== undefined) this.#sighting = sight(this.#sighting, readLease(lease), this.#clocks.monotonic());
          if (lease !== undefined && this.#leftMs() === 0) this.#wake(); // whose Lease was deleted may still be at work
        },
      },
      signal,
    );
  }

  /** For how long the lease is another's, as far as we have heard. */
  #leftMs(): number {
    if (!this.#sighting) return 0;
    return heldByAnotherMs(this.#sighting, this.#identity, this.#times.leaseMs, this.#clocks.monotonic());
  }

  /** Until the lease is free or has expired; when changes are not heard, or the API server fails, until it is time to ask. */
  async #wait(outcome: Outcome['kind'], signal: AbortSignal): Promise<void> {
    do {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      const jitter = 1 + 1.2 * this.#clocks.random(); // client-go's, so that candidates do not meet each time
      const spread = SPREAD_MS * this.#clocks.random();
      const ms = this.#hears && outcome === 'another' ? this.#leftMs() + spread : this.#times.retryMs * jitter;
      await this.#clocks.sleep(ms, AbortSignal.any([signal, woken.signal]));
      this.#wake = () => {};
    } while (!signal.aborted && this.#hears && outcome === 'another' && this.#leftMs() > 0);
  }

  /** Returns when the lease is lost, or `signal` aborts. */
  async #keep(told: Told, signal: AbortSignal): Promise<void> {
    await this.#clocks.sleep(this.#times.retryMs, signal);
    while (!signal.aborted) {
      const outcome = await this.#try();
      if (outcome === 'another' || (outcome === 'failed' && !this.holds())) return;
      if (outcome === 'held') await this.#tell(() => told.renewed?.(this.#lease));
      await this.#clocks.sleep(outcome === 'failed' ? this.#times.retryMs / 4 : this.#times.retryMs, signal);
    }
  }

  /** One try to take or renew the lease; half the deadline is its limit, so that one that hangs leaves room for another. */
  async #try(): Promise<Outcome['kind']> {
    try {
      const outcome = await this.#within(this.#times.renewDeadlineMs / 2, this.#takeOrRenew());
      this.#lease = undefined;
      if (outcome.kind === 'held') {
        this.#lease = outcome.lease;
        this.#renewed = outcome.sent;
        this.#sighting = { record: outcome.record, seenAtMs: outcome.sent.monotonic };
      }
      this.#logged = { message: '', at: Number.NEGATIVE_INFINITY };
      return outcome.kind;
    } catch (error) {
      this.#lease = undefined;
      this.#logFailure(error);
      return 'failed';
    }
  }

  async #takeOrRenew(): Promise<Outcome> {
    const known = this.#lease;
    try {
      return await this.#claim(known ?? (await this.#read()));
    } catch (error) {
      // Somebody has written it since; who holds it now must be known at once.
      if (known === undefined || !(error instanceof KubeError) || error.status !== 409) throw error;
      return this.#claim(await this.#read());
    }
  }

  /** @param lease undefined: there is none yet */
  async #claim(lease: unknown): Promise<Outcome> {
    const { leaseMs } = this.#times;
    const sent = { wall: this.#clocks.wall(), monotonic: this.#clocks.monotonic() };
    const before = lease === undefined ? undefined : readLease(lease);
    if (before) {
      this.#sighting = sight(this.#sighting, before, sent.monotonic);
      if (heldByAnotherMs(this.#sighting, this.#identity, leaseMs, sent.monotonic) > 0) return { kind: 'another' };
    }
    const record = claimedBy(this.#identity, before, leaseMs, sent.wall);
    return { kind: 'held', lease: await this.#write(lease, record), record, sent };
  }

  /** @returns undefined when there is none */
  async #read(): Promise<unknown> {
    try {
      return await this.#options.api.get('getLease', this.#options.namespace, this.#options.name);
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return undefined;
      throw error;
    }
  }

  #write(lease: unknown, record: LeaseRecord): Promise<unknown> {
    const { api, namespace, name } = this.#options;
    const body = writeLease(lease, { namespace, name }, record);
    return lease === undefined ? api.create('createLease', namespace, body) : api.update('updateLease', namespace, name, body);
  }

  async #within<V>(limitMs: number, work: Promise<V>): Promise<V> {
    const done = new AbortController();
    const late = this.#clocks.sleep(limitMs, done.signal).then((): never => {
      throw new Error(`no answer within ${limitMs} ms`);
    });
    late.catch(() => {}); // woken because the work is done
    work.catch(() => {}); // too late to matter
    return Promise.race([work, late]).finally(() => done.abort());
  }

  #logFailure(error: unknown): void {
    const message = explain(error);
    const now = this.#clocks.monotonic();
    if (message === this.#logged.message && now - this.#logged.at < REPEAT_LOG_MS) return;
    this.#logged = { message, at: now };
    const lease = `${this.#options.namespace}/${this.#options.name}`;
    this.#options.log.warn({ lease, leading: this.holds() }, `the leader's lease could not be taken or renewed: ${message}`);
  }
}
