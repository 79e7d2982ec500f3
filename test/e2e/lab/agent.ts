/**
 * The lab's hand in a network namespace: a process of its own that does what JSON lines on its standard input say and
 * answers on standard output. Its face for tests is client.ts.
 */
import { readFileSync, unlinkSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { Answer, Failure, HoldState, LoadOptions, LoadResult, RequestOptions } from './client.ts';

const MAX_FAILURES_TOLD = 50;
const MAX_IN_FLIGHT = 500;

function request(options: RequestOptions, agent?: http.Agent): Promise<Answer> {
  const url = new URL(options.url);
  const tls = url.protocol === 'https:';
  const ca = options.caFile === undefined ? undefined : readFileSync(options.caFile);
  return new Promise((resolve, reject) => {
    const sent = (tls ? https : http).request(url, {
      method: options.method ?? 'GET',
      headers: { ...options.headers, 'content-length': Buffer.byteLength(options.body ?? '') }, // not by itself on a DELETE
      agent: tls ? apiAgent : (agent ?? false),
      ca,
      signal: AbortSignal.timeout(options.timeoutMs ?? 5_000),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on('error', reject);
    });
    sent.end(options.body);
  });
}

const apiAgent = new https.Agent({ keepAlive: true, maxSockets: 16 });

/** Requests at a steady rate until it is stopped or `count` is reached; keeps every failure's time and words. */
class Load {
  readonly #options: LoadOptions;
  readonly #agent: http.Agent | undefined;
  readonly #byPod = new Map<string, number>();
  readonly #byEntry = new Map<string, number>();
  readonly #failures: Failure[] = [];
  #sent = 0;
  #answered = 0;
  #failed = 0;
  #inFlight = 0;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #done: (() => void) | undefined;
  readonly done: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent = options.connections === 'kept' ? new http.Agent({ keepAlive: true, maxSockets: 10 }) : undefined;
    this.done = new Promise((resolve) => {
      this.#done = resolve;
    });
    if (options.concurrency !== undefined) for (let i = 0; i < options.concurrency; i++) this.#next();
    else this.#timer = setInterval(() => this.#tick(), 1_000 / (options.perSecond ?? 50));
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#settle();
  }

  result(): LoadResult {
    return {
      sent: this.#sent,
      answered: this.#answered,
      failed: this.#failed,
      failures: this.#failures,
      byPod: Object.fromEntries(this.#byPod),
      byEntry: Object.fromEntries(this.#byEntry),
    };
  }

  #full(): boolean {
    return this.#stopped || (this.#options.count !== undefined && this.#sent >= this.#options.count);
  }

  #tick(): void {
    if (this.#full()) this.stop();
    else if (this.#inFlight < MAX_IN_FLIGHT) void this.#one();
  }

  /** The next one of a burst follows the answer to the last. */
  #next(): void {
    if (this.#full()) this.stop();
    else void this.#one().then(() => this.#next());
  }

  async #one(): Promise<void> {
    const startedAt = Date.now();
    this.#sent++;
    this.#inFlight++;
    try {
      const answer = await request({ url: this.#options.url, timeoutMs: this.#options.timeoutMs ?? 5_000 }, this.#agent);
      if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 100)}`);
      this.#count(answer.body);
      this.#answered++;
    } catch (error) {
      this.#failed++;
      const message = error instanceof Error ? `${'code' in error ? `${error.code} ` : ''}${error.message}` : String(error);
      if (this.#failures.length < MAX_FAILURES_TOLD) this.#failures.push({ startedAt, tookMs: Date.now() - startedAt, message });
    } finally {
      this.#inFlight--;
      this.#settle();
    }
  }

  #count(body: string): void {
    const said = JSON.parse(body) as { pod?: string; remote?: string };
    for (const [map, key] of [
      [this.#byPod, said.pod],
      [this.#byEntry, said.remote],
    ] as const) {
      if (key !== undefined) map.set(key, (map.get(key) ?? 0) + 1);
    }
  }

  #settle(): void {
    if (this.#stopped && this.#inFlight === 0) {
      this.#agent?.destroy();
      this.#done?.();
    }
  }
}

/** One connection on which a pod's `/stream` ticks for as long as both sides let it. */
class Hold {
  readonly #socket: net.Socket;
  #state: HoldState = { open: false, ticks: 0, pod: '' };

  constructor(host: string, port: number) {
    this.#socket = net.connect({ host, port, allowHalfOpen: false });
    this.#socket.setTimeout(0);
    this.#socket.on('connect', () => {
      this.#state = { ...this.#state, open: true };
      this.#socket.write(`GET /stream HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    });
    this.#socket.setEncoding('utf8').on('data', (chunk: string) => {
      const pod = /tick (\S+)/.exec(chunk)?.[1] ?? this.#state.pod;
      this.#state = { ...this.#state, pod, ticks: this.#state.ticks + (chunk.match(/tick /g)?.length ?? 0), lastAt: Date.now() };
    });
    this.#socket.on('error', (error) => {
      this.#state = { ...this.#state, error: error.message };
    });
    this.#socket.on('close', () => {
      this.#state = { ...this.#state, open: false, closedAt: Date.now() };
    });
  }

  get state(): HoldState {
    return this.#state;
  }

  end(): void {
    this.#socket.destroy();
  }
}

/** Whether a TCP connection can be made, in one word. */
function knock(host: string, port: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: timeoutMs });
    const end = (word: string) => {
      socket.destroy();
      resolve(word);
    };
    socket.on('connect', () => end('open'));
    socket.on('timeout', () => end('timeout'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? 'refused' : (error.code ?? 'error')),
    );
  });
}

/** Binds an address and port here, so that another process finds it taken. */
function occupy(host: string, port: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.end());
    server.on('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

/** Carries connections from a socket file, which is the same in every network namespace, to a port in this one. */
function relay(file: string, host: string, port: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    try {
      unlinkSync(file);
    } catch {
      // nothing there yet
    }
    const server = net.createServer({ allowHalfOpen: true }, (near) => {
      const far = net.connect({ host, port, allowHalfOpen: true });
      near.pipe(far).pipe(near);
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
    server.on('error', reject);
    server.listen(file, () => resolve(server));
  });
}

const loads = new Map<number, Load>();
const holds = new Map<number, Hold>();
const servers = new Map<number, net.Server>();

type Call = { readonly id: number; readonly op: string; readonly args: never };

const operations: Readonly<Record<string, (args: never, id: number) => unknown>> = {
  request: (args: RequestOptions) => request(args),
  knock: (args: { host: string; port: number; timeoutMs: number }) => knock(args.host, args.port, args.timeoutMs),
  loadStart: (args: LoadOptions, id) => void loads.set(id, new Load(args)),
  loadRead: (args: { load: number }) => loads.get(args.load)?.result(),
  loadStop: async (args: { load: number }) => {
    const load = loads.get(args.load);
    load?.stop();
    await load?.done;
    loads.delete(args.load);
    return load?.result();
  },
  loadDone: async (args: { load: number }) => {
    await loads.get(args.load)?.done;
    const result = loads.get(args.load)?.result();
    loads.delete(args.load);
    return result;
  },
  holdOpen: (args: { host: string; port: number }, id) => void holds.set(id, new Hold(args.host, args.port)),
  holdRead: (args: { hold: number }) => holds.get(args.hold)?.state,
  holdEnd: (args: { hold: number }) => {
    holds.get(args.hold)?.end();
    holds.delete(args.hold);
  },
  occupy: async (args: { host: string; port: number }, id) => void servers.set(id, await occupy(args.host, args.port)),
  relay: async (args: { file: string; host: string; port: number }, id) =>
    void servers.set(id, await relay(args.file, args.host, args.port)),
  free: (args: { server: number }) => {
    servers.get(args.server)?.close();
    servers.delete(args.server);
  },
};

const input = createInterface({ input: process.stdin });
input.on('line', async (line) => {
  const { id, op, args } = JSON.parse(line) as Call;
  try {
    const result = await operations[op]?.(args, id);
    process.stdout.write(`${JSON.stringify({ id, result })}\n`);
  } catch (error) {
    process.stdout.write(
      `${JSON.stringify({ id, error: error instanceof Error ? error.message || error.name : String(error) })}\n`,
    );
  }
});
input.on('close', () => process.exit(0));
