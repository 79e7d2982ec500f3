import type { RawObject } from './small-kube.ts';

/** Builders of API objects; a test says only what it is about. */

export function rawNode(
  name: string,
  address: string,
  more: { external?: string; labels?: Record<string, string>; annotations?: Record<string, string> } = {},
): RawObject {
  const addresses = [{ type: 'InternalIP', address }, ...(more.external ? [{ type: 'ExternalIP', address: more.external }] : [])];
  return {
    metadata: {
      name,
      labels: more.labels ?? {},
      ...(more.annotations ? { annotations: more.annotations } : {}),
    } as RawObject['metadata'],
    status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

export interface ServiceWish {
  readonly type?: string;
  readonly spec?: object;
  readonly annotations?: Record<string, string>;
  readonly ingress?: readonly object[];
  readonly condition?: { readonly status: string; readonly reason: string; readonly message: string };
  readonly held?: boolean;
  readonly createdAt?: string;
}

export function rawService(namespace: string, name: string, wish: ServiceWish = {}): RawObject {
  const metadata = {
    namespace,
    name,
    generation: 2,
    creationTimestamp: wish.createdAt ?? '2026-01-01T00:00:00Z',
    annotations: { ...(wish.held ? { 'nodeport-lb.io/held-by': 'local/kubernetes' } : {}), ...wish.annotations },
    finalizers: wish.held ? ['nodeport-lb.io/cleanup'] : [],
    managedFields: wish.ingress
      ? [{ manager: wish.held ? 'nodeport-lb' : 'other', fieldsV1: { 'f:status': { 'f:loadBalancer': {} } } }]
      : [],
  };
  const condition = wish.condition && {
    type: 'nodeport-lb.io/Ready',
    ...wish.condition,
    lastTransitionTime: '2026-01-01T00:01:00Z',
    observedGeneration: 2,
  };
  return {
    metadata: metadata as RawObject['metadata'],
    spec: {
      type: wish.type ?? 'LoadBalancer',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10'],
      selector: { app: name },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30123, targetPort: 8080 }],
      ...wish.spec,
    },
    status: { loadBalancer: wish.ingress ? { ingress: wish.ingress } : {}, conditions: condition ? [condition] : [] },
  };
}
