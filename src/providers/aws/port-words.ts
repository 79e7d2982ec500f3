import type { AwsAnnotations } from '../../config/aws-annotations.ts';
import { type Balancer, type Listener, nameOf, type Protocol, type TargetGroup } from '../../model.ts';
import type { ListenerProtocol, SeenCheck, Tags } from './picture.ts';
import type { DesiredGroup } from './ports.ts';

const PROXY_PROTOCOL = 'proxy_protocol_v2.enabled';

export function whatNodesAdmit(listens: ListenerProtocol, nodePort: number, check: SeenCheck): DesiredGroup['nodePorts'] {
  const transports = listens === 'TCP_UDP' ? (['tcp', 'udp'] as const) : ([listens === 'UDP' ? 'udp' : 'tcp'] as const);
  const checkPort = check.port === 'traffic-port' ? nodePort : Number(check.port);
  return [
    ...transports.map((transport) => ({ protocol: transport, port: nodePort })),
    { protocol: 'tcp' as const, port: checkPort },
  ];
}

/** What the Service asks for its port is so in every target group that the port sends to. @param group says the affinity */
export function groupAttributes(listener: Listener, group: TargetGroup, asked: AwsAnnotations, { settings }: Balancer): Tags {
  const ofPort = asked.groupAttributesByPort[String(listener.port)] ?? asked.groupAttributesByPort[listener.name] ?? {};
  const proxied =
    asked.proxyProtocol === 'all' ||
    (Array.isArray(asked.proxyProtocol) && asked.proxyProtocol.some((port) => names(listener, port)));
  const neutral = affinity(group);
  const own = Object.fromEntries(Object.entries(ofPort).filter(([, value]) => value !== '')); // an empty value inherits
  return {
    ...neutral,
    ...(settings.drainSeconds === undefined ? {} : { 'deregistration_delay.timeout_seconds': String(settings.drainSeconds) }),
    ...(settings.proxyProtocol === 'v2' ? { [PROXY_PROTOCOL]: 'true' } : {}),
    ...asked.groupAttributes,
    ...own,
    ...(proxied ? { [PROXY_PROTOCOL]: 'true' } : Array.isArray(asked.proxyProtocol) ? { [PROXY_PROTOCOL]: 'false' } : {}),
  };
}

/** The NLB keeps a client's address on one node; how long is its own affair, and kube-proxy keeps the Service's time. */
function affinity({ affinitySeconds }: TargetGroup): Tags {
  return affinitySeconds === undefined ? {} : { 'stickiness.enabled': 'true', 'stickiness.type': 'source_ip' };
}

export function names(listener: Listener, port: string): boolean {
  return port === String(listener.port) || (port !== '' && port === listener.name);
}

export function portName({
  service,
  port,
  protocol,
}: {
  readonly service: Listener['service'];
  readonly port: number;
  readonly protocol: Protocol;
}): string {
  return `${nameOf(service)}: port ${port}/${protocol}`;
}
