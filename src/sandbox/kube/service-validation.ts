import { isIP } from 'node:net';
import { type Cause, duplicateField, forbiddenField, invalidField, requiredField, unsupportedField } from './failure.ts';
import * as format from './formats.ts';
import { sameJson } from './json.ts';
import { isExternal, isHeadless, needsHealthCheck, type ServiceObject, type ServicePort, type ServiceSpec } from './service.ts';

/**
 * What the API server refuses in a Service. Field names and wording are its own, so that a message reads the same here and there.
 * @see https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
 */
export function checkService(service: ServiceObject, old: ServiceObject | undefined): Cause[] {
  const { spec } = service;
  return [
    ...(old ? checkChange(spec, old.spec) : []),
    ...checkType(spec),
    ...(spec.ports ?? []).flatMap((port, i, all) => checkPort(port, i, all)),
    ...format.checkLabels('spec.selector', spec.selector),
    ...checkAffinity(spec),
    ...checkClusterIPs(spec),
    ...(spec.externalIPs ?? []).flatMap((ip, i) => format.checkEndpointIp(`spec.externalIPs[${i}]`, ip)),
    ...(types.includes(spec.type ?? '') ? [] : [unsupportedField('spec.type', spec.type, types)]),
    ...checkPortsTogether(spec),
    ...checkSourceRanges(spec),
    ...checkAllocation(spec),
    ...checkClass(spec, undefined),
    ...checkTrafficPolicies(spec),
  ];
}

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];

function checkType(spec: ServiceSpec): Cause[] {
  const out: Cause[] = [];
  const type = spec.type ?? '';
  if ((spec.ports ?? []).length === 0 && !(isHeadless(spec) && type === 'ClusterIP') && type !== 'ExternalName') {
    out.push(requiredField('spec.ports'));
  }
  if ((type === 'LoadBalancer' || type === 'NodePort') && isHeadless(spec)) {
    out.push(invalidField('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`));
  }
  if (type === 'ExternalName') out.push(...checkExternalName(spec));
  return out;
}

function checkExternalName(spec: ServiceSpec): Cause[] {
  const text = 'may not be set for ExternalName services';
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  return [
    ...(spec.clusterIPs?.length ? [forbiddenField('spec.clusterIPs', text)] : []),
    ...(spec.ipFamilies?.length ? [forbiddenField('spec.ipFamilies', text)] : []),
    ...(spec.ipFamilyPolicy ? [forbiddenField('spec.ipFamilyPolicy', text)] : []),
    ...(name === '' ? [requiredField('spec.externalName')] : format.checkSubdomain('spec.externalName', name)),
  ];
}

const protocols = ['SCTP', 'TCP', 'UDP'];

function checkPort(port: ServicePort, i: number, all: readonly ServicePort[]): Cause[] {
  const field = `spec.ports[${i}]`;
  const taken = all.slice(0, i).some((other) => other.name === port.name);
  return [
    ...(all.length > 1 ? format.checkPresent(`${field}.name`, port.name) : []),
    ...(port.name ? format.checkLabelName(`${field}.name`, port.name) : []),
    ...(port.name && taken ? [duplicateField(`${field}.name`, port.name)] : []),
    ...format.checkPort(`${field}.port`, port.port),
    ...(protocols.includes(port.protocol ?? '') ? [] : [unsupportedField(`${field}.protocol`, port.protocol, protocols)]),
    ...format.checkPortOrName(`${field}.targetPort`, port.targetPort),
    ...(port.appProtocol ? format.checkQualifiedName(`${field}.appProtocol`, port.appProtocol) : []),
  ];
}

function checkPortsTogether(spec: ServiceSpec): Cause[] {
  const ports = spec.ports ?? [];
  const field = (i: number): string => `spec.ports[${i}]`;
  const before = (i: number, same: (port: ServicePort) => boolean): boolean => ports.slice(0, i).some(same);
  const useless = ports.map((port, i) => (port.nodePort && spec.type === 'ClusterIP' ? i : -1)).filter((i) => i >= 0);
  const text = "may not be used when `type` is 'ClusterIP'";
  return [
    ...useless.map((i) => forbiddenField(`${field(i)}.nodePort`, text)),
    ...ports.flatMap(({ nodePort, protocol }, i) => {
      const clash = nodePort && before(i, (other) => other.nodePort === nodePort && other.protocol === protocol);
      return clash ? [duplicateField(`${field(i)}.nodePort`, nodePort)] : [];
    }),
    ...ports.flatMap(({ port, protocol }, i) => {
      const twin = before(i, (other) => other.port === port && other.protocol === protocol);
      return twin ? [duplicateField(field(i), portShown(protocol, port))] : [];
    }),
  ];
}

/** The way the real server prints a port that it knows protocol and number of. */
function portShown(protocol: string | undefined, port: number): object {
  return { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
}

/** A day: the longest affinity. */
const AFFINITY_LIMIT = 86_400;

function checkAffinity(spec: ServiceSpec): Cause[] {
  const kinds = ['ClientIP', 'None'];
  if (!kinds.includes(spec.sessionAffinity ?? '')) return [unsupportedField('spec.sessionAffinity', spec.sessionAffinity, kinds)];
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (spec.sessionAffinity === 'None' || (seconds !== undefined && seconds > 0 && seconds <= AFFINITY_LIMIT)) return [];
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
  return [invalidField(field, seconds, `must be greater than 0 and less than ${AFFINITY_LIMIT}`)];
}

export function checkClusterIPs(spec: ServiceSpec): Cause[] {
  if (spec.type === 'ExternalName') return [];
  const ips = spec.clusterIPs ?? [];
  const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
  const families = ['IPv4', 'IPv6'];
  const out: Cause[] = [];
  if (spec.clusterIP && ips[0] !== spec.clusterIP)
    out.push(invalidField('spec.clusterIPs', ips, 'first value must match `clusterIP`'));
  if (!spec.clusterIP && ips.length > 0)
    out.push(invalidField('spec.clusterIPs', ips, 'must be empty when `clusterIP` is not specified'));
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    if (!families.includes(family)) out.push(unsupportedField(`spec.ipFamilies[${i}]`, family, families));
    if (spec.ipFamilies?.indexOf(family) !== i) out.push(duplicateField(`spec.ipFamilies[${i}]`, family));
  }
  if (spec.ipFamilyPolicy && !policies.includes(spec.ipFamilyPolicy))
    out.push(unsupportedField('spec.ipFamilyPolicy', spec.ipFamilyPolicy, policies));
  if (ips[0] === 'None' && ips.length > 1)
    out.push(invalidField('spec.clusterIPs', ips, "'None' must be the first and only value"));
  out.push(...ips.flatMap((ip, i) => (i === 0 && ip === 'None' ? [] : format.checkIp(`spec.clusterIPs[${i}]`, ip))));
  if (ips.length > 2) out.push(invalidField('spec.clusterIPs', ips, 'may only hold up to 2 values'));
  return out;
}

function checkSourceRanges(spec: ServiceSpec): Cause[] {
  const ranges = spec.loadBalancerSourceRanges ?? [];
  const field = 'spec.LoadBalancerSourceRanges';
  return [
    ...(ranges.length > 0 && spec.type !== 'LoadBalancer' ? [forbiddenField(field, onlyLoadBalancer)] : []),
    ...ranges.flatMap((range, i) => format.checkCidr(`${field}[${i}]`, range.trim())),
  ];
}

const onlyLoadBalancer = "may only be used when `type` is 'LoadBalancer'";

function checkAllocation(spec: ServiceSpec): Cause[] {
  const useless = spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer';
  return useless ? [forbiddenField('spec.allocateLoadBalancerNodePorts', onlyLoadBalancer)] : [];
}

function checkClass(spec: ServiceSpec, was: ServiceSpec | undefined): Cause[] {
  const field = 'spec.loadBalancerClass';
  const name = spec.loadBalancerClass;
  const changed = spec.type === 'LoadBalancer' && was?.type === 'LoadBalancer' && name !== was.loadBalancerClass;
  const out = changed ? [invalidField(field, name, 'may not change once set')] : [];
  if (name === undefined) return out;
  return [
    ...out,
    ...(spec.type === 'LoadBalancer' ? format.checkQualifiedName(field, name) : [forbiddenField(field, onlyLoadBalancer)]),
  ];
}

function checkTrafficPolicies(spec: ServiceSpec): Cause[] {
  const policies = ['Cluster', 'Local'];
  const external = spec.externalTrafficPolicy;
  const out: Cause[] = [];
  if (!isExternal(spec) && external)
    out.push(invalidField('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services'));
  if (isExternal(spec) && !policies.includes(external ?? ''))
    out.push(unsupportedField('spec.externalTrafficPolicy', external, policies));
  if (needsHealthCheck(spec)) out.push(...format.checkPort('spec.healthCheckNodePort', spec.healthCheckNodePort ?? 0));
  else if (spec.healthCheckNodePort) {
    const text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    out.push(invalidField('spec.healthCheckNodePort', spec.healthCheckNodePort, text));
  }
  if (spec.internalTrafficPolicy && !policies.includes(spec.internalTrafficPolicy)) {
    out.push(unsupportedField('spec.internalTrafficPolicy', spec.internalTrafficPolicy, policies));
  }
  const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
  if (spec.trafficDistribution && !distributions.includes(spec.trafficDistribution)) {
    out.push(unsupportedField('spec.trafficDistribution', spec.trafficDistribution, distributions));
  }
  return out;
}

function checkChange(spec: ServiceSpec, was: ServiceSpec): Cause[] {
  const out: Cause[] = [];
  const named = spec.type === 'ExternalName' || was.type === 'ExternalName';
  if (!named && !(isHeadless(spec) && isHeadless(was)) && !sameJson(spec.clusterIPs, was.clusterIPs)) {
    const unset = (spec.clusterIPs ?? []).length === 0;
    out.push(
      invalidField(
        'spec.clusterIPs[0]',
        spec.clusterIPs ?? [],
        unset ? 'primary clusterIP can not be unset' : 'may not change once set',
      ),
    );
  }
  out.push(...checkClass(spec, was));
  if (needsHealthCheck(spec) && needsHealthCheck(was) && spec.healthCheckNodePort !== was.healthCheckNodePort) {
    out.push(forbiddenField('spec.healthCheckNodePort', 'field is immutable'));
  }
  return out;
}

/** Faults of status.loadBalancer; the API server looks at no other part of the status. */
export function checkServiceStatus(service: ServiceObject): Cause[] {
  const ingress = service.status.loadBalancer.ingress ?? [];
  const path = 'status.loadBalancer.ingress';
  if (ingress.length > 0 && service.spec.type !== 'LoadBalancer') {
    return [forbiddenField(path, "may only be used when `spec.type` is 'LoadBalancer'")];
  }
  const modes = ['Proxy', 'VIP'];
  return ingress.flatMap(({ ip = '', hostname = '', ipMode }, i) => {
    const field = `${path}[${i}]`;
    const out = ip === '' ? [] : format.checkIp(`${field}.ip`, ip);
    if (ipMode === undefined && ip !== '') out.push(requiredField(`${field}.ipMode`, 'must be specified when `ip` is set'));
    if (ipMode !== undefined && ip === '')
      out.push(forbiddenField(`${field}.ipMode`, 'may not be specified when `ip` is not set'));
    else if (ipMode !== undefined && !modes.includes(ipMode)) out.push(unsupportedField(`${field}.ipMode`, ipMode, modes));
    if (hostname !== '') out.push(...format.checkSubdomain(`${field}.hostname`, hostname));
    if (isIP(hostname) !== 0) out.push(invalidField(`${field}.hostname`, hostname, 'must be a DNS name, not an IP address'));
    return out;
  });
}
