import { type Cluster, inTransaction, removeNow } from './cluster.ts';
import { deleteObject } from './deletes.ts';
import { ApiFailure } from './failure.ts';
import type { KubeObject } from './json.ts';
import { type Resource, resourceNamed, resources } from './resources.ts';
import type { Change, Stored } from './store.ts';

/** What goes by itself: the contents of a namespace, objects without their owner, old events. */
export class Housekeeping {
  readonly #cluster: Cluster;
  readonly #maxEvents: number;
  /** Keys of objects by the UID of an owner. */
  readonly #owned = new Map<string, Map<string, Owned>>();
  /** When each event goes, in ms since 1970; the first is the next to go. */
  readonly #events = new Map<string, number>();
  readonly #sweep: NodeJS.Timeout;

  constructor(cluster: Cluster, maxEvents: number) {
    this.#cluster = cluster;
    this.#maxEvents = maxEvents;
    const tables = new Map(resources.map((resource) => [resource.table, resource]));
    for (const resource of tables.values())
      cluster.store.table(resource.table).watchers.add((change) => this.#onChange(resource, change));
    this.#sweep = setInterval(() => this.#dropEvents(), SWEEP_MS);
    this.#sweep.unref();
  }

  stop(): void {
    clearInterval(this.#sweep);
  }

  #onChange(resource: Resource, change: Change): void {
    const { object } = change.now;
    if (resource.kind === 'Event') this.#keepEvent(change);
    this.#follow(resource, change);
    if (change.type === 'DELETED') later(() => this.#dropOwned(object.metadata.uid));
    const namespace =
      resource.kind === 'Namespace' ? object.metadata.name : change.type === 'DELETED' ? object.metadata.namespace : undefined;
    if (namespace !== undefined && change.type !== 'ADDED') later(() => this.#emptyNamespace(namespace));
  }

  #follow(resource: Resource, change: Change): void {
    for (const owner of change.before?.object.metadata.ownerReferences ?? [])
      this.#owned.get(owner.uid)?.delete(`${resource.table}:${change.now.key}`);
    if (change.type === 'DELETED') return;
    for (const owner of change.now.object.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(owner.uid) ?? new Map<string, Owned>();
      owned.set(`${resource.table}:${change.now.key}`, { resource, key: change.now.key });
      this.#owned.set(owner.uid, owned);
    }
  }

  #dropOwned(uid: string): void {
    const owned = this.#owned.get(uid);
    this.#owned.delete(uid);
    for (const { resource, key } of owned?.values() ?? []) {
      const object = this.#cluster.store.table(resource.table).objects.get(key)?.object;
      if (object?.metadata.ownerReferences?.every((owner) => owner.uid === uid)) this.#delete(resource, object);
    }
  }

  /** Deletes what is in a namespace that is going, and the namespace once it is empty. */
  #emptyNamespace(name: string): void {
    const namespaces = resourceNamed('namespaces');
    const stored = this.#cluster.store.table(namespaces.table).objects.get(name);
    if (stored?.object.metadata.deletionTimestamp === undefined) return;
    const inside = resources
      .filter((resource) => resource.namespaced && resource.shape === resource.kind)
      .flatMap((resource) => this.#contents(resource, name));
    for (const { resource, object } of inside)
      if (object.metadata.deletionTimestamp === undefined) this.#delete(resource, object);
    const left = resources.some((resource) => resource.namespaced && this.#contents(resource, name).length > 0);
    if (!left) this.#finalize(namespaces, stored);
  }

  #contents(resource: Resource, namespace: string): { resource: Resource; object: KubeObject }[] {
    const all = [...this.#cluster.store.table(resource.table).objects.values()];
    return all.filter(({ object }) => object.metadata.namespace === namespace).map(({ object }) => ({ resource, object }));
  }

  #finalize(namespaces: Resource, { key, object }: Stored): void {
    if ((object.metadata.finalizers?.length ?? 0) > 0) {
      if (object.spec?.['finalizers'])
        this.#cluster.store.put(namespaces.table, key, { ...object, metadata: { ...object.metadata }, spec: {} });
      return;
    }
    inTransaction(this.#cluster, { dryRun: false }, (transaction) => removeNow(this.#cluster, namespaces, key, transaction));
  }

  #delete(resource: Resource, { metadata: { name, namespace = '' } }: KubeObject): void {
    try {
      deleteObject(this.#cluster, { resource, namespace, name }, { dryRun: false });
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error; // gone already: somebody else was quicker
    }
  }

  #keepEvent(change: Change): void {
    this.#events.delete(change.now.key);
    if (change.type === 'DELETED') return;
    this.#events.set(change.now.key, this.#cluster.now() + EVENT_LIFE_MS);
    if (this.#events.size > this.#maxEvents) later(() => this.#dropEvents());
  }

  #dropEvents(): void {
    const now = this.#cluster.now();
    for (const [key, goesAt] of this.#events) {
      if (goesAt > now && this.#events.size <= this.#maxEvents) break;
      this.#events.delete(key);
      this.#cluster.store.remove(resourceNamed('events').table, key);
    }
  }
}

interface Owned {
  readonly resource: Resource;
  readonly key: string;
}

const SWEEP_MS = 60_000;
/** The real server's default --event-ttl. */
const EVENT_LIFE_MS = 3_600_000;

function later(work: () => void): void {
  setImmediate(work);
}
