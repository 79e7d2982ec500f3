import { sameJson } from './json.ts';
import {
  isExternal,
  needsClusterIP,
  needsHealthCheck,
  needsNodePort,
  nodePortsOf,
  type ServiceObject,
  type ServiceSpec,
} from './service.ts';

/** Three hours, the API's own default. */
const AFFINITY_SECONDS = 10_800;

/**
 * Fills in what every Service has. These functions change the draft that they are given: it is not stored yet.
 * @see https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
 */
export function defaultService(service: ServiceObject): void {
  const spec = service.spec;
  spec.type ??= 'ClusterIP';
  spec.sessionAffinity ??= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: AFFINITY_SECONDS } };
  }
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    if (port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  if (isExternal(spec)) spec.externalTrafficPolicy ??= 'Cluster';
  if (['ClusterIP', 'NodePort', 'LoadBalancer'].includes(spec.type)) spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'LoadBalancer') return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of service.status.loadBalancer.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
}

/** Clears what a new type has no use for, where the author did not change it in the same write. */
export function dropForType(service: ServiceObject, old: ServiceObject): void {
  const spec = service.spec;
  const was = old.spec;
  if (needsClusterIP(was) && !needsClusterIP(spec)) dropClusterIP(spec, was);
  if (needsNodePort(was) && !needsNodePort(spec) && nodePortsOf(spec).every((port) => nodePortsOf(was).includes(port))) {
    for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(was) && !needsHealthCheck(spec)) dropSame(spec, was, 'healthCheckNodePort');
  if (was.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    dropSame(spec, was, 'allocateLoadBalancerNodePorts');
    dropSame(spec, was, 'loadBalancerClass');
  }
  if (isExternal(was) && !isExternal(spec)) dropSame(spec, was, 'externalTrafficPolicy');
  if (spec.type !== 'LoadBalancer') service.status = { ...service.status, loadBalancer: {} };
}

function dropClusterIP(spec: ServiceSpec, was: ServiceSpec): void {
  if (spec.clusterIP === was.clusterIP && sameJson(spec.clusterIPs, was.clusterIPs)) {
    delete spec.clusterIP;
    delete spec.clusterIPs;
  }
  dropSame(spec, was, 'ipFamilies');
  dropSame(spec, was, 'ipFamilyPolicy');
}

function dropSame(spec: ServiceSpec, was: ServiceSpec, field: keyof ServiceSpec): void {
  if (sameJson(spec[field], was[field])) delete spec[field];
}

/** Keeps clusterIP and clusterIPs in step, whichever of them the author wrote. */
export function alignClusterIPs(spec: ServiceSpec, was: ServiceSpec | undefined): void {
  if (!was) {
    if (spec.clusterIP && !spec.clusterIPs) spec.clusterIPs = [spec.clusterIP];
    return;
  }
  if (was.clusterIPs && !spec.clusterIPs && spec.clusterIP === was.clusterIP) spec.clusterIPs = was.clusterIPs;
  if (was.clusterIP === spec.clusterIP || !sameJson(was.clusterIPs, spec.clusterIPs)) return;
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else delete spec.clusterIPs;
}

/** Puts back what was allocated and the author left out, so that the same manifest can be sent again. */
export function keepAllocated(spec: ServiceSpec, was: ServiceSpec): void {
  if (needsClusterIP(was) && needsClusterIP(spec)) {
    if (!spec.clusterIP && was.clusterIP) spec.clusterIP = was.clusterIP;
    if (!spec.clusterIPs && was.clusterIPs) spec.clusterIPs = was.clusterIPs;
  }
  if (needsNodePort(was) && needsNodePort(spec)) keepNodePorts(spec, was);
  if (needsHealthCheck(was) && needsHealthCheck(spec) && was.healthCheckNodePort) {
    spec.healthCheckNodePort ??= was.healthCheckNodePort;
  }
}

function keepNodePorts(spec: ServiceSpec, was: ServiceSpec): void {
  const given = new Set(nodePortsOf(spec));
  const used = new Set(nodePortsOf(was).filter((port) => given.has(port)));
  const byName = new Map((was.ports ?? []).map((port) => [port.name ?? '', port.nodePort]));
  for (const port of spec.ports ?? []) {
    const before = byName.get(port.name ?? '');
    if (!port.nodePort && before && !used.has(before)) port.nodePort = before;
  }
}
