import { at, type Service, stringMap, texts } from '../kube/objects.ts';
import type { Rival } from './plan-adopt-rivals.ts';

type Json = Readonly<Record<string, unknown>>;

const ADDRESSES = 'nodeport-lb.io/addresses';

/** Where `kubectl apply` keeps what it was given last; here nothing is dropped by being left out. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Pure. The Service half-way: of type NodePort, which gives its nodePorts and lets go of whose it was, with its addresses asked for
 * by name. Its class cannot change while the type stays LoadBalancer.
 */
export function turnAway(raw: unknown, rival: Rival, addresses: readonly string[]): Json {
  const metadata = (at(raw, 'metadata') ?? {}) as Json;
  const { loadBalancerClass: _, allocateLoadBalancerNodePorts: __, ...spec } = (at(raw, 'spec') ?? {}) as Json;
  const { [LAST_APPLIED]: ___, ...annotations } = stringMap(metadata['annotations']) as Record<string, string>;
  return {
    ...(raw as Json),
    metadata: {
      ...metadata,
      finalizers: texts(metadata['finalizers']).filter((name) => !rival.finalizers.includes(name)),
      managedFields: [],
      annotations: { ...annotations, ...(addresses.length > 0 ? { [ADDRESSES]: addresses.join(',') } : {}) },
    },
    spec: { ...spec, type: 'NodePort' },
    status: {},
  };
}

/** Pure. What brings one Service over, to paste. Between the last two its address answers nobody. */
export function sayCommands(
  { namespace, name }: Service,
  addresses: readonly string[],
  loadBalancerClass: string,
): readonly string[] {
  const on = `kubectl -n ${namespace}`;
  const patch = (spec: object): string => `${on} patch service ${name} -p '${JSON.stringify({ spec })}'`;
  return [
    ...(addresses.length > 0 ? [`${on} annotate service ${name} ${ADDRESSES}=${addresses.join(',')}`] : []),
    patch({ type: 'NodePort' }),
    patch({ type: 'LoadBalancer', loadBalancerClass }),
  ];
}

/** Addresses that the Service has by its status. */
export function publishedIps({ ingress }: Service): readonly string[] {
  return [...new Set(ingress.flatMap(({ ip }) => ip ?? []))];
}

export function publishedNames({ ingress }: Service): readonly string[] {
  return [...new Set(ingress.flatMap(({ ip, hostname }) => ip ?? hostname ?? []))];
}
