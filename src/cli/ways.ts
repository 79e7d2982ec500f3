import { ownAnnotations } from '../config/annotation-table.ts';
import { readNodePortMap } from '../config/annotation-values.ts';
import type { Node, Service, ServicePort } from '../kube/objects.ts';
import { servedPorts } from './status-rows.ts';

/** One way in to one port of a Service. */
export interface Way {
  readonly kind: 'balancer' | 'externalIP' | 'node' | 'clusterIP' | 'dns';
  /** `outside`: from anywhere that can reach the address; `inside`: from pods and nodes only. */
  readonly from: 'outside' | 'inside';
  /** With `node`. */
  readonly node?: string;
  /** With `node`: the address type, or `published` for a port that a container runtime maps to the host. */
  readonly addressType?: string;
  readonly host: string;
  readonly port: number;
  readonly protocol: string;
  /** The Service's port that it leads to. */
  readonly servicePort: number;
}

/** Every way in, the best first: balancer, externalIPs, nodes, cluster IP, DNS name. Pure. */
export function listWays(service: Service, nodes: readonly Node[]): readonly Way[] {
  if (service.type === 'ExternalName') return service.ports.map((port) => dnsWay(service, port));
  return service.ports
    .flatMap((port) => waysOfPort(service, port, nodes))
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

const order: readonly Way['kind'][] = ['balancer', 'externalIP', 'node', 'clusterIP', 'dns'];

function waysOfPort(service: Service, port: ServicePort, nodes: readonly Node[]): readonly Way[] {
  const base = { protocol: port.protocol, servicePort: port.port };
  const served = servedPorts(service).get(`${port.port}/${port.protocol}`) ?? port.port;
  const clusterIPs = (service.clusterIPs.length > 0 ? service.clusterIPs : [service.clusterIP]).filter(
    (ip) => ip !== '' && ip !== 'None',
  );
  return [
    ...service.ingress.flatMap((entry): Way[] => {
      const host = entry.ip ?? entry.hostname;
      return host === undefined ? [] : [{ ...base, kind: 'balancer', from: 'outside', host, port: served }];
    }),
    ...service.externalIPs.map((host): Way => ({ ...base, kind: 'externalIP', from: 'outside', host, port: port.port })),
    ...(port.nodePort === 0 ? [] : nodes.flatMap((node) => nodeWays(node, port))),
    ...clusterIPs.map((host): Way => ({ ...base, kind: 'clusterIP', from: 'inside', host, port: port.port })),
    dnsWay(service, port),
  ];
}

function nodeWays(node: Node, port: ServicePort): readonly Way[] {
  const base = { kind: 'node', from: 'outside', node: node.name, protocol: port.protocol, servicePort: port.port } as const;
  const { map, all } = readNodePortMap(node.annotations[ownAnnotations.nodePortMap] ?? '');
  const split = /^\[?([^\]]*)\]?:(\d+)$/.exec(map[port.nodePort] ?? (all === undefined ? '' : `${all}:${port.nodePort}`));
  return [
    ...(split ? [{ ...base, addressType: 'published', host: split[1]!, port: Number(split[2]) }] : []),
    ...node.addresses
      .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
      .map(({ type, address }) => ({ ...base, addressType: type, host: address, port: port.nodePort })),
  ];
}

function dnsWay({ name, namespace }: Service, port: ServicePort): Way {
  const host = `${name}.${namespace}.svc.cluster.local`;
  return { kind: 'dns', from: 'inside', host, port: port.port, protocol: port.protocol, servicePort: port.port };
}

/** `host:port`, with an IPv6 address in brackets. */
export function endpointOf({ host, port }: Pick<Way, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The command to paste: HTTP is a guess that is right more often than not; 443 and names with https get TLS. */
export function commandFor(way: Way, portName: string): string {
  if (way.protocol === 'UDP') return `nc -u ${way.host} ${way.port}`;
  if (way.protocol === 'SCTP') return `ncat --sctp ${way.host} ${way.port}`;
  const tls = way.servicePort === 443 || way.servicePort === 8443 || /https|tls/.test(portName);
  return tls ? `curl -k https://${endpointOf(way)}/` : `curl http://${endpointOf(way)}/`;
}
