import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { GateOptions, GateRule } from './gate.ts';
import { Process } from './process.ts';

export interface RequestOptions {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Default 5 s. */
  readonly timeoutMs?: number;
  /** Certificate to trust, for https. */
  readonly caFile?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface LoadOptions {
  readonly url: string;
  /** A connection for each request, or up to ten that are kept. */
  readonly connections: 'new' | 'kept';
  /** Steady rate, default 50; not with `concurrency`. */
  readonly perSecond?: number;
  /** As fast as answers come, with this many under way. */
  readonly concurrency?: number;
  /** Stops by itself after this many. */
  readonly count?: number;
  /** Default 5 s. */
  readonly timeoutMs?: number;
}

export interface Failure {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly tookMs: number;
  readonly message: string;
}

export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  readonly failed: number;
  /** The first fifty. */
  readonly failures: readonly Failure[];
  /** Answers by the pod that gave them. */
  readonly byPod: Readonly<Record<string, number>>;
  /** Answers by the address that the pod saw. */
  readonly byEntry: Readonly<Record<string, number>>;
}

export interface HoldState {
  readonly open: boolean;
  readonly ticks: number;
  /** The pod that ticks; empty until it has. */
  readonly pod: string;
  /** The address that the pod sees. */
  readonly remote: string;
  /** Milliseconds since the epoch. */
  readonly lastAt?: number;
  readonly closedAt?: number;
  readonly error?: string;
}

export interface FlowOptions {
  readonly host: string;
  readonly port: number;
  readonly perSecond: number;
}

/** A flow of datagrams, each of which a pod answers. */
export interface FlowState {
  readonly sent: number;
  readonly answered: number;
  /** The pod that answered last; empty until one has. */
  readonly pod: string;
  readonly byPod: Readonly<Record<string, number>>;
  /** The longest time without an answer, also since the last one. */
  readonly longestGapMs: number;
}

export interface RunningFlow {
  read(): Promise<FlowState>;
  end(): Promise<FlowState>;
}

export interface RunningLoad {
  read(): Promise<LoadResult>;
  /** No further request; waits for those under way. */
  stop(): Promise<LoadResult>;
}

export interface HeldConnection {
  read(): Promise<HoldState>;
  end(): Promise<void>;
}

/** A client in a network namespace: a process of its own that makes requests there and says how they went. */
export class Client {
  readonly process: Process;
  readonly #waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  #calls = 0;

  constructor(name: string, namespace: string, directory: string) {
    this.process = new Process({
      name,
      namespace,
      command: process.execPath,
      args: [join(import.meta.dirname, 'agent.ts')],
      logFile: join(directory, `${name}.log`),
      talks: true,
    });
    const { stdout, stdin } = this.process.child;
    if (!stdout || !stdin) throw new Error(`${name} has no pipes`);
    createInterface({ input: stdout }).on('line', (line) => this.#answered(line));
    stdin.on('error', () => {}); // it has ended: every call under way is rejected below
    void this.process.exited.catch(() => undefined).then(() => this.#ended());
  }

  request(options: RequestOptions): Promise<Answer> {
    return this.#call('request', options);
  }

  /** GET, for the JSON that pods answer with. @throws unless the status is 200 */
  async json(url: string, timeoutMs = 5_000): Promise<PodAnswer> {
    const answer = await this.request({ url, timeoutMs });
    if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${answer.body.slice(0, 200)}`);
    return JSON.parse(answer.body) as PodAnswer;
  }

  /** `open`, `refused`, `timeout` or the error's code. */
  knock(host: string, port: number, timeoutMs = 2_000): Promise<string> {
    return this.#call('knock', { host, port, timeoutMs });
  }

  /** Sends `count` requests and waits for all. */
  async burst(url: string, count: number, options: Partial<LoadOptions> = {}): Promise<LoadResult> {
    const load = await this.#opened('loadStart', { url, connections: 'new', concurrency: 10, count, ...options });
    return this.#call('loadDone', { load });
  }

  async load(options: LoadOptions): Promise<RunningLoad> {
    const load = await this.#opened('loadStart', options);
    return { read: () => this.#call('loadRead', { load }), stop: () => this.#call('loadStop', { load }) };
  }

  /** Opens a connection on which a pod ticks ten times a second. */
  async hold(host: string, port: number): Promise<HeldConnection> {
    const hold = await this.#opened('holdOpen', { host, port });
    return { read: () => this.#call('holdRead', { hold }), end: () => this.#call('holdEnd', { hold }) };
  }

  /** One datagram from a new port. @returns what a pod answers, or `refused`, `timeout` or the error's code */
  async datagram(host: string, port: number, timeoutMs = 2_000): Promise<PodAnswer | string> {
    const said = await this.#call<string>('ask', { host, port, text: 'who', timeoutMs });
    return said.startsWith('{') ? (JSON.parse(said) as PodAnswer) : said;
  }

  /** Datagrams from one port at a steady rate. */
  async flow(options: FlowOptions): Promise<RunningFlow> {
    const flow = await this.#opened('flowOpen', options);
    return { read: () => this.#call('flowRead', { flow }), end: () => this.#call('flowEnd', { flow }) };
  }

  /** Listens there until `free` is called, so that nobody else can. */
  async occupy(host: string, port: number): Promise<{ free(): Promise<void> }> {
    const server = await this.#opened('occupy', { host, port });
    return { free: () => this.#call('free', { server }) };
  }

  /** Opens the client's gate, see gate.ts. */
  gateOpen(options: GateOptions): Promise<void> {
    return this.#call('gateOpen', options);
  }

  gateKeep(rule?: GateRule): Promise<void> {
    return this.#call('gateKeep', { rule });
  }

  gateKept(): Promise<number> {
    return this.#call('gateKept', {});
  }

  async #opened(op: string, args: object): Promise<number> {
    const id = this.#calls + 1; // the call's own number names what it opened
    await this.#call(op, args);
    return id;
  }

  #call<T>(op: string, args: object): Promise<T> {
    const id = ++this.#calls;
    if (!this.process.alive) return Promise.reject(new Error(`${this.process.name} has ended: ${this.process.tail(5)}`));
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.process.child.stdin?.write(`${JSON.stringify({ id, op, args })}\n`);
    });
  }

  #answered(line: string): void {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: never; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result as never);
    else waiting?.reject(new Error(error));
  }

  #ended(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(`${this.process.name} has ended`));
    this.#waiting.clear();
  }
}

/** What a pod of the lab says, see pod.ts. */
export interface PodAnswer {
  readonly pod: string;
  readonly node: string;
  /** Address that the request came from, as the pod saw it. */
  readonly remote: string;
  readonly path: string;
  /** Only those that begin with `x-`. */
  readonly headers: Readonly<Record<string, string>>;
}
