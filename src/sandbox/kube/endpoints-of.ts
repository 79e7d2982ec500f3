import { at, list, text } from '../../kube/objects.ts';
import type { JsonMap, KubeObject } from './json.ts';
import { asService } from './kinds.ts';
import { isHeadless, type ServiceObject } from './service.ts';

/** Which endpoints a Service has: decisions only, out of Services, pods and hand-made Endpoints. */

export interface SlicePart {
  readonly ports: readonly JsonMap[] | null;
  readonly endpoints: readonly JsonMap[] | null;
}

/** Endpoints in one slice, as the real controller packs them. */
const SLICE_LIMIT = 100;

export const SERVICE_LABEL = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const ENDPOINTS_MANAGED_BY = 'endpoints.kubernetes.io/managed-by';

export function hasSelector(service: KubeObject): boolean {
  const { spec } = asService(service);
  return spec.type !== 'ExternalName' && Object.keys(spec.selector ?? {}).length > 0;
}

/** Pods that a Service selects and that could take traffic: with an address, and not at their end. */
export function podsOf(service: KubeObject, pods: readonly KubeObject[]): KubeObject[] {
  const wanted = Object.entries(asService(service).spec.selector ?? {});
  return pods.filter((pod) => {
    const phase = text(at(pod.status, 'phase'));
    const fits = wanted.every(([key, value]) => pod.metadata.labels?.[key] === value);
    return (
      fits &&
      pod.metadata.namespace === service.metadata.namespace &&
      podIp(pod) !== '' &&
      phase !== 'Succeeded' &&
      phase !== 'Failed'
    );
  });
}

function podIp(pod: KubeObject): string {
  return text(at(pod.status, 'podIP'));
}

function isReady(pod: KubeObject): boolean {
  return list(at(pod.status, 'conditions')).some(
    (condition) => at(condition, 'type') === 'Ready' && at(condition, 'status') === 'True',
  );
}

/** The ports of a Service on one pod; a named port that the pod has not got is left out. */
function portsOn(service: ServiceObject, pod: KubeObject): JsonMap[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number =
      typeof port.targetPort === 'number' ? port.targetPort : namedPort(pod, port.targetPort, port.protocol ?? 'TCP');
    if (number === undefined) return [];
    const app = port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol };
    return [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP', ...app }];
  });
}

function namedPort(pod: KubeObject, name: string, protocol: string): number | undefined {
  const ports = list(at(pod.spec, 'containers')).flatMap((container) => list(at(container, 'ports')));
  const found = at(
    ports.find((port) => at(port, 'name') === name && at(port, 'protocol') === protocol),
    'containerPort',
  );
  return typeof found === 'number' ? found : undefined;
}

function endpointOf(service: ServiceObject, pod: KubeObject): JsonMap {
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const serving = isReady(pod);
  const always = at(service.spec, 'publishNotReadyAddresses') === true;
  const nodeName = text(at(pod.spec, 'nodeName'));
  return {
    addresses: [podIp(pod)],
    conditions: { ready: always || (serving && !terminating), serving, terminating },
    targetRef: targetRef(pod),
    ...(nodeName === '' ? {} : { nodeName }),
  };
}

function targetRef(pod: KubeObject): JsonMap {
  return { kind: 'Pod', namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, uid: pod.metadata.uid };
}

function groupByPorts<T>(items: readonly T[], portsOf: (item: T) => JsonMap[]): { ports: JsonMap[]; items: T[] }[] {
  const groups = new Map<string, { ports: JsonMap[]; items: T[] }>();
  for (const item of items) {
    const ports = portsOf(item);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, items: [] };
    group.items.push(item);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The slices of a Service with a selector; one that is empty when no pod fits. */
export function slicesFromPods(service: KubeObject, pods: readonly KubeObject[]): SlicePart[] {
  const typed = asService(service);
  const groups = groupByPorts(podsOf(service, pods), (pod) => portsOn(typed, pod));
  if (groups.length === 0) return [{ ports: null, endpoints: null }];
  return groups.flatMap(({ ports, items }) =>
    chunks(items.map((pod) => endpointOf(typed, pod))).map((endpoints) => ({ ports, endpoints })),
  );
}

function chunks(endpoints: readonly JsonMap[]): JsonMap[][] {
  const count = Math.ceil(endpoints.length / SLICE_LIMIT);
  return Array.from({ length: count }, (_, i) => endpoints.slice(i * SLICE_LIMIT, (i + 1) * SLICE_LIMIT));
}

/** The slices that mirror hand-made Endpoints, one family at a time. */
export function slicesFromEndpoints(endpoints: KubeObject): (SlicePart & { readonly addressType: string })[] {
  const parts = list(endpoints['subsets']).flatMap((subset) => {
    const ports = list(at(subset, 'ports')).map((port) => ({ name: '', ...(port as JsonMap) }));
    const ready = list(at(subset, 'addresses')).map((address) => mirrored(address, true));
    const waiting = list(at(subset, 'notReadyAddresses')).map((address) => mirrored(address, false));
    return ['IPv4', 'IPv6'].map((addressType) => ({
      addressType,
      ports,
      endpoints: [...ready, ...waiting].filter(
        (each) => text(list(each['addresses'])[0]).includes(':') === (addressType === 'IPv6'),
      ),
    }));
  });
  return parts.filter((part) => part.endpoints.length > 0);
}

function mirrored(address: unknown, ready: boolean): JsonMap {
  const {
    ip,
    nodeName,
    targetRef: target,
    hostname,
  } = address as { ip: string; nodeName?: string; targetRef?: JsonMap; hostname?: string };
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname ? { hostname } : {}),
    ...(target ? { targetRef: target } : {}),
    ...(nodeName ? { nodeName } : {}),
  };
}

export function sliceLabels(service: KubeObject, managedBy: string): Record<string, string> {
  const headless: Record<string, string> =
    service.kind === 'Service' && isHeadless(asService(service).spec) ? { 'service.kubernetes.io/headless': '' } : {};
  return { ...service.metadata.labels, ...headless, [MANAGED_BY]: managedBy, [SERVICE_LABEL]: service.metadata.name };
}

/** The Endpoints of a Service with a selector, of the older kind that `kubectl get endpoints` shows. */
export function endpointsFromPods(service: KubeObject, pods: readonly KubeObject[]): JsonMap {
  const typed = asService(service);
  const always = at(service.spec, 'publishNotReadyAddresses') === true;
  const staying = podsOf(service, pods).filter((pod) => always || pod.metadata.deletionTimestamp === undefined);
  const subsets = groupByPorts(staying, (pod) => portsOn(typed, pod)).map(({ ports, items }) => {
    const ready = items.filter((pod) => always || isReady(pod)).map(addressOf);
    const waiting = items.filter((pod) => !always && !isReady(pod)).map(addressOf);
    return { addresses: ready, notReadyAddresses: waiting, ports };
  });
  const labels = { ...service.metadata.labels, [ENDPOINTS_MANAGED_BY]: 'endpoint-controller' };
  return { metadata: { name: service.metadata.name, labels }, subsets };
}

function addressOf(pod: KubeObject): JsonMap {
  const nodeName = text(at(pod.spec, 'nodeName'));
  return { ip: podIp(pod), ...(nodeName === '' ? {} : { nodeName }), targetRef: targetRef(pod) };
}

/** Whether a controller made these Endpoints, so that nothing is to be mirrored. */
export function isOurs(endpoints: KubeObject): boolean {
  return (
    endpoints.metadata.labels?.[ENDPOINTS_MANAGED_BY] !== undefined ||
    endpoints.metadata.labels?.['endpointslice.kubernetes.io/skip-mirror'] === 'true'
  );
}
