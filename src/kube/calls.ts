import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import { type Attempt, describeAttempt, errorOfAnswer, errorOfEvent, errorOfFailure } from './answers.ts';
import {
  type CallName,
  everyCall,
  FIELD_MANAGER,
  type KubeApi,
  KubeError,
  type MaySend,
  type Page,
  type WatchEvent,
} from './api.ts';
import type { Credentials, Session } from './credentials.ts';
import { splitJsonLines } from './lines.ts';
import { at, list, text } from './objects.ts';
import { type Answer, NoAnswer, type Request, send, stream } from './transport.ts';

export interface CallOptions {
  readonly credentials: Credentials;
  readonly where: KubeApi['where'];
  readonly userAgent: string;
  /** A call that has no answer by then is given up. */
  readonly requestTimeoutMs: number;
  /** A watch on which nothing is heard for so long, not even a bookmark, is given up. */
  readonly silenceMs: number;
}

/** Repeats of one call; the callers have their own, slower ones. */
const REPEATS = { retries: 3, minTimeout: 100, maxTimeout: 1000, factor: 3, randomize: true } as const;
/** A longer Retry-After is left to the caller, who finds it in the error. */
const RETRY_AFTER_LIMIT_MS = 10_000;

/** An answer to a write that was lost holds up one Service for so long; the next try finds out what came of it. */
const WRITE_TIMEOUT_MS = 10_000;

/** The port, spoken as plain JSON over HTTP/1.1. */
export function openCalls(options: CallOptions): KubeApi {
  return new JsonCalls(options);
}

class JsonCalls implements KubeApi {
  readonly where: KubeApi['where'];
  readonly #options: CallOptions;
  /** Of every path: a server URL may have one of its own. */
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: CallOptions) {
    this.where = options.where;
    this.#options = options;
    this.#prefix = new URL(options.where.server).pathname.replace(/\/$/, '');
    this.#headers = { accept: 'application/json', 'user-agent': options.userAgent };
  }

  async list(name: CallName, namespace: string, query: Parameters<KubeApi['list']>[2]): Promise<Page> {
    const { limit, next, labelSelector, fieldSelector } = query;
    const search = searchOf({ limit, continue: next, labelSelector, fieldSelector });
    return readPage(await this.#read(name, namespace, '', search));
  }

  get(name: CallName, namespace: string, object: string): Promise<unknown> {
    return this.#read(name, namespace, object, '');
  }

  create(name: CallName, namespace: string, body: object, may?: MaySend): Promise<unknown> {
    return this.#write('POST', name, { namespace, name: '' }, { type: 'application/json', body }, may);
  }

  update(name: CallName, namespace: string, object: string, body: object): Promise<unknown> {
    return this.#write('PUT', name, { namespace, name: object }, { type: 'application/json', body });
  }

  patch(
    name: CallName,
    namespace: string,
    object: string,
    body: object,
    type: 'strategic' | 'merge',
    may?: MaySend,
  ): Promise<unknown> {
    const mediaType = type === 'merge' ? 'application/merge-patch+json' : 'application/strategic-merge-patch+json';
    return this.#write('PATCH', name, { namespace, name: object }, { type: mediaType, body }, may);
  }

  async watch(
    name: CallName,
    namespace: string,
    query: Parameters<KubeApi['watch']>[2],
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
    onOpen?: () => void,
  ): Promise<void> {
    const attempt = { call: name, namespace, name: '', where: this.where };
    const search = searchOf({ watch: 'true', allowWatchBookmarks: 'true', ...query });
    const path = `${this.#prefix}${pathOf(name, namespace, '')}${search}`;
    const limits = { headMs: this.#options.requestTimeoutMs, silenceMs: this.#options.silenceMs };
    const data = splitJsonLines((value) => {
      const event = readEvent(value, attempt);
      onEvent(event);
      if (event.type === 'ERROR') throw errorOfEvent(event.object, attempt);
    });
    const sink = { opened: () => onOpen?.(), data };
    const open = (session: Session): Promise<Answer | undefined> =>
      stream(
        session.connections,
        { method: 'GET', path, headers: { ...this.#headers, ...session.headers } },
        limits,
        sink,
        signal,
      );
    const refused = await this.#withCredentials(open).catch((error: unknown): never => {
      throw errorOfFailure(error, attempt);
    });
    if (refused) throw errorOfAnswer(refused, attempt);
  }

  close(): Promise<void> {
    return this.#options.credentials.close();
  }

  #read(call: CallName, namespace: string, name: string, search: string): Promise<unknown> {
    const path = `${this.#prefix}${pathOf(call, namespace, name)}${search}`;
    return this.#call({ call, namespace, name, where: this.where }, { method: 'GET', path, headers: {} });
  }

  #write(
    method: Request['method'],
    call: CallName,
    target: { readonly namespace: string; readonly name: string },
    { type, body }: { readonly type: string; readonly body: object },
    may?: MaySend,
  ): Promise<unknown> {
    const path = `${this.#prefix}${pathOf(call, target.namespace, target.name)}?fieldManager=${FIELD_MANAGER}`;
    const request: Request = { method, path, headers: { 'content-type': type }, body: JSON.stringify(body) };
    return this.#call({ call, ...target, where: this.where }, request, may);
  }

  async #call(attempt: Attempt, request: Request, may: MaySend = () => true): Promise<unknown> {
    const answer = await pRetry(() => this.#once(attempt, request, may), {
      ...REPEATS,
      onFailedAttempt: ({ error, retriesLeft }) => (retriesLeft > 0 ? waitAsAsked(error) : undefined),
      shouldRetry: ({ error }) => mayRepeat(error, request.method === 'GET'),
    }).catch((error: unknown): never => {
      throw errorOfFailure(error, attempt);
    });
    return parseAnswer(answer, attempt);
  }

  async #once(attempt: Attempt, request: Request, may: MaySend): Promise<Answer> {
    const answer = await this.#withCredentials((session) => {
      if (!may())
        throw new KubeError(0, 'Withheld', `${describeAttempt(attempt)}: not sent, because the leader's Lease is not held`);
      const headers = { ...this.#headers, ...request.headers, ...session.headers };
      const { requestTimeoutMs } = this.#options;
      const timeoutMs = request.method === 'GET' ? requestTimeoutMs : Math.min(requestTimeoutMs, WRITE_TIMEOUT_MS);
      return send(session.connections, { ...request, headers }, timeoutMs);
    });
    if (answer.status >= 300) throw errorOfAnswer(answer, attempt);
    return answer;
  }

  /** A 401 is answered by newer credentials, once. */
  async #withCredentials<A extends Answer | undefined>(use: (session: Session) => Promise<A>): Promise<A> {
    const { credentials } = this.#options;
    const session = await credentials.current();
    const answer = await use(session);
    const renewed = answer?.status === 401 ? await credentials.renew(session) : undefined;
    return renewed ? use(renewed) : answer;
  }
}

/** Pure. @param namespace empty: all, or none @param name empty: the collection */
export function pathOf(call: CallName, namespace: string, name: string): string {
  const api = everyCall[call];
  const base = api.group === '' ? `/api/${api.version}` : `/apis/${api.group}/${api.version}`;
  const scope = namespace === '' ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  const object = name === '' ? '' : `/${encodeURIComponent(name)}${'subresource' in api ? `/${api.subresource}` : ''}`;
  return `${base}${scope}/${api.resource}${object}`;
}

/** What may be over in a moment; a certificate that is wrong stays wrong. */
const PASSING: readonly unknown[] = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
];

/**
 * Pure. Whether a call may be sent again at once. A write only when it surely was not done: 429, or it never left this
 * machine. A read also after 5xx and a broken connection, but not after a timeout, which has cost enough.
 */
export function mayRepeat(error: unknown, read: boolean): boolean {
  if (error instanceof NoAnswer) return PASSING.includes(at(error.cause, 'code')) && (read || !error.sent);
  if (!(error instanceof KubeError) || (error.retryAfterMs ?? 0) > RETRY_AFTER_LIMIT_MS) return false;
  return error.status === 429 || (error.status >= 500 && read);
}

async function waitAsAsked(error: Error): Promise<void> {
  const ms = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
  if (ms > 0 && ms <= RETRY_AFTER_LIMIT_MS) await sleep(ms);
}

function searchOf(query: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== '') search.set(key, String(value));
  return search.size === 0 ? '' : `?${search}`;
}

function parseAnswer(answer: Answer, attempt: Attempt): unknown {
  try {
    return JSON.parse(answer.body);
  } catch (error) {
    const message = `${describeAttempt(attempt)}: ${attempt.where.server} did not answer with JSON; is this URL a Kubernetes API server?`;
    throw new KubeError(answer.status, 'NotKubernetes', message, { cause: error });
  }
}

function readPage(raw: unknown): Page {
  const meta = at(raw, 'metadata');
  return { items: list(at(raw, 'items')), resourceVersion: text(at(meta, 'resourceVersion')), next: text(at(meta, 'continue')) };
}

const EVENT_TYPES: readonly unknown[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'] satisfies WatchEvent['type'][];

function isEvent(value: unknown): value is WatchEvent {
  return EVENT_TYPES.includes(at(value, 'type')) && at(value, 'object') !== undefined;
}

function readEvent(value: unknown, attempt: Attempt): WatchEvent {
  if (isEvent(value)) return value;
  throw new KubeError(200, 'NotKubernetes', `${describeAttempt(attempt)}: a line of the watch is no watch event`);
}
