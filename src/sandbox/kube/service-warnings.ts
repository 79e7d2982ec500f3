import { isHeadless, type ServiceSpec } from './service.ts';

/** What the API server takes but advises against; clients such as kubectl print it. */
export function warningsOf(spec: ServiceSpec): string[] {
  const out: string[] = [];
  const headless = isHeadless(spec) && spec.type === 'ClusterIP';
  const external = (spec.externalIPs?.length ?? 0) > 0;
  if (headless) {
    if (spec.loadBalancerIP) out.push('spec.loadBalancerIP is ignored for headless services');
    if (external) out.push('spec.externalIPs is ignored for headless services');
    if (spec.sessionAffinity !== 'None') out.push('spec.SessionAffinity is ignored for headless services');
  }
  if (external && !headless && spec.type !== 'ExternalName') {
    out.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters');
  }
  if (external && spec.type === 'ExternalName') out.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (spec.externalName && spec.type !== 'ExternalName')
    out.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === 'PreferClose') {
    out.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return out;
}
