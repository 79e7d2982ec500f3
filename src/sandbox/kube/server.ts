import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import * as answers from './answers.ts';
import type { Audit } from './audit.ts';
import type { Cluster } from './cluster.ts';
import { ApiFailure, internal } from './failure.ts';
import { handle, type WatchWanted } from './handle.ts';
import { type ApiRequest, readRequest } from './request.ts';
import { openWatch } from './watches.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Bearer token that every request must carry; undefined: none. */
  readonly token?: string | undefined;
}

/** Bytes that a watcher may lag behind before its connection is cut; it lists again then. */
const LAG_LIMIT_BYTES = 32 * 1024 * 1024;

/** The HTTP side: requests in, answers and watches out. It may stop and listen again on the same port. */
export class ApiServer {
  readonly audit: Audit;
  readonly #cluster: Cluster;
  readonly #options: ServerOptions;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<ServerResponse>();
  #server: Server | undefined;
  #port: number;

  constructor(cluster: Cluster, options: ServerOptions, audit: Audit) {
    this.#cluster = cluster;
    this.#options = options;
    this.#port = options.port;
    this.audit = audit;
  }

  get url(): string {
    const host = this.#options.host.includes(':') ? `[${this.#options.host}]` : this.#options.host;
    return `http://${host}:${this.#port}`;
  }

  /** @throws when the address cannot be bound */
  async listen(): Promise<void> {
    const { host } = this.#options;
    const answer = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response);
    const server = createServer(answer);
    server.keepAliveTimeout = 90_000;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Cuts every connection and frees the port; everything stored stays. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Ends every watch, as a proxy in between might. */
  disconnectWatches(): void {
    for (const response of this.#watches) response.destroy();
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    let request: ApiRequest | undefined;
    const warnings = new Set<string>();
    try {
      request = await readRequest(incoming);
      this.#authenticate(incoming);
      const answer = await handle(this.#cluster, request, (text) => warnings.add(text));
      setWarnings(response, warnings);
      if ('watch' in answer) this.#watch(answer, request, response);
      else this.#send(request, response, answer);
    } catch (error) {
      const failure =
        error instanceof ApiFailure ? error : internal(error instanceof Error ? (error.stack ?? error.message) : String(error));
      if (!response.headersSent) setWarnings(response, warnings);
      this.#send(request, response, answers.failed(failure));
    }
  }

  #authenticate(incoming: IncomingMessage): void {
    const { token } = this.#options;
    if (token === undefined || incoming.headers.authorization === `Bearer ${token}`) return;
    throw new ApiFailure(401, 'Unauthorized', 'Unauthorized');
  }

  #send(request: ApiRequest | undefined, response: ServerResponse, answer: answers.Answer): void {
    if (request) this.audit.add(request, answer.code);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const body = Buffer.from(answer.body);
    response.writeHead(answer.code, {
      'content-type': answer.contentType,
      'content-length': body.length,
      'cache-control': 'no-cache, private',
      ...answer.headers,
    });
    response.end(request?.method === 'HEAD' ? undefined : body);
  }

  #watch({ watch, route, view }: WatchWanted, request: ApiRequest, response: ServerResponse): void {
    const contentType = view.shape === 'object' ? 'application/json' : 'application/json;stream=watch';
    const begin = (): void => {
      if (!response.headersSent) response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache, private' });
    };
    const write = (lines: Buffer | string): void => {
      begin();
      if (response.writableLength > LAG_LIMIT_BYTES) response.destroy();
      else response.write(lines);
    };
    const end = (): void => {
      begin();
      response.end();
    };
    const render = answers.watchRenderer(view, this.#cluster.now);
    const { stop } = openWatch(this.#cluster, route, watch, { write, end, render });
    this.audit.add(request, 200);
    this.#watches.add(response);
    response.on('close', () => {
      this.#watches.delete(response);
      stop();
    });
    begin();
    response.flushHeaders();
  }
}

function setWarnings(response: ServerResponse, warnings: ReadonlySet<string>): void {
  if (warnings.size === 0) return;
  response.setHeader(
    'warning',
    [...warnings].map((text) => `299 - ${JSON.stringify(text)}`),
  );
}
