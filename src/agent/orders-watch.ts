import type { KubeApi } from '../kube/api.ts';
import { at, type ObjectMeta, readMeta, text } from '../kube/objects.ts';
import { type Watched, watchObjects } from '../kube/watch.ts';
import type { Log } from '../providers/provider.ts';
import { ordersName } from './names.ts';

interface OrdersObject extends ObjectMeta {
  readonly content: string;
}

/** Follows what the controller tells all agents of the group; when that is gone, or not written yet, the last word stays. */
export function watchOrders(
  {
    api,
    namespace,
    group,
    log,
  }: { readonly api: KubeApi; readonly namespace: string; readonly group: string; readonly log: Log },
  told: (uid: string, content: string) => void,
): Watched<ObjectMeta> {
  return watchObjects<OrdersObject>({
    api,
    list: 'listConfigMaps',
    watch: 'watchConfigMaps',
    namespaces: [namespace],
    select: { fieldSelector: `metadata.name=${ordersName(group)}` },
    read: (raw) => {
      const meta = readMeta(raw);
      return meta && { ...meta, content: text(at(at(raw, 'data'), 'orders')) };
    },
    changed: (_before, after) => {
      if (after?.name === ordersName(group) && after.content !== '') told(after.uid, after.content);
    },
    log,
  });
}
