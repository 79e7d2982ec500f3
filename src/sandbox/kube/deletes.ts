import { at } from '../../kube/objects.ts';
import { type Cluster, existing, inTransaction, removeNow, type Target } from './cluster.ts';
import { conflict } from './failure.ts';
import type { KubeObject } from './json.ts';
import { timeText } from './metadata.ts';

/** metav1.DeleteOptions, and where a query may say the same. */
export interface DeleteOptions {
  readonly dryRun: boolean;
  /** Seconds that a pod gets to stop; undefined: what the pod asks for. */
  readonly graceSeconds?: number | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

export interface Deleted {
  /** The last state, or the marked object. */
  readonly object: KubeObject;
  /** False when finalizers or a grace period hold it. */
  readonly gone: boolean;
}

/** Deletes an object, or only marks it while something holds it. @throws {ApiFailure} 404, or 409 on a failed precondition */
export function deleteObject(cluster: Cluster, target: Target, options: DeleteOptions): Deleted {
  const { resource } = target;
  const { key, object } = existing(cluster, target);
  checkPreconditions(target, object, options);
  const graceSeconds = graceOf(object, options);
  const held = (object.metadata.finalizers?.length ?? 0) > 0 || resource.kind === 'Namespace' || graceSeconds > 0;
  if (options.dryRun) return { object, gone: !held };
  if (!held) {
    const removed = inTransaction(cluster, options, (transaction) => removeNow(cluster, resource, key, transaction));
    return { object: removed ?? object, gone: true };
  }
  if (isMarked(object, graceSeconds)) return { object, gone: false };
  const marked = mark(cluster, object, graceSeconds);
  return { object: cluster.store.put(resource.table, key, marked).object, gone: false };
}

function isMarked(object: KubeObject, graceSeconds: number): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  return deletionTimestamp !== undefined && (deletionGracePeriodSeconds ?? 0) <= graceSeconds;
}

function mark(cluster: Cluster, object: KubeObject, graceSeconds: number): KubeObject {
  const { metadata } = object;
  const deletion = {
    deletionTimestamp: timeText(cluster.now() + graceSeconds * 1000),
    ...(object.kind === 'Namespace' ? {} : { deletionGracePeriodSeconds: graceSeconds }),
    ...(metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }),
  };
  const marked = { ...object, metadata: { ...metadata, ...deletion } };
  return object.kind === 'Namespace' ? { ...marked, status: { ...object.status, phase: 'Terminating' } } : marked;
}

/** Only a pod that runs on a node has time to stop: its node takes it away at the end. */
function graceOf(object: KubeObject, options: DeleteOptions): number {
  const phase = at(object.status, 'phase');
  if (object.kind !== 'Pod' || !at(object.spec, 'nodeName') || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = at(object.spec, 'terminationGracePeriodSeconds');
  return Math.max(0, options.graceSeconds ?? (typeof own === 'number' ? own : 30));
}

function checkPreconditions(target: Target, object: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = object.metadata;
  const named = { ...target.resource, resource: target.resource.kind };
  if (options.uid !== undefined && options.uid !== uid) {
    const why = `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`;
    throw conflict(named, target.name, why);
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    const why = `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`;
    throw conflict(named, target.name, why);
  }
}
