import type { KubeApi } from '../kube/api.ts';
import { type Node, readNode, readService, type Service } from '../kube/objects.ts';
import { listAll } from '../kube/pages.ts';

/** Objects a page. */
const PAGE_SIZE = 500;

/** Every Service of the namespaces (none given: of all), in the API's order; what cannot be read is left out. */
export async function listServices(api: KubeApi, namespaces: readonly string[]): Promise<readonly Service[]> {
  return (await listRawServices(api, namespaces)).flatMap((raw) => readService(raw) ?? []);
}

/** The same as the API's own JSON. */
export async function listRawServices(api: KubeApi, namespaces: readonly string[]): Promise<readonly unknown[]> {
  const lists = await Promise.all(
    (namespaces.length === 0 ? [''] : namespaces).map((ns) => listAll(api, 'listServices', ns, { limit: PAGE_SIZE })),
  );
  return lists.flat();
}

export async function listNodes(api: KubeApi): Promise<readonly Node[]> {
  return (await listRawNodes(api)).flatMap((raw) => readNode(raw) ?? []);
}

export function listRawNodes(api: KubeApi): Promise<readonly unknown[]> {
  return listAll(api, 'listNodes', '', { limit: PAGE_SIZE });
}
