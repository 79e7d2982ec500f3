import type { Allocator, Transaction } from './allocator.ts';
import { notFound } from './failure.ts';
import type { KubeObject } from './json.ts';
import { asService } from './kinds.ts';
import { type Resource, resourceNamed } from './resources.ts';
import { freeAll } from './service-allocation.ts';
import { keyOf, type Store, type Stored } from './store.ts';

/** What every read and write works on. */
export interface Cluster {
  readonly store: Store;
  readonly allocator: Allocator;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Target {
  readonly resource: Resource;
  /** Empty for resources without namespaces. */
  readonly namespace: string;
  readonly name: string;
  readonly subresource?: 'status' | 'scale' | undefined;
}

/** Deletion was asked for and nothing holds the object any more. */
export function isFinished(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  const held = object.kind === 'Namespace' && Array.isArray(object.spec?.['finalizers']) && object.spec['finalizers'].length > 0;
  return deletionTimestamp !== undefined && !finalizers?.length && !deletionGracePeriodSeconds && !held;
}

/** Takes an object away at once, with what was allocated for it. */
export function removeNow(cluster: Cluster, resource: Resource, key: string, transaction: Transaction): KubeObject | undefined {
  const gone = cluster.store.remove(resource.table, key)?.object;
  if (gone && resource.kind === 'Service') {
    freeAll(asService(gone), transaction);
    cluster.store.remove(resourceNamed('endpoints').table, key);
  }
  return gone;
}

export function inTransaction<T>(
  cluster: Cluster,
  options: { readonly dryRun: boolean },
  work: (transaction: Transaction) => T,
): T {
  const transaction = cluster.allocator.begin();
  try {
    const result = work(transaction);
    if (options.dryRun) transaction.revert();
    else transaction.commit();
    return result;
  } catch (error) {
    transaction.revert();
    throw error;
  }
}

export function hasStatus(resource: Resource): boolean {
  return resource.subresources.includes('status');
}

export function find(cluster: Cluster, target: Target): Stored | undefined {
  return cluster.store.table(target.resource.table).objects.get(keyOf(target.namespace, target.name));
}

/** @throws {ApiFailure} 404 */
export function existing(cluster: Cluster, target: Target): Stored {
  const found = find(cluster, target);
  if (!found) throw notFound(target.resource, target.name);
  return found;
}
