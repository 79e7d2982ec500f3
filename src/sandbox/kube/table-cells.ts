import { at, list, text } from '../../kube/objects.ts';
import { humanDuration } from './durations.ts';
import { isMap, type KubeObject } from './json.ts';
import { asService } from './kinds.ts';

export type CellReader = (object: KubeObject, nowMs: number) => string | number;

/** One reader a column, in the order of the columns in tables.ts. */
export function readersOf(kind: string): readonly CellReader[] {
  return readers[kind] ?? [name, age];
}

const name: CellReader = (object) => object.metadata.name;
const age: CellReader = (object, nowMs) => since(object.metadata.creationTimestamp, nowMs);

function since(time: unknown, nowMs: number): string {
  const ms = Date.parse(text(time));
  return Number.isNaN(ms) ? '<unknown>' : humanDuration(nowMs - ms);
}

function number(...keys: readonly string[]): CellReader {
  return (object) => {
    const value = keys.reduce<unknown>(at, object);
    return typeof value === 'number' ? value : 0;
  };
}

function or(value: string, otherwise: string): string {
  return value === '' ? otherwise : value;
}

function labels(value: unknown): string {
  return isMap(value)
    ? Object.entries(value)
        .map(([key, item]) => `${key}=${String(item)}`)
        .join(',')
    : '';
}

/** Entries shown of a list before `+ N more...`. */
const SHOWN = 3;

function shorten(items: readonly string[], empty: string): string {
  const shown = or(items.slice(0, SHOWN).join(','), empty);
  return items.length > SHOWN ? `${shown} + ${items.length - SHOWN} more...` : shown;
}

function externalIp(object: KubeObject): string {
  const { spec, status } = asService(object);
  if (spec.type === 'ExternalName') return spec.externalName ?? '';
  const ingress = (status.loadBalancer.ingress ?? [])
    .map((entry) => entry.ip || entry.hostname || '')
    .filter((entry) => entry !== '');
  const shown = spec.type === 'LoadBalancer' ? [...new Set(ingress)].sort() : [];
  return or([...shown, ...(spec.externalIPs ?? [])].join(','), spec.type === 'LoadBalancer' ? '<pending>' : '<none>');
}

function servicePorts(object: KubeObject): string {
  const ports = asService(object).spec.ports ?? [];
  return or(ports.map((port) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol}`).join(','), '<none>');
}

function nodeStatus(node: KubeObject): string {
  const ready = list(at(node.status, 'conditions')).find((condition) => at(condition, 'type') === 'Ready');
  const said = ready === undefined ? 'Unknown' : at(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  return at(node.spec, 'unschedulable') === true ? `${said},SchedulingDisabled` : said;
}

const ROLE = 'node-role.kubernetes.io/';

function nodeRoles(node: KubeObject): string {
  const found = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(ROLE) && key.length > ROLE.length) return [key.slice(ROLE.length)];
    return key === 'kubernetes.io/role' && value !== '' ? [value] : [];
  });
  return or([...new Set(found)].sort().join(','), '<none>');
}

function nodeAddress(type: string): CellReader {
  return (node) =>
    or(
      text(
        at(
          list(at(node.status, 'addresses')).find((address) => at(address, 'type') === type),
          'address',
        ),
      ),
      '<none>',
    );
}

function nodeInfo(key: string, otherwise: string): CellReader {
  return (node) => or(text(at(at(node.status, 'nodeInfo'), key)), otherwise);
}

function kernel(node: KubeObject): string {
  const architecture = nodeInfo('architecture', '')(node, 0);
  return `${nodeInfo('kernelVersion', '<unknown>')(node, 0)}${architecture === '' ? '' : ` (${architecture})`}`;
}

function podReady(pod: KubeObject): string {
  const ready = list(at(pod.status, 'containerStatuses')).filter((status) => at(status, 'ready') === true);
  return `${ready.length}/${list(at(pod.spec, 'containers')).length}`;
}

function podStatus(pod: KubeObject): string {
  const phase = text(at(pod.status, 'phase'));
  if (pod.metadata.deletionTimestamp && phase !== 'Succeeded' && phase !== 'Failed') return 'Terminating';
  const waiting = list(at(pod.status, 'containerStatuses')).map((status) =>
    text(at(at(at(status, 'state'), 'waiting'), 'reason')),
  );
  return waiting.find((reason) => reason !== '') ?? or(text(at(pod.status, 'reason')), phase);
}

function podRestarts(pod: KubeObject): string {
  const counts = list(at(pod.status, 'containerStatuses')).map((status) => at(status, 'restartCount'));
  return String(counts.reduce<number>((sum, count) => sum + (typeof count === 'number' ? count : 0), 0));
}

function endpoints(object: KubeObject): string {
  const subsets = list(object['subsets']);
  const all = subsets.flatMap((subset) => {
    const addresses = list(at(subset, 'addresses')).map((address) => text(at(address, 'ip')));
    const ports = list(at(subset, 'ports')).map((port) => String(at(port, 'port')));
    const join = (ip: string, port: string): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);
    return ports.length === 0 ? addresses : ports.flatMap((port) => addresses.map((ip) => join(ip, port)));
  });
  return shorten(all, subsets.length === 0 ? '<none>' : '');
}

function slicePorts(slice: KubeObject): string {
  return shorten(
    list(slice['ports']).map((port) => String(at(port, 'port') ?? (text(at(port, 'name')) || '*'))),
    '<unset>',
  );
}

function sliceEndpoints(slice: KubeObject): string {
  return shorten(
    list(slice['endpoints']).flatMap((endpoint) => list(at(endpoint, 'addresses')).map(text)),
    '<unset>',
  );
}

function firstSeen(event: KubeObject, nowMs: number): string {
  return since(event['firstTimestamp'] ?? event['eventTime'], nowMs);
}

function lastSeen(event: KubeObject, nowMs: number): string {
  const series = at(event['series'], 'lastObservedTime');
  if (series) return since(series, nowMs);
  return event['lastTimestamp'] ? since(event['lastTimestamp'], nowMs) : firstSeen(event, nowMs);
}

function eventObject(event: KubeObject): string {
  const object = event['involvedObject'];
  const kind = text(at(object, 'kind')).toLowerCase();
  return text(at(object, 'name')) === '' ? kind : `${kind}/${text(at(object, 'name'))}`;
}

function eventSource(event: KubeObject): string {
  const component = text(at(event['source'], 'component')) || text(event['reportingComponent']);
  const host = text(at(event['source'], 'host')) || text(event['reportingInstance']);
  return host === '' ? component : `${component}, ${host}`;
}

function eventCount(event: KubeObject): number {
  const count = at(event['series'], 'count') ?? event['count'];
  return typeof count === 'number' && count > 0 ? count : 1;
}

function containers(key: string): CellReader {
  return (object) =>
    list(at(at(at(object.spec, 'template'), 'spec'), 'containers'))
      .map((container) => text(at(container, key)))
      .join(',');
}

const selector: CellReader = (object) => labels(at(at(object.spec, 'selector'), 'matchLabels'));
const workload: readonly CellReader[] = [age, containers('name'), containers('image'), selector];

function size(...keys: readonly string[]): CellReader {
  return (object) => keys.reduce((sum, key) => sum + Object.keys(object[key] ?? {}).length, 0);
}

function deploymentReady(deployment: KubeObject): string {
  return `${number('status', 'readyReplicas')(deployment, 0)}/${number('spec', 'replicas')(deployment, 0)}`;
}

const readers: Readonly<Record<string, readonly CellReader[]>> = {
  Service: [
    name,
    (object) => asService(object).spec.type ?? '',
    (object) => asService(object).spec.clusterIPs?.[0] ?? '<none>',
    externalIp,
    servicePorts,
    age,
    (object) => or(labels(asService(object).spec.selector), '<none>'),
  ],
  Node: [
    ...[name, nodeStatus, nodeRoles, age, nodeInfo('kubeletVersion', '')],
    ...[nodeAddress('InternalIP'), nodeAddress('ExternalIP'), nodeInfo('osImage', '<unknown>'), kernel],
    nodeInfo('containerRuntimeVersion', '<unknown>'),
  ],
  Pod: [
    ...[name, podReady, podStatus, podRestarts, age],
    (pod) => or(text(at(pod.status, 'podIP')), '<none>'),
    (pod) => or(text(at(pod.spec, 'nodeName')), '<none>'),
    (pod) => or(text(at(pod.status, 'nominatedNodeName')), '<none>'),
    () => '<none>',
  ],
  Endpoints: [name, endpoints, age],
  EndpointSlice: [name, (slice) => text(slice['addressType']), slicePorts, sliceEndpoints, age],
  Event: [
    ...[lastSeen, (event: KubeObject) => text(event['type']), (event: KubeObject) => text(event['reason']), eventObject],
    (event) => text(at(event['involvedObject'], 'fieldPath')),
    eventSource,
    (event) => text(event['message']).trim(),
    ...[firstSeen, eventCount, name],
  ],
  Namespace: [name, (namespace) => text(at(namespace.status, 'phase')), age],
  Lease: [name, (lease) => text(at(lease.spec, 'holderIdentity')), age],
  Deployment: [name, deploymentReady, number('status', 'updatedReplicas'), number('status', 'availableReplicas'), ...workload],
  DaemonSet: [
    ...[
      name,
      number('status', 'desiredNumberScheduled'),
      number('status', 'currentNumberScheduled'),
      number('status', 'numberReady'),
    ],
    ...[number('status', 'updatedNumberScheduled'), number('status', 'numberAvailable')],
    (set) => or(labels(at(at(at(set.spec, 'template'), 'spec'), 'nodeSelector')), '<none>'),
    ...workload,
  ],
  ReplicaSet: [name, number('spec', 'replicas'), number('status', 'replicas'), number('status', 'readyReplicas'), ...workload],
  ConfigMap: [name, size('data', 'binaryData'), age],
  Secret: [name, (secret) => text(secret['type']), size('data'), age],
  ServiceAccount: [name, age],
};
