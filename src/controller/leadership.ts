import { createHash } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { OUR_CLASS } from '../config/options.ts';
import type { KubeApi } from '../kube/api.ts';
import { type Election, LEASE_MS, standForLeader, timesFor } from '../kube/leader.ts';
import type { Log } from '../providers/provider.ts';

/** Whether this process may write, and what happens when that changes. */
export type Leadership = Pick<Election, 'holds' | 'first' | 'run' | 'release'>;

export interface LeadershipOptions {
  readonly api: KubeApi;
  readonly config: Config;
  readonly log: Log;
  readonly inCluster: boolean;
  /** Of the pod, in a cluster. */
  readonly namespace?: string;
}

/**
 * Stands for leader where several replicas may run: in a cluster by default, elsewhere when asked to. A dry run writes nothing,
 * so it needs no leave and takes none.
 */
export function chooseLeadership({ api, config, log, inCluster, namespace }: LeadershipOptions): Leadership {
  if (config.dryRun || !(config.leaderElect ?? inCluster)) return leadAlone();
  return standForLeader({
    api,
    namespace: config.leaderElectNamespace ?? namespace ?? 'kube-system',
    name: leaseName(config),
    log,
    times: timesFor(config.leaderElectLeaseMs ?? LEASE_MS),
  });
}

/**
 * Controllers of different classes or namespaces work side by side, each with a Lease of its own, unless it is given a name. A
 * hash stands for the namespaces: names of Leases have 253 characters.
 */
export function leaseName({ leaderElectName, loadBalancerClass, namespaces }: LeaseScope): string {
  if (leaderElectName !== undefined) return leaderElectName;
  const ofClass = loadBalancerClass === OUR_CLASS ? '' : `-${loadBalancerClass.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-')}`;
  const scope = [...new Set(namespaces)].sort().join(',');
  const ofNamespaces = scope === '' ? '' : `-${createHash('sha256').update(scope).digest('hex').slice(0, 8)}`;
  return `nodeport-lb${ofClass}${ofNamespaces}`;
}

type LeaseScope = Pick<Config, 'leaderElectName' | 'loadBalancerClass' | 'namespaces'>;

/** One process that needs nobody's leave. */
export function leadAlone(): Leadership {
  const first = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  return {
    holds: () => true,
    first: first.promise,
    async run({ gained }) {
      gained();
      first.resolve();
      await ended.promise;
    },
    release: async () => ended.resolve(),
  };
}
