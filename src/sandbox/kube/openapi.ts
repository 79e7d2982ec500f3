import { type Answer, json, plainText } from './answers.ts';
import type { JsonMap } from './json.ts';
import type { ApiRequest } from './request.ts';
import { groupVersionOf, type Resource, resources } from './resources.ts';
import { allStructs, type Field, type Struct, type Type } from './schema.ts';

/**
 * OpenAPI v3, made from the same shapes that bodies are read with. kubectl reads it for `apply`, `explain` and to learn that the
 * server validates fields itself.
 */
export function openapi(request: ApiRequest): Answer {
  if (request.path === '/openapi/v3')
    return json(200, {
      paths: Object.fromEntries(documents().map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }])),
    });
  const path = request.path.replace('/openapi/v3/', '');
  if (documents().includes(path)) return json(200, document(path));
  if (request.path === '/openapi/v2') return json(200, { swagger: '2.0', info: info(), paths: {}, definitions: {} });
  return plainText(404, '404 page not found\n');
}

function info(): JsonMap {
  return { title: 'Kubernetes', version: 'v1.36.3' };
}

function pathOf(resource: Resource): string {
  return `${resource.group === '' ? 'api' : 'apis'}/${groupVersionOf(resource)}`;
}

function documents(): string[] {
  return [...new Set(resources.map(pathOf))];
}

function document(path: string): JsonMap {
  const own = resources.filter((resource) => pathOf(resource) === path);
  const schemas = Object.fromEntries([...allStructs()].map((struct) => [schemaName(struct.name), schemaOf(struct)]));
  for (const resource of own) {
    const schema = schemas[schemaName(resource.shape)] as JsonMap;
    const kind = { group: resource.group, version: resource.version, kind: resource.kind };
    schemas[schemaName(resource.shape)] = { ...schema, 'x-kubernetes-group-version-kind': [kind] };
  }
  return {
    openapi: '3.0.0',
    info: info(),
    paths: Object.fromEntries(own.flatMap((resource) => pathsOf(path, resource))),
    components: { schemas },
  };
}

function pathsOf(path: string, resource: Resource): [string, JsonMap][] {
  const base = `/${path}/${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.resource}`;
  const kind = { group: resource.group, version: resource.version, kind: resource.kind };
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation'].map((name) => ({
    name,
    in: 'query',
    schema: { type: 'string', uniqueItems: true },
  }));
  const schema = { $ref: `#/components/schemas/${schemaName(resource.shape)}` };
  const operation = (action: string): JsonMap => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kind,
    parameters: action === 'get' ? [] : parameters,
    responses: { '200': { description: 'OK', content: { 'application/json': { schema } } } },
  });
  return [
    [base, { get: operation('list'), post: operation('post') }],
    [`${base}/{name}`, { get: operation('get'), put: operation('put'), patch: operation('patch'), delete: operation('delete') }],
  ];
}

/** Names as kubectl knows them; all shapes of one document may share a prefix. */
function schemaName(struct: string): string {
  return `io.k8s.api.v1.${struct}`;
}

function schemaOf(struct: Struct): JsonMap {
  const fields = [...struct.fields.values()];
  return {
    type: 'object',
    description: `${struct.name} of the Kubernetes API.`,
    properties: Object.fromEntries(fields.map((field) => [field.name, propertyOf(field)])),
  };
}

function propertyOf({ type, name }: Field): JsonMap {
  const schema = typeSchema(type);
  const patch = type.is === 'list' && type.patch !== undefined ? patchHints(type.patch) : {};
  return { description: `${name} of the object.`, ...schema, ...patch };
}

function patchHints(key: string): JsonMap {
  return { 'x-kubernetes-patch-strategy': 'merge', ...(key === '' ? {} : { 'x-kubernetes-patch-merge-key': key }) };
}

function typeSchema(type: Type): JsonMap {
  switch (type.is) {
    case 'struct':
      return { allOf: [{ $ref: `#/components/schemas/${schemaName(type.name)}` }], default: {} };
    case 'map':
      return {
        type: 'object',
        additionalProperties: typeSchema(type.of),
        ...(type.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
      };
    case 'list':
      return {
        type: 'array',
        items: typeSchema(type.of),
        'x-kubernetes-list-type': type.items,
        ...(type.keys.length > 0 ? { 'x-kubernetes-list-map-keys': [...type.keys] } : {}),
      };
    case 'scalar':
      return scalars[type.scalar] ?? { type: 'string' };
  }
}

const scalars: Readonly<Record<string, JsonMap>> = {
  b: { type: 'boolean' },
  i32: { type: 'integer', format: 'int32' },
  i64: { type: 'integer', format: 'int64' },
  f64: { type: 'number' },
  time: { type: 'string', format: 'date-time' },
  microtime: { type: 'string', format: 'date-time' },
  bytes: { type: 'string', format: 'byte' },
  intstr: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  any: { type: 'object' },
};
