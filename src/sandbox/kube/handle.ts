import type { Answer, View } from './answers.ts';
import * as answers from './answers.ts';
import { type Cluster, existing, type Target } from './cluster.ts';
import { deleteObject } from './deletes.ts';
import { describe } from './discovery.ts';
import { ApiFailure, badRequest, noSuchPath } from './failure.ts';
import { isMap, type Json, type JsonMap, type KubeObject } from './json.ts';
import { listObjects } from './lists.ts';
import { jsonPatch, mergePatch } from './merge-patch.ts';
import { deleteOptions, listQuery, missingManager, watchQuery, writeOptions } from './options.ts';
import { PROTOBUF } from './protobuf.ts';
import { type ApiRequest, flagOf, parseBody, shapeOf } from './request.ts';
import { review } from './reviews.ts';
import { type Route, routeOf } from './route.ts';
import { scaleOf } from './scale.ts';
import { structOf } from './schema.ts';
import { strategicPatch } from './strategic-patch.ts';
import type { Include } from './tables.ts';
import type { WatchQuery } from './watches.ts';
import { applyObject, changeObject, createObject, replaceObject } from './writes.ts';

/** A watch that is to be opened on the connection. */
export interface WatchWanted {
  readonly watch: WatchQuery;
  readonly route: Route;
  readonly view: View;
}

/** One request on a resource, with all that its handling needs. */
interface Call {
  readonly cluster: Cluster;
  readonly request: ApiRequest;
  readonly route: Route;
  readonly view: View;
  readonly warn: (text: string) => void;
}

/** Answers one request. @throws {ApiFailure} for every refusal */
export async function handle(cluster: Cluster, request: ApiRequest, warn: (text: string) => void): Promise<Answer | WatchWanted> {
  const route = routeOf(request.path);
  if (!route) return (await review(request)) ?? describe(request) ?? missing(request.path);
  if (route.resource.warning) warn(route.resource.warning);
  const call: Call = { cluster, request, route, view: viewOf(cluster, request, route), warn };
  return route.name === '' ? onCollection(call) : onObject(call);
}

function missing(path: string): Answer {
  const known = /^\/apis?\/(([^/]+\/)?v\d\w*)\/./.test(path);
  if (known) throw noSuchPath();
  return answers.plainText(404, '404 page not found\n');
}

function viewOf(cluster: Cluster, request: ApiRequest, route: Route): View {
  const include = request.query.get('includeObject');
  return {
    resource: route.resource,
    shape: shapeOf(request.accept),
    include: include === 'None' || include === 'Object' ? (include satisfies Include) : 'Metadata',
    nowMs: cluster.now(),
  };
}

async function onCollection({ cluster, request, route, view, warn }: Call): Promise<Answer | WatchWanted> {
  const { resource, namespace } = route;
  const everywhere = resource.namespaced && namespace === '';
  switch (request.method) {
    case 'GET':
      if (flagOf(request.query, 'watch') && request.query.has('watch')) return { watch: watchQuery(request.query), route, view };
      return answers.list(view, listObjects(cluster, resource, namespace, listQuery(request.query)));
    case 'POST':
      if (everywhere) throw notAllowed();
      return answers.object(view, 201, createObject(cluster, route, await bodyOf(request), writeOptions(request, warn)));
    case 'DELETE':
      if (everywhere || !resource.verbs.includes('deletecollection')) throw notAllowed();
      return deleteCollection({ cluster, request, route, view, warn });
    default:
      throw notAllowed();
  }
}

async function deleteCollection({ cluster, request, route, view }: Call): Promise<Answer> {
  const { resource, namespace } = route;
  const options = deleteOptions(request, await parseBody(request));
  const page = listObjects(cluster, resource, namespace, listQuery(request.query));
  for (const { object } of page.items) {
    deleteObject(cluster, { resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name }, options);
  }
  return answers.list(view, page);
}

async function onObject({ cluster, request, route, view, warn }: Call): Promise<Answer> {
  const target = targetOf(route);
  const options = writeOptions(request, warn);
  switch (request.method) {
    case 'GET':
      return getObject(cluster, target, view);
    case 'PUT': {
      const { object, created } = replaceObject(cluster, target, await bodyOf(request), options);
      return answers.object(view, created ? 201 : 200, object);
    }
    case 'PATCH':
      return patchObject({ cluster, request, route, view, warn }, target);
    case 'DELETE': {
      if (target.subresource) throw notAllowed();
      const { object, gone } = deleteObject(cluster, target, deleteOptions(request, await parseBody(request)));
      if (gone && !route.resource.returnsDeleted) return answers.json(200, success(route, object));
      return answers.object(view, 200, object);
    }
    default:
      throw notAllowed();
  }
}

function targetOf(route: Route): Target {
  const { resource, namespace, name, subresource } = route;
  if (subresource === '') return { resource, namespace, name };
  const known = resource.subresources.find((each) => each === subresource);
  if (!known) throw noSuchPath();
  return { resource, namespace, name, subresource: known };
}

function getObject(cluster: Cluster, target: Target, view: View): Answer {
  const { object, json } = existing(cluster, target);
  if (target.subresource === 'scale') return answers.json(200, scaleOf(object));
  const plain = view.shape === 'object' && view.resource.shape === view.resource.kind;
  return plain ? answers.json(200, json) : answers.object(view, 200, object);
}

async function patchObject({ cluster, request, view, warn }: Call, target: Target): Promise<Answer> {
  const options = writeOptions(request, warn);
  const patch = (await parseBody(request)) as Json;
  if (request.contentType === 'application/apply-patch+yaml') {
    if (!request.query.get('fieldManager')) throw missingManager();
    const { object, created } = applyObject(cluster, target, patch, options);
    return answers.object(view, created ? 201 : 200, object);
  }
  const change = patcher(request.contentType, target, patch);
  return answers.object(view, 200, changeObject(cluster, target, change, options));
}

function patcher(contentType: string, target: Target, patch: Json): (current: JsonMap) => unknown {
  switch (contentType) {
    case 'application/merge-patch+json':
      if (!isMap(patch)) throw badRequest('error decoding patch: the patch is not an object');
      return (current) => mergePatch(current, patch);
    case 'application/json-patch+json':
      return (current) => jsonPatch(current, patch);
    case 'application/strategic-merge-patch+json': {
      const struct = structOf(target.subresource === 'scale' ? 'Scale' : target.resource.shape);
      return (current) => strategicPatch(struct, current, patch);
    }
    default:
      throw unsupportedMedia();
  }
}

function unsupportedMedia(): ApiFailure {
  return new ApiFailure(415, 'UnsupportedMediaType', '415: Unsupported Media Type');
}

async function bodyOf(request: ApiRequest): Promise<unknown> {
  if (!['application/json', 'application/yaml', PROTOBUF, ''].includes(request.contentType)) throw unsupportedMedia();
  return parseBody(request);
}

function notAllowed(): ApiFailure {
  return new ApiFailure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
}

function success(route: Route, object: KubeObject): JsonMap {
  const { group, resource } = route.resource;
  const details = { name: object.metadata.name, ...(group ? { group } : {}), kind: resource, uid: object.metadata.uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}
