import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A read-only corner of a Kubernetes API with objects that a test puts in, and a kubeconfig that leads to it. */
export interface SmallKube {
  readonly kubeconfig: string;
  /** Adds or replaces, and tells the watches. */
  put(kind: Kind, object: RawObject): void;
  remove(kind: Kind, namespace: string, name: string): void;
  /** Kinds for which no answer comes. */
  readonly silent: Set<Kind>;
  /** Requests that wanted to write. */
  readonly writes: readonly string[];
  close(): Promise<void>;
}

const KINDS = [
  'services',
  'nodes',
  'endpointslices',
  'configmaps',
  'daemonsets',
  'deployments',
  'ipaddresspools',
  'addresspools',
  'l2advertisements',
  'bgpadvertisements',
] as const;
type Kind = (typeof KINDS)[number];
const PATH = new RegExp(`^/apis?/.*?(?:/namespaces/([^/]+))?/(${KINDS.join('|')})(?:/([^/]+))?$`);

export interface RawObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

interface Watch {
  readonly kind: Kind;
  readonly namespace: string;
  readonly response: ServerResponse;
}

function tellOne(watch: Watch, event: { readonly kind: Kind; readonly type: string; readonly object: RawObject }): void {
  if (watch.kind !== event.kind || (watch.namespace !== '' && watch.namespace !== event.object.metadata.namespace)) return;
  watch.response.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`);
}

export async function startSmallKube(): Promise<SmallKube> {
  const objects = new Map<string, RawObject>();
  const watches = new Set<Watch>();
  const writes: string[] = [];
  const silent = new Set<Kind>();
  const history: { readonly version: number; readonly kind: Kind; readonly type: string; readonly object: RawObject }[] = [];
  let version = 100;

  function answer(request: IncomingMessage, response: ServerResponse): unknown {
    if (request.method !== 'GET') {
      writes.push(`${request.method} ${request.url}`);
      return send(response, 403, { kind: 'Status', reason: 'Forbidden', message: 'read only' });
    }
    const url = new URL(request.url ?? '', 'http://x');
    const match = PATH.exec(url.pathname);
    if (!match) return send(response, 200, { metadata: { resourceVersion: String(version) }, items: [] });
    const [, namespace = '', kind, name] = match as unknown as [string, string | undefined, Kind, string | undefined];
    if (silent.has(kind)) return undefined;
    if (name !== undefined) return sendOne(response, `${kind} ${namespace}/${name}`, name);
    if (url.searchParams.get('watch')) return watch(response, kind, namespace, Number(url.searchParams.get('resourceVersion')));
    const selector = url.searchParams.get('labelSelector')?.split('=') ?? [];
    const items = listOf(kind, namespace).filter(
      (o) => selector.length === 0 || o.metadata.labels?.[selector[0]!] === selector[1],
    );
    return send(response, 200, { metadata: { resourceVersion: String(version) }, items });
  }

  function listOf(kind: Kind, namespace: string): RawObject[] {
    const all = [...objects].filter(([key]) => key.startsWith(`${kind} `)).map(([, object]) => object);
    return all.filter((object) => namespace === '' || object.metadata.namespace === namespace);
  }

  function sendOne(response: ServerResponse, key: string, name: string): unknown {
    const object = objects.get(key);
    if (object) return send(response, 200, object);
    return send(response, 404, { kind: 'Status', reason: 'NotFound', message: `services "${name}" not found` });
  }

  function watch(response: ServerResponse, kind: Kind, namespace: string, since: number): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const one = { kind, namespace, response };
    for (const event of history) if (event.version > since) tellOne(one, event);
    watches.add(one);
    response.on('close', () => watches.delete(one));
  }

  function tell(type: string, kind: Kind, object: RawObject): void {
    const event = { version, kind, type, object };
    history.push(event);
    for (const one of watches) tellOne(one, event);
  }

  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, describeKubeconfig((server.address() as AddressInfo).port));
  return {
    kubeconfig,
    writes,
    silent,
    put(kind, raw) {
      const key = `${kind} ${raw.metadata.namespace ?? ''}/${raw.metadata.name}`;
      version += 1;
      const object = { ...raw, metadata: { uid: key, resourceVersion: String(version), ...raw.metadata } };
      tell(objects.has(key) ? 'MODIFIED' : 'ADDED', kind, object);
      objects.set(key, object);
    },
    remove(kind, namespace, name) {
      const key = `${kind} ${namespace}/${name}`;
      const object = objects.get(key)!;
      version += 1;
      objects.delete(key);
      tell('DELETED', kind, {
        ...object,
        metadata: { ...object.metadata, resourceVersion: String(version) } as RawObject['metadata'],
      });
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await rm(folder, { recursive: true });
    },
  };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function describeKubeconfig(port: number): string {
  return JSON.stringify({
    clusters: [{ name: 'small', cluster: { server: `http://127.0.0.1:${port}` } }],
    contexts: [{ name: 'small', context: { cluster: 'small', user: '', namespace: 'shop' } }],
    users: [],
    'current-context': 'small',
  });
}
