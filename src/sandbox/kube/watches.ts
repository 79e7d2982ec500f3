import { randomInt } from 'node:crypto';
import type { Cluster } from './cluster.ts';
import { expired, forbiddenField } from './failure.ts';
import type { KubeObject } from './json.ts';
import { badMatch, parseRevision, selectorOf } from './lists.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import type { Selector } from './selectors.ts';
import { Change, type ChangeType, Stored } from './store.ts';

export interface WatchQuery {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  /** 0: the server's own choice, 30 to 60 minutes as in the real one. */
  readonly timeoutSeconds: number;
  readonly bookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
}

/** Where the events of one watch go. */
export interface Sink {
  /** One or more whole lines. */
  readonly write: (lines: Buffer | string) => void;
  readonly end: () => void;
  /** Makes a line of its own out of an object, where the plain JSON will not do; undefined: the shared line is right. */
  readonly render?: ((type: string, object: KubeObject) => string) | undefined;
}

const BOOKMARK_EVERY_MS = 60_000;
/** A last bookmark is sent this long before the watch's time is up. */
const BOOKMARK_BEFORE_END_MS = 2_000;

/** Runs one watch until its time is up or `stop` is called. @throws {ApiFailure} before anything was sent */
export function openWatch(
  cluster: Cluster,
  { resource, namespace }: { readonly resource: Resource; readonly namespace: string },
  query: WatchQuery,
  sink: Sink,
): { readonly stop: () => void } {
  checkInitialEvents(query);
  const matches = selectorOf(resource, namespace, query);
  const table = cluster.store.table(resource.table);
  const given = query.resourceVersion === '' ? 0 : parseRevision(query.resourceVersion);
  const send = (change: Change): void => sendChange(change, matches, sink);
  const initial = query.sendInitialEvents ?? given === 0;
  if (!initial && given > 0 && given < table.compacted) {
    const failure = expired(`too old resource version: ${given} (${table.compacted})`);
    sink.write(`${JSON.stringify({ type: 'ERROR', object: failure.toStatus() })}\n`);
    sink.end();
    return { stop: () => undefined };
  }
  if (initial) sendInitial(cluster, resource, send);
  else if (given > 0) for (const change of table.history) if (change.revision > given) send(change);
  const since = initial ? cluster.store.revision : given;
  const bookmark = (note?: string): void => {
    if (note !== undefined || cluster.store.revision > since) sink.write(bookmarkLine(cluster, resource, note, sink));
  };
  if (query.sendInitialEvents && query.bookmarks) bookmark('k8s.io/initial-events-end');
  table.watchers.add(send);
  const timers = schedule(query, bookmark, () => finish(true));
  const finish = (tell: boolean): void => {
    table.watchers.delete(send);
    for (const timer of timers) clearTimeout(timer);
    if (tell) sink.end();
  };
  return { stop: () => finish(false) };
}

function checkInitialEvents(query: WatchQuery): void {
  if (query.sendInitialEvents === undefined || query.resourceVersionMatch === 'NotOlderThan') return;
  throw badMatch(
    forbiddenField('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
  );
}

function sendInitial(cluster: Cluster, resource: Resource, send: (change: Change) => void): void {
  const objects = cluster.store.snapshot(resource.table, cluster.store.revision) ?? [];
  for (const stored of objects) send(new Change('ADDED', stored, undefined));
}

function sendChange(change: Change, matches: Selector, sink: Sink): void {
  const was = change.before !== undefined && matches(change.before.object);
  const is = change.type !== 'DELETED' && matches(change.now.object);
  if (!was && !is) return;
  const type: ChangeType = was ? (is ? 'MODIFIED' : 'DELETED') : 'ADDED';
  const told = type === 'DELETED' && change.type !== 'DELETED' && change.before ? leaving(change, change.before) : change;
  sink.write(sink.render ? sink.render(type, told.now.object) : told.line(type));
}

/** An object that no longer fits the selector is shown as it last did, at the revision at which it left. */
function leaving(change: Change, before: Stored): Change {
  const metadata = { ...before.object.metadata, resourceVersion: String(change.revision) };
  return new Change('DELETED', new Stored(before.key, change.revision, { ...before.object, metadata }), before);
}

function bookmarkLine(cluster: Cluster, resource: Resource, note: string | undefined, sink: Sink): string {
  const annotations = note === undefined ? {} : { annotations: { [note]: 'true' } };
  const metadata = { resourceVersion: String(cluster.store.revision), ...annotations } as KubeObject['metadata'];
  const object: KubeObject = { kind: resource.kind, apiVersion: groupVersionOf(resource), metadata };
  return sink.render ? sink.render('BOOKMARK', object) : `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
}

function schedule(query: WatchQuery, bookmark: () => void, end: () => void): NodeJS.Timeout[] {
  const timeoutMs = (query.timeoutSeconds > 0 ? query.timeoutSeconds : randomInt(1800, 3600)) * 1000;
  const timers = [setTimeout(end, timeoutMs)];
  if (query.bookmarks) {
    timers.push(setInterval(bookmark, BOOKMARK_EVERY_MS));
    if (timeoutMs > BOOKMARK_BEFORE_END_MS) timers.push(setTimeout(bookmark, timeoutMs - BOOKMARK_BEFORE_END_MS));
  }
  for (const timer of timers) timer.unref();
  return timers;
}
