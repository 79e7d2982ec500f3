import { at, list, type Service, text } from '../../kube/objects.ts';

/** An EndpointSlice, cut down to what kube-proxy reads. */
export interface Slice {
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly node: string;
  readonly ready: boolean;
  /** Still answering while it goes away: used when nothing else is ready. */
  readonly servingLast: boolean;
}

/** By `namespace/name` of the Service. */
export type Slices = ReadonlyMap<string, readonly Slice[]>;

/** Where a connection ends: an address that the sandbox maps to a local server. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly node: string;
}

/** A TCP port that a node answers on for a Service, and where it sends. Never without endpoints: those ports are refused. */
export interface Entrance {
  readonly nodePort: number;
  readonly endpoints: readonly Endpoint[];
}

/** `healthCheckNodePort` of a Service whose `externalTrafficPolicy` is Local. */
export interface HealthEntrance {
  readonly port: number;
  readonly namespace: string;
  readonly name: string;
  readonly localEndpoints: number;
}

export interface NodeEntrances {
  readonly entrances: readonly Entrance[];
  readonly health: readonly HealthEntrance[];
}

/**
 * What kube-proxy opens on one node. TCP only: the sandbox's pods speak nothing else.
 * @see https://kubernetes.io/docs/reference/networking/virtual-ips/ for policies and terminating endpoints
 */
export function planEntrances(node: string, services: readonly Service[], slices: Slices): NodeEntrances {
  const entrances: Entrance[] = [];
  const health: HealthEntrance[] = [];
  for (const service of services.filter(hasNodePorts)) {
    const local = service.externalTrafficPolicy === 'Local';
    for (const port of service.ports.filter((p) => p.protocol === 'TCP' && p.nodePort > 0)) {
      const endpoints = usableEndpoints(service, port.name, slices, local ? node : undefined);
      if (endpoints.length > 0) entrances.push({ nodePort: port.nodePort, endpoints });
    }
    if (local && service.healthCheckNodePort > 0) {
      const { namespace, name } = service;
      const mine = slicesOf(service, slices).flatMap((s) => s.endpoints);
      const localEndpoints = mine.filter((e) => e.ready && e.node === node).length;
      health.push({ port: service.healthCheckNodePort, namespace, name, localEndpoints });
    }
  }
  return { entrances, health };
}

/** Endpoints behind one named port of a Service. @param onlyNode those of this node alone; undefined: of every node */
export function usableEndpoints(
  service: { readonly namespace: string; readonly name: string },
  portName: string,
  slices: Slices,
  onlyNode?: string,
): readonly Endpoint[] {
  const ready: Endpoint[] = [];
  const last: Endpoint[] = [];
  for (const slice of slicesOf(service, slices)) {
    const port = slice.ports.find((p) => p.name === portName && p.protocol === 'TCP')?.port;
    if (port === undefined) continue;
    for (const endpoint of slice.endpoints) {
      if (onlyNode !== undefined && endpoint.node !== onlyNode) continue;
      const into = endpoint.ready ? ready : endpoint.servingLast ? last : [];
      for (const address of endpoint.addresses) into.push({ address, port, node: endpoint.node });
    }
  }
  return ready.length > 0 ? ready : last;
}

/** Reads a discovery.k8s.io/v1 EndpointSlice. @returns undefined when it names no Service */
export function readSlice(raw: unknown): Slice | undefined {
  const meta = at(raw, 'metadata');
  const name = text(at(at(meta, 'labels'), 'kubernetes.io/service-name'));
  if (name === '') return undefined;
  return {
    service: `${text(at(meta, 'namespace'))}/${name}`,
    endpoints: list(at(raw, 'endpoints')).map(readEndpoint),
    ports: list(at(raw, 'ports')).flatMap((port) => {
      const number = at(port, 'port');
      if (typeof number !== 'number') return [];
      return [{ name: text(at(port, 'name')), protocol: text(at(port, 'protocol')) || 'TCP', port: number }];
    }),
  };
}

function readEndpoint(raw: unknown): SliceEndpoint {
  const conditions = at(raw, 'conditions');
  return {
    addresses: list(at(raw, 'addresses')).map(text).filter(Boolean),
    node: text(at(raw, 'nodeName')),
    ready: at(conditions, 'ready') !== false, // the API: nil shall be read as true
    servingLast: at(conditions, 'terminating') === true && at(conditions, 'serving') !== false,
  };
}

function hasNodePorts(service: Service): boolean {
  return service.type === 'NodePort' || service.type === 'LoadBalancer';
}

function slicesOf(service: { readonly namespace: string; readonly name: string }, slices: Slices): readonly Slice[] {
  return slices.get(`${service.namespace}/${service.name}`) ?? [];
}
