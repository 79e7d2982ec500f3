import type { IpFamily, Protocol, ServiceRef } from '../model.ts';

/**
 * The Kubernetes objects that this program reads, cut down to the fields that it uses. `readService` and its kin take
 * whatever JSON the API server (or a file) gives and answer with these types: a field of the wrong type counts as absent, so
 * that garbage in one object never stops the others.
 */

export interface ObjectMeta extends ServiceRef {
  readonly resourceVersion: string;
  readonly generation?: number;
  /** RFC 3339; empty when absent. */
  readonly createdAt: string;
  readonly deleting: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly finalizers: readonly string[];
}

export interface Service extends ObjectMeta {
  /** ClusterIP, NodePort, LoadBalancer or ExternalName. */
  readonly type: string;
  readonly loadBalancerClass?: string;
  /** The primary cluster IP; `None` for a headless Service. */
  readonly clusterIP: string;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly externalTrafficPolicy: 'Cluster' | 'Local';
  /** 0 when absent. */
  readonly healthCheckNodePort: number;
  readonly loadBalancerIP: string;
  readonly sourceRanges: readonly string[];
  /** Seconds; undefined for `sessionAffinity: None`. */
  readonly affinitySeconds?: number;
  readonly families: readonly IpFamily[];
  readonly familyPolicy: string;
  readonly externalIPs: readonly string[];
  readonly selector: Readonly<Record<string, string>>;
  readonly ingress: readonly Ingress[];
  readonly conditions: readonly Condition[];
  /** Field managers that have written `status.loadBalancer`, from managedFields. */
  readonly statusManagers: readonly string[];
}

export interface ServicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** 0 when none was allocated. */
  readonly nodePort: number;
  /** Number or name; the API server fills in `port` where none was given. */
  readonly targetPort: string;
}

/** One entry of `status.loadBalancer.ingress`, as the API has it. */
export interface Ingress {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: string;
  readonly ports?: readonly { readonly port: number; readonly protocol: string; readonly error?: string }[];
}

/** metav1.Condition. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

export interface Node extends ObjectMeta {
  readonly providerID: string;
  readonly unschedulable: boolean;
  readonly taints: readonly { readonly key: string; readonly effect: string }[];
  /** In the order of the object; garbage entries are left out. */
  readonly addresses: readonly { readonly type: string; readonly address: string }[];
  readonly ready: boolean;
}

/** Reads a Service. @returns undefined when it has no namespace, name and UID to speak of */
export function readService(raw: unknown): Service | undefined {
  const meta = readMeta(raw);
  if (!meta || meta.namespace === '') return undefined;
  const spec = at(raw, 'spec');
  const status = at(raw, 'status');
  return {
    ...meta,
    type: text(at(spec, 'type')) || 'ClusterIP',
    ...optional('loadBalancerClass', text(at(spec, 'loadBalancerClass'))),
    clusterIP: text(at(spec, 'clusterIP')),
    clusterIPs: texts(at(spec, 'clusterIPs')),
    ports: list(at(spec, 'ports')).map(readPort).filter(present),
    externalTrafficPolicy: at(spec, 'externalTrafficPolicy') === 'Local' ? 'Local' : 'Cluster',
    healthCheckNodePort: portNumber(at(spec, 'healthCheckNodePort')) ?? 0,
    loadBalancerIP: text(at(spec, 'loadBalancerIP')),
    sourceRanges: texts(at(spec, 'loadBalancerSourceRanges')),
    ...readAffinity(spec),
    families: texts(at(spec, 'ipFamilies')).filter((f): f is IpFamily => f === 'IPv4' || f === 'IPv6'),
    familyPolicy: text(at(spec, 'ipFamilyPolicy')),
    externalIPs: texts(at(spec, 'externalIPs')),
    selector: stringMap(at(spec, 'selector')),
    ingress: list(at(at(status, 'loadBalancer'), 'ingress'))
      .map(readIngress)
      .filter(present),
    conditions: list(at(status, 'conditions')).map(readCondition).filter(present),
    statusManagers: readStatusManagers(at(at(raw, 'metadata'), 'managedFields')),
  };
}

/** Reads a Node. @returns undefined when it has no name and UID to speak of */
export function readNode(raw: unknown): Node | undefined {
  const meta = readMeta(raw);
  if (!meta) return undefined;
  const spec = at(raw, 'spec');
  const status = at(raw, 'status');
  return {
    ...meta,
    providerID: text(at(spec, 'providerID')),
    unschedulable: at(spec, 'unschedulable') === true,
    taints: list(at(spec, 'taints'))
      .map((t) => ({ key: text(at(t, 'key')), effect: text(at(t, 'effect')) }))
      .filter((t) => t.key !== ''),
    addresses: list(at(status, 'addresses'))
      .map((a) => ({ type: text(at(a, 'type')), address: text(at(a, 'address')) }))
      .filter((a) => a.type !== '' && a.address !== ''),
    ready: list(at(status, 'conditions')).some((c) => at(c, 'type') === 'Ready' && at(c, 'status') === 'True'),
  };
}

/** Of `kubectl apply`: the whole object once more, as text. Nobody who keeps objects needs it. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export function readMeta(raw: unknown): ObjectMeta | undefined {
  const meta = at(raw, 'metadata');
  const name = text(at(meta, 'name'));
  const uid = text(at(meta, 'uid'));
  if (name === '' || uid === '') return undefined;
  const generation = at(meta, 'generation');
  return {
    namespace: text(at(meta, 'namespace')),
    name,
    uid,
    resourceVersion: text(at(meta, 'resourceVersion')),
    ...(typeof generation === 'number' && Number.isSafeInteger(generation) ? { generation } : {}),
    createdAt: text(at(meta, 'creationTimestamp')),
    deleting: text(at(meta, 'deletionTimestamp')) !== '',
    labels: stringMap(at(meta, 'labels')),
    annotations: stringMap(at(meta, 'annotations'), LAST_APPLIED),
    finalizers: texts(at(meta, 'finalizers')),
  };
}

/** The value under `key` of whatever `value` is; undefined when it is not an object that has it as its own. */
export function at(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function texts(value: unknown): readonly string[] {
  return list(value).filter((v): v is string => typeof v === 'string' && v !== '');
}

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});

/** @param except a name that is left out */
export function stringMap(value: unknown, except?: string): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return NOTHING;
  const entries = Object.entries(value).filter((e): e is [string, string] => typeof e[1] === 'string' && e[0] !== except);
  return entries.length === 0 ? NOTHING : Object.fromEntries(entries);
}

function readPort(raw: unknown): ServicePort | undefined {
  const port = portNumber(at(raw, 'port'));
  if (port === undefined) return undefined;
  const protocol = text(at(raw, 'protocol'));
  const target = at(raw, 'targetPort');
  return {
    name: text(at(raw, 'name')),
    protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
    port,
    nodePort: portNumber(at(raw, 'nodePort')) ?? 0,
    targetPort: typeof target === 'number' ? String(target) : text(target) || String(port),
  };
}

function readAffinity(spec: unknown): { affinitySeconds?: number } {
  if (at(spec, 'sessionAffinity') !== 'ClientIP') return {};
  const seconds = at(at(at(spec, 'sessionAffinityConfig'), 'clientIP'), 'timeoutSeconds');
  const valid = typeof seconds === 'number' && Number.isInteger(seconds) && seconds > 0 && seconds <= 86_400;
  return { affinitySeconds: valid ? seconds : 10_800 }; // the API's own default: three hours
}

function readIngress(raw: unknown): Ingress | undefined {
  const ip = text(at(raw, 'ip'));
  const hostname = text(at(raw, 'hostname'));
  if (ip === '' && hostname === '') return undefined;
  const ports = list(at(raw, 'ports')).map((p) => ({
    port: portNumber(at(p, 'port')) ?? 0,
    protocol: text(at(p, 'protocol')),
    ...optional('error', text(at(p, 'error'))),
  }));
  return {
    ...optional('ip', ip),
    ...optional('hostname', hostname),
    ...optional('ipMode', text(at(raw, 'ipMode'))),
    ...(ports.length > 0 ? { ports } : {}),
  };
}

function readCondition(raw: unknown): Condition | undefined {
  const type = text(at(raw, 'type'));
  const status = text(at(raw, 'status'));
  if (type === '') return undefined;
  const observed = at(raw, 'observedGeneration');
  return {
    type,
    status: status === 'True' || status === 'False' ? status : 'Unknown',
    reason: text(at(raw, 'reason')),
    message: text(at(raw, 'message')),
    lastTransitionTime: text(at(raw, 'lastTransitionTime')),
    ...(typeof observed === 'number' ? { observedGeneration: observed } : {}),
  };
}

function readStatusManagers(managedFields: unknown): readonly string[] {
  return list(managedFields)
    .filter((entry) => at(at(at(entry, 'fieldsV1'), 'f:status'), 'f:loadBalancer') !== undefined)
    .map((entry) => text(at(entry, 'manager')))
    .filter((manager) => manager !== '');
}

function portNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535 ? value : undefined;
}

function optional<K extends string>(key: K, value: string): { readonly [P in K]?: string } {
  return value === '' ? {} : ({ [key]: value } as { [P in K]?: string });
}

function present<T>(value: T | undefined): value is T {
  return value !== undefined;
}
