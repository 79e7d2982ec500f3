import { viewAs } from './body.ts';
import type { ApiFailure } from './failure.ts';
import type { JsonMap, KubeObject } from './json.ts';
import type { ListPage } from './lists.ts';
import type { Shape } from './request.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { type Include, metadataOf, tableOf } from './tables.ts';

/** What is sent back, already as text. */
export interface Answer {
  readonly code: number;
  readonly body: string;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface View {
  readonly resource: Resource;
  readonly shape: Shape;
  readonly include: Include;
  readonly nowMs: number;
}

export function json(code: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { code, body: typeof body === 'string' ? body : JSON.stringify(body), contentType: 'application/json', headers };
}

export function plainText(code: number, body: string): Answer {
  return { code, body, contentType: 'text/plain; charset=utf-8' };
}

export function failed(failure: ApiFailure): Answer {
  const wait = failure.retryAfterSeconds;
  return json(failure.code, failure.toStatus(), wait === undefined ? {} : { 'retry-after': String(wait) });
}

export function object(view: View, code: number, stored: KubeObject): Answer {
  if (view.shape === 'metadata') return json(code, metadataOf(stored));
  if (view.shape === 'table') return json(code, tableFor(view, [stored], { resourceVersion: stored.metadata.resourceVersion }));
  return json(code, viewAs(view.resource, stored));
}

function tableFor(view: View, objects: readonly KubeObject[], metadata: JsonMap): JsonMap {
  return tableOf(view.resource.kind, objects, metadata, { include: view.include, nowMs: view.nowMs, header: true });
}

/** A list, put together from the JSON that each object has already. */
export function list(view: View, page: ListPage): Answer {
  const metadata: JsonMap = {
    resourceVersion: String(page.revision),
    ...(page.next === '' ? {} : { continue: page.next }),
    ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
  };
  const objects = page.items.map((item) => item.object);
  if (view.shape === 'table') return json(200, tableFor(view, objects, metadata));
  if (view.shape === 'metadata') {
    return json(200, {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
      items: objects.map(metadataOf),
    });
  }
  const { resource } = view;
  const plain = resource.shape === resource.kind;
  const bare = `{"kind":"${resource.kind}","apiVersion":"${groupVersionOf(resource)}",`;
  const texts = page.items.map((item) => (plain ? item.json : JSON.stringify(viewAs(resource, item.object))));
  const items = texts.map((text) => (text.startsWith(bare) ? `{${text.slice(bare.length)}` : text)).join(',');
  const head = `"kind":"${resource.kind}List","apiVersion":"${groupVersionOf(resource)}","metadata":${JSON.stringify(metadata)}`;
  return json(200, `{${head},"items":[${items}]}`);
}

/** Renders the events of a watch where the shared plain JSON will not do. */
export function watchRenderer(view: View, now: () => number): ((type: string, object: KubeObject) => string) | undefined {
  const { resource, shape } = view;
  const line = (type: string, body: unknown): string => `${JSON.stringify({ type, object: body })}\n`;
  if (shape === 'metadata') return (type, stored) => line(type, metadataOf(stored));
  if (shape === 'object') {
    return resource.shape === resource.kind ? undefined : (type, stored) => line(type, viewAs(resource, stored));
  }
  let header = true;
  return (type, stored) => {
    const rows = type === 'BOOKMARK' ? [] : [stored];
    const metadata = { resourceVersion: stored.metadata.resourceVersion };
    const table = tableOf(resource.kind, rows, metadata, { include: view.include, nowMs: now(), header });
    header = false;
    return line(type, table);
  };
}
