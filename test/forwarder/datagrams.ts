import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { type Cleanup, until } from './builders.ts';

/** Room for what a test sends at once; the kernel gives what it allows. */
const BUFFER_BYTES = 4 * 1024 * 1024;

type Answer = (datagram: Buffer, from: RemoteInfo, server: Server) => void;

/** A real UDP server on a node's address. */
export class Server {
  readonly address: string;
  readonly heard: { readonly text: string; readonly from: RemoteInfo }[] = [];
  readonly socket: Socket;
  readonly #isOpen: () => boolean;

  constructor(address: string, socket: Socket, answer: Answer) {
    this.address = address;
    this.socket = socket;
    let open = true;
    this.#isOpen = () => open;
    socket.on('close', () => {
      open = false;
    });
    socket.on('message', (datagram, from) => {
      this.heard.push({ text: datagram.toString('latin1', 0, 100), from });
      answer(datagram, from, this);
    });
  }

  get port(): number {
    return this.socket.address().port;
  }

  /** Clients' flows that have come, by the forwarder's port. */
  get flows(): number {
    return new Set(this.heard.map(({ from }) => from.port)).size;
  }

  close(): void {
    if (this.#isOpen()) this.socket.close();
  }
}

/** Answers with its address, a space, and what it heard. */
export const named: Answer = (datagram, from, server) => {
  server.socket.send(Buffer.concat([Buffer.from(`${server.address} `), datagram]), from.port, from.address);
};

export const same: Answer = (datagram, from, server) => server.socket.send(datagram, from.port, from.address);

export const mute: Answer = () => {};

export async function server(cleanup: Cleanup, address: string, port = 0, answer: Answer = named): Promise<Server> {
  const socket = await bound(address, port);
  const made = new Server(address, socket, answer);
  cleanup.add(() => made.close());
  return made;
}

/** One on each address, all on one port, as kube-proxy's NodePorts are. */
export async function servers(cleanup: Cleanup, addresses: readonly string[], answer: Answer = named): Promise<Server[]> {
  const first = await server(cleanup, addresses[0]!, 0, answer);
  return [first, ...(await Promise.all(addresses.slice(1).map((address) => server(cleanup, address, first.port, answer))))];
}

/** A client with a port of its own, that keeps what it is sent. */
export class Client {
  readonly heard: Buffer[] = [];
  readonly socket: Socket;
  readonly to: { readonly address: string; readonly port: number };

  constructor(socket: Socket, to: { address: string; port: number }) {
    this.socket = socket;
    this.to = to;
    socket.on('message', (datagram, from) => {
      // A connected socket would hear only the right one as well; here a wrong one is seen.
      if (from.port !== to.port || from.address !== to.address) this.heard.push(Buffer.from(`from ${from.address}:${from.port}`));
      else this.heard.push(datagram);
    });
    socket.on('error', () => {});
  }

  get texts(): readonly string[] {
    return this.heard.map(String);
  }

  send(datagram: string | Uint8Array): void {
    this.socket.send(datagram, this.to.port, this.to.address);
  }

  /** Sends, and waits for one more datagram. */
  async ask(datagram: string | Uint8Array): Promise<string> {
    const before = this.heard.length;
    this.send(datagram);
    return until('an answer', () => this.heard[before]?.toString('latin1'));
  }

  /** The server that answers, of those that say their name. */
  async who(): Promise<string> {
    return (await this.ask('who')).split(' ')[0]!;
  }
}

export async function client(cleanup: Cleanup, port: number, address = '127.0.0.1', own?: string): Promise<Client> {
  const socket = await bound(own ?? (isIP(address) === 6 ? '::1' : '127.0.0.1'), 0);
  cleanup.add(() => socket.close());
  return new Client(socket, { address, port });
}

async function bound(address: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4', recvBufferSize: BUFFER_BYTES });
  socket.bind({ address, port, exclusive: true });
  await once(socket, 'listening');
  return socket;
}
