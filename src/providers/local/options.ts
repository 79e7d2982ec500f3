import type { LocalConfig, PoolConfig } from '../../config/config.ts';
import { type Problem, UsageError } from '../../errors.ts';
import { hasWholeLoopback } from '../../forwarder/platform.ts';
import { kubeProxyProblems } from './delivery.ts';
import type { Delivery } from './rules.ts';

/** What the local provider works with, once everything in it is known to be usable. */
export interface LocalOptions {
  /** Where the forwarder runs: in a process of the controller's, or in agents on other machines. */
  readonly forwarder: 'embedded' | 'agents';
  /** Empty, with agents: the nodes' own addresses. */
  readonly pools: readonly PoolConfig[];
  /** Serve a port that may not be bound on a free high port. */
  readonly portFallback: boolean;
  /** Of an embedded forwarder; absent with agents, which are told by options of their own. */
  readonly datapath?: 'auto' | 'userspace' | 'nftables';
  /** Of agents; absent: they have forwarders. */
  readonly delivery?: Delivery;
}

/** Where Linux and Windows can listen without preparation, and far from 127.0.0.1 and from what sandboxes use. */
const DEFAULT_POOL = '127.0.0.32/27';
/** Where everybody can; Services share it by port. */
const ONE_ADDRESS_POOL = '127.0.0.1';

/**
 * Reads the provider's options: `Config.local`, which has been validated with the rest of the configuration.
 * @param inCluster whether the controller runs in a pod of the cluster
 * @param platform default: this machine's
 * @throws {UsageError} with everything in them that this version cannot do
 */
export function readOptions(local: Partial<LocalConfig>, inCluster: boolean, platform?: NodeJS.Platform): LocalOptions {
  const { pools = [], portFallback = false, datapath = 'auto' } = local;
  const forwarder = local.forwarder ?? (inCluster ? 'agents' : 'embedded');
  if (forwarder === 'agents') {
    const wrong = kubeProxyProblems(local);
    if (wrong.length > 0) throw new UsageError(wrong);
    return { forwarder, pools, portFallback, ...(datapath === 'kube-proxy' ? { delivery: datapath } : {}) };
  }
  const problems: Problem[] = datapath === 'kube-proxy' ? [refuseKubeProxy()] : [];
  if (problems.length === 0 && pools.length === 0 && inCluster) {
    problems.push({
      where: '--local-pool',
      message: `In a pod there is no pool by default for --local-forwarder embedded: ${DEFAULT_POOL} would only be reached from inside this pod. Name addresses of the machine that the pod runs on, or use agents.`,
    });
  }
  if (datapath === 'kube-proxy' || problems.length > 0) throw new UsageError(problems);
  return { forwarder, pools: pools.length > 0 ? pools : [defaultPool(platform)], portFallback, datapath };
}

/** What differs and cannot be changed while the provider runs, by the names of the flags. */
export function differingOptions(before: LocalOptions, after: LocalOptions): readonly string[] {
  return [
    ...(before.forwarder === after.forwarder ? [] : ['--local-forwarder']),
    ...(before.datapath === after.datapath && before.delivery === after.delivery ? [] : ['--local-datapath']),
    ...(before.portFallback === after.portFallback ? [] : ['--local-port-fallback']),
  ];
}

function defaultPool(platform: NodeJS.Platform | undefined): PoolConfig {
  const isWhole = hasWholeLoopback(platform);
  return {
    name: 'default',
    addresses: [isWhole ? DEFAULT_POOL : ONE_ADDRESS_POOL],
    namespaces: [],
    serviceSelector: {},
    priority: 0,
    autoAssign: true,
    sharePorts: !isWhole,
  };
}

function refuseKubeProxy(): Problem {
  const message =
    'is for agents on nodes (--local-forwarder agents): here no kube-proxy of the cluster runs. Use auto, userspace or nftables.';
  return { where: '--local-datapath', value: 'kube-proxy', message };
}
