import type { Endpoint, NodeEntry } from './targets.ts';
import type { Wire, WireOwner, Wiring } from './wire.ts';

/**
 * How long a target may take to accept. The kernel sends SYN again after 1 s (RFC 6298, section 2), so this outlives one lost
 * packet and 1 s of round trip; a node that is down costs its first clients no more than this.
 * @see https://www.rfc-editor.org/rfc/rfc6298
 */
export const CONNECT_TIMEOUT_MS = 2_000;

/** How long one client may wait over all attempts; after that most clients have given up. */
export const DIAL_TIMEOUT_MS = 15_000;

/** An attempt that was not made: each connection would make another one, until no place is left. */
export const LOOP = 'ELOOP';

/** One try: a node, and the way to it. */
export interface Attempt {
  readonly node: NodeEntry;
  readonly endpoint: Endpoint;
}

export interface DialHost {
  readonly wiring: Wiring;
  nowMs(): number;
  /** The target whose turn it is. */
  firstAttempt(dial: Dial): Attempt | undefined;
  /** Whether the attempt leads to the very port that the client came in by. */
  isLoop(client: Wire, attempt: Attempt): boolean;
  /** What is left to try after the first has failed, each once. */
  otherAttempts(first: Attempt): readonly Attempt[];
  attemptFailed(attempt: Attempt, code: string): void;
  connected(dial: Dial, upstream: Wire, attempt: Attempt): void;
  /** No target is left, time is up, or the client has gone. The client's wire still has to be closed unless it has gone. */
  gaveUp(dial: Dial, why: 'exhausted' | 'client'): void;
}

/** A client that waits while targets are tried one after the other. */
export class Dial implements WireOwner {
  readonly client: Wire;
  /** When the attempt under way counts as silent, milliseconds on the monotonic clock. */
  deadlineMs = 0;
  /** When no further target is tried. */
  giveUpAtMs: number;
  readonly #host: DialHost;
  #attempt: Attempt | undefined;
  #upstream: Wire | undefined;
  #rest: readonly Attempt[] | undefined;
  #next = 0;

  constructor(client: Wire, host: DialHost) {
    this.client = client;
    this.#host = host;
    this.giveUpAtMs = host.nowMs() + DIAL_TIMEOUT_MS;
    client.owner = this;
  }

  start(): void {
    this.#try(this.#host.firstAttempt(this));
  }

  /** The attempt has taken too long. */
  timeOut(): void {
    this.#upstream?.close();
    this.#failed('ETIMEDOUT');
  }

  abort(): void {
    this.#upstream?.close();
    this.client.reset();
    this.#host.gaveUp(this, 'client');
  }

  wireConnected(upstream: Wire): void {
    if (this.#attempt) this.#host.connected(this, upstream, this.#attempt);
  }

  wireUnreachable(_upstream: Wire, code: string): void {
    this.#failed(code);
  }

  wireClosed(): void {
    this.#upstream?.close();
    this.#host.gaveUp(this, 'client');
  }

  wireData(): void {}

  wireDrained(): void {}

  wireEnded(): void {}

  #failed(code: string): void {
    const attempt = this.#attempt;
    if (!attempt) return;
    this.#host.attemptFailed(attempt, code);
    this.#rest ??= this.#host.otherAttempts(attempt);
    this.#try(this.#rest[this.#next++]);
  }

  #try(attempt: Attempt | undefined): void {
    const now = this.#host.nowMs();
    this.#attempt = attempt;
    this.#upstream = undefined;
    if (!attempt || now >= this.giveUpAtMs) {
      this.#host.gaveUp(this, 'exhausted');
      return;
    }
    if (this.#host.isLoop(this.client, attempt)) {
      this.#failed(LOOP);
      return;
    }
    this.deadlineMs = now + CONNECT_TIMEOUT_MS;
    this.#upstream = this.#host.wiring.connect(attempt.endpoint.address, attempt.endpoint.port, this);
  }
}
