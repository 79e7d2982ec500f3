import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import nock from 'nock';
import { type KubeApi, KubeError, type WatchEvent } from '../../src/kube/api.ts';
import { type ConnectOptions, connectKube } from '../../src/kube/client.ts';
import { type Asked, kubeconfigOf, makeDirectory, refusal, reply, type Served, serve, until } from './serve.ts';

let directory: ReturnType<typeof makeDirectory>;
let server: Served | undefined;
let api: KubeApi | undefined;
beforeEach(() => {
  directory = makeDirectory();
});
afterEach(async () => {
  await api?.close();
  await server?.close();
  directory.remove();
  api = server = undefined;
});
afterAll(() => nock.restore());

/** A client of a server that answers so. */
async function against(
  answer: (asked: Asked, response: ServerResponse) => void,
  options: ConnectOptions = {},
  prefix = '',
): Promise<KubeApi> {
  server = await serve(answer);
  const kubeconfig = directory.write('config', kubeconfigOf({ server: server.url + prefix }));
  api = await connectKube({ kubeconfig, ...options });
  return api;
}

async function failureOf(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof KubeError) return error;
  throw new Error(`no KubeError: ${error}`);
}

describe('calls', () => {
  /** Answers with what was asked. */
  const echo = ({ method, url, headers, body }: Asked, response: ServerResponse): void => {
    const type = headers['content-type'];
    reply(response, 200, { asked: `${method} ${url.pathname}${url.search}`, type, agent: headers['user-agent'], body });
  };

  test('each has its URL, verb and type', async () => {
    const kube = await against(echo, { userAgent: 'nodeport-lb/1.2.3' });
    const status = { status: { conditions: [] } };
    expect(await kube.patch('patchServiceStatus', 'study', 'tomcat', status, 'merge')).toEqual({
      asked: 'PATCH /api/v1/namespaces/study/services/tomcat/status?fieldManager=nodeport-lb',
      type: 'application/merge-patch+json',
      agent: 'nodeport-lb/1.2.3',
      body: '{"status":{"conditions":[]}}',
    });
    expect(await kube.patch('patchEvent', 'a', 'b', {}, 'strategic')).toMatchObject({
      asked: 'PATCH /api/v1/namespaces/a/events/b?fieldManager=nodeport-lb',
      type: 'application/strategic-merge-patch+json',
    });
    expect(await kube.create('createLease', 'a', {})).toMatchObject({
      asked: 'POST /apis/coordination.k8s.io/v1/namespaces/a/leases?fieldManager=nodeport-lb',
      type: 'application/json',
    });
    expect(await kube.update('updateLease', 'a', 'b', {})).toMatchObject({
      asked: 'PUT /apis/coordination.k8s.io/v1/namespaces/a/leases/b?fieldManager=nodeport-lb',
    });
    expect(await kube.get('getService', 'a', 'b/../c')).toMatchObject({ asked: 'GET /api/v1/namespaces/a/services/b%2F..%2Fc' });
  });

  test('a server URL may have a path', async () => {
    const kube = await against(echo, {}, '/k8s/clusters/c-1/');
    expect(await kube.get('getService', 'a', 'b')).toMatchObject({
      asked: 'GET /k8s/clusters/c-1/api/v1/namespaces/a/services/b',
    });
  });

  test('a list is read page by page', async () => {
    const kube = await against(({ url }, response) => {
      const next = url.searchParams.get('continue') === 'p2' ? '' : 'p2';
      reply(response, 200, { metadata: { resourceVersion: '7', continue: next }, items: [url.search] });
    });
    const first = await kube.list('listNodes', '', { limit: 2, labelSelector: 'a=b' });
    expect(first).toEqual({ items: ['?limit=2&labelSelector=a%3Db'], resourceVersion: '7', next: 'p2' });
    expect(await kube.list('listNodes', '', { limit: 2, next: first.next })).toMatchObject({ next: '' });
    expect((await kube.list('listServices', 'x', {})).items).toEqual(['']);
  });

  test('connections are kept, and never more than 32', async () => {
    const ports = new Set<number | undefined>();
    const kube = await against(({ incoming }, response) => {
      ports.add(incoming.socket.remotePort);
      reply(response, 200, {});
    });
    for (let i = 0; i < 20; i += 1) await kube.get('getService', 'a', 'b');
    expect(ports.size).toBeLessThanOrEqual(2); // undici frees a connection a moment after the answer
    await Promise.all(Array.from({ length: 200 }, () => kube.get('getService', 'a', 'b')));
    expect(ports.size).toBeLessThanOrEqual(32);
  });

  test('nock can stand in for an API server, which proves that every call goes through undici', async () => {
    const kubeconfig = directory.write(
      'config',
      kubeconfigOf({ server: 'https://api.lab.test:6443', user: { token: 'secret' } }),
    );
    const scope = nock('https://api.lab.test:6443', { reqheaders: { authorization: 'Bearer secret' } })
      .get('/api/v1/nodes')
      .reply(200, { metadata: { resourceVersion: '9' }, items: [] });
    api = await connectKube({ kubeconfig });
    expect(await api.list('listNodes', '', {})).toEqual({ items: [], resourceVersion: '9', next: '' });
    scope.done();
  });
});

describe('failures', () => {
  test('what the server refuses is a KubeError with its status and reason', async () => {
    const kube = await against((_, response) => reply(response, 409, refusal(409, 'Conflict', 'has been modified')));
    const error = await failureOf(kube.update('updateLease', 'a', 'b', {}));
    expect(error).toMatchObject({ status: 409, reason: 'Conflict', message: 'update leases a/b: has been modified' });
  });

  test('what is no Kubernetes is told', async () => {
    const kube = await against((_, response) => reply(response, 200, '<html>hello</html>'));
    expect(await failureOf(kube.get('getService', 'a', 'b'))).toMatchObject({
      reason: 'NotKubernetes',
      message: expect.stringContaining('is this URL a Kubernetes API server?'),
    });
  });

  test('a server that is down is named, and why', async () => {
    const kube = await against(() => {});
    const { url } = server!;
    await server!.close();
    const error = await failureOf(kube.list('listServices', '', {}));
    expect(error).toMatchObject({ status: 0, reason: 'Unreachable' });
    expect(error.message).toContain(`no answer from ${url} (context lab): connection refused`);
  });

  test('an answer that does not come is waited for no longer than said', async () => {
    const kube = await against(() => {}, { requestTimeoutMs: 150 });
    expect(await failureOf(kube.get('getService', 'a', 'b'))).toMatchObject({ status: 0, reason: 'Timeout' });
  });
});

describe('repeats', () => {
  test('a read is repeated through trouble', async () => {
    let seen = 0;
    const kube = await against(({ incoming }, response) => {
      seen += 1;
      if (seen === 1) reply(response, 503, '');
      else if (seen === 2) incoming.socket.destroy();
      else reply(response, 200, { seen });
    });
    expect(await kube.get('getService', 'a', 'b')).toEqual({ seen: 3 });
  });

  test('it is repeated three times at most, and then told', async () => {
    let seen = 0;
    const kube = await against((_, response) => {
      seen += 1;
      reply(response, 500, refusal(500, 'InternalError', 'etcd is away'));
    });
    expect(await failureOf(kube.get('getService', 'a', 'b'))).toMatchObject({ status: 500, reason: 'InternalError' });
    expect(seen).toBe(4);
  });

  test('a write that may have been done is never sent again', async () => {
    let done = 0;
    const kube = await against(({ incoming }) => {
      done += 1;
      incoming.socket.destroy();
    });
    expect(await failureOf(kube.create('createEvent', 'a', {}))).toMatchObject({ status: 0, reason: 'Unreachable' });
    expect(done).toBe(1);
  });

  test('a write that was turned away is sent again when the server said', async () => {
    let seen = 0;
    const kube = await against((_, response) => {
      seen += 1;
      if (seen === 1) reply(response, 429, refusal(429, 'TooManyRequests', 'later'), { 'retry-after': '1' });
      else reply(response, 201, { seen });
    });
    const begun = performance.now();
    expect(await kube.create('createEvent', 'a', {})).toEqual({ seen: 2 });
    expect(performance.now() - begun).toBeGreaterThanOrEqual(990);
  });

  test('a write that may not be sent is not, and one that is to be repeated is asked about again', async () => {
    let seen = 0;
    let may = true;
    const kube = await against((_, response) => {
      seen += 1;
      may = false; // the process is paused while it waits
      reply(response, 429, refusal(429, 'TooManyRequests', 'later'), { 'retry-after': '0' });
    });
    expect(await failureOf(kube.create('createEvent', 'a', {}, () => may))).toMatchObject({ status: 0, reason: 'Withheld' });
    expect(seen).toBe(1);
    const patch = kube.patch('patchServiceStatus', 'a', 'b', {}, 'strategic', () => may);
    expect(await failureOf(patch)).toMatchObject({ reason: 'Withheld' });
    expect(seen).toBe(1);
  });

  test('a longer wait is left to the caller', async () => {
    const kube = await against((_, response) => reply(response, 429, '', { 'retry-after': '60' }));
    expect(await failureOf(kube.get('getService', 'a', 'b'))).toMatchObject({ status: 429, retryAfterMs: 60_000 });
  });
});

describe('watch', () => {
  const query = { resourceVersion: '5', timeoutSeconds: 60 };
  const line = (type: WatchEvent['type'], object: unknown): string => `${JSON.stringify({ type, object })}\n`;
  const never = new AbortController().signal;

  test('events come in order, whole, and the end is the server’s', async () => {
    let asked = '';
    const kube = await against(({ url }, response) => {
      asked = `${url.pathname}${url.search}`;
      const all = line('ADDED', { n: 'ä' }) + line('MODIFIED', { n: 2 }) + line('BOOKMARK', { n: 3 }) + line('DELETED', { n: 4 });
      response.writeHead(200);
      response.write(Buffer.from(all).subarray(0, 35));
      setImmediate(() => response.end(Buffer.from(all).subarray(35)));
    });
    const events: WatchEvent[] = [];
    let opened = 0;
    await kube.watch(
      'watchServices',
      'a',
      query,
      (event) => events.push(event),
      never,
      () => {
        opened += 1;
      },
    );
    expect(asked).toBe('/api/v1/namespaces/a/services?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=60');
    expect(events.map(({ type, object }) => [type, object])).toEqual([
      ['ADDED', { n: 'ä' }],
      ['MODIFIED', { n: 2 }],
      ['BOOKMARK', { n: 3 }],
      ['DELETED', { n: 4 }],
    ]);
    expect(opened).toBe(1);
  });

  test('an ERROR event is handed over, and rejects with its status', async () => {
    const kube = await against((_, response) => {
      response.writeHead(200);
      response.write(line('ERROR', refusal(410, 'Expired', 'too old resource version: 5 (9)')));
    });
    const events: WatchEvent[] = [];
    const error = await failureOf(kube.watch('watchServices', '', query, (event) => events.push(event), never));
    expect(error).toMatchObject({ status: 410, reason: 'Expired' });
    expect(events.map((event) => event.type)).toEqual(['ERROR']);
  });

  test('a refusal is a KubeError', async () => {
    const kube = await against((_, response) => reply(response, 403, refusal(403, 'Forbidden', 'no')));
    expect(await failureOf(kube.watch('watchNodes', '', query, () => {}, never))).toMatchObject({ status: 403 });
  });

  test('silence is death', async () => {
    const kube = await against(
      (_, response) => {
        response.writeHead(200);
        response.write(line('BOOKMARK', {}));
      },
      { silenceMs: 150 },
    );
    expect(await failureOf(kube.watch('watchNodes', '', query, () => {}, never))).toMatchObject({ status: 0, reason: 'Timeout' });
  });

  test('bytes are life', async () => {
    const kube = await against(
      (_, response) => {
        response.writeHead(200);
        let left = 8;
        const timer = setInterval(() => {
          left -= 1;
          if (left > 0) response.write(line('BOOKMARK', {}));
          else {
            clearInterval(timer);
            response.end();
          }
        }, 50);
      },
      { silenceMs: 250 },
    );
    let seen = 0;
    await kube.watch(
      'watchNodes',
      '',
      query,
      () => {
        seen += 1;
      },
      never,
    );
    expect(seen).toBe(7);
  });

  test('a cut connection, a line of garbage and a signal reject', async () => {
    let cut: () => void = () => {};
    let text = line('BOOKMARK', {});
    const kube = await against(({ incoming }, response) => {
      response.writeHead(200);
      response.write(text);
      cut = () => incoming.socket.destroy();
    });
    expect(await failureOf(kube.watch('watchNodes', '', query, () => cut(), never))).toMatchObject({ reason: 'Unreachable' });
    const stop = new AbortController();
    expect(await failureOf(kube.watch('watchNodes', '', query, () => stop.abort(), stop.signal))).toBeInstanceOf(KubeError);
    text = '{"type":"SURPRISE"}\n';
    expect(await failureOf(kube.watch('watchNodes', '', query, () => {}, never))).toMatchObject({ reason: 'NotKubernetes' });
  });

  test('a watch that was given up leaves no connection behind', async () => {
    let open = 0;
    const kube = await against(({ incoming }, response) => {
      open += 1;
      incoming.socket.on('close', () => {
        open -= 1;
      });
      response.writeHead(200);
      response.write(line('BOOKMARK', {}));
    });
    const stop = new AbortController();
    await failureOf(kube.watch('watchNodes', '', query, () => stop.abort(), stop.signal));
    await until(() => open === 0);
  });
});
