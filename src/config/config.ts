import type { ApiThrottle } from './throttle.ts';

/** The whole configuration of the controller, read and validated; every field is a flag, a variable and a key of the file. */
export interface Config {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly provider: string;
  /** For a provider that is a module of its own; the built-in ones have `local` and `aws`. */
  readonly providerOptions?: Readonly<Record<string, unknown>>;
  readonly clusterName: string;
  readonly loadBalancerClass: string;
  readonly claimUnsetClass: 'auto' | 'true' | 'false';
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  /** Undefined: true in a cluster, false outside. */
  readonly leaderElect?: boolean;
  /** Namespace of the leader's Lease; undefined: the pod's own, else kube-system. */
  readonly leaderElectNamespace?: string;
  /** Name of the Lease; undefined: after class and namespaces. */
  readonly leaderElectName?: string;
  /** How long the Lease lives without a renewal; undefined: the default. */
  readonly leaderElectLeaseMs?: number;
  readonly nodeAddressTypes: readonly string[];
  /** Undefined: off. */
  readonly http?: { readonly host: string; readonly port: number };
  readonly dryRun: boolean;
  readonly shareAcrossNamespaces: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly local: LocalConfig;
  readonly aws: AwsConfig;
}

export interface LocalConfig {
  /** Empty: the provider's own default. */
  readonly pools: readonly PoolConfig[];
  readonly datapath: 'auto' | 'userspace' | 'nftables' | 'kube-proxy';
  /** Undefined: embedded outside a cluster, agents inside. */
  readonly forwarder?: 'embedded' | 'agents';
  /** Namespace of what controller and agents keep for each other; undefined: the pod's own, else kube-system. */
  readonly agentsNamespace?: string;
  /** Serve a port that may not be bound on a free high port. */
  readonly portFallback: boolean;
}

export interface PoolConfig {
  readonly name: string;
  /** CIDRs (`10.0.0.0/28`), ranges (`10.0.0.5-10.0.0.9`) and single addresses. */
  readonly addresses: readonly string[];
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** Labels that a Service must have. */
  readonly serviceSelector: Readonly<Record<string, string>>;
  /** Lower is tried first. */
  readonly priority: number;
  /** False: only for Services that ask for the pool or for an address of it. */
  readonly autoAssign: boolean;
  /** Services whose ports differ may have one address without a share group. */
  readonly sharePorts: boolean;
}

export interface AwsConfig {
  readonly region?: string;
  readonly vpcId?: string;
  readonly defaultScheme: 'internet-facing' | 'internal';
  /** Rates of calls where they are not AWS's usual ones. */
  readonly apiThrottle?: ApiThrottle;
}
