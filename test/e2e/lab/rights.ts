import { calls } from '../../../src/kube/api.ts';
import type { Api } from './api.ts';
import type { Plane } from './control-plane.ts';

/** Gives the product just the rights that its table of calls names: a call that is missing there is refused here. */
export async function grantRights(api: Api, plane: Plane): Promise<void> {
  const rules = Object.values(calls).map((call) => ({
    apiGroups: [call.group],
    resources: ['subresource' in call ? `${call.resource}/${call.subresource}` : call.resource],
    verbs: [call.verb],
  }));
  const path = '/apis/rbac.authorization.k8s.io/v1';
  await api.create(`${path}/clusterroles`, { metadata: { name: 'nodeport-lb' }, rules });
  await api.create(`${path}/clusterrolebindings`, {
    metadata: { name: 'nodeport-lb' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'nodeport-lb' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: plane.users.product.user }],
  });
}
