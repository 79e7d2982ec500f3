import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket, connect as socketTo } from 'node:net';
import {
  type Forwarder,
  type ForwarderLog,
  type ForwarderReport,
  type ListenerState,
  RULES_VERSION,
  type RuleListener,
  type RuleNode,
  type Rules,
  type TargetState,
} from '../../src/forwarder/rules.ts';

export const quiet: ForwarderLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Whole rules; every node in the set `all`, and alone in the set of its own name. */
export function rules(
  part: { generation?: number; nodes?: readonly RuleNode[]; listeners?: readonly RuleListener[] } = {},
): Rules {
  const nodes = part.nodes ?? [];
  return {
    version: RULES_VERSION,
    generation: part.generation ?? 1,
    nodes,
    nodeSets: { ...Object.fromEntries(nodes.map(({ id }) => [id, [id]])), all: nodes.map(({ id }) => id) },
    listeners: part.listeners ?? [],
  };
}

export function listener(part: Partial<RuleListener> & { nodePort: number }): RuleListener {
  return {
    id: 'web',
    protocol: 'TCP',
    address: '127.0.0.1',
    port: 0,
    portFallback: false,
    nodeSet: 'all',
    check: { kind: 'nodePort' },
    localOnly: false,
    sourceRanges: [],
    drainMs: 5_000,
    idleMs: 0,
    ...part,
  };
}

/** Nodes with loopback addresses of their own, in the order of the names given. */
export function nodes(...addresses: readonly string[]): RuleNode[] {
  return addresses.map((address, i) => ({ id: `node-${i + 1}`, addresses: [address] }));
}

/** Everything that was reported so far, as a reader of the reports knows it. */
export class Known {
  generation = -1;
  reports = 0;
  readonly listeners = new Map<string, ListenerState>();
  readonly targets = new Map<string, TargetState>();
  readonly history: ForwarderReport[] = [];

  readonly take = (report: ForwarderReport): void => {
    this.generation = report.generation;
    this.reports++;
    this.history.push(report);
    merge(this.listeners, report.listeners);
    merge(this.targets, report.targets);
  };

  /** The port where a listener is served, once it is. */
  async port(id = 'web'): Promise<number> {
    const state = await until(`listener ${id} to listen`, () => {
      const found = this.listeners.get(id);
      return found?.state === 'listening' ? found : undefined;
    });
    return state.port;
  }

  async health(key: string, health: TargetState['health']): Promise<TargetState> {
    return until(`target ${key} to be ${health}, it is ${this.targets.get(key)?.health}`, () => {
      const found = this.targets.get(key);
      return found?.health === health ? found : undefined;
    });
  }
}

function merge<T>(into: Map<string, T>, news: Readonly<Record<string, T | null>>): void {
  for (const [key, value] of Object.entries(news)) {
    if (value === null) into.delete(key);
    else into.set(key, value);
  }
}

/** What takes a second or two may take half a minute on a busy machine. */
const PATIENCE_MS = 60_000;

/** Polls until the answer is neither undefined nor false. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const OWN_TICK_MS = 5;

/**
 * Time that this process has had, for upper bounds: while a busy machine lets it wait for its turn, none passes.
 * @returns the ms since then, rather too few than too many
 */
export function startOwnTime(cleanup: Cleanup): () => number {
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, OWN_TICK_MS);
  cleanup.add(() => clearInterval(timer));
  return () => ticks * OWN_TICK_MS;
}

/** Things to be closed at the end of a test, last first. */
export class Cleanup {
  readonly #tasks: (() => unknown)[] = [];

  add(task: () => unknown): void {
    this.#tasks.push(task);
  }

  forwarder<F extends Forwarder>(forwarder: F): F {
    this.add(() => forwarder.close(0));
    return forwarder;
  }

  async run(): Promise<void> {
    for (const task of this.#tasks.splice(0).reverse()) await task();
  }
}

/** A real server on a node's address. It answers each connection with its own name and echoes what comes. */
export class Backend {
  readonly name: string;
  readonly server: Server;
  readonly sockets = new Set<Socket>();
  accepted = 0;

  constructor(name: string, onSocket: (socket: Socket, backend: Backend) => void) {
    this.name = name;
    this.server = createServer({ allowHalfOpen: true }, (socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
      onSocket(socket, this);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** Says its name, then echoes; ends when the client ends. */
export function echo(socket: Socket, backend: Backend): void {
  socket.write(`${backend.name}\n`);
  socket.on('data', (chunk) => socket.write(chunk));
  socket.on('end', () => socket.end());
}

export async function backend(cleanup: Cleanup, address: string, port = 0, onSocket = echo): Promise<Backend> {
  const made = new Backend(address, onSocket);
  made.server.listen(port, address);
  await once(made.server, 'listening');
  cleanup.add(() => made.close());
  return made;
}

/** One back-end per address, all on one port, as kube-proxy's NodePorts are. */
export async function backends(cleanup: Cleanup, addresses: readonly string[], onSocket = echo): Promise<Backend[]> {
  const first = await backend(cleanup, addresses[0]!, 0, onSocket);
  return [first, ...(await Promise.all(addresses.slice(1).map((address) => backend(cleanup, address, first.port, onSocket))))];
}

/** Connects and reads the first line: the name of the back-end that was reached. */
export async function whoAnswers(port: number, host = '127.0.0.1', localAddress?: string): Promise<string> {
  const client = await open(port, host, localAddress);
  const name = await firstLine(client);
  client.destroy();
  return name;
}

export async function open(port: number, host = '127.0.0.1', localAddress?: string): Promise<Socket> {
  const client = socketTo({ port, host, allowHalfOpen: true, ...(localAddress ? { localAddress } : {}) });
  client.on('error', () => {});
  await once(client, 'connect');
  return client;
}

/** @throws when the connection ends before a line has come */
export function firstLine(client: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer): void => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end < 0) return;
      client.off('data', take);
      resolve(text.slice(0, end));
    };
    client.on('data', take);
    client.once('close', () => reject(new Error('closed before a line came')));
    client.once('end', () => reject(new Error('ended before a line came')));
  });
}

export function closed(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()));
}
