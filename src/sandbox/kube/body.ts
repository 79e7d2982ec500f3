import { decode, onlyGiven } from './decode.ts';
import { eventFromCore, eventToCore } from './events-version.ts';
import { ApiFailure, badRequest } from './failure.ts';
import { isMap, type JsonMap, type KubeObject } from './json.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { structOf } from './schema.ts';

/** How a write wants to be handled. @see https://kubernetes.io/docs/reference/using-api/api-concepts/ */
export interface WriteOptions {
  /** Name that managedFields keep for the writer. */
  readonly manager: string;
  /** Everything but the storing. */
  readonly dryRun: boolean;
  /** What becomes of fields that the shape has not got: dropped in silence, dropped with a warning, refused. */
  readonly validation: 'Ignore' | 'Warn' | 'Strict';
  /** Server-side apply takes fields from other managers. */
  readonly force: boolean;
  readonly warn: (text: string) => void;
}

/** Reads a body as an object of the resource, in the version in which it is stored. @throws {ApiFailure} 400 */
export function decodeBody(resource: Resource, raw: unknown, options: WriteOptions): KubeObject {
  if (!isMap(raw)) throw badRequest(`the object provided is unrecognized (must be of type ${resource.kind}): not a JSON object`);
  checkType(resource, raw);
  const unknown: string[] = [];
  const object = decodeAs(resource, raw, unknown);
  if (unknown.length > 0 && options.validation === 'Strict')
    throw badRequest(`${handled(resource)}strict decoding error: ${unknown.join(', ')}`);
  if (options.validation === 'Warn') for (const text of unknown) options.warn(text);
  const core = resource.shape === resource.kind ? object : eventToCore(object);
  const type = { kind: resource.kind, apiVersion: storedVersion(resource) };
  return { ...type, ...core, ...type } as unknown as KubeObject;
}

function decodeAs(resource: Resource, raw: JsonMap, unknown: string[]): JsonMap {
  try {
    return decode(structOf(resource.shape), raw, unknown);
  } catch (error) {
    if (error instanceof ApiFailure) throw badRequest(handled(resource) + error.message);
    throw error;
  }
}

function handled(resource: Resource): string {
  return `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: `;
}

function checkType(resource: Resource, raw: JsonMap): void {
  const { kind, apiVersion } = raw;
  if (kind && kind !== resource.kind) {
    throw badRequest(
      `${String(kind)} in version ${JSON.stringify(apiVersion ?? '')} cannot be handled as a ${resource.kind}: unknown conversion`,
    );
  }
  if (apiVersion && apiVersion !== groupVersionOf(resource)) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${groupVersionOf(resource)})`,
    );
  }
}

function storedVersion(resource: Resource): string {
  return resource.table === 'events' ? 'v1' : groupVersionOf(resource);
}

/** The body of a server-side apply, with what its author wrote and nothing else. @throws {ApiFailure} 400 */
export function decodeGiven(resource: Resource, raw: unknown, options: WriteOptions): KubeObject {
  const decoded = decodeBody(resource, raw, options);
  const given = resource.shape === resource.kind ? raw : eventToCore(raw as JsonMap);
  const type = { is: 'struct', name: resource.kind, atomic: false, retainKeys: false } as const;
  const stated = onlyGiven(type, decoded as unknown as JsonMap, given as JsonMap) as JsonMap;
  const { kind, apiVersion } = decoded;
  return { ...stated, kind, apiVersion, metadata: { ...(stated['metadata'] as object) } } as KubeObject;
}

/** A stored object as this resource shows it. */
export function viewAs(resource: Resource, object: KubeObject): KubeObject {
  return resource.shape === resource.kind ? object : (eventFromCore(object as unknown as JsonMap) as unknown as KubeObject);
}
