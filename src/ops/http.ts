import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '../errors.ts';
import type { Metrics } from './metrics.ts';

export interface HttpOptions {
  /** Empty: every address of the machine. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly metrics: Pick<Metrics, 'render'>;
  /** Why the process should be restarted; undefined: it is well. */
  unhealthy(): string | undefined | Promise<string | undefined>;
  /** Why it is not ready for work; undefined: it is. */
  unready(): string | undefined;
}

export interface HttpServer {
  readonly host: string;
  readonly port: number;
  /** Ends kept connections too. */
  close(): Promise<void>;
}

/** Enough for kubelet, Prometheus and a curious person; more are refused. */
const MAX_CONNECTIONS = 100;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Serves /healthz, /readyz and /metrics.
 * @throws {UsageError} when the address cannot be bound
 */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    answer(options, request, response).catch(() => response.destroy());
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(describeFailure(options, error)));
    server.listen(options.port, options.host === '' ? undefined : options.host, resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    host: address,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function describeFailure({ host, port }: HttpOptions, error: NodeJS.ErrnoException): UsageError {
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: 'is in use by another process; choose another port, or stop that process',
    EACCES: 'may not be bound; choose a port above 1023',
    EADDRNOTAVAIL: 'is not an address of this machine',
    ENOTFOUND: 'is not a host that can be resolved',
  };
  const message = why[error.code ?? ''] ?? `cannot be bound: ${error.message}`;
  return new UsageError([{ where: '--http', value: `${host}:${port}`, message }], { cause: error });
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'only GET is served\n');
  if (path === '/healthz') return sendVerdict(response, await options.unhealthy());
  if (path === '/readyz') return sendVerdict(response, options.unready());
  if (path === '/metrics') {
    const { type, text } = await options.metrics.render();
    return send(response, 200, text, type);
  }
  return send(response, 404, 'here are /healthz, /readyz and /metrics\n');
}

function sendVerdict(response: ServerResponse, fault: string | undefined): void {
  send(response, fault === undefined ? 200 : 503, `${fault ?? 'ok'}\n`);
}

function send(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) }).end(text);
}
