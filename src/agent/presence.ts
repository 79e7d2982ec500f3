import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { claimedBy, heldByAnotherMs, readLease, released, type Sighting, sight, writeLease } from '../kube/lease.ts';
import { at } from '../kube/objects.ts';
import type { Log } from '../providers/provider.ts';

/** As long as a leader's: an agent of which nothing is heard for so long counts as dead. */
export const LEASE_MS = 15_000;
/** Three renewals fit into a Lease, so that two may be lost. */
const RENEW_MS = 5_000;
const RETRY_MS = 1_000;
const LAST_WORD_MS = 3_000;
/** The same failure is logged no more often than this. */
const REPEAT_LOG_MS = 60_000;

export interface PresenceOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** The same over restarts on one machine, and no other machine's. */
  readonly identity: string;
  /** Labels and owners of a Lease that is made anew. */
  metadata(): object;
  readonly log: Log;
  readonly renewMs?: number;
}

/** Shows that the agent lives, by renewing a Lease of its own. Whether that succeeds changes nothing at what it serves. */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #lease: unknown;
  #sighting: Sighting | undefined;
  #logged = { message: '', at: Number.NEGATIVE_INFINITY };
  #isHeld = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Whether the last renewal succeeded. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  start(): void {
    this.#running ??= this.#renewForEver();
  }

  /**
   * Ends the renewals. `release`: lets go, so that nobody need wait for the Lease's end; `renew`: holds it for as long as a Lease lasts
   * from now; `leave`: it is another's. Takes at most 3 s more than a call under way.
   */
  async stop(last: 'release' | 'renew' | 'leave'): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    if (last === 'leave' || !this.#isHeld || this.#lease === undefined) return;
    const { log, identity } = this.#options;
    const record = readLease(this.#lease);
    const now = Date.now();
    const writing = this.#write(
      this.#lease,
      last === 'renew' ? claimedBy(identity, record, LEASE_MS, now) : released(record, now),
    );
    await Promise.race([writing, sleep(LAST_WORD_MS, undefined, { ref: false })]).catch((thrown: unknown) =>
      log.info(
        { error: explain(thrown), last },
        'the last word on the Lease of this agent could not be written; it runs out by itself',
      ),
    );
  }

  async #renewForEver(): Promise<void> {
    const { signal } = this.#stopping;
    const { renewMs = RENEW_MS } = this.#options;
    while (!signal.aborted) {
      this.#isHeld = await this.#renew().catch((thrown: unknown) => this.#failed(explain(thrown)));
      await sleep(this.#isHeld ? renewMs : Math.min(RETRY_MS, renewMs), undefined, { signal }).catch(() => {}); // woken to stop
    }
  }

  async #renew(): Promise<boolean> {
    const lease = this.#lease ?? (await this.#read());
    this.#lease = undefined; // read again after a failure
    const before = lease === undefined ? undefined : readLease(lease);
    if (before) {
      this.#sighting = sight(this.#sighting, before, performance.now());
      const waitMs = heldByAnotherMs(this.#sighting, this.#options.identity, LEASE_MS, performance.now());
      if (waitMs > 0)
        return this.#failed(`another agent of this name runs elsewhere (${before.holder}); give each agent a name of its own`);
    }
    this.#lease = await this.#write(lease, claimedBy(this.#options.identity, before, LEASE_MS, Date.now()));
    this.#logged = { message: '', at: Number.NEGATIVE_INFINITY };
    return true;
  }

  async #read(): Promise<unknown> {
    const { api, namespace, name } = this.#options;
    try {
      return await api.get('getLease', namespace, name);
    } catch (thrown) {
      if (thrown instanceof KubeError && thrown.status === 404) return undefined;
      throw thrown;
    }
  }

  #write(lease: unknown, record: Parameters<typeof writeLease>[2]): Promise<unknown> {
    const { api, namespace, name } = this.#options;
    const body = writeLease(lease, { namespace, name }, record);
    const marked = { ...body, metadata: { ...(at(body, 'metadata') as object), ...this.#options.metadata() } };
    return lease === undefined
      ? api.create('createLease', namespace, marked)
      : api.update('updateLease', namespace, name, marked);
  }

  #failed(message: string): false {
    const now = performance.now();
    if (message === this.#logged.message && now - this.#logged.at < REPEAT_LOG_MS) return false;
    this.#logged = { message, at: now };
    this.#options.log.warn(
      { lease: `${this.#options.namespace}/${this.#options.name}` },
      `the Lease of this agent could not be renewed: ${message}`,
    );
    return false;
  }
}
