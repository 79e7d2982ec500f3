/**
 * A pod's program: an HTTP server that says who answered, and the same for datagrams at the same port numbers. Called as `pod.ts JSON`, with the fields of `Options`. On SIGTERM it
 * goes on for the grace time, closing each connection after its answer, as a well-made server behind a preStop hook does.
 */
import { createSocket } from 'node:dgram';
import http from 'node:http';

interface Options {
  readonly pod: string;
  readonly node: string;
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
  readonly graceMs: number;
}

const options = JSON.parse(process.argv[2] ?? '') as Options;
const TICK_MS = 100;
const MAX_SLOW_MS = 60_000;
let leaving = false;

const places = options.ports.flatMap((port) => options.addresses.map((address) => ({ port, address })));

const servers = places.map(({ port, address }) => {
  const server = http.createServer(answer);
  server.keepAliveTimeout = 60_000;
  server.listen(port, address);
  return server;
});

const sockets = places.map(({ port, address }) => {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (datagram, from) => {
    const body = { pod: options.pod, node: options.node, remote: from.address, path: datagram.toString(), headers: {} };
    socket.send(JSON.stringify(body), from.port, from.address);
  });
  socket.bind(port, address);
  return socket;
});

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://pod');
  if (leaving) response.setHeader('connection', 'close');
  if (url.pathname === '/stream') {
    stream(request, response);
    return;
  }
  const slowMs = Math.min(Number(url.searchParams.get('slowMs') ?? 0), MAX_SLOW_MS);
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith('x-')));
  const body = { pod: options.pod, node: options.node, remote: request.socket.remoteAddress, path: url.pathname, headers };
  setTimeout(() => response.setHeader('content-type', 'application/json').end(JSON.stringify(body)), slowMs);
}

/** Says its name and the address that it sees ten times a second for as long as the connection lives. */
function stream(request: http.IncomingMessage, response: http.ServerResponse): void {
  const line = `tick ${options.pod} ${request.socket.remoteAddress}\n`;
  response.write(line);
  const timer = setInterval(() => response.write(line), TICK_MS);
  response.on('close', () => clearInterval(timer));
}

process.on('SIGTERM', () => {
  leaving = true;
  setTimeout(() => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.close();
    setTimeout(() => process.exit(0), 5_000).unref(); // streams do not end by themselves
  }, options.graceMs);
});

await Promise.all([...servers, ...sockets].map((each) => new Promise<void>((resolve) => each.once('listening', resolve))));
console.log('listening');
