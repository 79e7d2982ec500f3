import type { KubeApi } from '../kube/api.ts';
import type { StartForwarder } from '../providers/local/link.ts';
import type { Delivery } from '../providers/local/rules.ts';
import type { Log } from '../providers/provider.ts';
import type { Remembered } from './state-file.ts';
import type { StartVips } from './vip-duty.ts';

export interface AgentOptions {
  readonly api: KubeApi;
  /** A DNS subdomain, unlike any other agent's. */
  readonly name: string;
  /** The Kubernetes node that the agent runs on; undefined: a machine outside the cluster. */
  readonly node?: string;
  /** Where the ConfigMaps and Leases of agents and controller are. */
  readonly namespace: string;
  /** The name that controller and agents of one class share. */
  readonly group: string;
  readonly identity: string;
  readonly stateDir?: string;
  readonly remembered?: Remembered;
  readonly startForwarder: StartForwarder;
  /** Who delivers what comes for the addresses; undefined: the forwarder. */
  readonly delivery?: Delivery;
  /** Undefined: only what the machine has by itself is served. */
  readonly startVips?: StartVips;
  /** Resolves when the agent whose place this one has taken has let go: until then its report stands. Undefined: there was none. */
  readonly free?: Promise<void>;
  readonly log: Log;
  /** Addresses of this machine. */
  readAddresses(): ReadonlySet<string>;
  /** Those of them that another machine has, each with what was seen of it; default: nobody looks. */
  readDuplicates?(): ReadonlyMap<string, string>;
  readonly renewMs?: number;
  /** For how long endpoints count of which nothing is heard; default 15 s. */
  readonly apartMs?: number;
}

/** What health endpoints and metrics tell of an agent. */
export interface AgentState {
  /** Whether rules are in force: from the cluster, or those of the last run. */
  readonly hasRules: boolean;
  /** Whether the cluster has been read since the start. */
  readonly isCurrent: boolean;
  readonly isPresent: boolean;
  readonly listeners: number;
  readonly failed: number;
  readonly problem?: string;
}
