import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type KubeApi, KubeError } from '../../src/kube/api.ts';
import { pauseAfter, type WatchOptions } from '../../src/kube/follow.ts';
import { readService, type Service } from '../../src/kube/objects.ts';
import { type Watched, watchObjects } from '../../src/kube/watch.ts';
import { keepLog, MemoryApi } from './memory-api.ts';
import { until } from './serve.ts';

let api: MemoryApi;
let log: ReturnType<typeof keepLog>;
let watched: Watched<Service>;
const begun: Watched<Service>[] = [];
let told: string[];
let waits: number[];
let clock: number;
beforeEach(() => {
  api = new MemoryApi();
  log = keepLog();
  told = [];
  waits = [];
  clock = 0;
});
afterEach(async () => {
  for (const one of begun.splice(0)) await one.stop();
});

function put(name: string, fields: { namespace?: string; port?: number; labels?: object } = {}): void {
  const { namespace = 'a', port = 80, labels } = fields;
  api.set('services', { metadata: { namespace, name, labels }, spec: { ports: [{ port }] } });
}

/** Watches with a clock that a wait moves on, so that nothing here takes time. */
function start(options: Partial<WatchOptions<Service>> = {}): Watched<Service> {
  watched = watchObjects<Service>({
    api,
    list: 'listServices',
    watch: 'watchServices',
    namespaces: [],
    read: readService,
    changed: (before, after) => {
      told.push(
        `${before ? `${before.name}:${before.ports[0]?.port}` : '-'} > ${after ? `${after.name}:${after.ports[0]?.port}` : '-'}`,
      );
    },
    log,
    now: () => clock,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      waits.push(ms);
      clock += ms;
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    },
    ...options,
  });
  begun.push(watched);
  return watched;
}

function names(): string[] {
  return [...watched.all()].map((service) => `${service.namespace}/${service.name}`).sort();
}

describe('the copy', () => {
  test('has what the pages of the list had, and then what happens', async () => {
    for (const name of ['p', 'q', 'r']) put(name);
    await start({ pageSize: 2 }).synced;
    expect(names()).toEqual(['a/p', 'a/q', 'a/r']);
    await until(() => api.watching === 1);
    put('p', { port: 81 });
    api.delete('services', 'a', 'q');
    put('s', { namespace: 'b' });
    expect(told.slice(3)).toEqual(['p:80 > p:81', 'q:80 > -', '- > s:80']);
    expect(watched.get('a/p')?.ports[0]?.port).toBe(81);
    expect(watched.get('a/q')).toBeUndefined();
  });

  test('of several namespaces has no others', async () => {
    for (const namespace of ['a', 'b', 'c']) put('x', { namespace });
    await start({ namespaces: ['a', 'b', 'a'] }).synced;
    await until(() => api.watching === 2);
    put('y', { namespace: 'b' });
    put('y', { namespace: 'c' });
    expect(names()).toEqual(['a/x', 'b/x', 'b/y']);
  });

  test('is told of a namesake as of a deletion and a creation', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    api.endWatches(new KubeError(0, 'Unreachable', 'cut'));
    api.delete('services', 'a', 'x');
    api.compact();
    put('x', { port: 99 });
    await until(() => told.length === 3);
    expect(told).toEqual(['- > x:80', 'x:80 > -', '- > x:99']);
  });

  test('passes over what cannot be read, and says so once', async () => {
    put('ok');
    const read = (raw: unknown): Service | undefined => {
      const service = readService(raw);
      if (service?.name === 'bad') throw new Error('garbage within');
      return service?.name === 'odd' ? undefined : service;
    };
    await start({ read }).synced;
    await until(() => api.watching === 1);
    for (let i = 0; i < 3; i += 1) {
      put('bad');
      put('odd');
    }
    put('ok', { port: 81 });
    expect(told).toEqual(['- > ok:80', 'ok:80 > ok:81']);
    expect(log.lines.filter((line) => line.includes('a/bad')).length).toBe(1);
    expect(log.lines.filter((line) => line.includes('garbage within') || line.includes('a/odd')).length).toBe(2);
  });

  test('survives a listener that throws', async () => {
    put('x');
    await start({
      changed: (_, after) => {
        told.push(after?.name ?? '-');
        throw new Error('listener');
      },
    }).synced;
    await until(() => api.watching === 1);
    put('y');
    expect(told).toEqual(['x', 'y']);
    expect(names()).toEqual(['a/x', 'a/y']);
  });
});

describe('our own writes', () => {
  const stored = (): Service => watched.get('a/x')!;
  const answer = (port: number): Service =>
    readService(api.set('services', { metadata: { namespace: 'a', name: 'x' }, spec: { ports: [{ port }] } }))!;

  test('that were put are silent when they come back, and what follows is told against them', async () => {
    put('x');
    const held: (() => void)[] = [];
    const real = api.watch.bind(api);
    api.watch = (call, namespace, query, onEvent, signal, onOpen) =>
      real(call, namespace, query, (event) => held.push(() => onEvent(event)), signal, onOpen); // events are slow to come
    await start().synced;
    await until(() => api.watching === 1);
    put('x', { port: 81 }); // somebody else's, which we have not heard of
    const ours = answer(82);
    watched.put(ours);
    put('x', { port: 83 });
    for (const deliver of held) deliver();
    expect(told).toEqual(['- > x:80', 'x:82 > x:83']);
    expect(stored().ports[0]?.port).toBe(83);
  });

  test('that come late change nothing', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    const ours = answer(81);
    put('x', { port: 82 });
    watched.put(ours);
    expect(stored().ports[0]?.port).toBe(82);
    api.delete('services', 'a', 'x');
    watched.put(ours);
    expect(names()).toEqual([]);
    put('x', { port: 90 });
    watched.put({ ...ours, resourceVersion: '999999' });
    expect(stored().ports[0]?.port).toBe(90);
  });
});

describe('whatever fails', () => {
  test('a watch that ends goes on where it was, without a list', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    put('y');
    api.refuse = (call) => (call === 'listServices' ? new KubeError(500, 'InternalError', 'no lists today') : undefined);
    clock += 60_000;
    api.endWatches();
    put('z');
    await until(() => api.watching === 1 && told.length === 3);
    expect(told).toEqual(['- > x:80', '- > y:80', '- > z:80']);
    expect(watched.healthy().connected).toBe(true);
  });

  test('a bookmark moves the place to go on from past a compaction', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    api.set('nodes', { metadata: { name: 'n' } });
    api.compact();
    api.bookmark();
    api.refuse = (call) => (call === 'listServices' ? new KubeError(500, 'InternalError', 'no lists today') : undefined);
    clock += 60_000;
    api.endWatches();
    await until(() => api.watching === 1);
    put('y');
    expect(told).toEqual(['- > x:80', '- > y:80']);
  });

  test('too old: it lists anew at once and finds out what has changed, and what has gone', async () => {
    for (const name of ['x', 'y', 'z']) put(name);
    await start().synced;
    await until(() => api.watching === 1);
    const wait = Promise.withResolvers<void>();
    api.pace = () => wait.promise;
    clock += 60_000;
    api.endWatches();
    api.delete('services', 'a', 'x');
    put('y', { port: 81 });
    api.compact();
    wait.resolve();
    await until(() => api.watching === 1);
    expect(told.slice(3)).toEqual(['y:80 > y:81', 'x:80 > -']);
    expect(waits).toEqual([]);
    expect(log.lines.some((line) => line.startsWith('info') && line.includes('listing anew'))).toBe(true);
  });

  test('too old after a restart: what was waited for the server does not count', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    let left = 10;
    api.refuse = () => {
      left -= 1;
      return left >= 0 ? new KubeError(0, 'Unreachable', 'restarting') : undefined;
    };
    put('y');
    clock += 60_000;
    api.endWatches(new KubeError(0, 'Unreachable', 'restarting'));
    put('z');
    api.compact();
    await until(() => told.length === 3 && api.watching === 1);
    expect(waits.length).toBe(11); // one for each refusal, none for the 410
  });

  test('too old again and again is no reason to spin', async () => {
    let left = 4;
    api.refuse = (call) => {
      if (call === 'listServices') return undefined;
      left -= 1;
      return left >= 0 ? new KubeError(410, 'Expired', 'too old') : undefined;
    };
    await start().synced;
    await until(() => api.watching === 1);
    expect(waits).toEqual([250, 500, 1000]);
  });

  test('too old between two pages: the list begins again', async () => {
    for (const name of ['x', 'y', 'z']) put(name);
    let pages = 0;
    const real = api.list.bind(api);
    api.list = async (...args) => {
      pages += 1;
      if (pages === 2) {
        put('w');
        api.compact();
      }
      return real(...args);
    };
    await start({ pageSize: 2 }).synced;
    expect(names()).toEqual(['a/w', 'a/x', 'a/y', 'a/z']);
  });

  test('an API server that is away is waited for, longer each time and never for ever', async () => {
    put('x');
    let left = 18;
    api.refuse = () => {
      left -= 1;
      return left >= 0 ? new KubeError(0, 'Unreachable', 'list services: no answer from memory://') : undefined;
    };
    await start().synced;
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, ...Array(13).fill(5000)]);
    expect(names()).toEqual(['a/x']);
    const said = log.lines.filter((line) => line.startsWith('warn'));
    expect(said.length).toBe(2); // once, and again after a minute
    await until(() => log.lines.some((line) => line.includes('watching services again')));
  });

  test('an API server that forbids is told of as an error, and asked again', async () => {
    put('x');
    let left = 4;
    api.refuse = () => {
      left -= 1;
      return left >= 0 ? new KubeError(403, 'Forbidden', 'grant it in a ClusterRole') : undefined;
    };
    expect(start().healthy().connected).toBe(false);
    await watched.synced;
    expect(log.lines.filter((line) => line.startsWith('error') && line.includes('grant it')).length).toBe(1);
    await until(() => watched.healthy().connected);
    expect(names()).toEqual(['a/x']);
  });

  test('a server that asks for time gets it, within reason', async () => {
    const retryAfterMs = [20_000, 3_600_000];
    api.refuse = () => {
      const ms = retryAfterMs.shift();
      return ms === undefined ? undefined : new KubeError(429, 'TooManyRequests', 'later', { retryAfterMs: ms });
    };
    await start().synced;
    expect(waits).toEqual([20_000, 60_000]);
  });

  test('a watch that ends at once does not spin', async () => {
    await start().synced;
    await until(() => api.watching === 1);
    for (let i = 1; i <= 4; i += 1) {
      api.endWatches();
      await until(() => waits.length === i && api.watching === 1);
    }
    expect(waits).toEqual([250, 500, 1000, 2000]);
  });

  test('an error event that is no 410 is waited out, and the watch goes on', async () => {
    put('x');
    await start().synced;
    await until(() => api.watching === 1);
    api.send({ type: 'ERROR', object: { code: 500, reason: 'InternalError', message: 'etcd leader changed' } });
    await until(() => api.watching === 1 && waits.length === 1);
    put('y');
    expect(told).toEqual(['- > x:80', '- > y:80']);
    expect(log.lines.join()).toContain('etcd leader changed');
  });

  test('an etcd that was restored from a backup counts, although its versions are lower', async () => {
    put('x');
    put('y');
    const backup = api.all('services');
    put('x', { port: 81 });
    for (let i = 0; i < 5; i += 1) put('z');
    await start().synced;
    await until(() => api.watching === 1);
    api.restore({ services: backup }, 102);
    await until(() => told.length === 6 && api.watching === 1);
    // y too: after a restore one version may stand for two contents.
    expect(told.slice(3).sort()).toEqual(['x:81 > x:80', 'y:80 > y:80', 'z:80 > -']);
    expect(names()).toEqual(['a/x', 'a/y']);
  });
});

test('stopped before it was synced, it says so', async () => {
  api.refuse = () => new KubeError(0, 'Unreachable', 'away');
  start();
  const synced = expect(watched.synced).rejects.toThrow('stopped before');
  await watched.stop();
  await synced;
});

test('a stop does not wait for a list that hangs', async () => {
  api.pace = () => new Promise(() => {});
  start();
  await watched.stop();
  expect(names()).toEqual([]);
});

test.each<{ failures: number; random: number; ms: number }>([
  { failures: 1, random: 0, ms: 100 },
  { failures: 1, random: 0.5, ms: 100 },
  { failures: 2, random: 0.999, ms: 299.8 },
  { failures: 5, random: 0, ms: 500 },
  { failures: 5, random: 0.9, ms: 1000 },
  { failures: 5000, random: 0.5, ms: 1000 },
])('pause after $failures at $random', ({ failures, random, ms }) => {
  expect(pauseAfter(failures, { minMs: 100, maxMs: 1000 }, random)).toBeCloseTo(ms, 3);
});

test('an open watch on which nothing is heard is opened again at once, and nobody is warned', async () => {
  const warned: string[] = [];
  const again = Promise.withResolvers<void>();
  let watches = 0;
  const silent = {
    list: async () => ({ items: [], resourceVersion: '7', next: '' }),
    async watch(_call: string, _namespace: string, _query: object, _onEvent: unknown, signal: AbortSignal, onOpen?: () => void) {
      watches += 1;
      onOpen?.();
      if (watches === 1) throw new KubeError(0, 'Timeout', 'nothing was heard for too long');
      again.resolve();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  } as unknown as KubeApi;
  const loud = {
    debug() {},
    info() {},
    warn: (_: object, text: string) => void warned.push(text),
    error: (_: object, text: string) => void warned.push(text),
  };
  const sleep = async (): Promise<void> => void warned.push('slept');
  start({ api: silent, log: loud, sleep });
  await again.promise;
  expect(warned).toEqual([]);
});
