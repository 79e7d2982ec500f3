import { setTimeout as sleep } from 'node:timers/promises';
import pRetry from 'p-retry';
import { type Attempt, describeAttempt, errorOfAnswer, errorOfEvent, errorOfFailure } from './answers.ts';
import { type CallName, calls, FIELD_MANAGER, type KubeApi, KubeError, type Page, type WatchEvent } from './api.ts';
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

/** The port, spoken as plain JSON over HTTP/1.1. */
export function openCalls(options: CallOptions): KubeApi {
  const { credentials, where } = options;
  const prefix = new URL(where.server).pathname.replace(/\/$/, '');
  const shared = { accept: 'application/json', 'user-agent': options.userAgent };

  const call = async (attempt: Attempt, request: Request): Promise<unknown> => {
    const answer = await pRetry(() => once(attempt, request), {
      ...REPEATS,
      onFailedAttempt: ({ error, retriesLeft }) => (retriesLeft > 0 ? waitAsAsked(error) : undefined),
      shouldRetry: ({ error }) => mayRepeat(error, request.method === 'GET'),
    });
    return parseAnswer(answer, attempt);
  };
  const once = async (attempt: Attempt, request: Request): Promise<Answer> => {
    const answer = await withCredentials(attempt, (session) =>
      send(
        session.connections,
        { ...request, headers: { ...shared, ...request.headers, ...session.headers } },
        options.requestTimeoutMs,
      ),
    );
    if (answer.status >= 300) throw errorOfAnswer(answer, attempt);
    return answer;
  };
  /** A 401 is answered by newer credentials, once. */
  const withCredentials = async <A extends Answer | undefined>(
    attempt: Attempt,
    use: (session: Session) => Promise<A>,
  ): Promise<A> => {
    try {
      const session = await credentials.current();
      const answer = await use(session);
      const renewed = answer?.status === 401 ? await credentials.renew(session) : undefined;
      return renewed ? await use(renewed) : answer;
    } catch (error) {
      throw errorOfFailure(error, attempt);
    }
  };
  const write = (
    name: CallName,
    method: Request['method'],
    target: { namespace: string; name: string },
    type: string,
    body: object,
  ): Promise<unknown> => {
    const path = `${prefix}${pathOf(name, target.namespace, target.name)}?fieldManager=${FIELD_MANAGER}`;
    return call(
      { call: name, ...target, where },
      { method, path, headers: { 'content-type': type }, body: JSON.stringify(body) },
    );
  };

  return {
    where,
    async list(name, namespace, query) {
      const attempt = { call: name, namespace, name: '', where };
      const search = searchOf({
        limit: query.limit,
        continue: query.next,
        labelSelector: query.labelSelector,
        fieldSelector: query.fieldSelector,
      });
      return readPage(
        await call(attempt, { method: 'GET', path: `${prefix}${pathOf(name, namespace, '')}${search}`, headers: {} }),
      );
    },
    async watch(name, namespace, query, onEvent, signal, onOpen) {
      const attempt = { call: name, namespace, name: '', where };
      const search = searchOf({ watch: 'true', allowWatchBookmarks: 'true', ...query });
      const request: Request = { method: 'GET', path: `${prefix}${pathOf(name, namespace, '')}${search}`, headers: {} };
      const limits = { headMs: options.requestTimeoutMs, silenceMs: options.silenceMs };
      const data = splitJsonLines((value) => {
        const event = readEvent(value, attempt);
        onEvent(event);
        if (event.type === 'ERROR') throw errorOfEvent(event.object, attempt);
      });
      const refused = await withCredentials(attempt, (session) => {
        const headers = { ...shared, ...session.headers };
        return stream(session.connections, { ...request, headers }, limits, { opened: () => onOpen?.(), data }, signal);
      });
      if (refused) throw errorOfAnswer(refused, attempt);
    },
    get: (name, namespace, object) =>
      call(
        { call: name, namespace, name: object, where },
        { method: 'GET', path: `${prefix}${pathOf(name, namespace, object)}`, headers: {} },
      ),
    create: (name, namespace, body) => write(name, 'POST', { namespace, name: '' }, 'application/json', body),
    update: (name, namespace, object, body) => write(name, 'PUT', { namespace, name: object }, 'application/json', body),
    patch: (name, namespace, object, body, type) => {
      const contentType = type === 'merge' ? 'application/merge-patch+json' : 'application/strategic-merge-patch+json';
      return write(name, 'PATCH', { namespace, name: object }, contentType, body);
    },
    close: () => credentials.close(),
  };
}

/** Pure. @param namespace empty: all, or none @param name empty: the collection */
export function pathOf(call: CallName, namespace: string, name: string): string {
  const api = calls[call];
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
  if (!(error instanceof KubeError)) return false;
  if ((error.retryAfterMs ?? 0) > RETRY_AFTER_LIMIT_MS) return false;
  if (error.status === 429) return true;
  if (error.status >= 500) return read;
  const cause = error.status === 0 ? error.cause : undefined;
  return cause instanceof NoAnswer && PASSING.includes(at(cause.cause, 'code')) && (read || !cause.sent);
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
