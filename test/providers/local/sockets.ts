import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { NodeTarget } from '../../../src/model.ts';

/** Ports of 127.0.0.1 that were free a moment ago: all are held together, so they differ. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listenOn('127.0.0.1', 0)));
  const ports = servers.map(portOf);
  await Promise.all(servers.map(closeServer));
  return ports;
}

export function listenOn(address: string, port: number, server = createServer()): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve(server));
  });
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A node whose NodePorts lead to one server, which greets each client with the node's name. */
export interface Greeter {
  readonly node: NodeTarget;
  stop(): Promise<void>;
}

/** @param nodePorts published at the server's own port of 127.0.0.1, so that one loopback address is enough */
export async function startGreeter(name: string, nodePorts: readonly number[]): Promise<Greeter> {
  const server = await listenOn(
    '127.0.0.1',
    0,
    createServer((socket) => socket.on('error', () => {}).end(name)),
  );
  const portMap = Object.fromEntries(nodePorts.map((port) => [port, `127.0.0.1:${portOf(server)}`]));
  return { node: { name, addresses: ['127.0.0.1'], portMap }, stop: () => closeServer(server) };
}

/** What one connection to the port is greeted with; rejects when it is refused or reset. */
export function greetingAt(address: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, address);
    socket.setTimeout(2_000, () => socket.destroy(new Error(`no greeting from ${address}:${port} within 2 s`)));
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('error', reject);
    socket.on('end', () => resolve(text));
  });
}
