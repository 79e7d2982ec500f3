import { ApiFailure, badRequest } from './failure.ts';
import { isMap, type Json, type JsonMap, sameJson } from './json.ts';

/** JSON merge patch. @see https://www.rfc-editor.org/rfc/rfc7386 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const out: JsonMap = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === null) delete out[key];
    else out[key] = mergePatch(out[key], value);
  }
  return out;
}

/** The real server's own ceiling on the operations of one JSON patch. */
const OPERATIONS_LIMIT = 10_000;

/** JSON patch. @see https://www.rfc-editor.org/rfc/rfc6902 @throws {ApiFailure} 422 when an operation cannot be done */
export function jsonPatch(target: JsonMap, patch: Json): JsonMap {
  if (!Array.isArray(patch))
    throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  if (patch.length > OPERATIONS_LIMIT) {
    throw new ApiFailure(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${OPERATIONS_LIMIT}, got ${patch.length}`,
    );
  }
  let document: Json = structuredClone(target);
  for (const operation of patch) document = operate(document, operation);
  if (!isMap(document)) throw rejected();
  return document;
}

function operate(document: Json, operation: Json): Json {
  if (!isMap(operation) || typeof operation['path'] !== 'string') throw rejected();
  const path = pointer(operation['path']);
  switch (operation['op']) {
    case 'add':
      return put(document, path, value(operation), 'add');
    case 'replace':
      return put(document, path, value(operation), 'replace');
    case 'remove':
      return remove(document, path);
    case 'test':
      if (!sameJson(read(document, path), value(operation))) throw rejected();
      return document;
    case 'move':
    case 'copy': {
      const from = pointer(typeof operation['from'] === 'string' ? operation['from'] : '');
      const moved = structuredClone(read(document, from));
      return put(operation['op'] === 'move' ? remove(document, from) : document, path, moved, 'add');
    }
    default:
      throw rejected();
  }
}

function value(operation: JsonMap): Json {
  if (operation['value'] === undefined) throw rejected();
  return operation['value'];
}

function pointer(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw rejected();
  return path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function child(parent: Json, key: string): Json {
  const found = Array.isArray(parent)
    ? parent[index(key, parent.length - 1)]
    : isMap(parent) && Object.hasOwn(parent, key)
      ? parent[key]
      : undefined;
  if (found === undefined) throw rejected();
  return found;
}

function read(document: Json, path: readonly string[]): Json {
  return path.reduce<Json>(child, document);
}

function put(document: Json, path: readonly string[], item: Json, how: 'add' | 'replace'): Json {
  const key = path.at(-1);
  if (key === undefined) return item;
  const parent = read(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const at = key === '-' ? parent.length : index(key, parent.length);
    parent.splice(at, how === 'replace' ? 1 : 0, item);
  } else if (isMap(parent)) parent[key] = item;
  else throw rejected();
  return document;
}

function remove(document: Json, path: readonly string[]): Json {
  const key = path.at(-1);
  if (key === undefined) throw rejected();
  const parent = read(document, path.slice(0, -1));
  child(parent, key);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (isMap(parent)) delete parent[key];
  return document;
}

function index(key: string, highest: number): number {
  const at = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : -1;
  if (at < 0 || at > highest) throw rejected();
  return at;
}

function rejected(): ApiFailure {
  return new ApiFailure(422, 'Invalid', 'the server rejected our request due to an error in our request');
}
