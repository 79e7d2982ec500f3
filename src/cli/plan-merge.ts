import { at, list, text } from '../kube/objects.ts';

type Json = Readonly<Record<string, unknown>>;

/** Where `kubectl apply` keeps what it was given last, so that it knows which fields its next manifest has dropped. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Pure. The object as it would be once the manifest was applied: what the manifest says, what it said the last time and no longer
 * says taken away, and everything else as it is.
 * @see https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#how-apply-calculates-differences-and-merges-changes
 */
export function mergeApplied(live: unknown, manifest: unknown): Json {
  const had = lastApplied(live);
  const merged = mergeMaps(asMap(live), asMap(manifest), asMap(had));
  const metadata = { ...asMap(merged['metadata']), ...identityOf(live) };
  return { ...merged, metadata, ...(at(live, 'status') === undefined ? {} : { status: at(live, 'status') }) };
}

/** What no manifest changes. */
function identityOf(live: unknown): Json {
  const names = ['uid', 'namespace', 'name', 'creationTimestamp', 'deletionTimestamp', 'managedFields', 'generation'];
  const kept = names.map((name) => [name, at(at(live, 'metadata'), name)] as const);
  return Object.fromEntries(kept.filter(([, value]) => value !== undefined));
}

/** Whether it was made, or changed, by `kubectl apply`. */
export function wasApplied(live: unknown): boolean {
  return at(at(at(live, 'metadata'), 'annotations'), LAST_APPLIED) !== undefined;
}

function lastApplied(live: unknown): unknown {
  try {
    return JSON.parse(text(at(at(at(live, 'metadata'), 'annotations'), LAST_APPLIED)));
  } catch {
    return undefined; // it was made otherwise, so nothing is known to be dropped
  }
}

function mergeMaps(live: Json, given: Json, had: Json): Json {
  const dropped = Object.keys(had).filter((key) => !Object.hasOwn(given, key) || given[key] === null);
  const kept = Object.fromEntries(Object.entries(live).filter(([key]) => !dropped.includes(key)));
  const changes = Object.entries(given).filter(([, value]) => value !== null);
  return { ...kept, ...Object.fromEntries(changes.map(([key, value]) => [key, mergeValue(key, live[key], value, had[key])])) };
}

function mergeValue(key: string, live: unknown, given: unknown, had: unknown): unknown {
  if (key === 'ports' && Array.isArray(given) && Array.isArray(live)) return mergePorts(live, given, list(had));
  if (key === 'finalizers' && Array.isArray(given) && Array.isArray(live)) return [...new Set([...live, ...given])];
  if (!isMap(live) || !isMap(given)) return given;
  return mergeMaps(live, given, asMap(had));
}

/** A Service's ports are told apart by port and protocol, so that nodePorts stay with theirs. */
function mergePorts(live: readonly unknown[], given: readonly unknown[], had: readonly unknown[]): readonly unknown[] {
  const ids = new Set(given.map(portId));
  const dropped = new Set(had.map(portId).filter((id) => !ids.has(id)));
  const merged = given.map((port) => {
    const before = live.find((one) => portId(one) === portId(port));
    const last = had.find((one) => portId(one) === portId(port));
    return before === undefined ? port : mergeMaps(asMap(before), asMap(port), asMap(last));
  });
  return [...merged, ...live.filter((port) => !ids.has(portId(port)) && !dropped.has(portId(port)))];
}

/** Pure. `80/TCP`: what tells the ports of a Service apart. */
export function portId(port: unknown): string {
  return `${String(at(port, 'port'))}/${text(at(port, 'protocol')) || 'TCP'}`;
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asMap(value: unknown): Json {
  return isMap(value) ? value : {};
}
