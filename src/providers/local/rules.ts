import type { Code } from '../../errors.ts';
import type { ListenerState, RuleCheck, RuleListener, RuleNode } from '../../forwarder/rules.ts';
import {
  type Balancer,
  type HealthCheck,
  type Listener,
  type NodeTarget,
  nameOf,
  nodesBehind,
  type Protocol,
} from '../../model.ts';
import { isNodePortOfItsOwn, whoseNodePort } from './node-ports.ts';

/**
 * How long established connections live on after their target or listener has gone, when the Service does not say: as long as
 * Kubernetes gives a pod to finish, so that neither end waits for the other.
 * @see https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
 */
export const DRAIN_SECONDS = 30;

/**
 * How long a connection may be silent when the Service does not say: 2 hours 4 minutes, the least that RFC 5382 REQ-5 lets a
 * NAT grant an established connection, and just more than a TCP keep-alive's first 2 hours.
 * @see https://www.rfc-editor.org/rfc/rfc5382#section-5
 */
export const IDLE_SECONDS = 7_440;

/**
 * How long a client's flow of datagrams may be silent when the Service does not say: as long as Linux, and with it kube-proxy behind
 * us, remembers one that was answered (nf_conntrack_udp_timeout_stream).
 * @see https://docs.kernel.org/networking/nf_conntrack-sysctl.html
 */
export const UDP_IDLE_SECONDS = 120;

/** One listener at one address, as the forwarder shall serve it. The name of its node set is chosen by the link. */
export interface WantedListener extends Omit<RuleListener, 'nodeSet' | 'protocol'> {
  readonly key: string;
  /** UID of the Service that it belongs to, and `namespace/name` for people. */
  readonly uid: string;
  readonly service: string;
  readonly protocol: Protocol;
  /** Why this listener is not served, though others of its Service are; it is kept and reported. */
  readonly refusal?: { readonly code: Code; readonly message: string };
  /** Who delivers what comes for it; absent: a forwarder of ours. */
  readonly delivery?: Delivery;
}

/** `kube-proxy`: what comes to a node for a balancer's address is delivered there by kube-proxy itself. */
export type Delivery = 'kube-proxy';

/** As a forwarder tells it, or (failed) as it is judged where no forwarder has it. */
export type ServedState =
  | Exclude<ListenerState, { state: 'failed' }>
  | { readonly state: 'failed'; readonly code: Code; readonly message: string };

/** How listeners are made of a balancer. */
export interface RenderOptions {
  readonly portFallback: boolean;
  /** The addresses are the nodes' own, some ports of which are not given out. */
  readonly ofNodes?: boolean;
  readonly delivery?: Delivery;
  /** What the forwarder is given; absent: it is on another machine, and says itself what it cannot carry. */
  readonly datapath?: 'auto' | 'userspace' | 'nftables';
}

/** Whether the forwarder is given the listener; else it is only reported. */
export function isServed({ refusal }: Pick<WantedListener, 'refusal'>): boolean {
  return refusal === undefined;
}

/** Userspace has no sockets of SCTP; the kernel path and kube-proxy carry it. */
export function isCarried(protocol: Protocol, datapath: RenderOptions['datapath']): boolean {
  return protocol !== 'SCTP' || datapath !== 'userspace';
}

/** A port that the forwarder has no data path for: nobody asks for its targets. */
export function isUncarried({ protocol }: Pick<WantedListener, 'protocol'>, state: ServedState | undefined): boolean {
  return protocol === 'SCTP' && state?.state === 'failed';
}

/** Every listener at every address that the balancer holds. Pure; the ids are those of the last time as long as the sockets are. */
export function renderListeners(balancer: Balancer, options: RenderOptions): readonly WantedListener[] {
  return balancer.address.held.flatMap((address) =>
    balancer.listeners.map((listener) => renderListener(balancer, listener, address, options)),
  );
}

/** Pure. Where each of the balancer's listeners sends; balancers share one array of nodes where they can. */
export function findNodes(balancer: Balancer): (of: Pick<WantedListener, 'uid' | 'port' | 'protocol'>) => readonly NodeTarget[] {
  const named = new Map(
    balancer.listeners.map((one) => [nameListener({ ...one, uid: one.service.uid }), nodesBehind(balancer, one)]),
  );
  return (of) => named.get(nameListener(of)) ?? balancer.nodes;
}

function nameListener({ uid, port, protocol }: Pick<WantedListener, 'uid' | 'port' | 'protocol'>): string {
  return `${uid} ${port}/${protocol}`;
}

function renderListener(balancer: Balancer, listener: Listener, address: string, options: RenderOptions): WantedListener {
  const { targetGroup, protocol, port, service } = listener;
  const { drainSeconds = DRAIN_SECONDS, proxyProtocol, retry } = balancer.settings;
  const { idleTimeoutSeconds = protocol === 'UDP' ? UDP_IDLE_SECONDS : IDLE_SECONDS } = balancer.settings;
  const refusal = refusePort(listener, options);
  return {
    id: `${balancer.key} ${port}/${protocol} ${address}`,
    key: balancer.key,
    uid: service.uid,
    service: nameOf(service),
    protocol,
    address,
    port,
    portFallback: options.portFallback,
    nodePort: targetGroup.nodePort,
    check: renderCheck(targetGroup.healthCheck, targetGroup.nodePort),
    localOnly: targetGroup.localOnly,
    sourceRanges: targetGroup.sourceRanges,
    ...(targetGroup.affinitySeconds === undefined ? {} : { affinitySeconds: targetGroup.affinitySeconds }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(retry ? { retry } : {}),
    drainMs: drainSeconds * 1_000,
    idleMs: idleTimeoutSeconds * 1_000,
    ...(refusal === undefined ? {} : { refusal }),
    ...(options.delivery === undefined ? {} : { delivery: options.delivery }),
  };
}

function refusePort({ protocol, port }: Listener, { ofNodes, datapath }: RenderOptions): WantedListener['refusal'] {
  if (!isCarried(protocol, datapath)) return { code: 'ProtocolUnsupported', message: ONLY_KERNEL };
  if (!ofNodes || !isNodePortOfItsOwn(port)) return undefined;
  return { code: 'NodePortReserved', message: `port ${port} of a node's own address is that of ${whoseNodePort(port)}` };
}

/** Of SCTP. */
export const ONLY_KERNEL = 'userspace forwards TCP and UDP only; SCTP is in the nftables data path';

function renderCheck(check: HealthCheck, nodePort: number): RuleCheck {
  const kind = check.protocol === 'http' ? 'http' : check.port === nodePort ? 'nodePort' : 'tcp';
  return {
    kind,
    ...(kind === 'nodePort' ? {} : { port: check.port }),
    ...(kind === 'http' ? { path: check.path ?? '/' } : {}),
    ...(check.intervalSeconds === undefined ? {} : { intervalMs: check.intervalSeconds * 1_000 }),
    ...(check.timeoutSeconds === undefined ? {} : { timeoutMs: check.timeoutSeconds * 1_000 }),
    ...(check.healthyThreshold === undefined ? {} : { rise: check.healthyThreshold }),
    ...(check.unhealthyThreshold === undefined ? {} : { fall: check.unhealthyThreshold }),
  };
}

/** The listener as the forwarder's document has it. */
export function toRule(wanted: WantedListener, nodeSet: string): RuleListener | undefined {
  const { key: _key, uid: _uid, service: _service, refusal: _refusal, delivery: _delivery, ...rule } = wanted;
  return isServed(wanted) ? { ...rule, nodeSet } : undefined;
}

export function toRuleNode(node: NodeTarget): RuleNode {
  return { id: node.name, addresses: node.addresses, ...(node.portMap === undefined ? {} : { portMap: node.portMap }) };
}

/** Whether both name the same nodes with the same ways in. Arrays are shared by many balancers, so identity answers first. */
export function sameNodes(a: readonly NodeTarget[], b: readonly NodeTarget[]): boolean {
  return a === b || (a.length === b.length && a.every((node, i) => sameNode(node, b[i]!)));
}

function sameNode(a: NodeTarget, b: NodeTarget): boolean {
  return a === b || (a.name === b.name && JSON.stringify(toRuleNode(a)) === JSON.stringify(toRuleNode(b)));
}
