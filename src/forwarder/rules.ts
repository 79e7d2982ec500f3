/**
 * The forwarder's face: data in, data out. One versioned, serialisable document says what to forward; one report says what
 * came of it. Embedded in the controller (a child process), standing alone (`forward`) and on a node (`forwarder`), it is the
 * same document.
 */

export const RULES_VERSION = 1;

export interface Rules {
  readonly version: typeof RULES_VERSION;
  /** Grows with every change; the report repeats the one that is in force. */
  readonly generation: number;
  readonly nodes: readonly RuleNode[];
  /** Sets of node ids, shared by many listeners, so that a node's coming is one change and not thousands. */
  readonly nodeSets: Readonly<Record<string, readonly string[]>>;
  readonly listeners: readonly RuleListener[];
  /**
   * Addresses that are for these listeners alone (never an address of the machine itself): the kernel path rejects every other port
   * of TCP, UDP and SCTP on them, and has their rules in place also while the address is not on this machine.
   */
  readonly exclusive?: readonly string[];
}

/**
 * From one generation to the next without repeating what stays. `base` must be the generation in force, else it is refused
 * and the sender sends whole `Rules`. `null` removes an entry.
 */
export interface RulesChange {
  readonly version: typeof RULES_VERSION;
  readonly base: number;
  readonly generation: number;
  readonly nodes: Readonly<Record<string, RuleNode | null>>;
  readonly nodeSets: Readonly<Record<string, readonly string[] | null>>;
  readonly listeners: Readonly<Record<string, RuleListener | null>>;
  /** The whole list; undefined: as before. */
  readonly exclusive?: readonly string[];
}

/** A machine to send to. */
export interface RuleNode {
  readonly id: string;
  /** IP addresses in the order of preference; the first that answers is used. At least one. */
  readonly addresses: readonly string[];
  /** Always this port, whatever the listener's nodePort (targets that are not Kubernetes nodes). */
  readonly port?: number;
  /** NodePorts that are published elsewhere: node port to `address:port`. */
  readonly portMap?: Readonly<Record<number, string>>;
}

export interface RuleListener {
  /** Stable: the same id with the same protocol, address and port is the same open socket over every change. */
  readonly id: string;
  /** SCTP: in the kernel path only. */
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly address: string;
  /** 0 to 65535; 0 lets the kernel choose (tests, `forward` with port 0). */
  readonly port: number;
  /** Where the port may not be bound (no permission, in use): serve on a free high port and say so in the report. */
  readonly portFallback: boolean;
  /** Name of a node set. */
  readonly nodeSet: string;
  readonly nodePort: number;
  readonly check: RuleCheck;
  /** Only nodes whose check passes, even if none does (`externalTrafficPolicy: Local`). */
  readonly localOnly: boolean;
  /** Clients allowed in, as CIDRs; empty: all. */
  readonly sourceRanges: readonly string[];
  /** Keep a client on its node for this many seconds. */
  readonly affinitySeconds?: number;
  /** Write this header to the target first. TCP only: version 2 has a form for UDP, but servers do not read it. */
  readonly proxyProtocol?: 'v1' | 'v2';
  /** Where a target refuses, another one must be tried for the same connection, which only userspace can; it does so unasked, too. */
  readonly retry?: boolean;
  /**
   * How long established connections live on after their target or the listener has gone. A flow of UDP does so only while it is
   * answered (target) and not silent (listener).
   */
  readonly drainMs: number;
  /** How long a connection, or a client's flow of datagrams, may be silent before it is closed; 0: for ever. */
  readonly idleMs: number;
}

/**
 * `nodePort`: the shared TCP check of the node and sparse TCP connects to the NodePort (UDP: its TCP sibling of the same number);
 * `http`: GET, 200 passes; `none`, for UDP: nothing is asked, what counts is whether datagrams are refused.
 */
export interface RuleCheck {
  readonly kind: 'nodePort' | 'tcp' | 'http' | 'none';
  /** With `tcp` and `http`: the port at the node. */
  readonly port?: number;
  readonly path?: string;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  /** Passes in a row that make a target healthy. */
  readonly rise?: number;
  /** Failures in a row that make it unhealthy. */
  readonly fall?: number;
}

/** What came of a generation. Sent when it has been applied, and again for what changes later; only what differs. */
export interface ForwarderReport {
  /** The generation in force. */
  readonly generation: number;
  /** By listener id; null: closed and drained, nothing is left of it. */
  readonly listeners: Readonly<Record<string, ListenerState | null>>;
  /**
   * By `nodeId` or `nodeId:nodePort`; null: no longer watched. An entry for a NodePort exists only while what is known of it
   * differs from its node, so that 1,000 Services on 100 nodes are not 100,000 entries: read it with `targetState`.
   */
  readonly targets: Readonly<Record<string, TargetState | null>>;
  /** What holds back the forwarder as a whole, though it serves: a code of the error table and what is the matter; null: no more. */
  readonly warnings?: Readonly<Record<string, string | null>>;
}

/** What moves a listener's packets; `kube-proxy`: none of ours does. */
export type Datapath = 'userspace' | 'nftables' | 'kube-proxy';

/** What is known of a NodePort at a node: its own entry, else its node's; undefined: nothing yet. */
export function targetState(
  targets: { get(key: string): TargetState | undefined },
  nodeId: string,
  nodePort: number,
): TargetState | undefined {
  return targets.get(`${nodeId}:${nodePort}`) ?? targets.get(nodeId);
}

/** `code` of the error table. */
export interface Impairment {
  readonly code: 'ConntrackFull';
  readonly message: string;
}

export type ListenerState =
  | {
      readonly state: 'listening';
      readonly address: string;
      readonly port: number;
      /** Said where both data paths could have been had. */
      readonly datapath?: Datapath;
      /** Why this data path, for people. */
      readonly why?: string;
      /** What holds it back, though it serves; of the forwarder's `warnings`, and added to the state by whoever reads the reports. */
      readonly impairment?: Impairment;
    }
  | { readonly state: 'draining'; readonly connections: number }
  | { readonly state: 'failed'; readonly code: ListenFailure; readonly message: string };

/** Codes of the error table. ForwarderDown: the forwarder's own process has been gone for a while and is being restarted. */
export type ListenFailure =
  | 'PortInUse'
  | 'PortNotPermitted'
  | 'AddressUnavailable'
  | 'ProtocolUnsupported'
  | 'SyncFailed'
  | 'TargetLoops'
  | 'ForwarderDown'
  | 'NftMissing'
  | 'NetAdminMissing'
  | 'ForwardingOff'
  | 'NeedsUserspace'
  | 'KernelRefused'
  | 'KubeProxyUnfit';

export interface TargetState {
  readonly health: 'healthy' | 'unhealthy' | 'unknown' | 'draining';
  /** The address of the node that is in use. */
  readonly address?: string;
  readonly reason?: string;
  /** Said of a node as a whole: at none of its addresses was there ever an answer, so the way there is in doubt, not the node. */
  readonly unreachable?: true;
  /** Milliseconds since the epoch. */
  readonly asOf: number;
}

/** Why rules were not taken; the last ones stay in force. */
export class RulesError extends Error {
  override readonly name = 'RulesError';
  /** `WrongBase`: send whole `Rules`. `UnknownVersion`: sender and forwarder are of different releases. */
  readonly code: 'UnknownVersion' | 'WrongBase' | 'Malformed';

  constructor(code: RulesError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** The part of a logger that the forwarder uses; pino fits. */
export interface ForwarderLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What went through since the start; numbers only grow, but for `active`. */
export interface ListenerCounters {
  /** Client connections that were accepted, refused ones included; of UDP, flows that were begun. */
  readonly connections: number;
  /** Client connections and flows that are open now. */
  readonly active: number;
  readonly bytesFromClients: number;
  readonly bytesToClients: number;
  /** Client connections for which no target could be reached; of UDP, datagrams. */
  readonly failures: number;
  /** Targets that could not be reached; the next one was tried. */
  readonly retries: number;
  /** Client connections refused by `sourceRanges`; of UDP, datagrams. */
  readonly refusedByRange: number;
  /** Client connections refused because too many were open; of UDP, datagrams. */
  readonly refusedByLimit: number;
  /** Flows of UDP that were ended to make room for new ones. */
  readonly evicted: number;
  /** Datagrams that the kernel did not take, in either direction. */
  readonly dropped: number;
}

export interface ForwarderCounters {
  /** Connection tracking of the kernel path: entries now, and how many there may be; undefined: not in use. */
  readonly conntrack?: { readonly entries: number; readonly limit: number };
  readonly sum: ListenerCounters;
  readonly listeners: Readonly<Record<string, ListenerCounters>>;
}

/** How a forwarder ends that another one is to follow. */
export interface Parting {
  /**
   * For so long, at most, the kernel goes on by itself with the rules that it has, until another forwarder takes them over; Infinity:
   * until one does, or `cleanUpKernel` ends it. 0: not at all. A forwarder in another process is told finite times only.
   */
  readonly rulesMs: number;
  /**
   * Whether new connections are accepted while some from before the end are open, within `drainMs`: nobody else has the address. What
   * came meanwhile has a second.
   */
  readonly servesOn: boolean;
}

/** A forwarder at work, in this process or in a child. */
export interface Forwarder {
  /** @throws {RulesError} and keeps the rules in force */
  apply(next: Rules | RulesChange): void;
  /** Stops listening at once; established connections may live on for as long as their listeners' rules say, and for at most `drainMs`. */
  close(drainMs?: number, parting?: Parting): Promise<void>;
  counters(): Promise<ForwarderCounters>;
}
