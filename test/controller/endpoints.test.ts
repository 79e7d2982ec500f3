import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Endpoints, followEndpoints } from '../../src/controller/endpoints.ts';
import { KubeError } from '../../src/kube/api.ts';
import { keepLog, MemoryApi } from '../kube/memory-api.ts';

const http = { name: 'http', protocol: 'TCP' };
const away = new KubeError(0, 'Unreachable', 'the API server is away');
/** How long a watch that broke counts for here. */
const APART_MS = 60;

let api: MemoryApi;
let asked: string[];
let told: string[][];
let endpoints: Endpoints;
let log: ReturnType<typeof keepLog>;

beforeEach(() => {
  api = new MemoryApi();
  asked = [];
  told = [];
  log = keepLog();
  api.refuse = (call, namespace) => void asked.push(`${call} ${namespace}`.trim());
});

afterEach(() => endpoints.stop());

function follow(namespaces: readonly string[] = []): Endpoints {
  const changed = (services: readonly string[]) => void told.push([...services].sort());
  endpoints = followEndpoints({ api, namespaces, log, changed, gatherMs: 5, beginMs: 5_000, apartMs: APART_MS });
  return endpoints;
}

function put(service: string, nodes: readonly string[], { name = `${service}-1`, namespace = 'shop' } = {}): void {
  api.set('endpointslices', {
    metadata: { namespace, name, labels: { 'kubernetes.io/service-name': service } },
    endpoints: nodes.map((nodeName) => ({ nodeName })),
    ports: [{ ...http, port: 80 }],
  });
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within 60 s: ${what}; told was ${JSON.stringify(told)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const nodesOf = (service: string) => endpoints.nodesAt(`shop/${service}`, http)?.join();

describe('endpoints', () => {
  test('are not asked for before somebody needs them', async () => {
    put('web', ['n1']);
    follow();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toEqual([]);
    expect(endpoints.nodesAt('shop/web', http)).toBeUndefined();
    await until('they are listed', () => told.length > 0);
    expect(asked).toEqual(['listEndpointSlices', 'watchEndpointSlices']);
    expect(told).toEqual([['shop/web']]);
    expect(nodesOf('web')).toBe('n1');
  });

  test('are asked for in the namespaces that the Services are watched in, and there alone', async () => {
    put('web', ['n1']);
    await follow(['shop', 'bank']).begin();
    expect(nodesOf('web')).toBe('n1');
    expect(asked.filter((one) => one.startsWith('list')).sort()).toEqual(['listEndpointSlices bank', 'listEndpointSlices shop']);
  });

  test('that move are told, of the Services that were asked for: a burst is one change', async () => {
    put('web', ['n1']);
    put('other', ['n1']);
    await follow().begin();
    expect(nodesOf('web')).toBe('n1');
    told = [];
    for (const count of [1, 2, 3]) put('other', [`n${count}`, 'n4']);
    for (const count of [2, 3, 4]) put('web', ['n1', `n${count}`]);
    put('web', ['n5'], { name: 'web-2' });
    await until('it is told', () => told.length > 0);
    expect(told).toEqual([['shop/web']]);
    expect(nodesOf('web')).toBe('n1,n4,n5');
    api.delete('endpointslices', 'shop', 'web-2');
    await until('that one went', () => nodesOf('web') === 'n1,n4');
  });

  test('that stay where they are are no news, nor are those of a Service that nobody asks for any more', async () => {
    put('web', ['n1', 'n2']);
    put('past', ['n1']);
    put('last', ['n1']);
    await follow().begin();
    expect([nodesOf('web'), nodesOf('past'), nodesOf('last')]).toEqual(['n1,n2', 'n1', 'n1']);
    endpoints.forget('shop/past');
    told = [];
    put('web', ['n2', 'n1']);
    put('past', ['n2']);
    put('last', ['n3']);
    await until('the last is told', () => told.length > 0);
    expect(told).toEqual([['shop/last']]);
  });

  test('of a Service that has no slice are not known: nobody has said where it is served', async () => {
    await follow().begin();
    expect(endpoints.nodesAt('shop/new', http)).toBeUndefined();
    put('new', []);
    await until('it is told', () => told.flat().includes('shop/new'));
    expect(endpoints.nodesAt('shop/new', http)).toEqual([]);
  });

  test('without the right to watch them are not known, which is said once; with it they are', async () => {
    put('web', ['n1']);
    let calls = 0;
    api.refuse = () => {
      calls += 1;
      return new KubeError(403, 'Forbidden', 'endpointslices is forbidden');
    };
    follow();
    expect(nodesOf('web')).toBeUndefined();
    await until('it is said', () => log.lines.some((line) => line.includes('every node is a target')));
    await new Promise((resolve) => setTimeout(resolve, 2 * APART_MS));
    expect(log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    expect(log.lines.filter((line) => line.startsWith('error'))).toHaveLength(1);
    expect(calls).toBe(1); // the next try is in half a minute
    expect(nodesOf('web')).toBeUndefined();
    expect(told).toEqual([]);
  });

  test('are forgotten while the API server is away, and known again when it is back', async () => {
    put('web', ['n1']);
    await follow().begin();
    expect(nodesOf('web')).toBe('n1');
    told = [];
    api.refuse = () => away;
    api.endWatches(away);
    expect(nodesOf('web')).toBe('n1'); // as a watch that is only renewed
    await until('they do not count any more', () => told.length > 0 && nodesOf('web') === undefined);
    expect(told).toEqual([['shop/web']]);
    expect(log.lines.filter((line) => line.includes('every node is a target'))).toHaveLength(1);
    put('web', ['n2']);
    api.refuse = () => undefined;
    await until('they count again', () => nodesOf('web') === 'n2');
    await until('and that is said', () => log.lines.some((line) => line.includes('are heard again')));
  });

  test('are waited for at a start, but not for long', async () => {
    put('web', ['n1']);
    api.pace = () => new Promise(() => {}); // the API server takes the request and never answers
    endpoints = followEndpoints({ api, namespaces: [], log, changed: () => {}, beginMs: 20 });
    await endpoints.begin();
    expect(nodesOf('web')).toBeUndefined();
  });
});
