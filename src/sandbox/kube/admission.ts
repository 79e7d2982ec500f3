import { decodeBody, type WriteOptions } from './body.ts';
import type { Cluster, Target } from './cluster.ts';
import { ApiFailure, badRequest, conflict, forbidden, invalid, invalidField, notFound, staleWrite } from './failure.ts';
import type { KubeObject } from './json.ts';
import { type Resource, resourceNamed } from './resources.ts';

/** What a body must agree with before its kind has a say: path, namespace, identity. */

export function placeIn(draft: KubeObject, resource: Resource, namespace: string): void {
  const given = draft.metadata.namespace;
  if (!resource.namespaced) delete draft.metadata.namespace;
  else if (given && given !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  else draft.metadata.namespace = namespace;
}

export function admitNamespace(cluster: Cluster, resource: Resource, draft: KubeObject): void {
  if (!resource.namespaced) return;
  const name = draft.metadata.namespace ?? '';
  const namespaces = resourceNamed('namespaces');
  const namespace = cluster.store.table(namespaces.table).objects.get(name)?.object;
  if (!namespace) throw notFound(namespaces, name);
  if (namespace.metadata.deletionTimestamp === undefined) return;
  const text = `namespace ${name} is being terminated`;
  const why = `unable to create new content in namespace ${name} because it is being terminated`;
  throw forbidden(resource, draft.metadata.name, why, [
    { reason: 'NamespaceTerminating', message: text, field: 'metadata.namespace' },
  ]);
}

export function checkPut(resource: Resource, draft: KubeObject, current: KubeObject): void {
  const { uid, resourceVersion } = draft.metadata;
  const { name } = current.metadata;
  if (uid && uid !== current.metadata.uid) {
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    );
  }
  if (!resourceVersion && !resource.unconditionalUpdate) {
    throw invalid(resource, name, [invalidField('metadata.resourceVersion', 0, 'must be specified for an update')]);
  }
}

/** What a patch made of an object is the patch's fault, so 422 and not 400. */
export function decodePatched(resource: Resource, changed: unknown, options: WriteOptions): KubeObject {
  try {
    return decodeBody(resource, changed, options);
  } catch (error) {
    if (!(error instanceof ApiFailure)) throw error;
    throw invalid({ group: '', resource: '', kind: '' }, '', [invalidField('patch', JSON.stringify(changed), error.message)]);
  }
}

export function checkIdentity(draft: KubeObject, target: Target): void {
  const { name, namespace } = draft.metadata;
  if (!name) throw badRequest(`the name of the object (${target.name} based on URL) was undeterminable: name must be provided`);
  if (name !== target.name)
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${target.name})`);
  if (!target.resource.namespaced || !namespace || namespace === target.namespace) return;
  throw badRequest(`the namespace of the object (${namespace}) does not match the namespace on the URL (${target.namespace})`);
}

/** A version in the body is the one that the write was made from. @throws {ApiFailure} 409 when it is another */
export function checkVersion(resource: Resource, draft: KubeObject, current: KubeObject): void {
  const { resourceVersion } = draft.metadata;
  if (!resourceVersion || resourceVersion === current.metadata.resourceVersion) return;
  if (/^\d+$/.test(resourceVersion)) throw staleWrite(resource, current.metadata.name);
  throw new ApiFailure(500, '', `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`);
}
