import { Agent, type IncomingMessage, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { at, text } from '../../kube/objects.ts';

/** Where an API server is, and how to be let in. */
export interface ApiServer {
  /** `http://` or `https://`, host and port. */
  readonly url: string;
  readonly token?: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca?: string;
}

/** What the API server answered when it did not do what was asked. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  readonly status: number;
  /** metav1.Status reason: NotFound, Conflict, Invalid, … */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

type PatchType = 'merge' | 'strategic';

/** No single answer of a sandbox is larger than this. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * The sandbox's own client for the Kubernetes API: plain JSON over HTTP, for what the node agents and the demo need. Every
 * method rejects with `ApiFailure` when the server says no, and with the socket's error when it says nothing.
 */
export class ApiClient {
  readonly server: ApiServer;
  readonly #agent: Agent | TlsAgent;

  constructor(server: ApiServer) {
    this.server = server;
    const options = { keepAlive: true, maxSockets: 32 };
    this.#agent = server.url.startsWith('https:')
      ? new TlsAgent({ ...options, ...(server.ca ? { ca: server.ca } : {}) })
      : new Agent(options);
  }

  get(path: string): Promise<unknown> {
    return this.#call('GET', path);
  }

  create(path: string, object: object): Promise<unknown> {
    return this.#call('POST', path, JSON.stringify(object), 'application/json');
  }

  patch(path: string, body: object, type: PatchType = 'merge'): Promise<unknown> {
    const kind = type === 'merge' ? 'merge-patch' : 'strategic-merge-patch';
    return this.#call('PATCH', path, JSON.stringify(body), `application/${kind}+json`);
  }

  /** What is gone already counts as removed. @param graceSeconds unset: the API's own default */
  async remove(path: string, graceSeconds?: number): Promise<void> {
    const query = graceSeconds === undefined ? '' : `?gracePeriodSeconds=${graceSeconds}`;
    try {
      await this.#call('DELETE', `${path}${query}`);
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
    }
  }

  /**
   * One watch connection. Resolves when the server ends it, or `signal` aborts.
   * @param path with its query
   */
  async watch(path: string, onEvent: (type: string, object: unknown) => void, signal: AbortSignal): Promise<void> {
    const answer = await this.#send('GET', path, signal);
    if (answer.statusCode !== 200) throw failureOf(answer, await readAll(answer));
    answer.setEncoding('utf8');
    let rest = '';
    try {
      for await (const chunk of answer) {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line === '') continue;
          const event: unknown = JSON.parse(line);
          onEvent(text(at(event, 'type')), at(event, 'object'));
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #call(method: string, path: string, body?: string, contentType?: string): Promise<unknown> {
    const answer = await this.#send(method, path, AbortSignal.timeout(REQUEST_TIMEOUT_MS), body, contentType);
    const content = await readAll(answer);
    if ((answer.statusCode ?? 0) >= 300) throw failureOf(answer, content);
    return JSON.parse(content);
  }

  #send(method: string, path: string, signal: AbortSignal, body?: string, contentType?: string): Promise<IncomingMessage> {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'nodeport-lb-sandbox' };
    if (this.server.token) headers['authorization'] = `Bearer ${this.server.token}`;
    if (contentType) headers['content-type'] = contentType;
    if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
    const send = this.server.url.startsWith('https:') ? tlsRequest : request;
    return new Promise((resolve, reject) => {
      const sent = send(new URL(path, this.server.url), { method, headers, agent: this.#agent, signal });
      sent.on('response', resolve);
      sent.on('error', reject);
      sent.end(body);
    });
  }
}

async function readAll(answer: IncomingMessage): Promise<string> {
  answer.setEncoding('utf8');
  let content = '';
  for await (const chunk of answer) {
    content += chunk;
    if (content.length > MAX_ANSWER_BYTES) throw new ApiFailure(0, 'TooLarge', `the answer is over ${MAX_ANSWER_BYTES} bytes`);
  }
  return content;
}

function failureOf(answer: IncomingMessage, content: string): ApiFailure {
  const status = answer.statusCode ?? 0;
  let told: unknown;
  try {
    told = JSON.parse(content);
  } catch {
    told = undefined; // not the API's own words: a proxy's, or none
  }
  return new ApiFailure(status, text(at(told, 'reason')), text(at(told, 'message')) || `the API server answered ${status}`);
}
