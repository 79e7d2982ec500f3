import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Attempt } from './dial.ts';
import type { Prospects } from './health.ts';
import type { NodeEntry } from './targets.ts';
import type { Place, Placed } from './udp-flows.ts';
import type { Mouth } from './udp-mouth.ts';
import { bestOutlet, type Outlet } from './udp-outlet.ts';
import { ANSWER_BYTES, growBuffers, makeSocket } from './udp-socket.ts';

/** A datagram that a target has refused goes to another one, if it is not older; after that its client has sent it again. */
const RESEND_WITHIN_MS = 1_000;
/** Larger ones are not kept for that: with 16,000 flows this is 32 MB. */
const MAX_KEPT_BYTES = 2_048;
/** Targets that one datagram is sent to, at most. */
const MAX_TRIES = 3;
/** Datagrams that wait for a new socket, which takes less than one turn of the event loop. */
const MAX_WAITING = 64;
/** A target that answers nothing for so long is not in a dialogue. */
const ANSWER_WITHIN_MS = 2_000;

/** Errors of the system that say: there is nobody, or no way there. */
const GONE: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']);

export interface Client {
  readonly address: string;
  readonly port: number;
}

export interface FlowHost {
  readonly idleMs: number;
  nowMs(): number;
  answered(flow: Flow, datagram: Uint8Array): void;
  /** The flow's target has refused. @returns another one that is not among `tried`; undefined: there is none */
  refused(flow: Flow, tried: ReadonlySet<NodeEntry>): Attempt | undefined;
  /** A datagram was not taken. */
  dropped(): void;
  ended(flow: Flow, why: FlowEnd): void;
}

/** `failed`: no target takes its datagrams, or this machine has no socket for it. `evicted`: another flow needs the place. */
export type FlowEnd = 'failed' | 'evicted' | 'silent';

/** One client's datagrams to one target, through a socket of their own, and the target's to the client. */
export class Flow implements Placed {
  readonly client: Client;
  readonly mouth: Mouth;
  lastMs = 0;
  place: Place<this> | undefined;
  /** When it must leave its target, which is no longer one of the listener's; infinite: it need not. Monotonic milliseconds. */
  leaveAtMs = Number.POSITIVE_INFINITY;
  /** What was known when the target was last found good enough. */
  judgedBy: Prospects | undefined;
  readonly #host: FlowHost;
  #target: Attempt;
  #socket: Socket;
  /** Undefined: its socket is not connected yet. */
  #outlet: Outlet | undefined;
  #isClosed = false;
  #waiting: Uint8Array[] = [];
  #latest: Uint8Array | undefined;
  #latestMs = 0;
  #hasRetried = false;
  #hasAnswered = false;
  #unansweredSinceMs = Number.POSITIVE_INFINITY;
  readonly #tried = new Set<NodeEntry>();
  #onFailed = (_code: string): void => {};

  constructor(client: Client, mouth: Mouth, target: Attempt, host: FlowHost) {
    this.client = client;
    this.mouth = mouth;
    this.#target = target;
    this.#host = host;
    this.#socket = makeSocket(isIP(target.endpoint.address));
    this.#connect();
  }

  get target(): Attempt {
    return this.#target;
  }

  get idleMs(): number {
    return this.#host.idleMs;
  }

  /** Whether the target takes part: whoever only listens loses nothing by another one. */
  isAnswering(nowMs: number): boolean {
    return this.#hasAnswered && nowMs - this.#unansweredSinceMs < ANSWER_WITHIN_MS;
  }

  send(datagram: Uint8Array, nowMs: number): void {
    if (this.#tried.size > 0) this.#tried.clear();
    this.#hasRetried = false;
    this.#latest = datagram.length <= MAX_KEPT_BYTES ? datagram : undefined;
    this.#latestMs = nowMs;
    if (this.#unansweredSinceMs === Number.POSITIVE_INFINITY) this.#unansweredSinceMs = nowMs;
    this.#pass(datagram);
  }

  /**
   * From another port of this machine, also to the same target: whatever the way there remembers of the old one is void. What waits for
   * the old socket goes by the new one.
   */
  moveTo(target: Attempt): void {
    this.#target = target;
    this.#socket.close();
    this.#outlet = undefined;
    this.#hasAnswered = false;
    this.#unansweredSinceMs = Number.POSITIVE_INFINITY;
    this.leaveAtMs = Number.POSITIVE_INFINITY;
    this.judgedBy = undefined;
    this.#socket = makeSocket(isIP(target.endpoint.address));
    this.#connect();
  }

  /** Has the host end it. */
  end(why: FlowEnd): void {
    this.#host.ended(this, why);
  }

  close(): void {
    this.#isClosed = true;
    this.#outlet = undefined;
    this.#waiting = [];
    this.#latest = undefined;
    this.#socket.close();
  }

  #connect(): void {
    const socket = this.#socket;
    this.#onFailed = (code) => {
      if (this.#socket === socket && !this.#isClosed) this.#sendFailed(code);
    };
    socket.on('message', (datagram) => this.#heard(datagram));
    // A tick later: the first can come before whoever makes the flow knows of it.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      process.nextTick(() => {
        if (this.#socket === socket && !this.#isClosed) this.#faulted(error.code ?? '');
      }),
    );
    socket.once('connect', () => {
      if (this.#socket !== socket || this.#isClosed) return;
      growBuffers(socket, ANSWER_BYTES);
      this.#outlet = bestOutlet(socket);
      for (const datagram of this.#waiting.splice(0)) this.#pass(datagram);
    });
    const { address, port } = this.#target.endpoint;
    socket.once('listening', () => socket.connect(port, address)); // asked for both at once, one that cannot be bound would never close
    socket.bind({ port: 0, exclusive: true });
  }

  #pass(datagram: Uint8Array): void {
    if (this.#outlet) {
      if (!this.#outlet.send(datagram, this.#onFailed)) this.#host.dropped();
    } else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(datagram);
    } else {
      this.#host.dropped();
    }
  }

  #heard(datagram: Uint8Array): void {
    this.#hasAnswered = true;
    this.#unansweredSinceMs = Number.POSITIVE_INFINITY;
    this.#latest = undefined;
    this.#host.answered(this, datagram);
  }

  /** The kernel tells of an earlier datagram by refusing this one, so that this one may well go now. */
  #sendFailed(code: string): void {
    if (GONE.has(code)) {
      this.#refused();
    } else if (this.#latest && !this.#hasRetried) {
      this.#hasRetried = true;
      this.#pass(this.#latest);
    } else {
      this.#host.dropped();
    }
  }

  #faulted(code: string): void {
    if (GONE.has(code)) this.#refused();
    else if (!this.#outlet) this.end('failed');
  }

  #refused(): void {
    const resend = this.#host.nowMs() - this.#latestMs < RESEND_WITHIN_MS ? this.#latest : undefined;
    this.#tried.add(this.#target.node);
    const next = this.#host.refused(this, this.#tried);
    if (!next || this.#tried.size >= MAX_TRIES) {
      this.end('failed');
      return;
    }
    this.moveTo(next);
    if (resend && !this.#waiting.includes(resend)) this.#pass(resend);
  }
}
