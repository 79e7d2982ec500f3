/**
 * The lab's hand in a network namespace: a process of its own that does what JSON lines on its standard input say and
 * answers on standard output. Its face for tests is client.ts.
 */
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { FlowOptions, HoldState, LoadOptions, RequestOptions } from './client.ts';
import { ask, DatagramFlow } from './datagrams.ts';
import { Gate, type GateOptions, type GateRule } from './gate.ts';
import { Load } from './load.ts';
import { request } from './request.ts';

/** One connection on which a pod's `/stream` ticks for as long as both sides let it. */
class Hold {
  readonly #socket: net.Socket;
  #state: HoldState = { open: false, ticks: 0, pod: '', remote: '' };

  constructor(host: string, port: number) {
    this.#socket = net.connect({ host, port, allowHalfOpen: false });
    this.#socket.setTimeout(0);
    this.#socket.on('connect', () => {
      this.#state = { ...this.#state, open: true };
      this.#socket.write(`GET /stream HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    });
    this.#socket.setEncoding('utf8').on('data', (chunk: string) => {
      const [, pod = this.#state.pod, remote = this.#state.remote] = /tick (\S+) (\S+)/.exec(chunk) ?? [];
      const ticks = this.#state.ticks + (chunk.match(/tick /g)?.length ?? 0);
      this.#state = { ...this.#state, pod, remote, ticks, lastAt: Date.now() };
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

let gate: Gate | undefined;
const loads = new Map<number, Load>();
const holds = new Map<number, Hold>();
const servers = new Map<number, net.Server>();
const flows = new Map<number, DatagramFlow>();

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
  ask: (args: { host: string; port: number; text: string; timeoutMs: number }) =>
    ask(args.host, args.port, args.text, args.timeoutMs),
  flowOpen: (args: FlowOptions, id) => void flows.set(id, new DatagramFlow(args)),
  flowRead: (args: { flow: number }) => flows.get(args.flow)?.state,
  flowEnd: (args: { flow: number }) => {
    const state = flows.get(args.flow)?.state;
    flows.get(args.flow)?.end();
    flows.delete(args.flow);
    return state;
  },
  occupy: async (args: { host: string; port: number }, id) => void servers.set(id, await occupy(args.host, args.port)),
  gateOpen: async (args: GateOptions) => {
    gate = await Gate.open(args);
  },
  gateKeep: (args: { rule?: GateRule }) => gate?.keep(args.rule),
  gateKept: () => gate?.kept ?? 0,
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
