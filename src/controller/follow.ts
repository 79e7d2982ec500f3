import type { Config } from '../config/config.ts';
import type { KubeApi, Services } from '../kube/api.ts';
import { type Node, readNode, readService, type Service } from '../kube/objects.ts';
import { watchObjects } from '../kube/watch.ts';
import { nameOf } from '../model.ts';
import type { Log } from '../providers/provider.ts';
import { type Cluster, makeCluster, reservedAddresses } from './cluster.ts';
import { type Endpoints, followEndpoints } from './endpoints.ts';
import { balancerKeyOf } from './share.ts';

/** The picture of the cluster, kept true by watches. */
export interface Followed {
  readonly cluster: Cluster;
  readonly services: Services;
  /** Watched from the first question on. */
  readonly endpoints: Pick<Endpoints, 'nodesAt' | 'begin'>;
  /** From now on `told` hears what has changed: balancer keys, or the nodes as a whole. */
  tell(told: Listener): void;
  /** Of the watches together. */
  healthy(): Health;
  stop(): Promise<void>;
}

/** Whether every watch stands, and for how many milliseconds that has been so. */
export interface Health {
  readonly connected: boolean;
  readonly sinceMs: number;
}

export interface Listener {
  keys(keys: readonly string[]): void;
  nodes(): void;
  /** The Service of this UID is no more. */
  gone(uid: string): void;
  /** Some Service's externalIPs, or what another controller publishes there, have changed: an address may have become free, or be in use twice. */
  reservations(): void;
}

const NOBODY: Listener = { keys() {}, nodes() {}, gone() {}, reservations() {} };

/** What decides which Services are followed, and how they and the nodes are read. */
export type FollowOptions = Pick<Config, 'namespaces' | 'shareAcrossNamespaces' | 'nodeAddressTypes'>;

/** Watches Services and nodes. Resolves when both have been listed once. */
export async function followCluster(api: KubeApi, config: FollowOptions, log: Log): Promise<Followed> {
  let told = NOBODY;
  let synced = false;
  const services = watchObjects<Service>({
    api,
    list: 'listServices',
    watch: 'watchServices',
    namespaces: config.namespaces,
    read: readService,
    changed: (before, after) => {
      if (before && after?.externalTrafficPolicy !== 'Local') endpoints.forget(nameOf(before));
      told.keys(cluster.serviceChanged(before, after));
      if (before && !after) told.gone(before.uid);
      if (reservationsOf(before) !== reservationsOf(after)) told.reservations();
    },
    log,
  });
  const cluster = makeCluster({
    shareAcrossNamespaces: config.shareAcrossNamespaces,
    addressTypes: config.nodeAddressTypes,
    find: (name) => services.get(name),
  });
  const endpoints = followEndpoints({
    api,
    namespaces: config.namespaces,
    changed: (names) => {
      const concerned = names.flatMap((name) => services.get(name) ?? []);
      told.keys([...new Set(concerned.map((service) => balancerKeyOf(service, config.shareAcrossNamespaces)))]);
    },
    log,
  });
  const nodes = watchObjects<Node>({
    api,
    list: 'listNodes',
    watch: 'watchNodes',
    namespaces: [],
    read: readNode,
    changed: () => {
      if (synced && cluster.refreshNodes(nodes.all())) told.nodes(); // not for each node of the first list
    },
    log,
  });
  await Promise.all([services.synced, nodes.synced]);
  synced = true;
  cluster.refreshNodes(nodes.all());
  return {
    cluster,
    services,
    endpoints,
    tell: (next) => {
      told = next;
    },
    healthy: () => worseOf(services.healthy(), nodes.healthy()),
    async stop() {
      told = NOBODY;
      await Promise.all([services.stop(), nodes.stop(), endpoints.stop()]);
    },
  };
}

/** What is apart counts, and of two that are the one for longer; of two that stand the one that has for less long. */
function worseOf(a: Health, b: Health): Health {
  if (a.connected !== b.connected) return a.connected ? b : a;
  const [newer, older] = a.sinceMs < b.sinceMs ? [a, b] : [b, a];
  return a.connected ? newer : older;
}

function reservationsOf(service: Service | undefined): string {
  return service ? String(reservedAddresses(service)) : '';
}
