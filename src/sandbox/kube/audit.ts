import type { ApiRequest } from './request.ts';
import { flagOf } from './request.ts';
import { routeOf } from './route.ts';

/** One request that was answered, as an audit log at level Metadata would have it. */
export interface AuditEntry {
  /** get, list, watch, create, update, patch, delete, deletecollection; the HTTP method in small letters where there is no resource. */
  readonly verb: string;
  readonly path: string;
  /** Plural, empty where the path is no resource's. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  /** The User-Agent header. */
  readonly agent: string;
  /** HTTP status. */
  readonly code: number;
}

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** The latest requests, oldest first. */
export class Audit {
  readonly #limit: number;
  readonly #entries: AuditEntry[] = [];

  /** @param limit entries kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get entries(): readonly AuditEntry[] {
    return this.#entries.slice(-this.#limit);
  }

  add(request: ApiRequest, code: number): void {
    const route = routeOf(request.path);
    this.#entries.push({
      verb: verbOf(request, route?.name),
      path: request.path,
      resource: route?.resource.resource ?? '',
      namespace: route?.namespace ?? '',
      name: route?.name ?? '',
      subresource: route?.subresource ?? '',
      agent: request.agent,
      code,
    });
    if (this.#entries.length > this.#limit * 2) this.#entries.splice(0, this.#limit);
  }
}

function verbOf(request: ApiRequest, name: string | undefined): string {
  if (name === undefined) return request.method.toLowerCase();
  if (request.method === 'GET')
    return name !== '' ? 'get' : request.query.has('watch') && flagOf(request.query, 'watch') ? 'watch' : 'list';
  if (request.method === 'DELETE' && name === '') return 'deletecollection';
  return verbs[request.method] ?? request.method.toLowerCase();
}
