import type { Config } from '../config/config.ts';
import { OUR_CLASS } from '../config/options.ts';
import type { KubeApi } from '../kube/api.ts';
import { type Election, standForLeader } from '../kube/leader.ts';
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
    name: leaseName(config.loadBalancerClass),
    log,
  });
}

/** Controllers of different classes work side by side, each with a Lease of its own. */
function leaseName(loadBalancerClass: string): string {
  return loadBalancerClass === OUR_CLASS
    ? 'nodeport-lb'
    : `nodeport-lb-${loadBalancerClass.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-')}`;
}

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
