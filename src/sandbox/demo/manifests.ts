import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import { at, text } from '../../kube/objects.ts';
import { type ApiClient, ApiFailure } from '../nodes/api.ts';

const FOLDER = new URL('./manifests/', import.meta.url);

/** Where the API keeps the kinds that the manifests use. */
const kinds: Readonly<Record<string, { readonly group: string; readonly resource: string }>> = {
  Namespace: { group: '/api/v1', resource: 'namespaces' },
  Service: { group: '/api/v1', resource: 'services' },
  Endpoints: { group: '/api/v1', resource: 'endpoints' },
  ReplicaSet: { group: '/apis/apps/v1', resource: 'replicasets' },
  Deployment: { group: '/apis/apps/v1', resource: 'deployments' },
};

/** Applies a file of the demo's manifests as `kubectl apply` would: what is not there is made, what is there is patched. */
export async function apply(api: ApiClient, file: string): Promise<void> {
  for (const document of parseAllDocuments(await readFile(new URL(file, FOLDER), 'utf8'))) {
    const object = document.toJS() as object;
    const collection = pathFor(object);
    const path = `${collection}/${text(at(at(object, 'metadata'), 'name'))}`;
    if (await exists(api, path)) await api.patch(path, object, 'strategic');
    else await api.create(collection, object);
  }
}

async function exists(api: ApiClient, path: string): Promise<boolean> {
  try {
    await api.get(path);
    return true;
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 404) return false;
    throw error;
  }
}

function pathFor(object: object): string {
  const kind = kinds[text(at(object, 'kind'))];
  if (!kind) throw new Error(`the demo does not know the kind ${JSON.stringify(at(object, 'kind'))}`);
  if (kind.resource === 'namespaces') return `${kind.group}/${kind.resource}`;
  const namespace = text(at(at(object, 'metadata'), 'namespace')) || 'default';
  return `${kind.group}/namespaces/${namespace}/${kind.resource}`;
}
