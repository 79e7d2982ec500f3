import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ForwarderReport } from '../../../src/forwarder/rules.ts';
import { Known } from '../../forwarder/builders.ts';
import type { Orders } from './hand.ts';

/** Three places, which may be one: clients, the balancer, and the nodes behind it. */
export interface World {
  readonly client: Hand;
  readonly balancer: Hand;
  readonly nodes: Hand;
  /** By IP family; undefined: not to be had here. */
  readonly ipv4: Addresses;
  readonly ipv6: Addresses | undefined;
  /** Of the forwarder's table. */
  readonly table: string;
  end(): Promise<void>;
}

export interface Addresses {
  /** Of the balancer, for listeners. */
  readonly listener: string;
  /** Of the balancer, for its listeners alone. */
  readonly exclusive: string;
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  /** A CIDR in which the first client is, and the second is not. */
  readonly range: string;
}

/** A process in a place, driven by messages. */
export class Hand {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>();
  #last = 0;
  /** What its forwarder has reported. */
  known = new Known();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message: { id?: number; result?: never; error?: string; report?: ForwarderReport }) => {
      if (message.report) this.known.take(message.report);
      const waiting = this.#waiting.get(message.id ?? 0);
      this.#waiting.delete(message.id ?? 0);
      if (message.error !== undefined) waiting?.reject(new Error(message.error));
      else waiting?.resolve(message.result as never);
    });
  }

  /** @param namespace undefined: here */
  static async in(namespace: string | undefined, { isNobody = false } = {}): Promise<Hand> {
    const plain = isNobody ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const inside = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`, ...plain];
    const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'hand.ts')];
    const [command = '', ...args] = [...inside, process.execPath, ...program];
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await once(child, 'message');
    return new Hand(child);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  do<K extends keyof Orders>(order: K, what: Orders[K][0]): Promise<Orders[K][1]> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, order, what });
    });
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}
