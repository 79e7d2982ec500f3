import { makeCluster } from '../../src/controller/cluster.ts';
import type { Service } from '../../src/kube/objects.ts';
import { nameOf } from '../../src/model.ts';

/** Services in memory; `put` and `remove` return the balancers that the change concerns. */
export function makeStage() {
  const services = new Map<string, Service>();
  const cluster = makeCluster({
    shareAcrossNamespaces: false,
    addressTypes: ['InternalIP'],
    find: (name) => services.get(name),
  });
  const put = (one: Service): readonly string[] => {
    const before = services.get(nameOf(one));
    services.set(nameOf(one), one);
    return cluster.serviceChanged(before, one);
  };
  const remove = (name: string): readonly string[] => {
    const before = services.get(name);
    services.delete(name);
    return cluster.serviceChanged(before, undefined);
  };
  return { cluster, put, remove };
}
