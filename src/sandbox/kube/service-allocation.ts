import type { Transaction } from './allocator.ts';
import { ApiFailure, type Cause, internal, invalid, invalidField } from './failure.ts';
import { resourceNamed } from './resources.ts';
import { isHeadless, needsHealthCheck, needsNodePort, nodePortsOf, type ServiceObject, type ServiceSpec } from './service.ts';
import { checkClusterIPs } from './service-validation.ts';

const services = resourceNamed('services');

function refuse(service: ServiceObject, cause: Cause): ApiFailure {
  return invalid(services, service.metadata.name, [cause]);
}

/** Gives a new Service its IP family, cluster IP and node ports. @throws {ApiFailure} 422 or 500, as the real server does */
export function allocateNew(service: ServiceObject, transaction: Transaction): void {
  fillFamilies(service, undefined);
  takeClusterIP(service, transaction);
  if (needsNodePort(service.spec)) takeNewNodePorts(service, transaction);
  if (needsHealthCheck(service.spec)) takeHealthCheckPort(service, transaction);
}

/** Takes what a change of a Service asks for and frees what it gives up. */
export function allocateChange(service: ServiceObject, old: ServiceObject, transaction: Transaction): void {
  fillFamilies(service, old);
  if (old.spec.type === 'ExternalName' && service.spec.type !== 'ExternalName') takeClusterIP(service, transaction);
  else if (old.spec.type !== 'ExternalName' && service.spec.type === 'ExternalName') transaction.free([], ipsOf(old.spec));
  if (needsNodePort(service.spec)) takeChangedNodePorts(service, old, transaction);
  const kept = needsNodePort(service.spec) ? nodePortsOf(service.spec) : [];
  transaction.free(
    nodePortsOf(old.spec).filter((port) => !kept.includes(port)),
    [],
  );
  const needed = needsHealthCheck(old.spec);
  if (!needed && needsHealthCheck(service.spec)) takeHealthCheckPort(service, transaction);
  if (needed && !needsHealthCheck(service.spec)) transaction.free([old.spec.healthCheckNodePort ?? 0], []);
}

export function freeAll(service: ServiceObject, transaction: Transaction): void {
  const healthCheck = needsHealthCheck(service.spec) ? [service.spec.healthCheckNodePort ?? 0] : [];
  transaction.free([...nodePortsOf(service.spec), ...healthCheck], ipsOf(service.spec));
}

function ipsOf(spec: ServiceSpec): string[] {
  return (spec.clusterIPs ?? []).filter((ip) => ip !== 'None');
}

/** One family is configured here, as on most clusters: IPv4. */
function fillFamilies(service: ServiceObject, old: ServiceObject | undefined): void {
  const spec = service.spec;
  if (spec.type === 'ExternalName') return;
  const causes = checkClusterIPs(spec);
  if (causes.length > 0) throw invalid(services, service.metadata.name, causes);
  const selectorless = isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0;
  spec.ipFamilyPolicy ??= old?.spec.ipFamilyPolicy ?? (selectorless ? 'RequireDualStack' : 'SingleStack');
  if (spec.ipFamilyPolicy === 'SingleStack' && spec.ipFamilies?.length === 2) {
    const text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
    throw refuse(service, invalidField('spec.ipFamilyPolicy', spec.ipFamilyPolicy, text));
  }
  if (selectorless) {
    spec.ipFamilies ??= ['IPv4'];
    if (spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== 'SingleStack') {
      spec.ipFamilies = [...spec.ipFamilies, spec.ipFamilies[0] === 'IPv4' ? 'IPv6' : 'IPv4'];
    }
    return;
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    throw refuse(
      service,
      invalidField('spec.ipFamilyPolicy', spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'),
    );
  }
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    if (family !== 'IPv4') throw refuse(service, invalidField(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
  }
  spec.ipFamilies ??= ['IPv4'];
}

function takeClusterIP(service: ServiceObject, transaction: Transaction): void {
  const spec = service.spec;
  if (spec.type === 'ExternalName' || isHeadless(spec)) return;
  const wanted = spec.clusterIPs?.[0];
  if (wanted === undefined) {
    const ip = transaction.takeAnyIp();
    if (ip === undefined)
      throw internal(`failed to allocate a serviceIP for Service ${JSON.stringify(service.metadata.name)}: range is full`);
    spec.clusterIP = ip;
    spec.clusterIPs = [ip];
    return;
  }
  const refused = transaction.takeIp(wanted);
  if (refused)
    throw refuse(service, invalidField('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${wanted}: ${refused}`));
}

function takesNodePorts(spec: ServiceSpec): boolean {
  return spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
}

/** TCP and UDP (or SCTP) of one port get one node port. */
function takeNewNodePorts(service: ServiceObject, transaction: Transaction): void {
  const ports = service.spec.ports ?? [];
  const byPort = new Map<number, number>();
  for (const [i, port] of ports.entries()) {
    if (!port.nodePort && !takesNodePorts(service.spec)) continue;
    const given = byPort.get(port.port);
    if (given !== undefined && (!port.nodePort || port.nodePort === given)) {
      port.nodePort = given;
      continue;
    }
    const wanted = given === undefined ? ports.find((each) => each.port === port.port && each.nodePort)?.nodePort : port.nodePort;
    port.nodePort = takeNodePort(service, i, wanted, transaction);
    if (given === undefined) byPort.set(port.port, port.nodePort);
  }
}

function takeChangedNodePorts(service: ServiceObject, old: ServiceObject, transaction: Transaction): void {
  const had = new Set(nodePortsOf(old.spec));
  const seen = new Set<string>();
  for (const [i, port] of (service.spec.ports ?? []).entries()) {
    if (!port.nodePort && !takesNodePorts(service.spec)) continue;
    if (!port.nodePort || !had.has(port.nodePort)) port.nodePort = takeNodePort(service, i, port.nodePort, transaction);
    had.add(port.nodePort);
    const key = `${port.protocol} ${port.nodePort}`;
    if (seen.has(key)) throw new ApiFailure(500, '', `duplicate nodePort: {${key}}`);
    seen.add(key);
  }
}

function takeNodePort(service: ServiceObject, index: number, wanted: number | undefined, transaction: Transaction): number {
  if (wanted === undefined) {
    const port = transaction.takeAnyPort();
    if (port === undefined) throw internal('failed to allocate a nodePort: range is full');
    return port;
  }
  const refused = transaction.takePort(wanted);
  if (refused) throw refuse(service, invalidField(`spec.ports[${index}].nodePort`, wanted, refused));
  return wanted;
}

function takeHealthCheckPort(service: ServiceObject, transaction: Transaction): void {
  const wanted = service.spec.healthCheckNodePort;
  if (wanted === undefined) {
    const port = transaction.takeAnyPort();
    if (port === undefined) throw internal('failed to allocate a HealthCheck NodePort: range is full');
    service.spec.healthCheckNodePort = port;
    return;
  }
  const refused = transaction.takePort(wanted);
  if (refused) throw internal(`failed to allocate requested HealthCheck NodePort ${wanted}: ${refused}`);
}
