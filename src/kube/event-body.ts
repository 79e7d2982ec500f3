import { createHash } from 'node:crypto';
import { KubeError } from './api.ts';

/** What events look like and what becomes of them. Pure. */

/** The object that an event is about. */
export interface EventSubject {
  readonly kind: 'Service' | 'Node';
  /** Empty for a Node. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
}

export interface EventContent {
  readonly about: EventSubject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** The API refuses longer ones. https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/events.go */
export const MESSAGE_BYTES = 1024;
const NAME_BYTES = 253;

/** Pure. What follows from a write that failed. @param known the API server had the event before */
export function decideAfter(error: unknown, known: boolean): 'done' | 'recreate' | 'gone' | 'denied' | 'refused' | 'retry' {
  const status = error instanceof KubeError ? error.status : 0;
  if (error instanceof KubeError && error.reason === 'Withheld') return 'gone'; // whoever leads now tells the same
  if (status === 404) return known ? 'recreate' : 'gone';
  if (status === 403) return error instanceof KubeError && error.reason === 'NamespaceTerminating' ? 'gone' : 'denied';
  if (status === 409 && !known) return 'done'; // names are ours alone: an earlier try has arrived after all
  return status === 400 || status === 409 || status === 422 ? 'refused' : 'retry';
}

/** Pure. `tomcat-service.18d1a2b3c4d5e6f7`, as client-go names events; at most 253 bytes. */
export function eventName(subject: string, unique: string): string {
  const hash = createHash('sha256').update(unique).digest('hex').slice(0, 16);
  return `${subject.slice(0, NAME_BYTES - hash.length - 1).replace(/[-.]+$/, '')}.${hash}`;
}

/** Pure. A core/v1 Event in the form that client-go's recorder writes and `kubectl describe` looks for. */
export function eventBody(entry: EventContent, component: string): object {
  const { about } = entry;
  const namespace = about.namespace || 'default';
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: entry.name, namespace },
    involvedObject: { apiVersion: 'v1', ...about, ...(about.namespace === '' ? { namespace: undefined } : {}) },
    type: entry.type,
    reason: entry.reason,
    message: entry.message,
    source: { component },
    reportingComponent: component,
    reportingInstance: '',
    firstTimestamp: timestamp(entry.first),
    lastTimestamp: timestamp(entry.last),
    count: entry.count,
  };
}

/** metav1.Time has whole seconds. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Pure. Cuts to so many bytes of UTF-8 without splitting a character. */
export function cutBytes(value: string, limit: number): string {
  const bytes = Buffer.from(value);
  if (bytes.length <= limit) return value;
  let end = limit - 3;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString('utf8', 0, end)}…`;
}
