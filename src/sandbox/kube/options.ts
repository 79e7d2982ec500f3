import { at, text } from '../../kube/objects.ts';
import type { WriteOptions } from './body.ts';
import type { DeleteOptions } from './deletes.ts';
import { type ApiFailure, type Cause, invalid, requiredField, unsupportedField } from './failure.ts';
import type { ListQuery } from './lists.ts';
import { type ApiRequest, flagOf, numberOf } from './request.ts';
import type { WatchQuery } from './watches.ts';

/** Options of a request, out of its query and of a DELETE's body. Each throws 422 for a value that is none. */

/** Longest name of a field manager, in bytes. */
const MANAGER_LIMIT = 128;
const validations = ['', 'Ignore', 'Strict', 'Warn'];

export function writeOptions(request: ApiRequest, warn: (text: string) => void): WriteOptions {
  const { query, method } = request;
  const kind = `${method === 'POST' ? 'Create' : method === 'PATCH' ? 'Patch' : 'Update'}Options`;
  const asked = query.get('fieldValidation') ?? '';
  if (!validations.includes(asked)) throw badOption(kind, unsupportedField('fieldValidation', asked, validations));
  const manager = query.get('fieldManager') ?? '';
  if (Buffer.byteLength(manager) > MANAGER_LIMIT) {
    const message = `Too long: may not be more than ${MANAGER_LIMIT} bytes`;
    throw badOption(kind, { reason: 'FieldValueTooLong', message, field: 'fieldManager' });
  }
  return {
    manager: manager || request.agent.split('/')[0]?.slice(0, MANAGER_LIMIT) || 'unknown',
    dryRun: dryRunOf(kind, query.getAll('dryRun')),
    validation: (asked || 'Warn') as WriteOptions['validation'],
    force: flagOf(query, 'force') && query.has('force'),
    warn,
  };
}

function badOption(kind: string, cause: Cause): ApiFailure {
  return invalid({ group: 'meta.k8s.io', resource: '', kind }, '', [cause]);
}

function dryRunOf(kind: string, asked: readonly string[]): boolean {
  const wrong = asked.filter((value) => value !== 'All' && value !== '');
  if (wrong.length > 0) throw badOption(kind, unsupportedField('dryRun', wrong, ['All']));
  return asked.includes('All');
}

const policies = ['Foreground', 'Background', 'Orphan', 'nil'];

export function deleteOptions(request: ApiRequest, body: unknown): DeleteOptions {
  const { query } = request;
  const given =
    at(body, 'gracePeriodSeconds') ?? (query.has('gracePeriodSeconds') ? Number(query.get('gracePeriodSeconds')) : undefined);
  const conditions = at(body, 'preconditions');
  const inBody = at(body, 'dryRun');
  const policy = text(at(body, 'propagationPolicy')) || (query.get('propagationPolicy') ?? '');
  if (policy !== '' && !policies.includes(policy))
    throw badOption('DeleteOptions', unsupportedField('propagationPolicy', policy, policies));
  return {
    dryRun: dryRunOf('DeleteOptions', [...query.getAll('dryRun'), ...(Array.isArray(inBody) ? inBody.map(String) : [])]),
    graceSeconds: typeof given === 'number' && given >= 0 ? given : undefined,
    uid: text(at(conditions, 'uid')) || undefined,
    resourceVersion: text(at(conditions, 'resourceVersion')) || undefined,
  };
}

export function listQuery(query: URLSearchParams): ListQuery {
  return {
    ...selectorQuery(query),
    limit: numberOf(query, 'limit'),
    next: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
  };
}

function selectorQuery(query: URLSearchParams): { labelSelector: string; fieldSelector: string } {
  return { labelSelector: query.get('labelSelector') ?? '', fieldSelector: query.get('fieldSelector') ?? '' };
}

export function watchQuery(query: URLSearchParams): WatchQuery {
  return {
    ...selectorQuery(query),
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    timeoutSeconds: numberOf(query, 'timeoutSeconds'),
    bookmarks: flagOf(query, 'allowWatchBookmarks') && query.has('allowWatchBookmarks'),
    sendInitialEvents: query.has('sendInitialEvents') ? flagOf(query, 'sendInitialEvents') : undefined,
  };
}

export function missingManager(): ApiFailure {
  return badOption('PatchOptions', requiredField('fieldManager', 'is required for apply patch'));
}
