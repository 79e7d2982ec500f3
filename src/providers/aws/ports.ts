import { type AwsAnnotations, readAwsAnnotations } from '../../config/aws-annotations.ts';
import { Refusal } from '../../errors.ts';
import { type Balancer, type Listener, type Member, nameOf } from '../../model.ts';
import { describeCheck } from './checks.ts';
import type { ListenerProtocol, SeenCheck, Tags } from './picture.ts';
import { groupAttributes, names, portName, whatNodesAdmit } from './port-words.ts';
import { describeSpread, sayUnsticky } from './spread.ts';

/** One port of the NLB and where it sends. */
export interface DesiredListener {
  /** 1 to 65535; an NLB has one listener a port. */
  readonly port: number;
  readonly protocol: ListenerProtocol;
  readonly group: DesiredGroup;
  /** Absent: `group` gets everything. */
  readonly spread?: DesiredSpread;
  /** The default certificate first; empty: no TLS here. */
  readonly certificates: readonly string[];
  readonly tlsPolicy?: string;
  readonly alpnPolicy?: string;
  readonly attributes: Tags;
}

/** How new connections are shared out among `group` and others, by weights from 0 to 999. */
export interface DesiredSpread {
  /** Of `group`. */
  readonly weight: number;
  readonly sticky: boolean;
  readonly others: readonly DesiredShare[];
}

/** Of a target group of ours, or of one that others made. */
export type DesiredShare =
  | { readonly weight: number; readonly group: DesiredGroup }
  | { readonly weight: number; readonly group?: never; readonly arn: string };

export interface DesiredGroup {
  /**
   * `80/TCP=UID`, or two such words for a port with TCP and UDP: which Service's port it is, for the tag and for the name. Of another
   * Service that gets a share: `80/TCP@NAME:PORT`.
   */
  readonly serves: string;
  readonly protocol: ListenerProtocol;
  readonly nodePort: number;
  readonly check: SeenCheck;
  readonly attributes: Tags;
  readonly uids: readonly string[];
  /** Others register targets there, too. Absent: it is ours alone. */
  readonly multiCluster?: true;
  /** What the nodes must admit. */
  readonly nodePorts: readonly { readonly protocol: 'tcp' | 'udp'; readonly port: number }[];
}

/** AWS's own default when a TLS listener names none. */
const TLS_POLICY = 'ELBSecurityPolicy-2016-08';
const CLIENT_IP = 'preserve_client_ip.enabled';
/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html */
export const LISTENERS_MAX = 50;

/** The listeners in the order of their ports in the Services. @throws {Refusal} for what an NLB cannot serve */
export function describeListeners(balancer: Balancer): readonly DesiredListener[] {
  const byPort = new Map<number, Listener[]>();
  for (const listener of balancer.listeners) byPort.set(listener.port, [...(byPort.get(listener.port) ?? []), listener]);
  if (byPort.size > LISTENERS_MAX) {
    throw new Refusal('QuotaExceeded', `${byPort.size} ports, and an NLB has at most ${LISTENERS_MAX} listeners`);
  }
  for (const member of balancer.members) refuseStrayPorts(member, balancer);
  return [...byPort.values()].map((same) => describeListener(same, balancer));
}

function describeListener(same: readonly Listener[], balancer: Balancer): DesiredListener {
  const [first] = same as [Listener];
  const member = balancer.members.find(({ uid }) => uid === first.service.uid)!;
  const asked = readAwsAnnotations(member.annotations);
  const protocol = joinProtocols(same);
  const tls = protocol === 'TCP' && asked.certificates.length > 0 && isTlsPort(first, asked);
  if (!tls && asked.certificates.length > 0 && asked.tlsPorts?.some((port) => names(first, port))) {
    throw new Refusal('ProtocolUnsupported', `${portName(first)}: TLS needs TCP, and the port is ${protocol}`);
  }
  const group = describeGroup(same, protocol, tls && asked.backendTls ? 'TLS' : protocol, asked, balancer);
  const spread = describeSpread(same, { listens: tls ? 'TLS' : protocol, group, asked, balancer });
  return {
    port: first.port,
    protocol: tls ? 'TLS' : protocol,
    group: spread ? sayUnsticky(group) : group,
    ...(spread ? { spread } : {}),
    certificates: tls ? asked.certificates : [],
    ...(tls ? { tlsPolicy: asked.tlsPolicy ?? TLS_POLICY } : {}),
    ...(tls && asked.alpnPolicy && asked.alpnPolicy !== 'None' ? { alpnPolicy: asked.alpnPolicy } : {}),
    attributes: listenerAttributes(first, tls ? 'TLS' : protocol, asked, balancer),
  };
}

/** TCP and UDP on one port are one listener, which has one target group and so one NodePort. */
function joinProtocols(same: readonly Listener[]): 'TCP' | 'UDP' | 'TCP_UDP' {
  const sctp = same.find(({ protocol }) => protocol === 'SCTP');
  if (sctp) throw new Refusal('ProtocolUnsupported', `${portName(sctp)}: an NLB does not carry SCTP`);
  const [first, second] = same as [Listener, Listener | undefined];
  if (!second) return first.protocol as 'TCP' | 'UDP';
  if (first.targetGroup.nodePort !== second.targetGroup.nodePort) {
    const both = same.map((one) => `${one.protocol} ${one.targetGroup.nodePort}`).join(', ');
    throw new Refusal(
      'ProtocolUnsupported',
      `Port ${first.port} has TCP and UDP with different nodePorts (${both}), and an NLB sends both to one: give them the same`,
    );
  }
  return 'TCP_UDP';
}

function describeGroup(
  same: readonly Listener[],
  listens: 'TCP' | 'UDP' | 'TCP_UDP',
  protocol: ListenerProtocol,
  asked: AwsAnnotations,
  balancer: Balancer,
): DesiredGroup {
  const [first] = same as [Listener];
  const { nodePort } = first.targetGroup;
  const checked = same.find((one) => one.protocol === 'TCP') ?? first;
  const check = describeCheck(
    checked.targetGroup,
    asked.healthCheck,
    balancer.listeners.filter(({ service }) => service.uid === first.service.uid),
  );
  const attributes = groupAttributes(first, first.targetGroup, asked, balancer);
  if (listens !== 'TCP' && attributes[CLIENT_IP] === 'false') {
    throw new Refusal(
      'AnnotationInvalid',
      `${portName(first)}: ${CLIENT_IP}=false: with UDP an NLB always keeps the client's address`,
    );
  }
  return {
    serves: same.map((one) => `${one.port}/${one.protocol}=${one.service.uid}`).join(' '),
    protocol,
    nodePort,
    check,
    attributes,
    uids: [...new Set(same.map(({ service }) => service.uid))],
    ...(asked.multiCluster ? { multiCluster: true as const } : {}),
    nodePorts: whatNodesAdmit(listens, nodePort, check),
  };
}

/** What is asked for by `PROTOCOL-PORT`; under another protocol it would have no effect. */
function attributesOf(listener: Listener, protocol: ListenerProtocol, asked: AwsAnnotations): Tags {
  const attributes: Record<string, string> = {};
  for (const [name, values] of Object.entries(asked.listenerAttributes)) {
    const dash = name.indexOf('-');
    if (!names(listener, name.slice(dash + 1))) continue;
    if (name.slice(0, dash) !== protocol) {
      const why = `aws-load-balancer-listener-attributes.${name}: the listener of that port is ${protocol}`;
      throw new Refusal('AnnotationInvalid', `${portName(listener)}: ${why}`);
    }
    Object.assign(attributes, values);
  }
  return attributes;
}

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#listener-attributes */
function listenerAttributes(listener: Listener, protocol: ListenerProtocol, asked: AwsAnnotations, { settings }: Balancer): Tags {
  const named = attributesOf(listener, protocol, asked);
  const idle = settings.idleTimeoutSeconds;
  if (idle === undefined || protocol !== 'TCP') return named;
  if (idle < 60 || idle > 6000) {
    throw new Refusal('AnnotationInvalid', `nodeport-lb.io/idle-timeout-seconds: ${idle}: an NLB takes 60 to 6000`);
  }
  return { 'tcp.idle_timeout.seconds': String(idle), ...named };
}

/** Ports that annotations name and that the Service has not got. */
function refuseStrayPorts(member: Member, balancer: Balancer): void {
  const own = balancer.listeners.filter(({ service }) => service.uid === member.uid);
  const asked = readAwsAnnotations(member.annotations);
  const named: readonly (readonly [string, string])[] = [
    ...(asked.tlsPorts ?? []).map((port) => ['ssl-ports', port] as const),
    ...Object.keys(asked.groupAttributesByPort).map((port) => [`target-group-attributes.${port}`, port] as const),
    ...(Array.isArray(asked.proxyProtocol)
      ? asked.proxyProtocol.map((port) => ['proxy-protocol-per-target-group', String(port)] as const)
      : []),
    ...Object.keys(asked.listenerAttributes).map(
      (name) => [`listener-attributes.${name}`, name.slice(name.indexOf('-') + 1)] as const,
    ),
  ];
  const stray = named.find(([, port]) => !own.some((listener) => names(listener, port)));
  if (!stray) return;
  const has = own.map((listener) => `${listener.port}${listener.name === '' ? '' : ` ${listener.name}`}`).join(', ');
  throw new Refusal(
    'AnnotationInvalid',
    `${nameOf(member)}: aws-load-balancer-${stray[0]}: the Service has no port ${JSON.stringify(stray[1])} (it has ${has})`,
  );
}

function isTlsPort(listener: Listener, asked: AwsAnnotations): boolean {
  return asked.tlsPorts === undefined || asked.tlsPorts.some((port) => names(listener, port));
}
