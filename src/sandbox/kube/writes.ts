import { at, text } from '../../kube/objects.ts';
import { admitNamespace, checkIdentity, checkPut, checkVersion, decodePatched, placeIn } from './admission.ts';
import type { Transaction } from './allocator.ts';
import { applyConfiguration } from './apply.ts';
import { decodeBody, decodeGiven, viewAs, type WriteOptions } from './body.ts';
import { type Cluster, existing, find, hasStatus, inTransaction, isFinished, removeNow, type Target } from './cluster.ts';
import { ApiFailure, alreadyExists, badRequest, invalid, notFound } from './failure.ts';
import { type JsonMap, type KubeObject, type ManagedEntry, sameJson } from './json.ts';
import { asService, emptyStatus, firstStatus, rulesOf } from './kinds.ts';
import { entriesAfterUpdate, type Writer } from './managed-fields.ts';
import { checkMeta, firstMeta, nextMeta, timeText } from './metadata.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { scaleOf, withScale } from './scale.ts';
import { structOf } from './schema.ts';
import { allocateChange, allocateNew } from './service-allocation.ts';
import { alignClusterIPs, keepAllocated } from './service-defaults.ts';
import { keyOf } from './store.ts';

/** Attempts at a generated name that nobody has. */
const NAME_ATTEMPTS = 8;

/** How a write is done; `applied` are the managed fields that a server-side apply has worked out. */
interface Writing extends WriteOptions {
  readonly applied?: readonly ManagedEntry[];
}

/** Creates an object out of a request's body. @throws {ApiFailure} as the real server answers */
export function createObject(
  cluster: Cluster,
  place: Pick<Target, 'resource' | 'namespace'>,
  raw: unknown,
  options: WriteOptions,
): KubeObject {
  const draft = decodeBody(place.resource, raw, options);
  placeIn(draft, place.resource, place.namespace);
  if (draft.metadata.resourceVersion) throw new ApiFailure(500, '', 'resourceVersion should not be set on objects to be created');
  return insert(cluster, place.resource, draft, options);
}

function insert(cluster: Cluster, resource: Resource, given: KubeObject, options: Writing): KubeObject {
  admitNamespace(cluster, resource, given);
  const rules = rulesOf(resource.kind);
  const draft: KubeObject = { ...given, metadata: firstMeta(given.metadata, cluster.now()) };
  rules.fill?.(draft);
  if (hasStatus(resource) && !rules.keepsStatus) draft.status = firstStatus(resource);
  const writer = writerOf(cluster, resource, options, undefined);
  const written = { before: undefined, after: withoutStatus(resource, draft), entries: undefined };
  const entries = options.applied ?? entriesAfterUpdate(structOf(resource.kind), written, writer);
  rules.begin?.(draft);
  if (resource.generationOf) draft.metadata.generation = 1;
  return inTransaction(cluster, options, (transaction) => {
    if (resource.kind === 'Service') beginService(draft, undefined, transaction);
    checkAll(resource, draft, undefined);
    for (const text of rules.warn?.(draft) ?? []) options.warn(text);
    rules.seal?.(draft);
    const key = freeKey(cluster, resource, draft);
    setEntries(draft, entries);
    return options.dryRun ? draft : cluster.store.put(resource.table, key, draft).object;
  });
}

/** Nobody owns the status that a new object starts with, even where it is kept. */
function withoutStatus(resource: Resource, draft: KubeObject): KubeObject {
  return hasStatus(resource) ? { ...draft, status: emptyStatus(resource) } : draft;
}

function freeKey(cluster: Cluster, resource: Resource, draft: KubeObject): string {
  const objects = cluster.store.table(resource.table).objects;
  for (let attempt = 1; ; attempt++) {
    const key = keyOf(draft.metadata.namespace ?? '', draft.metadata.name);
    if (!objects.has(key)) return key;
    if (!draft.metadata.generateName || attempt >= NAME_ATTEMPTS) throw alreadyExists(resource, draft.metadata.name);
    draft.metadata = { ...firstMeta({ ...draft.metadata, name: '' }, cluster.now()), uid: draft.metadata.uid };
  }
}

/** Replaces an object (PUT); creates it where the resource allows that. */
export function replaceObject(
  cluster: Cluster,
  target: Target,
  raw: unknown,
  options: WriteOptions,
): { object: KubeObject; created: boolean } {
  const { resource, namespace, name } = target;
  if (target.subresource === 'scale') return { object: changeObject(cluster, target, () => raw, options), created: false };
  const draft = decodeBody(resource, raw, options);
  placeIn(draft, resource, namespace);
  const given = draft.metadata.name;
  if (given && given !== name) throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`);
  if (!find(cluster, target) && resource.createsOnUpdate && !target.subresource) {
    draft.metadata.name = name;
    return { object: insert(cluster, resource, draft, options), created: true };
  }
  const current = existing(cluster, target).object;
  checkPut(resource, draft, current);
  return { object: store(cluster, target, draft, options), created: false };
}

/** Changes an object (PATCH). @param change gets the object as the resource shows it and answers with what it shall be */
export function changeObject(
  cluster: Cluster,
  target: Target,
  change: (current: JsonMap) => unknown,
  options: WriteOptions,
): KubeObject {
  const { resource } = target;
  const current = existing(cluster, target).object;
  if (target.subresource === 'scale') {
    const changed = withScale(current, change(scaleOf(current)));
    return scaleOf(store(cluster, target, decodeBody(resource, changed, options), options)) as unknown as KubeObject;
  }
  const changed = change(viewAs(resource, current) as unknown as JsonMap);
  const draft = decodePatched(resource, changed, options);
  checkIdentity(draft, target);
  return store(cluster, target, draft, options);
}

/** Server-side apply; creates the object when there is none. */
export function applyObject(
  cluster: Cluster,
  target: Target,
  raw: unknown,
  options: WriteOptions,
): { object: KubeObject; created: boolean } {
  const { resource } = target;
  if (!at(raw, 'kind') || !at(raw, 'apiVersion')) {
    throw badRequest(`invalid object type: ${text(at(raw, 'apiVersion')) || '/'}, Kind=${text(at(raw, 'kind'))}`);
  }
  const config = decodeGiven(resource, raw, options);
  placeIn(config, resource, target.namespace);
  if (config.metadata.managedFields) throw badRequest('metadata.managedFields must be nil');
  if (config.metadata.name && config.metadata.name !== target.name) {
    throw badRequest(`the name of the object (${config.metadata.name}) does not match the name on the URL (${target.name})`);
  }
  const stated: KubeObject = { ...config, metadata: { ...config.metadata, name: target.name } };
  const current = find(cluster, target)?.object;
  if (!current && target.subresource) throw notFound(resource, target.name);
  const writer = { ...writerOf(cluster, resource, options, target.subresource), operation: 'Apply' as const };
  const ignored = target.subresource === 'status' ? 'spec' : hasStatus(resource) ? 'status' : '';
  const struct = structOf(resource.kind);
  const applied = applyConfiguration({ struct, live: current, config: stated, writer, force: options.force, ignored });
  const draft = decodeBody(resource, applied.object, { ...options, validation: 'Ignore' });
  const writing: Writing = { ...options, applied: applied.entries };
  if (!current) return { object: insert(cluster, resource, draft, writing), created: true };
  return { object: store(cluster, target, draft, writing), created: false };
}

/** Writes a new version over the one that is there, unless nothing would change. */
function store(cluster: Cluster, target: Target, given: KubeObject, options: Writing): KubeObject {
  const { resource, subresource } = target;
  const { key, object: current } = existing(cluster, target);
  checkVersion(resource, given, current);
  const draft: KubeObject = { ...given, metadata: nextMeta(given.metadata, current.metadata) };
  const rules = rulesOf(resource.kind);
  rules.fill?.(draft);
  if (hasStatus(resource)) {
    if (subresource === 'status') draft.spec = current.spec ?? {};
    else draft.status = current.status ?? {};
  }
  const writer = writerOf(cluster, resource, options, subresource);
  const written = { before: current, after: draft, entries: entriesBefore(given, current, subresource) };
  const entries = options.applied ?? entriesAfterUpdate(structOf(resource.kind), written, writer);
  if (subresource !== 'status') rules.change?.(draft, current);
  return inTransaction(cluster, options, (transaction) => {
    if (resource.kind === 'Service' && subresource !== 'status') beginService(draft, current, transaction);
    checkAll(resource, draft, current, subresource);
    for (const text of (subresource !== 'status' && rules.warn?.(draft)) || []) options.warn(text);
    rules.seal?.(draft);
    setEntries(draft, entries);
    if (sameJson(draft, current)) return current;
    countGeneration(resource, draft, current);
    if (options.dryRun) return draft;
    const stored = cluster.store.put(resource.table, key, draft).object;
    if (isFinished(stored)) removeNow(cluster, resource, key, transaction);
    return stored;
  });
}

/** Entries may be rewritten, as kubectl does when an object moves to server-side apply; they cannot be forgotten by accident. */
function entriesBefore(
  given: KubeObject,
  current: KubeObject,
  subresource: string | undefined,
): readonly ManagedEntry[] | undefined {
  const [first, ...more] = given.metadata.managedFields ?? [];
  if (subresource !== undefined || first === undefined) return current.metadata.managedFields;
  const reset = more.length === 0 && !first.manager && !first.fieldsV1;
  return reset ? [] : given.metadata.managedFields;
}

function countGeneration(resource: Resource, draft: KubeObject, current: KubeObject): void {
  const counts = resource.generationOf === 'all' || (resource.generationOf === 'spec' && !sameJson(draft.spec, current.spec));
  if (counts) draft.metadata.generation = (current.metadata.generation ?? 0) + 1;
}

function beginService(draft: KubeObject, current: KubeObject | undefined, transaction: Transaction): void {
  const service = asService(draft);
  const old = current && asService(current);
  if (old) keepAllocated(service.spec, old.spec);
  alignClusterIPs(service.spec, old?.spec);
  if (old) allocateChange(service, old, transaction);
  else allocateNew(service, transaction);
}

function checkAll(resource: Resource, draft: KubeObject, current: KubeObject | undefined, subresource?: string): void {
  const rules = rulesOf(resource.kind);
  const own = subresource === 'status' ? rules.checkStatus?.(draft) : rules.check?.(draft, current, resource);
  const causes = [...checkMeta(draft, current?.metadata), ...(own ?? [])];
  if (causes.length > 0) throw invalid(resource, draft.metadata.name, causes);
}

function setEntries(draft: KubeObject, entries: readonly ManagedEntry[] | undefined): void {
  if (entries && entries.length > 0) draft.metadata.managedFields = entries;
  else delete draft.metadata.managedFields;
}

function writerOf(cluster: Cluster, resource: Resource, options: WriteOptions, subresource: string | undefined): Writer {
  const apiVersion = groupVersionOf(resource);
  return { manager: options.manager, operation: 'Update', apiVersion, subresource, time: timeText(cluster.now()) };
}
