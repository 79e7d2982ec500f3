import type { WriteOptions } from './body.ts';
import { type Cluster, find, type Target } from './cluster.ts';
import { deleteObject } from './deletes.ts';
import type { Json, JsonMap, KubeObject } from './json.ts';
import { mergePatch } from './merge-patch.ts';
import { resourceNamed } from './resources.ts';
import { structOf } from './schema.ts';
import type { ChangeType } from './store.ts';
import { strategicPatch } from './strategic-patch.ts';
import { changeObject, createObject, replaceObject } from './writes.ts';

/** One object: `{ resource: 'services', namespace: 'default', name: 'web' }`. */
export interface ObjectRef {
  /** Plural. */
  readonly resource: string;
  /** Empty or absent: the core group. */
  readonly group?: string;
  /** Empty or absent: a resource without namespaces. */
  readonly namespace?: string;
  readonly name: string;
  readonly subresource?: 'status';
}

type Collection = Omit<ObjectRef, 'name' | 'subresource'>;

/** The objects for components in this process, by the same rules as over HTTP. What is handed out must not be changed. */
export class Objects {
  readonly #cluster: Cluster;
  readonly #options: WriteOptions;

  /** @param manager name in managedFields */
  constructor(cluster: Cluster, manager: string) {
    this.#cluster = cluster;
    this.#options = { manager, dryRun: false, validation: 'Strict', force: false, warn: () => undefined };
  }

  /** The same objects, written under another name. */
  as(manager: string): Objects {
    return new Objects(this.#cluster, manager);
  }

  list(of: Collection): readonly KubeObject[] {
    const table = this.#cluster.store.table(resourceNamed(of.resource, of.group).table);
    const all = [...table.objects.values()].map((stored) => stored.object);
    return of.namespace ? all.filter((object) => object.metadata.namespace === of.namespace) : all;
  }

  get(ref: ObjectRef): KubeObject | undefined {
    return find(this.#cluster, this.#target(ref))?.object;
  }

  /** Calls back for every later change, before the writer gets its answer. @returns what ends it */
  watch(of: Collection, onChange: (type: ChangeType, object: KubeObject, before: KubeObject | undefined) => void): () => void {
    const { watchers } = this.#cluster.store.table(resourceNamed(of.resource, of.group).table);
    const watcher = (change: {
      type: ChangeType;
      now: { object: KubeObject };
      before: { object: KubeObject } | undefined;
    }): void => {
      if (of.namespace && change.now.object.metadata.namespace !== of.namespace) return;
      onChange(change.type, change.now.object, change.before?.object);
    };
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }

  /** @throws {ApiFailure} as over HTTP, here and below */
  create(of: Collection, body: object): KubeObject {
    const place = { resource: resourceNamed(of.resource, of.group), namespace: of.namespace ?? '' };
    return createObject(this.#cluster, place, body, this.#options);
  }

  replace(ref: ObjectRef, body: object): KubeObject {
    return replaceObject(this.#cluster, this.#target(ref), body, this.#options).object;
  }

  patch(ref: ObjectRef, patch: object, type: 'strategic' | 'merge' = 'strategic'): KubeObject {
    const target = this.#target(ref);
    const change = (current: JsonMap): Json =>
      type === 'merge'
        ? mergePatch(current, patch as JsonMap)
        : strategicPatch(structOf(target.resource.shape), current, patch as JsonMap);
    return changeObject(this.#cluster, target, change, this.#options);
  }

  /** @param graceSeconds 0 takes a pod away at once, as its node does when it has stopped */
  delete(ref: ObjectRef, graceSeconds?: number): void {
    deleteObject(this.#cluster, this.#target(ref), { dryRun: false, graceSeconds });
  }

  #target(ref: ObjectRef): Target {
    const { namespace = '', name, subresource } = ref;
    return { resource: resourceNamed(ref.resource, ref.group), namespace, name, subresource };
  }
}
