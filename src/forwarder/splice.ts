import type { Endpoint, NodeEntry } from './targets.ts';
import type { Wire, WireOwner } from './wire.ts';

/** What a splice adds to while bytes pass. */
export interface Meter {
  bytesFromClients: number;
  bytesToClients: number;
}

/**
 * A client and its target, joined: bytes, backpressure, half-closes and resets of each reach the other. Both wires belong to
 * the splice from here on.
 */
export class Splice implements WireOwner {
  readonly node: NodeEntry;
  readonly endpoint: Endpoint;
  /** When it must be cut, milliseconds on the monotonic clock; infinite: not draining. */
  cutAtMs = Number.POSITIVE_INFINITY;
  /** The first look after which nothing has passed, milliseconds on the monotonic clock. */
  idleSinceMs = 0;
  readonly #client: Wire;
  readonly #upstream: Wire;
  readonly #meter: Meter;
  readonly #done: (splice: Splice) => void;
  #openWires = 2;
  #watched = false;
  /** Something has passed since the last look. */
  #busy = true;

  constructor(
    client: Wire,
    upstream: Wire,
    to: { node: NodeEntry; endpoint: Endpoint },
    meter: Meter,
    done: (splice: Splice) => void,
  ) {
    this.node = to.node;
    this.endpoint = to.endpoint;
    this.#client = client;
    this.#upstream = upstream;
    this.#meter = meter;
    this.#done = done;
    client.owner = this;
    upstream.owner = this;
    upstream.resume();
    client.resume();
  }

  wireData(from: Wire, chunk: Uint8Array): void {
    this.#busy = true;
    if (from === this.#client) {
      this.#meter.bytesFromClients += chunk.length;
      if (!this.#upstream.write(chunk)) from.pause();
    } else {
      this.#meter.bytesToClients += chunk.length;
      if (!this.#client.write(chunk)) from.pause();
    }
  }

  wireDrained(to: Wire): void {
    this.#other(to).resume();
  }

  wireEnded(from: Wire): void {
    this.#busy = true;
    this.#other(from).end();
  }

  wireClosed(from: Wire, code: string | undefined): void {
    if (code !== undefined) {
      this.#other(from).reset();
      this.#finish();
    } else if (--this.#openWires === 0) {
      this.#finish();
    }
  }

  /**
   * Looks whether something has passed since the last look. Once nothing has, the kernel is to watch whether the target is still
   * there; most connections are over before that, and do not pay for it.
   */
  rest(nowMs: number): void {
    if (this.#busy) {
      this.#busy = false;
      this.idleSinceMs = nowMs;
    } else if (!this.#watched) {
      this.#watched = true;
      this.#upstream.keepAlive();
    }
  }

  /** Ends both sides now, with what they have not yet sent. */
  cut(): void {
    this.#client.reset();
    this.#upstream.reset();
    this.#finish();
  }

  wireConnected(): void {}

  wireUnreachable(): void {}

  #other(wire: Wire): Wire {
    return wire === this.#client ? this.#upstream : this.#client;
  }

  #finish(): void {
    this.#done(this);
  }
}
