import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { FlowOptions, FlowState, PodAnswer } from './client.ts';

/** Datagrams from one port at a steady rate, until it is ended. */
export class DatagramFlow {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  readonly #byPod = new Map<string, number>();
  #sent = 0;
  #answered = 0;
  #pod = '';
  #lastAt = Date.now();
  #longestGapMs = 0;

  /** The socket is connected: an answer from another address than the one that was asked does not arrive. */
  constructor({ host, port, perSecond }: FlowOptions) {
    this.#socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
    this.#socket.on('error', () => {}); // a refusal is a datagram without an answer
    this.#socket.on('message', (datagram) => this.#heard(datagram));
    this.#socket.connect(port, host);
    this.#timer = setInterval(() => this.#send(), 1_000 / perSecond);
  }

  get state(): FlowState {
    const gap = Math.max(this.#longestGapMs, Date.now() - this.#lastAt);
    return {
      sent: this.#sent,
      answered: this.#answered,
      pod: this.#pod,
      byPod: Object.fromEntries(this.#byPod),
      longestGapMs: gap,
    };
  }

  end(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #send(): void {
    this.#sent++;
    this.#socket.send(`question ${this.#sent}`, () => {});
  }

  #heard(datagram: Buffer): void {
    const now = Date.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    this.#answered++;
    this.#pod = (JSON.parse(datagram.toString()) as PodAnswer).pod;
    this.#byPod.set(this.#pod, (this.#byPod.get(this.#pod) ?? 0) + 1);
  }
}

/** One question from a new port. @returns what came, or `refused`, `timeout` or the error's code */
export function ask(host: string, port: number, text: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
    const end = (outcome: string) => {
      clearTimeout(timer);
      socket.removeAllListeners('message').close();
      resolve(outcome);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    socket.once('message', (datagram) => end(datagram.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? 'refused' : (error.code ?? 'error')),
    );
    socket.connect(port, host, () => socket.send(text));
  });
}
