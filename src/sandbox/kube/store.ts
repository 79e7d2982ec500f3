import type { KubeObject } from './json.ts';

/** One version of one object. The object is never changed; its JSON is made once, whoever asks. */
export class Stored {
  readonly key: string;
  readonly revision: number;
  readonly object: KubeObject;
  #json: string | undefined;

  constructor(key: string, revision: number, object: KubeObject) {
    this.key = key;
    this.revision = revision;
    this.object = object;
  }

  get json(): string {
    this.#json ??= JSON.stringify(this.object);
    return this.#json;
  }
}

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One step of a table's history; its line for watchers is made once for all of them. */
export class Change {
  readonly type: ChangeType;
  readonly revision: number;
  /** What is now there; for DELETED the last state, with the revision of the deletion. */
  readonly now: Stored;
  readonly before: Stored | undefined;
  readonly #lines: Partial<Record<ChangeType, Buffer>> = {};

  constructor(type: ChangeType, now: Stored, before: Stored | undefined) {
    this.type = type;
    this.revision = now.revision;
    this.now = now;
    this.before = before;
  }

  /** The event as a watcher reads it. A selector can make an ADDED or DELETED of what is a MODIFIED for others. */
  line(type: ChangeType): Buffer {
    this.#lines[type] ??= Buffer.from(`{"type":"${type}","object":${this.now.json}}\n`);
    return this.#lines[type];
  }
}

/** All objects of one resource, with what happened to them lately. */
export interface Table {
  readonly objects: Map<string, Stored>;
  readonly history: Change[];
  readonly watchers: Set<(change: Change) => void>;
  /** Revisions before this one cannot be watched from or listed at any more. */
  compacted: number;
}

/** Changes kept for a table, for watchers that come back: some minutes of the busiest cluster that a sandbox sees. */
const HISTORY_LIMIT = 10_000;
/** Dropped at once when the limit is passed, so that dropping is not paid for by every write. */
const HISTORY_SLACK = 1_000;

/** Keys sort by namespace, then name, as etcd's do. */
export function keyOf(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}

/** Objects, revisions and history: what etcd and the watch cache are to the real server. */
export class Store {
  readonly #tables = new Map<string, Table>();
  #revision = 1;

  get revision(): number {
    return this.#revision;
  }

  table(name: string): Table {
    let table = this.#tables.get(name);
    if (!table) {
      table = { objects: new Map(), history: [], watchers: new Set(), compacted: 1 };
      this.#tables.set(name, table);
    }
    return table;
  }

  /** Writes a new version. @param object owned by the store from now on; its resourceVersion is filled in */
  put(tableName: string, key: string, object: KubeObject): Stored {
    const table = this.table(tableName);
    const before = table.objects.get(key);
    const now = this.#stamp(key, object);
    table.objects.set(key, now);
    this.#tell(table, new Change(before ? 'MODIFIED' : 'ADDED', now, before));
    return now;
  }

  remove(tableName: string, key: string): Stored | undefined {
    const table = this.table(tableName);
    const before = table.objects.get(key);
    if (!before) return undefined;
    table.objects.delete(key);
    const now = this.#stamp(key, { ...before.object, metadata: { ...before.object.metadata } });
    this.#tell(table, new Change('DELETED', now, before));
    return now;
  }

  /** Forgets all history: whoever asks for an older revision gets 410. */
  compact(): void {
    for (const table of this.#tables.values()) {
      table.history.length = 0;
      table.compacted = this.#revision;
    }
  }

  /**
   * The objects of a table as they were at a revision, in the order of their keys.
   * @returns undefined when the history does not reach back so far
   */
  snapshot(tableName: string, revision: number): Stored[] | undefined {
    const table = this.table(tableName);
    if (revision < table.compacted) return undefined;
    const later = table.history.filter((change) => change.revision > revision);
    if (later.length === 0) return sorted(table.objects.values());
    const objects = new Map(table.objects);
    for (const change of later.reverse()) {
      if (change.before) objects.set(change.now.key, change.before);
      else objects.delete(change.now.key);
    }
    return sorted(objects.values());
  }

  #stamp(key: string, object: KubeObject): Stored {
    this.#revision += 1;
    object.metadata.resourceVersion = String(this.#revision);
    return new Stored(key, this.#revision, object);
  }

  #tell(table: Table, change: Change): void {
    table.history.push(change);
    if (table.history.length > HISTORY_LIMIT + HISTORY_SLACK) {
      const dropped = table.history.splice(0, HISTORY_SLACK);
      table.compacted = dropped.at(-1)?.revision ?? table.compacted;
    }
    for (const watcher of table.watchers) watcher(change);
  }
}

function sorted(objects: Iterable<Stored>): Stored[] {
  return [...objects].sort((a, b) => (a.key < b.key ? -1 : 1));
}
