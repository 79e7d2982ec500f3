import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';

/** An API server that the suite is run against. */
export interface KubeUnderTest {
  readonly url: string;
  /** Sent with every request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Take any certificate: a server started for the test signs its own. */
  readonly insecure?: boolean;
  /** Makes every resourceVersion up to now unusable for watching and for going on with a list. */
  compact(): Promise<void>;
  close(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly warnings: string;
}

export interface Ask {
  readonly body?: unknown;
  readonly type?: string;
  readonly accept?: string;
  readonly agent?: string;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: {
    readonly metadata: { readonly name: string; readonly resourceVersion: string } & Record<string, unknown>;
  } & Record<string, unknown>;
}

export const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** How long a test waits for something that the server does in its own time. */
const PATIENCE_MS = 60_000;
const POLL_MS = 50;

/** Raw requests, as any client would send them. */
export class Client {
  readonly #server: KubeUnderTest;
  readonly #agent: PlainAgent | TlsAgent;
  readonly #watches = new Set<Watch>();

  constructor(server: KubeUnderTest) {
    this.#server = server;
    const tls = server.url.startsWith('https:');
    this.#agent = tls
      ? new TlsAgent({ keepAlive: true, rejectUnauthorized: !server.insecure })
      : new PlainAgent({ keepAlive: true });
  }

  get(path: string, ask: Ask = {}): Promise<Reply> {
    return this.send('GET', path, ask);
  }

  post(path: string, body: unknown, ask: Ask = {}): Promise<Reply> {
    return this.send('POST', path, { ...ask, body });
  }

  put(path: string, body: unknown, ask: Ask = {}): Promise<Reply> {
    return this.send('PUT', path, { ...ask, body });
  }

  patch(path: string, type: keyof typeof patchTypes, body: unknown): Promise<Reply> {
    return this.send('PATCH', path, { body, type: patchTypes[type] });
  }

  delete(path: string, body?: unknown): Promise<Reply> {
    return this.send('DELETE', path, body === undefined ? {} : { body });
  }

  async send(method: string, path: string, ask: Ask): Promise<Reply> {
    const response = await this.#open(method, path, ask);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const json = text.startsWith('{'); // the real index of OpenAPI documents calls itself text/plain
    const warnings = [response.headers['warning'] ?? ''].flat().join('\n');
    return { status: response.statusCode ?? 0, body: json ? JSON.parse(text) : text, warnings };
  }

  #open(method: string, path: string, { body, type, accept, agent }: Ask): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const headers = {
      ...this.#server.headers,
      accept: accept ?? 'application/json',
      'user-agent': agent ?? 'contract/1.0',
      ...(payload === undefined
        ? {}
        : { 'content-type': type ?? 'application/json', 'content-length': Buffer.byteLength(payload) }),
    };
    const open = this.#server.url.startsWith('https:') ? tlsRequest : plainRequest;
    return new Promise((resolve, reject) => {
      const request = open(`${this.#server.url}${path}`, { method, headers, agent: this.#agent }, resolve);
      request.on('error', reject);
      request.end(payload);
    });
  }

  /** Opens a watch; it is closed with the client at the latest. */
  async watch(path: string, query: Readonly<Record<string, string>>, accept?: string): Promise<Watch> {
    const search = new URLSearchParams({ watch: 'true', ...query });
    const watch = new Watch(await this.#open('GET', `${path}?${search}`, accept === undefined ? {} : { accept }));
    this.#watches.add(watch);
    return watch;
  }

  close(): void {
    for (const watch of this.#watches) watch.close();
    this.#agent.destroy();
  }
}

/** The events of one watch, in the order in which they came. */
export class Watch {
  readonly status: number;
  readonly events: WatchEvent[] = [];
  ended = false;
  readonly #response: IncomingMessage;
  #rest = '';

  constructor(response: IncomingMessage) {
    this.status = response.statusCode ?? 0;
    this.#response = response;
    response.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
    response.on('close', () => {
      this.ended = true;
    });
    response.on('error', () => undefined);
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    this.events.push(...lines.filter((line) => line !== '').map((line) => JSON.parse(line) as WatchEvent));
  }

  /** Waits until so many events have come. */
  async count(wanted: number): Promise<readonly WatchEvent[]> {
    await until(`${wanted} watch events`, () => this.events.length >= wanted);
    return this.events;
  }

  /** `TYPE name` of each event. */
  get told(): readonly string[] {
    return this.events.map((event) => `${event.type} ${event.object.metadata.name}`);
  }

  async end(): Promise<void> {
    await until('the end of a watch', () => this.ended);
  }

  close(): void {
    this.#response.destroy();
  }
}

/** Polls until a condition holds. @throws when it does not within 15 s */
export async function until<T>(what: string, holds: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const result = await holds();
    if (result) return result as Exclude<T, undefined | false>;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
