import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';
import type { Store } from './api.ts';
import { type ObjectMeta, readMeta } from './objects.ts';

export interface ReplicaOptions<T extends ObjectMeta> {
  read(raw: unknown): T | undefined;
  changed(before: T | undefined, after: T | undefined): void;
  readonly log: Log;
}

/** A copy of the cluster's objects, kept by what lists, watches and our own writes tell. */
export interface Replica<T> extends Store<T> {
  /** ADDED or MODIFIED. What is older than what we have is passed over; our own write coming back is silent. */
  take(raw: unknown): void;
  /** DELETED. */
  remove(raw: unknown): void;
  /**
   * Takes a full list, page by page.
   * @param namespace empty: all
   * @param reset the server's history has begun anew, so what we have counts for nothing however high its version
   */
  relist(namespace: string, reset: boolean): { take(raw: unknown): void; finish(): void };
}

/** Objects that could not be read and were told of; when it is full it is forgotten, and they are told of again. */
const REFUSED_LIMIT = 1000;

export function openReplica<T extends ObjectMeta>(options: ReplicaOptions<T>): Replica<T> {
  return new Copy(options);
}

class Copy<T extends ObjectMeta> implements Replica<T> {
  readonly #options: ReplicaOptions<T>;
  readonly #objects = new Map<string, T>();
  readonly #refused = new Set<string>();

  constructor(options: ReplicaOptions<T>) {
    this.#options = options;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  all(): Iterable<T> {
    return this.#objects.values();
  }

  put(object: T): void {
    // What is not here has been deleted meanwhile, or is another of that name: the watch knows better.
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (!before || before.uid !== object.uid) return;
    const order = compareVersions(object.resourceVersion, before.resourceVersion);
    if (order === undefined || order > 0) this.#objects.set(key, object);
  }

  take(raw: unknown): void {
    const object = this.#read(raw);
    if (object) this.#set(object, false);
  }

  remove(raw: unknown): void {
    const object = this.#read(raw);
    const before = object && this.#objects.get(keyOf(object));
    if (!object || !before) return;
    const newer = (compareVersions(object.resourceVersion, before.resourceVersion) ?? 1) > 0;
    if (before.uid === object.uid || newer) this.#drop(keyOf(object), before);
  }

  relist(namespace: string, reset: boolean): { take(raw: unknown): void; finish(): void } {
    const seen = new Set<string>();
    return {
      take: (raw) => {
        const object = this.#read(raw);
        if (!object) return;
        seen.add(keyOf(object));
        this.#set(object, reset);
      },
      finish: () => {
        for (const [key, object] of [...this.#objects]) {
          if (!seen.has(key) && (namespace === '' || object.namespace === namespace)) this.#drop(key, object);
        }
      },
    };
  }

  #set(object: T, force: boolean): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    const order = before && !force ? compareVersions(object.resourceVersion, before.resourceVersion) : undefined;
    if (before && order !== undefined && order <= 0) return;
    const namesake = before !== undefined && before.uid !== object.uid;
    if (namesake) this.#drop(key, before);
    this.#objects.set(key, object);
    this.#tell(namesake ? undefined : before, object);
  }

  #drop(key: string, before: T): void {
    this.#objects.delete(key);
    this.#tell(before, undefined);
  }

  #tell(before: T | undefined, after: T | undefined): void {
    try {
      this.#options.changed(before, after);
    } catch (error) {
      this.#options.log.error({ object: keyOf((after ?? before)!), error: explain(error) }, 'a change could not be handled');
    }
  }

  #read(raw: unknown): T | undefined {
    let why = 'it lacks what it must have';
    try {
      const object = this.#options.read(raw);
      if (object) return object;
    } catch (error) {
      why = explain(error);
    }
    this.#tellRefused(raw, why);
    return undefined;
  }

  #tellRefused(raw: unknown, why: string): void {
    const meta = readMeta(raw);
    const name = meta ? keyOf(meta) : 'an object without name and uid';
    if (this.#refused.has(name)) return;
    if (this.#refused.size >= REFUSED_LIMIT) this.#refused.clear();
    this.#refused.add(name);
    this.#options.log.warn({ object: name }, `${name} cannot be read and is passed over: ${why}`);
  }
}

/** Pure. `namespace/name`, or the name alone of what has no namespace. */
export function keyOf(object: { readonly namespace: string; readonly name: string }): string {
  return object.namespace === '' ? object.name : `${object.namespace}/${object.name}`;
}

const WHOLE_NUMBER = /^(0|[1-9][0-9]*)$/;

/**
 * Pure. Orders resourceVersions of one resource, as whole numbers of any length.
 * https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/5504-comparable-resource-version
 * @returns below, at or above 0; undefined when either is no whole number and only differing can be known
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  if (!WHOLE_NUMBER.test(a) || !WHOLE_NUMBER.test(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}
