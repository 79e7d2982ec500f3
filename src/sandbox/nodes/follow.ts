import { setTimeout as sleep } from 'node:timers/promises';
import { at, list, text } from '../../kube/objects.ts';
import { type ApiClient, ApiFailure } from './api.ts';

const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
const PAGE_SIZE = 500;

/** The objects of one resource in all namespaces, kept current by list and watch until it is closed. */
export interface Followed {
  /** By `namespace/name`, or name alone where there is no namespace; the API's own JSON. */
  readonly objects: ReadonlyMap<string, unknown>;
  /** True once the first list has been taken in. */
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

/** @param path such as `/api/v1/pods` @param changed told once for each event, after it has been taken in */
export function follow(api: ApiClient, path: string, changed: () => void): Followed {
  const objects = new Map<string, unknown>();
  const ending = new AbortController();
  const first = Promise.withResolvers<void>();
  const done = keepFollowing({ api, path, objects, signal: ending.signal, changed, listed: first.resolve });
  return {
    objects,
    synced: first.promise,
    async close() {
      ending.abort();
      first.resolve();
      await done;
    },
  };
}

interface Following {
  readonly api: ApiClient;
  readonly path: string;
  readonly objects: Map<string, unknown>;
  readonly signal: AbortSignal;
  readonly changed: () => void;
  readonly listed: () => void;
}

async function keepFollowing(following: Following): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!following.signal.aborted) {
    try {
      const since = await takeList(following);
      pauseMs = FIRST_PAUSE_MS;
      await watchFrom(following, since);
    } catch {
      // The server is away, or has forgotten the version: listing again is the cure for both.
      await sleep(pauseMs, undefined, { signal: following.signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }
}

async function takeList({ api, path, objects, changed, listed }: Following): Promise<string> {
  const found = new Map<string, unknown>();
  let next = '';
  let version = '';
  do {
    const page = await api.get(`${path}?limit=${PAGE_SIZE}${next && `&continue=${encodeURIComponent(next)}`}`);
    for (const object of list(at(page, 'items'))) found.set(keyOf(object), object);
    version = text(at(at(page, 'metadata'), 'resourceVersion'));
    next = text(at(at(page, 'metadata'), 'continue'));
  } while (next !== '');
  objects.clear();
  for (const [key, object] of found) objects.set(key, object);
  listed();
  changed();
  return version;
}

async function watchFrom({ api, path, objects, signal, changed }: Following, since: string): Promise<void> {
  let version = since;
  while (!signal.aborted) {
    const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${version}`;
    await api.watch(
      `${path}?${query}`,
      (type, object) => {
        if (type === 'ERROR') throw new ApiFailure(410, 'Expired', text(at(object, 'message')));
        version = text(at(at(object, 'metadata'), 'resourceVersion')) || version;
        if (type === 'BOOKMARK') return;
        if (type === 'DELETED') objects.delete(keyOf(object));
        else objects.set(keyOf(object), object);
        changed();
      },
      signal,
    );
  }
}

export function keyOf(object: unknown): string {
  const meta = at(object, 'metadata');
  const namespace = text(at(meta, 'namespace'));
  const name = text(at(meta, 'name'));
  return namespace === '' ? name : `${namespace}/${name}`;
}
