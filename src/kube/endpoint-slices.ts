import { at, list, type ObjectMeta, readMeta, text } from './objects.ts';

/** What is read of a discovery.k8s.io/v1 EndpointSlice: where one can be served, and nothing of by whom. */
export interface EndpointSlice extends ObjectMeta {
  /** Name of the Service, in the slice's own namespace. */
  readonly service: string;
  /** `NAME/PROTOCOL` of the Service's ports that the slice is about. */
  readonly ports: readonly string[];
  /** Names of the nodes with an endpoint that serves, each once. */
  readonly nodes: readonly string[];
}

/** @see https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name */
const SERVICE_LABEL = 'kubernetes.io/service-name';

/**
 * The slices that kube-proxy watches: neither of headless Services nor of those that another proxy than the cluster's own serves.
 * @see https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name
 */
export const PROXIED_SLICES = '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name';

/**
 * Reads a slice.
 * @param intern gives one and the same text for equal ones: a cluster has many slices, and few nodes and names of ports
 * @returns undefined when it has no name and UID to speak of, or belongs to no Service
 */
export function readEndpointSlice(raw: unknown, intern: (name: string) => string = (name) => name): EndpointSlice | undefined {
  const meta = readMeta(raw);
  const service = meta?.labels[SERVICE_LABEL];
  if (!meta || meta.namespace === '' || service === undefined) return undefined;
  const nodes = at(raw, 'addressType') === 'FQDN' ? [] : list(at(raw, 'endpoints')).filter(serves).map(nodeOf);
  return {
    namespace: intern(meta.namespace),
    name: meta.name,
    uid: meta.uid,
    resourceVersion: meta.resourceVersion,
    createdAt: '',
    deleting: false,
    labels: NOTHING,
    annotations: NOTHING,
    finalizers: NONE,
    service,
    ports: list(at(raw, 'ports')).map(portOf).map(intern),
    nodes: [...new Set(nodes)].filter((node) => node !== '').map(intern),
  };
}

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});
const NONE: readonly string[] = Object.freeze([]);

/**
 * Whether kube-proxy may send to the endpoint: it is ready, which also counts when nothing is said of it; or it is terminating and
 * still serves, which is what a node falls back to that has no other. healthCheckNodePort fails there, so nobody new is sent, and who is
 * there stays.
 * @see https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
 * @see https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-to-terminating-endpoints
 * @see https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/1669-proxy-terminating-endpoints
 */
function serves(endpoint: unknown): boolean {
  const conditions = at(endpoint, 'conditions');
  if (at(conditions, 'ready') !== false) return true;
  return at(conditions, 'terminating') === true && at(conditions, 'serving') === true;
}

/** Empty: it is on no node, so local to none. */
function nodeOf(endpoint: unknown): string {
  return text(at(endpoint, 'nodeName'));
}

function portOf(port: unknown): string {
  return nameServed({ name: text(at(port, 'name')), protocol: text(at(port, 'protocol')) || 'TCP' });
}

function nameServed({ name, protocol }: ServedPort): string {
  return `${name}/${protocol}`;
}

/** A port of a Service, which slices know by its name. */
export interface ServedPort {
  /** Empty when it has none. */
  readonly name: string;
  readonly protocol: string;
}

/**
 * Pure. Where a port of a Service can be served under `externalTrafficPolicy: Local`, which keeps what comes to a node on that node.
 * @param slices all of the Service: of several IP families, and as many as its endpoints fill
 * @returns names of nodes, in order; undefined: there is no slice, so nobody has said anything of the Service yet
 */
export function nodesServing(slices: Iterable<EndpointSlice>, port: ServedPort): readonly string[] | undefined {
  const wanted = nameServed(port);
  const nodes = new Set<string>();
  let isTold = false;
  for (const slice of slices) {
    isTold = true;
    if (slice.ports.includes(wanted)) for (const node of slice.nodes) nodes.add(node);
  }
  return isTold ? [...nodes].sort() : undefined;
}
