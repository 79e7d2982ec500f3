import { formatEndpoint } from './problems.ts';
import type { Endpoint } from './targets.ts';
import type { Wire, WireOwner, Wiring } from './wire.ts';

/** Probes under way at once; a silent node holds one for its timeout. */
export const MAX_PROBES_IN_FLIGHT = 256;

/** Bytes of an HTTP answer that are looked at: the status line. */
const STATUS_LINE_BYTES = 64;

/** `accepted`, `refused` (RST: the machine lives), `silent` (nothing, or a router's "unreachable"), or an HTTP status. */
export type Answer = 'accepted' | 'refused' | 'silent' | number;

/** @param code what the system says where it knows no way there, such as EHOSTUNREACH; undefined: nothing came within the time */
export type Done = (answer: Answer, code?: string) => void;

/** Asks one endpoint one question. */
export class Prober {
  readonly #wiring: Wiring;
  readonly #nowMs: () => number;
  readonly #underWay = new Set<Probe>();
  /** Probes begun since the start. */
  begun = 0;

  constructor(wiring: Wiring, nowMs: () => number) {
    this.#wiring = wiring;
    this.#nowMs = nowMs;
  }

  get room(): number {
    return MAX_PROBES_IN_FLIGHT - this.#underWay.size;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** @param path asks by HTTP for its status; undefined: a TCP connect is the answer */
  ask(endpoint: Endpoint, path: string | undefined, timeoutMs: number, done: Done): void {
    this.begun++;
    const probe = new Probe(endpoint, path, this.#nowMs() + timeoutMs, (answer, code) => {
      this.#underWay.delete(probe);
      done(answer, code);
    });
    this.#underWay.add(probe);
    probe.start(this.#wiring);
  }

  /** Ends the probes whose time is up; called often, so that no probe needs a timer. */
  expire(): void {
    const now = this.#nowMs();
    for (const probe of this.#underWay) if (now >= probe.deadlineMs) probe.settle('silent');
  }

  /** Forgets all probes under way; nobody is told. */
  stop(): void {
    for (const probe of this.#underWay) probe.abandon();
    this.#underWay.clear();
  }
}

class Probe implements WireOwner {
  readonly deadlineMs: number;
  readonly #endpoint: Endpoint;
  readonly #path: string | undefined;
  readonly #done: Done;
  #wire: Wire | undefined;
  #settled = false;
  #text = '';

  constructor(endpoint: Endpoint, path: string | undefined, deadlineMs: number, done: Done) {
    this.#endpoint = endpoint;
    this.#path = path;
    this.deadlineMs = deadlineMs;
    this.#done = done;
  }

  start(wiring: Wiring): void {
    this.#wire = wiring.connect(this.#endpoint.address, this.#endpoint.port, this);
  }

  wireConnected(wire: Wire): void {
    if (this.#path === undefined) {
      this.settle('accepted');
      return;
    }
    const host = formatEndpoint(this.#endpoint.address, this.#endpoint.port);
    wire.write(
      Buffer.from(`GET ${this.#path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: nodeport-lb\r\nConnection: close\r\n\r\n`),
    );
    wire.resume();
  }

  wireUnreachable(_wire: Wire, code: string): void {
    if (code === 'ECONNREFUSED' || code === 'ECONNRESET') this.settle('refused');
    else this.settle('silent', code);
  }

  wireData(_wire: Wire, chunk: Uint8Array): void {
    this.#text += Buffer.from(chunk.subarray(0, STATUS_LINE_BYTES)).toString('latin1');
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(this.#text)?.[1];
    if (status !== undefined) this.settle(Number(status));
    else if (this.#text.length >= STATUS_LINE_BYTES) this.settle('refused');
  }

  wireEnded(): void {
    this.settle('refused');
  }

  wireClosed(): void {
    this.settle('refused');
  }

  wireDrained(): void {}

  settle(answer: Answer, code?: string): void {
    if (this.#settled) return;
    this.abandon();
    this.#done(answer, code);
  }

  /** FIN, not RST: a server that never expected a reset connection may die of it. */
  abandon(): void {
    this.#settled = true;
    this.#wire?.close();
  }
}
