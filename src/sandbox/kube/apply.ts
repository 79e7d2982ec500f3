import { ApiFailure } from './failure.ts';
import { isMap, type Json, type JsonMap, type KubeObject, type ManagedEntry } from './json.ts';
import { type FieldSet, fieldsIn, fieldsOf, identify, isBy, type Writer, withEntry } from './managed-fields.ts';
import { type Struct, structOf, type Type } from './schema.ts';

export interface Configuration {
  readonly struct: Struct;
  /** Undefined when the object does not exist yet. */
  readonly live: KubeObject | undefined;
  /** What the manager states. */
  readonly config: KubeObject;
  readonly writer: Writer;
  /** Take fields from managers that hold them with another value. */
  readonly force: boolean;
  /** Top-level field that this endpoint does not write: `spec` for /status. */
  readonly ignored: string;
}

/**
 * Server-side apply: what the manager states becomes so, what it stated before and states no more goes, unless another manager
 * holds it.
 * @throws {ApiFailure} 409 with one cause a field, when another manager holds a field with another value and `force` is not set
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/
 */
export function applyConfiguration(given: Configuration): {
  readonly object: JsonMap;
  readonly entries: readonly ManagedEntry[];
} {
  const { struct, live, config, writer, ignored } = given;
  const stated = withoutContainers(fieldsOf(struct, config));
  for (const path of stated.keys()) if (path.split('\n')[0] === `f:${ignored}`) stated.delete(path);
  const entries = live?.metadata.managedFields ?? [];
  const others = entries.filter((entry) => !isBy(entry, writer));
  const conflicts = live ? findConflicts(stated, fieldsOf(struct, live), others) : [];
  if (conflicts.length > 0 && !given.force) throw refused(conflicts);
  const taken = new Set(conflicts.map((conflict) => conflict.path));
  const type: Type = { is: 'struct', name: struct.name, atomic: false, retainKeys: false };
  const merged = merge(type, live as unknown as Json, config as unknown as Json) as JsonMap;
  const own = entries.find((entry) => isBy(entry, writer));
  const held = new Set(others.flatMap((entry) => [...fieldsIn(entry.fieldsV1)]));
  const dropped = own ? [...fieldsIn(own.fieldsV1)].filter((path) => !stated.has(path) && !held.has(path)) : [];
  const object = drop(type, merged, '', new Set(dropped)) as JsonMap;
  return { object, entries: withEntry(entries, writer, new Set(stated.keys()), (path) => taken.has(path)) };
}

/** An applier owns the items of a list or map, not the list or map, unless it is empty. */
function withoutContainers(fields: Map<string, string>): Map<string, string> {
  const paths = [...fields.keys()];
  const holds = (path: string): boolean => paths.some((other) => other.startsWith(`${path}\n`));
  const isItem = (path: string): boolean => /^[kv]:/.test(path.slice(path.lastIndexOf('\n') + 1));
  return new Map([...fields].filter(([path, value]) => value !== '' || isItem(path) || !holds(path)));
}

interface Conflict {
  readonly path: string;
  readonly manager: ManagedEntry;
}

function findConflicts(
  stated: ReadonlyMap<string, string>,
  live: ReadonlyMap<string, string>,
  others: readonly ManagedEntry[],
): Conflict[] {
  const differing = [...stated].filter(([path, value]) => live.has(path) && live.get(path) !== value).map(([path]) => path);
  return others.flatMap((manager) => {
    const fields = fieldsIn(manager.fieldsV1);
    return differing.filter((path) => fields.has(path)).map((path) => ({ path, manager }));
  });
}

function refused(conflicts: readonly Conflict[]): ApiFailure {
  const causes = conflicts.map(({ path, manager }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${JSON.stringify(manager.manager)}${manager.operation === 'Update' ? ` using ${manager.apiVersion} at ${manager.time}` : ''}`,
    field: path.replaceAll(/\n?f:/g, '.').replaceAll(/\nk:\{(.*?)\}/g, '[$1]'),
  }));
  const texts = causes.map((cause) => `${cause.message}: ${cause.field}`).join('\n');
  const message = `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: ${texts}`;
  return new ApiFailure(409, 'Conflict', message, { causes });
}

function merge(type: Type, live: Json | undefined, config: Json | undefined): Json | undefined {
  if (config === undefined || config === null) return live;
  if (live === undefined || live === null || type.is === 'scalar') return config;
  if (type.is === 'list') return mergeList(type, live, config);
  if (type.atomic || !isMap(live) || !isMap(config)) return config;
  const out: JsonMap = { ...live };
  for (const [key, value] of Object.entries(config)) {
    const of = type.is === 'map' ? type.of : structOf(type.name).fields.get(key)?.type;
    out[key] = of ? merge(of, live[key], value) : value;
  }
  return out;
}

function mergeList(type: Extract<Type, { is: 'list' }>, live: Json, config: Json): Json {
  const granular = type.items !== 'atomic' || type.patch === '';
  if (!granular || !Array.isArray(live) || !Array.isArray(config)) return config;
  const stated = new Map(config.map((item) => [identify(type, item), item]));
  const kept = live.map((item) => {
    const id = identify(type, item);
    const change = stated.get(id);
    stated.delete(id);
    return merge(type.of, item, change) ?? item;
  });
  return [...kept, ...stated.values()];
}

/** The value without the fields under the given paths; lists and maps themselves go only once they are empty. */
function drop(type: Type, value: Json | undefined, path: string, dropped: FieldSet): Json | undefined {
  if (dropped.size === 0) return value;
  if (type.is === 'list' && Array.isArray(value) && (type.items !== 'atomic' || type.patch === '')) {
    const items = value
      .filter((item) => !dropped.has(join(path, identify(type, item))))
      .map((item) => drop(type.of, item, join(path, identify(type, item)), dropped) ?? item);
    return items.length === 0 && dropped.has(path) ? undefined : items;
  }
  if (type.is === 'struct' || type.is === 'map') {
    if (type.atomic || !isMap(value)) return dropped.has(path) ? undefined : value;
    const out = Object.entries(value).map(
      ([key, item]) => [key, drop(fieldTypeOf(type, key), item, join(path, `f:${key}`), dropped)] as const,
    );
    const left = out.filter(([, item]) => item !== undefined);
    return left.length === 0 && dropped.has(path) ? undefined : Object.fromEntries(left);
  }
  return dropped.has(path) ? undefined : value;
}

function fieldTypeOf(type: Extract<Type, { is: 'struct' | 'map' }>, key: string): Type {
  const of = type.is === 'map' ? type.of : structOf(type.name).fields.get(key)?.type;
  return of ?? { is: 'scalar', scalar: 'any' };
}

function join(path: string, part: string): string {
  return path === '' ? part : `${path}\n${part}`;
}
