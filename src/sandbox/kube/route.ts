import { type Resource, resources } from './resources.ts';

/** What a path under /api or /apis means. */
export interface Route {
  readonly resource: Resource;
  /** Empty: all namespaces, or a resource without any. */
  readonly namespace: string;
  /** Empty: the collection. */
  readonly name: string;
  /** Empty: the object itself. */
  readonly subresource: string;
}

/** @returns undefined for a path that is no resource's */
export function routeOf(path: string): Route | undefined {
  const parts = path.split('/').filter((part) => part !== '');
  const group = parts[0] === 'api' ? '' : (parts[1] ?? '');
  const version = parts[0] === 'api' ? parts[1] : parts[2];
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  if ((parts[0] !== 'api' && parts[0] !== 'apis') || rest.length === 0) return undefined;
  const inNamespace = rest[0] === 'namespaces' && rest.length > 2 && !isNamespaceSubresource(rest[2] ?? '');
  const namespace = inNamespace ? (rest[1] ?? '') : '';
  const [plural = '', name = '', subresource = '', ...more] = inNamespace ? rest.slice(2) : rest;
  const resource = resources.find((each) => each.resource === plural && each.group === group && each.version === version);
  if (!resource || more.length > 0 || (inNamespace && !resource.namespaced)) return undefined;
  if (resource.namespaced && namespace === '' && name !== '') return undefined;
  return { resource, namespace, name, subresource };
}

function isNamespaceSubresource(part: string): boolean {
  return part === 'status' || part === 'finalize';
}
