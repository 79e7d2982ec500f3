import type { KubeApi } from '../kube/api.ts';
import { type Node, readNode, readService, type Service } from '../kube/objects.ts';
import { listAll } from '../kube/pages.ts';

/** Objects a page. */
const PAGE_SIZE = 500;

/** Every Service of the namespaces (none given: of all), in the API's order; what cannot be read is left out. */
export async function listServices(api: KubeApi, namespaces: readonly string[]): Promise<readonly Service[]> {
  const lists = await Promise.all(
    (namespaces.length === 0 ? [''] : namespaces).map((ns) => listAll(api, 'listServices', ns, { limit: PAGE_SIZE })),
  );
  return lists.flat().flatMap((raw) => readService(raw) ?? []);
}

export async function listNodes(api: KubeApi): Promise<readonly Node[]> {
  return (await listAll(api, 'listNodes', '', { limit: PAGE_SIZE })).flatMap((raw) => readNode(raw) ?? []);
}
