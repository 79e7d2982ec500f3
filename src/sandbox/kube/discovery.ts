import { type Answer, json, plainText } from './answers.ts';
import type { JsonMap } from './json.ts';
import { openapi } from './openapi.ts';
import type { ApiRequest } from './request.ts';
import { type Resource, resources } from './resources.ts';

/** The version that this server stands for. */
export const KUBERNETES_VERSION = 'v1.36.3';

/** Groups that hold no stored objects, only questions that are answered at once. */
const reviews: readonly (readonly [group: string, resource: string, kind: string])[] = [
  ['authorization.k8s.io', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview'],
  ['authorization.k8s.io', 'selfsubjectrulesreviews', 'SelfSubjectRulesReview'],
  ['authentication.k8s.io', 'selfsubjectreviews', 'SelfSubjectReview'],
];

/** What the server says about itself. @returns undefined for any other path */
export function describe(request: ApiRequest): Answer | undefined {
  const { path } = request;
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  if (/^\/(healthz|livez|readyz)(\/.*)?$/.test(path)) return plainText(200, 'ok');
  if (path === '/version' || path === '/version/') return json(200, version());
  if (path.startsWith('/openapi/')) return openapi(request);
  if (path === '/api' || path === '/apis')
    return aggregated(request) ?? json(200, path === '/api' ? coreVersions() : groupList());
  const group = /^\/apis\/([^/]+)\/?$/.exec(path)?.[1];
  if (group)
    return groups().includes(group) ? json(200, { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group) }) : undefined;
  const versioned = /^\/(?:api|apis\/([^/]+))\/(v\d\w*)\/?$/.exec(path);
  if (versioned?.[2] !== 'v1') return undefined;
  const name = versioned[1] ?? '';
  return name === '' || groups().includes(name) ? json(200, resourceList(name)) : undefined;
}

function version(): JsonMap {
  const [major = '', minor = ''] = KUBERNETES_VERSION.slice(1).split('.');
  const built = { gitCommit: 'sandbox', gitTreeState: 'clean', buildDate: '1970-01-01T00:00:00Z' };
  return {
    major,
    minor,
    gitVersion: KUBERNETES_VERSION,
    ...built,
    goVersion: 'none',
    compiler: 'none',
    platform: 'nodejs/sandbox',
  };
}

/** All groups but the core one. */
export function groups(): string[] {
  return [...new Set([...resources.map((resource) => resource.group), ...reviews.map(([group]) => group)])].filter(
    (group) => group !== '',
  );
}

function coreVersions(): JsonMap {
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
}

function groupEntry(group: string): JsonMap {
  const entry = { groupVersion: `${group}/v1`, version: 'v1' };
  return { name: group, versions: [entry], preferredVersion: { ...entry } };
}

function groupList(): JsonMap {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups().map(groupEntry) };
}

/** By name, which is also the order in which `kubectl get all` prints them. */
function resourcesIn(group: string): Resource[] {
  return resources.filter((resource) => resource.group === group).sort((a, b) => (a.resource < b.resource ? -1 : 1));
}

function resourceList(group: string): JsonMap {
  const own = resourcesIn(group).flatMap(resourceEntries);
  const asked = reviews
    .filter(([name]) => name === group)
    .map(([, name, kind]) => ({ name, singularName: kind.toLowerCase(), namespaced: false, kind, verbs: ['create'] }));
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? 'v1' : `${group}/v1`,
    resources: [...own, ...asked],
  };
}

function resourceEntries(resource: Resource): JsonMap[] {
  const entry = {
    name: resource.resource,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: [...resource.verbs],
    ...(resource.shortNames.length > 0 ? { shortNames: [...resource.shortNames] } : {}),
    ...(resource.categories.length > 0 ? { categories: [...resource.categories] } : {}),
  };
  const below = resource.subresources.map((name) => ({
    name: `${resource.resource}/${name}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...(name === 'scale' ? { group: 'autoscaling', version: 'v1', kind: 'Scale' } : { kind: resource.kind }),
    verbs: ['get', 'patch', 'update'],
  }));
  return [entry, ...below];
}

/** The aggregated form, which kubectl asks for first. */
function aggregated(request: ApiRequest): Answer | undefined {
  if (!/g=apidiscovery\.k8s\.io;v=v2;as=APIGroupDiscoveryList/.test(request.accept)) return undefined;
  const items = (request.path === '/api' ? [''] : groups()).map((group) => ({
    metadata: group === '' ? {} : { name: group },
    versions: [{ version: 'v1', resources: discovered(group), freshness: 'Current' }],
  }));
  const body = JSON.stringify({ kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items });
  return { code: 200, body, contentType: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' };
}

function discovered(group: string): JsonMap[] {
  const own = resourcesIn(group).map((resource) => ({
    resource: resource.resource,
    responseKind: { group, version: 'v1', kind: resource.kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: [...resource.verbs],
    shortNames: [...resource.shortNames],
    categories: [...resource.categories],
    subresources: resource.subresources.map((name) => ({
      subresource: name,
      responseKind:
        name === 'scale' ? { group: 'autoscaling', version: 'v1', kind: 'Scale' } : { group, version: 'v1', kind: resource.kind },
      verbs: ['get', 'patch', 'update'],
    })),
  }));
  const asked = reviews
    .filter(([name]) => name === group)
    .map(([, resource, kind]) => ({
      resource,
      responseKind: { group, version: 'v1', kind },
      scope: 'Cluster',
      singularResource: kind.toLowerCase(),
      verbs: ['create'],
    }));
  return [...own, ...asked];
}
