import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';
import type { KubeApi, WatchEvent } from './api.ts';
import { at, text } from './objects.ts';

export interface LeaseWatchOptions {
  readonly api: KubeApi;
  readonly namespace: string;
  readonly name: string;
  readonly log: Log;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** The Lease as it is now, and after every change; undefined: deleted. */
  seen(lease: unknown): void;
  /** Whether changes are heard at once; as long as they are not, the Lease must be asked for. */
  heard(open: boolean): void;
}

/** The server ends a watch after so long; a new one begins at once. */
const WATCH_SECONDS = 600;
/** Pauses after a watch that failed, or was over at once; a role from before there was a watch forbids it for good. */
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 30_000;
/** A watch that has lived for so long has not failed. */
const LONG_WATCH_MS = 5_000;

/** Follows one Lease until `signal` aborts. Never rejects: what fails is logged for the curious, and tried again. */
export async function followLease(options: LeaseWatchOptions, signal: AbortSignal): Promise<void> {
  const { namespace, name, log, heard } = options;
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    const begun = performance.now();
    try {
      await watchOnce(options, signal);
    } catch (error) {
      if (!signal.aborted) log.debug({ lease: `${namespace}/${name}`, error: explain(error) }, 'the Lease is not watched');
    }
    heard(false);
    if (signal.aborted) return;
    pauseMs = performance.now() - begun > LONG_WATCH_MS ? FIRST_PAUSE_MS : Math.min(LAST_PAUSE_MS, pauseMs * 2);
    await options.sleep(pauseMs, signal);
  }
}

/**
 * From the version of the Lease as it is: a watch from none, or from 0, begins with the object by itself, but an API server over an
 * etcd that cannot tell its progress (before 3.4.25 and 3.5.8) refuses it.
 */
async function watchOnce({ api, namespace, name, seen, heard }: LeaseWatchOptions, signal: AbortSignal): Promise<void> {
  const lease = await api.get('getLease', namespace, name);
  seen(lease);
  const resourceVersion = text(at(at(lease, 'metadata'), 'resourceVersion'));
  const query = { resourceVersion, timeoutSeconds: WATCH_SECONDS, fieldSelector: `metadata.name=${name}` };
  const hear = ({ type, object }: WatchEvent): void => {
    if (type === 'ADDED' || type === 'MODIFIED') seen(object);
    else if (type === 'DELETED') seen(undefined);
  };
  await api.watch('watchLeases', namespace, query, hear, signal, () => heard(true));
}
