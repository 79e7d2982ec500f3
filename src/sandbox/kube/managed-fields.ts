import { decode } from './decode.ts';
import { type FieldTree, isMap, type Json, type JsonMap, type KubeObject, type ManagedEntry } from './json.ts';
import { type Struct, structOf, type Type } from './schema.ts';

/**
 * Who wrote which field. A field is a path such as `f:spec`, `f:ports`, `k:{"port":80,"protocol":"TCP"}`, joined by line ends.
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export type FieldSet = ReadonlySet<string>;

const SEPARATOR = '\n';
/** Never owned by anybody: the server's own bookkeeping. */
const unowned = new Set([
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'selfLink',
  'generation',
  'managedFields',
  'resourceVersion',
]);
/** The real server's ceiling on entries that are not applied; the oldest go. */
const ENTRIES_LIMIT = 10;
/** Keys of list items that the real schema fills in before items are told apart: a port is TCP unless it says otherwise. */
const KEY_DEFAULTS: Readonly<Record<string, Json>> = { protocol: 'TCP' };

export interface Writer {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** `status` for a write through that subresource. */
  readonly subresource?: string | undefined;
  /** RFC 3339, whole seconds. */
  readonly time: string;
}

/** Every field of an object with its value as text; lists, maps and items stand for themselves too. */
export function fieldsOf(struct: Struct, object: KubeObject): Map<string, string> {
  const shown = Object.entries(object.metadata).filter(([key]) => !unowned.has(key));
  const { kind: _kind, apiVersion: _apiVersion, ...rest } = object;
  const owned = { ...rest, metadata: Object.fromEntries(shown) } as unknown as JsonMap;
  const out = new Map<string, string>();
  collectFields(struct, owned, { path: '', itself: false }, out);
  if (out.get('f:metadata') === '') out.delete('f:metadata');
  return out;
}

/** Where a value stands. */
interface Place {
  readonly path: string;
  /** Whether it counts beside what is in it: not where the API has it even when it is empty. */
  readonly itself: boolean;
}

function collect(type: Type, value: Json | undefined, place: Place, out: Map<string, string>): void {
  const { path } = place;
  if (value === undefined) return;
  if (value === null || type.is === 'scalar' || (type.is !== 'list' && type.atomic)) {
    out.set(path, JSON.stringify(value));
    return;
  }
  if (type.is === 'list') collectItems(type, value, place, out);
  if (!isMap(value)) return;
  if (place.itself || Object.keys(value).length === 0) out.set(path, '');
  if (type.is === 'struct') collectFields(structOf(type.name), value, { path, itself: isItem(path) }, out);
  if (type.is !== 'map') return;
  for (const [key, item] of Object.entries(value)) collect(type.of, item, { path: join(path, `f:${key}`), itself: true }, out);
}

/** In a list's item, which was not there before, even those fields count that the API always has. */
function collectFields(struct: Struct, value: JsonMap, place: Place, out: Map<string, string>): void {
  for (const [key, item] of Object.entries(value)) {
    const field = struct.fields.get(key);
    if (!field) continue;
    const itself = place.itself || field.pointer || (field.type.is !== 'struct' && !field.always);
    collect(field.type, item, { path: join(place.path, `f:${key}`), itself }, out);
  }
}

function isItem(path: string): boolean {
  return path.slice(path.lastIndexOf(SEPARATOR) + 1).startsWith('k:');
}

function join(path: string, part: string): string {
  return path === '' ? part : path + SEPARATOR + part;
}

function collectItems(type: Extract<Type, { is: 'list' }>, value: Json, { path, itself }: Place, out: Map<string, string>): void {
  const byKey = type.items === 'map' || type.patch === '';
  if (!byKey && type.items === 'atomic') {
    out.set(path, JSON.stringify(value));
    return;
  }
  if (itself) out.set(path, '');
  for (const item of Array.isArray(value) ? value : []) {
    const at = `${path}${SEPARATOR}${identify(type, item)}`;
    out.set(at, '');
    if (type.items === 'map') collect(type.of, item, { path: at, itself: true }, out);
  }
}

/** The path element of a list's item. */
export function identify(type: Extract<Type, { is: 'list' }>, item: Json): string {
  if (type.items !== 'map' || !isMap(item)) return `v:${JSON.stringify(item)}`;
  return `k:${JSON.stringify(Object.fromEntries([...type.keys].sort().map((key) => [key, item[key] ?? KEY_DEFAULTS[key]])))}`;
}

export function treeOf(fields: Iterable<string>): FieldTree {
  const root: FieldTree = {};
  const paths = [...fields].sort();
  for (const [i, path] of paths.entries()) {
    let at = root;
    for (const part of path.split(SEPARATOR)) {
      at[part] ??= {};
      at = at[part];
    }
    if (paths[i + 1]?.startsWith(path + SEPARATOR)) at['.'] = {};
  }
  return root;
}

export function fieldsIn(tree: FieldTree, path = '', out: Set<string> = new Set()): Set<string> {
  for (const [part, below] of Object.entries(tree)) {
    if (part === '.') {
      out.add(path);
      continue;
    }
    const at = join(path, part);
    if (Object.keys(below).length === 0) out.add(at);
    else fieldsIn(below, at, out);
  }
  return out;
}

/** An object before (undefined: it is new) and after a write, and the entries that it had. */
export interface Written {
  readonly before: KubeObject | undefined;
  readonly after: KubeObject;
  readonly entries: readonly ManagedEntry[] | undefined;
}

/** Entries after an ordinary write: what it changed is the writer's, and nobody's any more where it removed. */
export function entriesAfterUpdate(
  struct: Struct,
  { before, after, entries }: Written,
  writer: Writer,
): readonly ManagedEntry[] | undefined {
  if (before && !entries) return undefined; // the real server leaves objects alone whose fields nobody has owned so far
  const was = fieldsOf(struct, before ?? emptyOf(struct));
  const is = fieldsOf(struct, after);
  const changed = new Set([...is].filter(([path, value]) => was.get(path) !== value).map(([path]) => path));
  const gone = new Set([...was.keys()].filter((path) => !is.has(path)));
  if (changed.size === 0 && gone.size === 0) return entries;
  return withEntry(entries ?? [], writer, changed, (path) => changed.has(path) || gone.has(path));
}

const empties = new Map<string, KubeObject>();

/** An object of a shape with nothing in it: what every author starts from. */
function emptyOf(struct: Struct): KubeObject {
  const empty = empties.get(struct.name) ?? (decode(struct, {}, []) as unknown as KubeObject);
  empties.set(struct.name, empty);
  return empty;
}

/** Adds fields to the writer's entry and takes those that `lost` names from everybody else. */
export function withEntry(
  entries: readonly ManagedEntry[],
  writer: Writer,
  fields: FieldSet,
  lost: (path: string) => boolean,
): readonly ManagedEntry[] {
  const own = entries.find((entry) => isBy(entry, writer));
  const kept = own && writer.operation === 'Update' ? [...fieldsIn(own.fieldsV1)].filter((path) => !lost(path)) : [];
  const others = entries.filter((entry) => entry !== own).flatMap((entry) => without(entry, lost));
  const mine = new Set([...kept, ...fields]);
  const tree = treeOf(mine);
  const same = own && JSON.stringify(own.fieldsV1) === JSON.stringify(tree);
  const { manager, operation, apiVersion, time, subresource } = writer;
  const entry: ManagedEntry = {
    manager,
    operation,
    apiVersion,
    time: same ? own.time : time,
    fieldsType: 'FieldsV1',
    fieldsV1: tree,
    ...(subresource ? { subresource } : {}),
  };
  return bounded(mine.size === 0 ? others : [...others, entry]);
}

export function isBy(entry: ManagedEntry, writer: Omit<Writer, 'time'>): boolean {
  return (
    entry.manager === writer.manager &&
    entry.operation === writer.operation &&
    entry.apiVersion === writer.apiVersion &&
    (entry.subresource ?? '') === (writer.subresource ?? '')
  );
}

function without(entry: ManagedEntry, lost: (path: string) => boolean): ManagedEntry[] {
  const fields = [...fieldsIn(entry.fieldsV1)];
  const kept = fields.filter((path) => !lost(path));
  if (kept.length === fields.length) return [entry];
  return kept.length === 0 ? [] : [{ ...entry, fieldsV1: treeOf(kept) }];
}

function bounded(entries: readonly ManagedEntry[]): readonly ManagedEntry[] {
  const sorted = [...entries].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  const updated = sorted.filter((entry) => entry.operation === 'Update');
  return [...sorted.filter((entry) => entry.operation === 'Apply'), ...updated.slice(-ENTRIES_LIMIT)];
}

function orderOf({ time, manager, apiVersion, subresource = '' }: ManagedEntry): string {
  return [time, manager, apiVersion, subresource].join(SEPARATOR);
}
