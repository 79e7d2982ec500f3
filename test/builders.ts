import { type Node, readNode, readService, type Service } from '../src/kube/objects.ts';

/** JSON as the API server gives it, with as little as a test wants to say. */
export interface RawService {
  readonly metadata?: Record<string, unknown>;
  readonly spec?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
}

/** A LoadBalancer Service `default/web`, port 80 at nodePort 30080, of our class. */
export function rawService({ metadata, spec, status }: RawService = {}): object {
  const name = String(metadata?.['name'] ?? 'web');
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      namespace: 'default',
      name,
      uid: `uid-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {
      type: 'LoadBalancer',
      loadBalancerClass: 'nodeport-lb.io/lb',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 8080, nodePort: 30080 }],
      ...spec,
    },
    status: { loadBalancer: {}, ...status },
  };
}

export function service(parts: RawService = {}): Service {
  return readService(rawService(parts))!;
}

export interface RawNode {
  readonly metadata?: Record<string, unknown>;
  readonly spec?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
}

/** A ready node with one internal address. */
export function rawNode(name: string, address: string, { metadata, spec, status }: RawNode = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
    spec: { ...spec },
    status: { addresses: [{ type: 'InternalIP', address }], conditions: [{ type: 'Ready', status: 'True' }], ...status },
  };
}

export function node(name: string, address: string, parts: RawNode = {}): Node {
  return readNode(rawNode(name, address, parts))!;
}
