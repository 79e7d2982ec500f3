import type { Annotations } from '../config/annotations.ts';
import type { Service, ServicePort } from '../kube/objects.ts';
import { type HealthCheck, nameOf, type ServiceRef, type TargetGroup } from '../model.ts';
import type { Endpoints } from './endpoints.ts';

/** kube-proxy's own health port; a UDP-only Service has no TCP port that a check could connect to. */
const KUBE_PROXY_HEALTH_PORT = 10_256;

/** Where endpoints are; empty: the provider does not go by that. */
export interface Around {
  readonly endpointsAt?: Endpoints['nodesAt'];
}

/** Pure. Every node at the port's nodePort. @param notes of the Service that has the listener */
export function describeTargetGroup(service: Service, port: ServicePort, notes: Annotations, around: Around): TargetGroup {
  const localOnly = service.externalTrafficPolicy === 'Local';
  return {
    nodePort: port.nodePort,
    healthCheck: describeCheck(service, port, notes.healthCheck),
    localOnly,
    ...describeEndpoints(service, port, localOnly, around),
    ...(service.affinitySeconds === undefined ? {} : { affinitySeconds: service.affinitySeconds }),
    sourceRanges: service.sourceRanges,
  };
}

/** Pure. What a target group says of endpoints: nothing where any node may serve, or where it is not known which can. */
export function describeEndpoints(
  service: Pick<ServiceRef, 'namespace' | 'name'>,
  port: Pick<ServicePort, 'name' | 'protocol'>,
  localOnly: boolean,
  { endpointsAt }: Around,
): Pick<TargetGroup, 'endpointNodes'> {
  const endpointNodes = localOnly ? endpointsAt?.(nameOf(service), port) : undefined;
  return endpointNodes === undefined ? {} : { endpointNodes };
}

function describeCheck(service: Service, port: ServicePort, asked: Annotations['healthCheck']): HealthCheck {
  const tuning = {
    ...(asked.intervalSeconds === undefined ? {} : { intervalSeconds: asked.intervalSeconds }),
    ...(asked.timeoutSeconds === undefined ? {} : { timeoutSeconds: asked.timeoutSeconds }),
    ...(asked.healthyThreshold === undefined ? {} : { healthyThreshold: asked.healthyThreshold }),
    ...(asked.unhealthyThreshold === undefined ? {} : { unhealthyThreshold: asked.unhealthyThreshold }),
  };
  const fallback = checkByPolicy(service, port);
  const asksPort = typeof asked.port === 'number' ? asked.port : asked.port === 'traffic-port' ? port.nodePort : undefined;
  const protocol = asked.protocol ?? (asksPort === undefined ? fallback.protocol : 'tcp');
  const chosenPort =
    asksPort ?? (asked.protocol === undefined || service.externalTrafficPolicy === 'Local' ? fallback.port : port.nodePort);
  const path = asked.path ?? fallback.path ?? '/';
  return { protocol, port: chosenPort, ...(protocol === 'http' ? { path } : {}), ...tuning };
}

/** What Kubernetes itself offers as a health check for a port under the Service's traffic policy. */
function checkByPolicy(service: Service, port: ServicePort): HealthCheck {
  if (service.externalTrafficPolicy === 'Local' && service.healthCheckNodePort !== 0) {
    return { protocol: 'http', port: service.healthCheckNodePort, path: '/healthz' };
  }
  if (port.protocol === 'TCP') return { protocol: 'tcp', port: port.nodePort };
  const sibling = service.ports.find((p) => p.protocol === 'TCP' && p.nodePort !== 0);
  if (sibling) return { protocol: 'tcp', port: sibling.nodePort };
  return { protocol: 'http', port: KUBE_PROXY_HEALTH_PORT, path: '/healthz' };
}
