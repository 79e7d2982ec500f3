import { badRequest } from './failure.ts';
import { isMap, type Json, type JsonMap, sameJson } from './json.ts';
import { mergePatch } from './merge-patch.ts';
import { type Struct, structOf, type Type } from './schema.ts';

/**
 * Strategic merge patch: lists are merged by the keys that the shapes name.
 * @see https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
export function strategicPatch(struct: Struct, target: JsonMap, patch: Json): JsonMap {
  if (!isMap(patch)) throw badRequest('unable to find api field in struct: the patch is not an object');
  return mergeMap({ is: 'struct', name: struct.name, atomic: false, retainKeys: false }, target, patch);
}

const ORDER = '$setElementOrder/';
const REMOVE = '$deleteFromPrimitiveList/';

type ListType = Extract<Type, { is: 'list' }>;

function mergeMap(type: Type | undefined, target: JsonMap, patch: JsonMap): JsonMap {
  const { $patch: directive, $retainKeys: retained, ...changes } = patch;
  if (directive === 'replace') return plain(changes);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge')
    throw badRequest(`Unknown patch type found: ${JSON.stringify(directive)}`);
  const out: JsonMap = { ...target };
  if (Array.isArray(retained)) for (const key of Object.keys(out)) if (!retained.includes(key)) delete out[key];
  for (const [key, value] of Object.entries(changes)) {
    if (key.startsWith(ORDER) || key.startsWith(REMOVE) || value === undefined) continue;
    if (value === null) delete out[key];
    else out[key] = mergeValue(fieldType(type, key), out[key], value);
  }
  removeNamed(out, changes);
  orderNamed(type, out, target, changes);
  return out;
}

function fieldType(type: Type | undefined, key: string): Type | undefined {
  if (type?.is === 'struct') return structOf(type.name).fields.get(key)?.type;
  return type?.is === 'map' ? type.of : undefined;
}

function mergeValue(type: Type | undefined, target: Json | undefined, patch: Json): Json {
  if (isMap(patch)) return mergeMap(type, isMap(target) ? target : {}, patch);
  if (!Array.isArray(patch) || type?.is !== 'list' || type.patch === undefined) return plain(patch);
  const items = Array.isArray(target) ? target : [];
  const merged = type.patch === '' ? unite(items, patch) : mergeItems(type, items, patch);
  const identify = identifier(type.patch);
  return inOrder(merged, patch.map(identify), items.map(identify), identify);
}

/** Without the nulls and directives that make sense only as a change to something. */
function plain<T extends Json>(patch: T): T {
  return (isMap(patch) ? mergePatch({}, patch) : patch) as T;
}

function unite(items: readonly Json[], more: readonly Json[]): Json[] {
  return [...items, ...more.filter((item, i) => !items.includes(item) && more.indexOf(item) === i)];
}

function mergeItems(type: ListType, items: readonly Json[], patch: readonly Json[]): Json[] {
  const key = type.patch ?? '';
  if (patch.some((item) => isMap(item) && item['$patch'] === 'replace' && item[key] === undefined)) {
    return patch.filter((item) => !(isMap(item) && item['$patch'] === 'replace')).map(plain);
  }
  let out = [...items];
  for (const item of patch) {
    if (!isMap(item) || item[key] === undefined || item[key] === null) {
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    }
    const at = out.findIndex((each) => isMap(each) && sameJson(each[key], item[key]));
    if (item['$patch'] === 'delete') out = out.filter((each) => !(isMap(each) && sameJson(each[key], item[key])));
    else if (at < 0) out.push(mergeMap(type.of, {}, item));
    else out[at] = mergeValue(type.of, out[at], item);
  }
  return out;
}

function removeNamed(out: JsonMap, changes: JsonMap): void {
  for (const [directive, values] of Object.entries(changes)) {
    if (!directive.startsWith(REMOVE) || !Array.isArray(values)) continue;
    const key = directive.slice(REMOVE.length);
    const items = out[key];
    if (Array.isArray(items)) out[key] = items.filter((item) => !values.includes(item));
  }
}

function orderNamed(type: Type | undefined, out: JsonMap, before: JsonMap, changes: JsonMap): void {
  for (const [directive, order] of Object.entries(changes)) {
    if (!directive.startsWith(ORDER) || !Array.isArray(order)) continue;
    const field = directive.slice(ORDER.length);
    const list = fieldType(type, field);
    const items = out[field];
    if (!Array.isArray(items) || list?.is !== 'list') continue;
    const identify = identifier(list.patch ?? '');
    const was = before[field];
    out[field] = inOrder(items, order.map(identify), Array.isArray(was) ? was.map(identify) : [], identify);
  }
}

function identifier(key: string): (item: Json) => string {
  return (item) => JSON.stringify(key !== '' && isMap(item) ? item[key] : item);
}

/** Items that the patch orders come in its order; the others keep their place among those that were there before. */
function inOrder(
  items: readonly Json[],
  wanted: readonly string[],
  was: readonly string[],
  identify: (item: Json) => string,
): Json[] {
  const ordered = items
    .filter((item) => wanted.includes(identify(item)))
    .sort((a, b) => wanted.indexOf(identify(a)) - wanted.indexOf(identify(b)));
  const others = items.filter((item) => !wanted.includes(identify(item)));
  const out: Json[] = [];
  for (const item of ordered) {
    const place = was.indexOf(identify(item));
    while (others[0] !== undefined && place >= 0 && was.indexOf(identify(others[0])) < place) out.push(others.shift() as Json);
    out.push(item);
  }
  return [...out, ...others];
}
