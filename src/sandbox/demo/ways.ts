import type { Socket } from 'node:net';
import type { Service } from '../../kube/objects.ts';
import type { Landing } from '../nodes/backends.ts';
import { land } from './ask.ts';

/** One way in to a Service. */
export interface Way {
  readonly kind: 'cluster' | 'node' | 'balancer';
  readonly label: string;
  /** One request on a connection of its own. @throws when no pod answers it with 200 */
  ask(): Promise<Landing>;
}

/** What the ways lead through. */
export interface WaysNetwork {
  readonly nodes: readonly { readonly name: string; readonly address: string; servedAt(nodePort: number): number }[];
  connect(address: string, port: number): Promise<Socket>;
}

/** Where the controller notes ports that it serves on other ones: `80/TCP=40129,…`. */
const SERVED_PORTS = 'nodeport-lb.io/served-ports';

/** Every way in that the Service has now: its cluster IP, each node's NodePort, its external addresses. */
export function waysInto(service: Service, network: WaysNetwork): readonly Way[] {
  const served = servedPorts(service);
  return service.ports.flatMap(({ port, nodePort }) => [
    ...service.clusterIPs.map((ip): Way => {
      const dial = () => network.connect(ip, port);
      return { kind: 'cluster', label: `${ip}:${port} in the cluster`, ask: () => land(ip, port, dial) };
    }),
    ...(nodePort > 0 ? network.nodes : []).map(({ name, address, servedAt }): Way => {
      const at = servedAt(nodePort);
      return { kind: 'node', label: `${name} ${address}:${at}`, ask: () => land(address, at) };
    }),
    ...externalAddresses(service).map((ip): Way => {
      const at = served.get(port) ?? port;
      return { kind: 'balancer', label: `${ip}:${at}`, ask: () => land(ip, at) };
    }),
  ]);
}

export function externalAddresses(service: Service): readonly string[] {
  return service.ingress.flatMap((entry) => entry.ip ?? entry.hostname ?? []);
}

/** Ports of the Service that are served on another one at its external addresses. */
export function servedPorts(service: Service): ReadonlyMap<number, number> {
  const noted = (service.annotations[SERVED_PORTS] ?? '').matchAll(/(\d+)\/\w+=(\d+)/g);
  return new Map([...noted].map(([, port, served]) => [Number(port), Number(served)]));
}
