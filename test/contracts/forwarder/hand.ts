// The hand of a contract world in one place (a network namespace, or this machine): does what messages say.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { openForwarder } from '../../../src/forwarder/datapath.ts';
import type { Forwarder, ForwarderCounters, ForwarderReport, Parting, Rules, RulesChange } from '../../../src/forwarder/rules.ts';

/** What a hand can do; each returns what JSON can carry. */
export interface Orders {
  open: [options: { datapath: 'userspace' | 'nftables' | 'auto'; table: string; keepRules?: boolean }, result: null];
  apply: [next: Rules | RulesChange, result: null];
  counters: [nothing: null, result: ForwarderCounters];
  close: [drainMs: number, result: null];
  part: [how: { drainMs: number; parting: Parting }, result: null];
  serve: [at: { addresses: readonly string[]; port: number }, result: number];
  stop: [at: { address: string; port: number }, result: null];
  /** Accepts connections, and never answers. */
  mute: [at: { address: string; port: number }, result: null];
  /** Answers each request over HTTP with 200. */
  health: [at: { addresses: readonly string[]; port: number }, result: number];
  /** The name that answers, or what went wrong. */
  who: [to: Place, result: string];
  hold: [to: Place, result: { id: number; who: string }];
  /** Sends a line over a held connection: its echo, or what went wrong. */
  say: [to: { id: number; text: string }, result: string];
  drop: [id: number, result: null];
  /** Opens a port for datagrams that stays. */
  flow: [to: Place, result: number];
  /** Sends over it: the name that answers, or `timeout`. */
  ask: [id: number, result: string];
  /** Sends so many bytes, datagrams again and again until one is answered: how many tries it took, or what went wrong. */
  bulk: [to: Place & { bytes: number }, result: number | string];
}

export interface Place {
  readonly protocol: 'TCP' | 'UDP';
  readonly address: string;
  readonly port: number;
  /** The client's own address. */
  readonly from?: string;
  /** How long a connection may take; default TIMEOUT_MS. */
  readonly withinMs?: number;
  /** Whether the client says something first, as in HTTP. */
  readonly speaks?: boolean;
}

const TIMEOUT_MS = 1_500;
const MOST_TRIES = 10;
let forwarder: Forwarder | undefined;
let last = 0;
const held = new Map<number, Socket>();
const flows = new Map<number, UdpSocket>();
const servers = new Map<string, { tcp: Server; udp: UdpSocket; sockets: Set<Socket> }>();

async function serve(address: string, port: number): Promise<number> {
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.write(`${address}\n`);
    socket.on('data', (chunk) => socket.write(chunk));
  });
  tcp.listen(port, address);
  await once(tcp, 'listening');
  const at = (tcp.address() as { port: number }).port;
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (datagram, from) => udp.send(`${address} ${datagram}`, from.port, from.address));
  udp.bind(at, address);
  await once(udp, 'listening');
  servers.set(`${address} ${at}`, { tcp, udp, sockets });
  return at;
}

function dial({ address, port, from, withinMs = TIMEOUT_MS, speaks = false }: Place): Promise<{ socket: Socket; line: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, ...(from === undefined ? {} : { localAddress: from }) });
    const timer = setTimeout(() => end('timeout'), withinMs);
    const end = (why: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(why));
    };
    let text = '';
    if (speaks) socket.write('hello\n');
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'error'));
    socket.on('close', () => end('closed'));
    socket.on('data', function take(chunk: Buffer) {
      text += chunk.toString();
      if (!text.includes('\n')) return;
      clearTimeout(timer);
      socket.off('data', take);
      socket.removeAllListeners('close');
      resolve({ socket, line: text.split('\n')[0]! });
    });
  });
}

function flow({ address, port, from }: Place): Promise<UdpSocket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => {});
  return new Promise((resolve) => socket.bind(0, from, () => socket.connect(port, address, () => resolve(socket))));
}

function ask(socket: UdpSocket): Promise<string> {
  return new Promise((resolve) => {
    const end = (word: string) => {
      clearTimeout(timer);
      socket.removeAllListeners('message');
      resolve(word);
    };
    const timer = setTimeout(() => end('timeout'), 400);
    socket.once('message', (datagram) => end(datagram.toString().split(' ')[0]!));
    socket.send('who', () => {});
  });
}

/** The server answers with its address, a blank and the same. */
async function sendDatagrams(to: Place, bytes: number): Promise<number | string> {
  const socket = await flow(to);
  let heard: number | undefined;
  socket.on('message', (datagram) => {
    heard = datagram.length - datagram.indexOf(' ') - 1;
  });
  let tries = 0;
  for (; heard === undefined && tries < MOST_TRIES; tries++) {
    socket.send(Buffer.alloc(bytes, 'x'));
    for (let i = 0; heard === undefined && i < 40; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  socket.close();
  if (heard === undefined) return 'timeout';
  return heard === bytes ? tries : `${heard} of ${bytes} bytes`;
}

async function sendStream(to: Place, bytes: number): Promise<number | string> {
  const { socket } = await dial(to);
  socket.end(Buffer.alloc(bytes, 'x'));
  let heard = 0;
  for await (const chunk of socket) heard += (chunk as Buffer).length;
  return heard === bytes ? 1 : `${heard} of ${bytes} bytes`;
}

const orders: { [K in keyof Orders]: (what: Orders[K][0]) => Promise<Orders[K][1]> } = {
  open: async (options) => {
    const quiet = () => {};
    const loud = (fields: object, message: string) => console.error(message, JSON.stringify(fields));
    forwarder = openForwarder({
      ...options,
      onReport: (report: ForwarderReport) => process.send?.({ report }),
      log: { debug: quiet, info: quiet, warn: loud, error: loud },
    });
    return null;
  },
  apply: async (next) => {
    forwarder?.apply(next);
    return null;
  },
  counters: async () => forwarder!.counters(),
  close: async (drainMs) => {
    await forwarder?.close(drainMs);
    forwarder = undefined;
    return null;
  },
  part: async ({ drainMs, parting }) => {
    await forwarder?.close(drainMs, parting);
    forwarder = undefined;
    return null;
  },
  serve: async ({ addresses, port }) => {
    const first = await serve(addresses[0]!, port);
    for (const address of addresses.slice(1)) await serve(address, first);
    return first;
  },
  stop: async ({ address, port }) => {
    const server = servers.get(`${address} ${port}`);
    servers.delete(`${address} ${port}`);
    for (const socket of server?.sockets ?? []) socket.resetAndDestroy();
    server?.tcp.close();
    server?.udp.close();
    return null;
  },
  mute: async ({ address, port }) => {
    const server = createServer((socket) => void socket.on('error', () => {}).resume());
    server.listen(port, address);
    await once(server, 'listening');
    return null;
  },
  health: async ({ addresses, port }) => {
    for (const address of addresses) {
      const server = createHttpServer((_request, response) => response.end('ok'));
      server.listen(port, address);
      await once(server, 'listening');
      port = (server.address() as { port: number }).port;
    }
    return port;
  },
  who: async (to) => {
    if (to.protocol === 'UDP') {
      const socket = await flow(to);
      const answer = await ask(socket);
      socket.close();
      return answer;
    }
    try {
      const { socket, line } = await dial(to);
      socket.destroy();
      return line;
    } catch (error) {
      return (error as Error).message;
    }
  },
  hold: async (to) => {
    const { socket, line } = await dial(to);
    held.set(++last, socket);
    return { id: last, who: line };
  },
  say: ({ id, text }) => {
    const socket = held.get(id)!;
    return new Promise((resolve) => {
      const end = (word: string) => {
        clearTimeout(timer);
        socket.removeAllListeners();
        socket.on('error', () => {});
        resolve(word);
      };
      const timer = setTimeout(() => end('timeout'), TIMEOUT_MS);
      if (socket.destroyed) end('closed');
      socket.once('data', (chunk) => end(chunk.toString()));
      socket.once('error', () => end('closed'));
      socket.once('close', () => end('closed'));
      socket.write(text);
    });
  },
  drop: async (id) => {
    held.get(id)?.destroy();
    held.delete(id);
    return null;
  },
  flow: async (to) => {
    flows.set(++last, await flow(to));
    return last;
  },
  ask: async (id) => ask(flows.get(id)!),
  bulk: async ({ bytes, ...to }) => (to.protocol === 'UDP' ? sendDatagrams(to, bytes) : sendStream(to, bytes)),
};

process.on('message', async ({ id, order, what }: { id: number; order: keyof Orders; what: never }) => {
  try {
    process.send?.({ id, result: await orders[order](what) });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
