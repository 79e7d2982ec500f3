import type { Store } from './api.ts';
import { Follower, type WatchOptions } from './follow.ts';
import type { ObjectMeta } from './objects.ts';
import { openReplica } from './replica.ts';

/** A live copy of the cluster's objects. */
export interface Watched<T> extends Store<T> {
  /** Resolves when every namespace has been listed once; rejects when stopped before. */
  readonly synced: Promise<void>;
  stop(): Promise<void>;
  /** Connected: every watch is open. @returns for how many milliseconds this has been so */
  healthy(): { readonly connected: boolean; readonly sinceMs: number };
}

/** Lists and watches, and never gives up: whatever fails is tried again, with the waits of `delays` and a jitter of ±50%. */
export function watchObjects<T extends ObjectMeta>(options: WatchOptions<T>): Watched<T> {
  const now = options.now ?? (() => performance.now());
  const stopping = new AbortController();
  const replica = openReplica(options);
  const scopes = options.namespaces.length === 0 ? [''] : [...new Set(options.namespaces)];
  const open = new Set<string>();
  let since = now();
  const tellOpen = (scope: string, isOpen: boolean): void => {
    const before = open.size === scopes.length;
    if (isOpen) open.add(scope);
    else open.delete(scope);
    if (before !== (open.size === scopes.length)) since = now();
  };
  const followers = scopes.map((scope) => new Follower(options, scope, replica, (isOpen) => tellOpen(scope, isOpen)));
  const running = followers.map((follower) => follower.run(stopping.signal));
  const synced = Promise.all(followers.map((follower) => follower.listed)).then(() => undefined);
  synced.catch(() => {}); // stopped before it was synced, and nobody was waiting
  return {
    get: (key) => replica.get(key),
    all: () => replica.all(),
    put: (object) => replica.put(object),
    synced,
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
    healthy: () => ({ connected: open.size === scopes.length, sinceMs: Math.max(0, now() - since) }),
  };
}
