import type { Config } from '../config/config.ts';
import { type Cluster, makeCluster } from '../controller/cluster.ts';
import type { Node, Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';

/** The cluster at one moment, as the controller would have it in memory. */
export interface Picture {
  readonly services: readonly Service[];
  readonly cluster: Cluster;
  /** By `namespace/name`. */
  find(name: string): Service | undefined;
}

export function makePicture(services: readonly Service[], nodes: readonly Node[], config: Config): Picture {
  const byName = new Map(services.map((service) => [nameOf(service), service]));
  const find = (name: string): Service | undefined => byName.get(name);
  const cluster = makeCluster({
    shareAcrossNamespaces: config.shareAcrossNamespaces,
    addressTypes: config.nodeAddressTypes,
    find,
  });
  for (const service of byName.values()) cluster.serviceChanged(undefined, service);
  cluster.refreshNodes(nodes);
  return { services: [...byName.values()], cluster, find };
}
