import type { Cluster } from './cluster.ts';
import {
  ApiFailure,
  badRequest,
  type Cause,
  expired,
  forbiddenField,
  invalid,
  invalidField,
  unsupportedField,
} from './failure.ts';
import type { Resource } from './resources.ts';
import { readFieldSelector, readLabelSelector, type Selector } from './selectors.ts';
import type { Stored } from './store.ts';

/** metav1.ListOptions as far as reads use them. */
export interface ListQuery {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** 0: no limit. */
  readonly limit: number;
  /** Token of the page before. */
  readonly next: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
}

export interface ListPage {
  readonly items: readonly Stored[];
  readonly revision: number;
  /** Empty on the last page. */
  readonly next: string;
  /** Objects after this page; undefined when a selector makes it unknown. */
  readonly remaining: number | undefined;
}

/** What a list or watch shows: namespace (empty: all), labels and fields. @throws {ApiFailure} 400 on a malformed selector */
export function selectorOf(
  resource: Resource,
  namespace: string,
  query: Pick<ListQuery, 'labelSelector' | 'fieldSelector'>,
): Selector {
  const byLabel = readLabelSelector(query.labelSelector);
  const byField = readFieldSelector(query.fieldSelector, resource);
  return (object) => (namespace === '' || object.metadata.namespace === namespace) && byLabel(object) && byField(object);
}

/** One page of a list. @throws {ApiFailure} 400, 410 when the revision is compacted, 504 when it is yet to come */
export function listObjects(cluster: Cluster, resource: Resource, namespace: string, query: ListQuery): ListPage {
  const matches = selectorOf(resource, namespace, query);
  const from = query.next === '' ? undefined : readToken(query.next);
  const revision = from ? from.revision : revisionOf(cluster, query);
  const snapshot = cluster.store.snapshot(resource.table, revision);
  if (!snapshot) throw tooOld(cluster, from);
  const all = snapshot.filter((stored) => matches(stored.object) && (!from || stored.key >= from.start));
  const page = query.limit > 0 ? all.slice(0, query.limit) : all;
  const following = all[page.length];
  const selective = query.labelSelector !== '' || query.fieldSelector !== '';
  return {
    items: page,
    revision,
    next: following ? writeToken({ revision, start: following.key }) : '',
    remaining: following && !selective ? all.length - page.length : undefined,
  };
}

function revisionOf(cluster: Cluster, query: ListQuery): number {
  const current = cluster.store.revision;
  const { resourceVersion, resourceVersionMatch } = query;
  const matches = ['Exact', 'NotOlderThan', ''];
  if (!matches.includes(resourceVersionMatch))
    throw badMatch(unsupportedField('resourceVersionMatch', resourceVersionMatch, matches));
  if (resourceVersion === '') {
    if (resourceVersionMatch !== '')
      throw badMatch(
        forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      );
    return current;
  }
  const wanted = parseRevision(resourceVersion);
  if (wanted > current) throw notYet(wanted, current);
  return resourceVersionMatch === 'Exact' && wanted > 0 ? wanted : current;
}

/** A refusal of the options of a list or watch. */
export function badMatch(cause: Cause): ApiFailure {
  return invalid({ group: 'meta.k8s.io', resource: '', kind: 'ListOptions' }, '', [cause]);
}

export function parseRevision(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const cause = invalidField('resourceVersion', text, `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
  throw new ApiFailure(500, '', `${cause.field}: ${cause.message}`);
}

function notYet(wanted: number, current: number): ApiFailure {
  const cause = { reason: 'ResourceVersionTooLarge', message: 'Too large resource version' };
  const message = `Timeout: Too large resource version: ${wanted}, current: ${current}`;
  return new ApiFailure(504, 'Timeout', message, { causes: [cause], retryAfterSeconds: 1 }, { retryAfterSeconds: 1 });
}

function tooOld(cluster: Cluster, from: Token | undefined): ApiFailure {
  if (!from) return expired('The resourceVersion for the provided list is too old.');
  const text =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to go on with a list that may be inconsistent.';
  return expired(text, writeToken({ revision: cluster.store.revision, start: from.start }));
}

interface Token {
  readonly revision: number;
  /** Key of the first object of the page. */
  readonly start: string;
}

function writeToken(token: Token): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.revision, start: token.start })).toString('base64url');
}

function readToken(text: string): Token {
  try {
    const { rv, start } = JSON.parse(Buffer.from(text, 'base64url').toString()) as { rv: unknown; start: unknown };
    if (typeof rv === 'number' && typeof start === 'string') return { revision: rv, start };
  } catch {
    // told below, as any other token that is none of ours
  }
  throw badRequest('invalid continue token: continue key is not valid');
}
