import { chmodSync, mkdirSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect as connectTo, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { UsageError } from '../../src/errors.ts';
import type { KubeApi } from '../../src/kube/api.ts';
import { type ConnectOptions, connectKube, describeKube } from '../../src/kube/client.ts';
import { makeAuthority } from './certificates.ts';
import { type Asked, kubeconfigOf, makeDirectory, refusal, reply, type Served, serve } from './serve.ts';

let directory: ReturnType<typeof makeDirectory>;
let server: Served | undefined;
let api: KubeApi | undefined;
beforeEach(() => {
  directory = makeDirectory();
});
afterEach(async () => {
  jest.useRealTimers();
  await api?.close();
  await server?.close();
  directory.remove();
  api = server = undefined;
});

const authority = makeAuthority('lab CA');
const CA = Buffer.from(authority.certificate).toString('base64');
const own = authority.issue({ commonName: 'api', ipAddresses: ['127.0.0.1'], dnsNames: ['kubernetes'] });
const tls = { cert: own.certificate, key: own.key };

/** Lets in whoever has one of these authorization headers. */
function guard(allowed: ReadonlySet<string>): (asked: Asked, response: ServerResponse) => void {
  return ({ headers }, response) => {
    const user = headers.authorization ?? '';
    if (allowed.has(user))
      reply(response, 200, { items: [`${user}|${headers['impersonate-user'] ?? ''}|${headers['impersonate-group'] ?? ''}`] });
    else reply(response, 401, refusal(401, 'Unauthorized', 'Unauthorized'));
  };
}

async function connect(parts: { cluster?: object; user?: object }, options: ConnectOptions = {}): Promise<KubeApi> {
  const content = kubeconfigOf({ server: server!.url, cluster: { 'certificate-authority-data': CA }, ...parts });
  const kubeconfig = directory.write('config', content);
  api = await connectKube({ kubeconfig, ...options });
  return api;
}

/** As whom the server sees us. */
async function whoAmI(kube: KubeApi): Promise<unknown> {
  return (await kube.list('listServices', '', {})).items[0];
}

async function problemOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof UsageError) return error.message;
  throw new Error(`no UsageError: ${error}`);
}

describe('ways in', () => {
  test.each<{ way: string; user: object; seen: string }>([
    { way: 'token', user: { token: 'abc' }, seen: 'Bearer abc||' },
    { way: 'user name and password', user: { username: 'me', password: 'pw' }, seen: 'Basic bWU6cHc=||' },
    {
      way: 'impersonation of user and groups',
      user: { token: 'abc', as: 'jane', 'as-groups': ['dev', 'ops'] },
      seen: 'Bearer abc|jane|dev, ops',
    },
  ])('$way', async ({ user, seen }) => {
    server = await serve(guard(new Set(['Bearer abc', 'Basic bWU6cHc='])), tls);
    expect(await whoAmI(await connect({ user }))).toBe(seen);
  });

  test('token file, with a newline at its end, whose path starts at the kubeconfig', async () => {
    server = await serve(guard(new Set(['Bearer abc'])), tls);
    directory.write('token', 'abc\n');
    expect(await whoAmI(await connect({ user: { token: 'stale', tokenFile: 'token' } }))).toBe('Bearer abc||');
  });

  test('client certificate, from data and from files', async () => {
    server = await serve(
      ({ incoming }, response) => {
        const peer = (incoming.socket as TLSSocket).getPeerCertificate();
        reply(response, 200, { items: [peer.subject?.CN] });
      },
      { ...tls, ca: authority.certificate, requestCert: true, rejectUnauthorized: true },
    );
    const jane = authority.issue({ commonName: 'jane' });
    const data = { 'client-certificate-data': btoa(jane.certificate), 'client-key-data': btoa(jane.key) };
    expect(await whoAmI(await connect({ user: data }))).toBe('jane');
    await api?.close();
    directory.write('jane.crt', jane.certificate);
    directory.write('jane.key', jane.key);
    const files = { 'client-certificate': 'jane.crt', 'client-key': 'jane.key' };
    expect(await whoAmI(await connect({ user: files }))).toBe('jane');
  });

  test('the server, the CA and the token that are given, without any kubeconfig', async () => {
    server = await serve(guard(new Set(['Bearer abc'])), tls);
    const certificateAuthority = directory.write('ca.crt', authority.certificate);
    const given = { env: {}, server: server.url, token: 'abc' };
    api = await connectKube({ ...given, certificateAuthority });
    expect(await whoAmI(api)).toBe('Bearer abc||');
    await api.close();
    api = await connectKube({ ...given, insecureSkipTlsVerify: true, as: 'jane' });
    expect(await whoAmI(api)).toBe('Bearer abc|jane|');
    await api.close();
    api = await connectKube(given); // nobody vouches for the server
    await expect(whoAmI(api)).rejects.toThrow('certificate');
  });

  test('plain HTTP, as the sandbox and kubectl proxy speak it', async () => {
    server = await serve(guard(new Set([''])));
    expect(await whoAmI(await connect({ cluster: {} }))).toBe('||');
  });

  test('OpenID Connect, while its token is valid', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = `${part({ alg: 'none' })}.${part({ exp: Math.floor(Date.now() / 1000) + 3600 })}.x`;
    server = await serve(guard(new Set([`Bearer ${token}`])), tls);
    const user = { 'auth-provider': { name: 'oidc', config: { 'id-token': token } } };
    expect(await whoAmI(await connect({ user }))).toBe(`Bearer ${token}||`);
  });
});

describe('exec plugins', () => {
  /** A plugin that gives one token after the other. */
  function writePlugin(expires: string): { command: string; args: string[]; apiVersion: string; provideClusterInfo: boolean } {
    const plugin = directory.write(
      'plugin.mjs',
      `import { existsSync, readFileSync, writeFileSync } from 'node:fs';
       const counter = ${JSON.stringify(`${directory.path}/count`)};
       const n = existsSync(counter) ? Number(readFileSync(counter)) + 1 : 1;
       writeFileSync(counter, String(n));
       const info = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
       if (!info.spec.cluster.server.startsWith('https://127.0.0.1')) process.exit(3);
       console.log(JSON.stringify({ apiVersion: info.apiVersion, kind: 'ExecCredential', status: { token: 't' + n${expires} } }));`,
    );
    const apiVersion = 'client.authentication.k8s.io/v1';
    return { command: process.execPath, args: [plugin], apiVersion, provideClusterInfo: true };
  }

  test('is run once, told of the cluster, and again when its token is refused', async () => {
    const allowed = new Set(['Bearer t1']);
    server = await serve(guard(allowed), tls);
    const kube = await connect({ user: { exec: writePlugin('') } });
    expect(await whoAmI(kube)).toBe('Bearer t1||');
    expect(await whoAmI(kube)).toBe('Bearer t1||');
    allowed.clear();
    allowed.add('Bearer t2');
    expect(await Promise.all([whoAmI(kube), whoAmI(kube), whoAmI(kube)])).toEqual(Array(3).fill('Bearer t2||'));
  });

  test('is run again when its token has expired', async () => {
    server = await serve(guard(new Set(['Bearer t1', 'Bearer t2'])), tls);
    const kube = await connect({ user: { exec: writePlugin(`, expirationTimestamp: '2001-01-01T00:00:00Z'`) } });
    expect(await whoAmI(kube)).toBe('Bearer t1||');
    passTime(11_000);
    expect(await whoAmI(kube)).toBe('Bearer t2||');
  });

  test('that never give what is accepted are told of, and not run in a loop', async () => {
    server = await serve(guard(new Set()), tls);
    const kube = await connect({ user: { exec: writePlugin('') } });
    const told = await Promise.all([1, 2, 3].map(() => whoAmI(kube).catch((error: Error) => error.message)));
    expect(told[0]).toContain('does not accept the credentials of context lab');
    await whoAmI(kube).catch(() => {});
    expect(Number(await import('node:fs').then((fs) => fs.readFileSync(`${directory.path}/count`, 'utf8')))).toBe(2);
  });

  test('that fail when they are needed again are told of with their words', async () => {
    const allowed = new Set(['Bearer t1']);
    server = await serve(guard(allowed), tls);
    const exec = writePlugin('');
    const kube = await connect({ user: { exec } });
    expect(await whoAmI(kube)).toBe('Bearer t1||');
    allowed.clear();
    directory.write('plugin.mjs', 'console.error("the session is over"); process.exit(1);');
    await expect(whoAmI(kube)).rejects.toMatchObject({
      status: 401,
      message: expect.stringContaining('could not be renewed: the session is over'),
    });
  });

  test('that are missing or fail are a problem of the kubeconfig', async () => {
    server = await serve(guard(new Set()), tls);
    const missing = await problemOf(
      connect({ user: { exec: { command: 'no-such-login', args: ['-x'], installHint: 'Get it at lab.test' } } }),
    );
    expect(missing).toContain('config: user lab-user "no-such-login -x": the exec plugin gave no credentials');
    expect(missing).toContain('Get it at lab.test');
    const failing = directory.write('fail.sh', '#!/bin/sh\necho "session over" >&2\nexit 1\n');
    chmodSync(failing, 0o755);
    expect(await problemOf(connect({ user: { exec: { command: './fail.sh' } } }))).toContain('session over');
  });
});

/** Moves the clocks that credentials are kept by; timers and sockets go on as ever. */
function passTime(ms: number): void {
  const doNotFake = [
    'nextTick',
    'setImmediate',
    'clearImmediate',
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'queueMicrotask',
  ] as const;
  const ahead = performance.now() + ms;
  jest.useFakeTimers({ doNotFake: [...doNotFake, 'performance'], now: Date.now() + ms });
  jest.spyOn(performance, 'now').mockReturnValue(ahead);
}

describe('in a cluster', () => {
  const account = 'var/run/secrets/kubernetes.io/serviceaccount';
  beforeEach(() => {
    mkdirSync(`${directory.path}/${account}`, { recursive: true });
    directory.write(`${account}/ca.crt`, authority.certificate);
    directory.write(`${account}/token`, 'first');
  });

  async function connectInside(): Promise<KubeApi> {
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(server!.port), HOME: '/nonexistent' };
    const had = { ...process.env };
    Object.assign(process.env, env); // the library reads them there
    try {
      api = await connectKube({ root: directory.path, env });
      return api;
    } finally {
      process.env = had;
    }
  }

  test('the mounted token is used, and read again after a minute', async () => {
    server = await serve(guard(new Set(['Bearer first', 'Bearer second'])), tls);
    const kube = await connectInside();
    expect(await whoAmI(kube)).toBe('Bearer first||');
    directory.write(`${account}/token`, 'second\n');
    expect(await whoAmI(kube)).toBe('Bearer first||');
    passTime(61_000);
    expect(await whoAmI(kube)).toBe('Bearer second||');
  });

  test('a token that was rotated under us is read at once when the old one is refused', async () => {
    const allowed = new Set(['Bearer first']);
    server = await serve(guard(allowed), tls);
    const kube = await connectInside();
    expect(await whoAmI(kube)).toBe('Bearer first||');
    directory.write(`${account}/token`, 'second');
    allowed.clear();
    allowed.add('Bearer second');
    expect(await whoAmI(kube)).toBe('Bearer second||');
  });
});

test('proxy-url: the API server is reached through it, with TLS from end to end', async () => {
  server = await serve(guard(new Set(['Bearer abc'])), tls);
  const asked: (string | undefined)[] = [];
  const proxy = createServer();
  proxy.on('connect', (request, socket: Socket) => {
    asked.push(request.url);
    const onward = connectTo(server!.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    const kube = await connect({ cluster: { 'certificate-authority-data': CA, 'proxy-url': url }, user: { token: 'abc' } });
    expect(await whoAmI(kube)).toBe('Bearer abc||');
    expect(await whoAmI(kube)).toBe('Bearer abc||');
    expect(asked).toContain(`127.0.0.1:${server.port}`);
    expect(asked.length).toBeLessThanOrEqual(2);
  } finally {
    await api?.close();
    proxy.close();
  }
});

test('proxy-url: a proxy behind TLS is not offered HTTP/2, which the bundle has not got', async () => {
  server = await serve(guard(new Set(['Bearer abc'])), tls);
  const offered = Promise.withResolvers<readonly string[]>();
  const proxy = createTlsServer({
    ...tls,
    ALPNCallback: ({ protocols }) => {
      offered.resolve(protocols);
      return undefined; // the handshake fails
    },
  });
  proxy.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    const kube = await connect({ cluster: { 'certificate-authority-data': CA, 'proxy-url': url }, user: { token: 'abc' } });
    const refused = expect(whoAmI(kube)).rejects.toThrow();
    expect(await offered.promise).toEqual(['http/1.1']);
    await refused;
  } finally {
    await api?.close();
    proxy.close();
  }
});

describe('TLS', () => {
  const message = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => '',
      (error: Error) => error.message,
    );

  test.each<{ why: string; cluster: object; says: string }>([
    {
      why: 'another CA',
      cluster: { 'certificate-authority-data': btoa(makeAuthority('other CA').certificate) },
      says: "not signed by the kubeconfig's",
    },
    { why: 'no CA', cluster: {}, says: "not signed by the kubeconfig's certificate-authority" },
    {
      why: 'another name',
      cluster: { 'certificate-authority-data': CA, 'tls-server-name': 'elsewhere' },
      says: 'for another name',
    },
  ])('$why is told', async ({ cluster, says }) => {
    server = await serve(guard(new Set([''])), tls);
    expect(await message(whoAmI(await connect({ cluster })))).toContain(says);
  });

  test('the name that the kubeconfig gives counts', async () => {
    server = await serve(guard(new Set([''])), tls);
    expect(await whoAmI(await connect({ cluster: { 'certificate-authority-data': CA, 'tls-server-name': 'kubernetes' } }))).toBe(
      '||',
    );
    await api?.close();
    expect(await whoAmI(await connect({ cluster: { 'insecure-skip-tls-verify': true } }))).toBe('||');
  });

  test('an expired certificate, and https to a server that speaks none', async () => {
    const old = authority.issue({ commonName: 'api', ipAddresses: ['127.0.0.1'], notAfter: new Date(Date.now() - 1000) });
    server = await serve(guard(new Set([''])), { cert: old.certificate, key: old.key });
    expect(await message(whoAmI(await connect({})))).toContain('the certificate of the server has expired');
    await server.close();
    server = await serve(guard(new Set([''])));
    const kubeconfig = directory.write('config', kubeconfigOf({ server: server.url.replace('http:', 'https:') }));
    expect(await message(whoAmI(await connectKube({ kubeconfig })))).toContain('does not speak TLS');
  });

  test.each<{ why: string; parts: { cluster?: object; user?: object }; says: string }>([
    { why: 'a CA file that is not there', parts: { cluster: { 'certificate-authority': 'gone.crt' } }, says: 'gone.crt' },
    {
      why: 'a CA that is none',
      parts: { cluster: { 'certificate-authority-data': btoa('hello') } },
      says: 'the credentials are no good',
    },
    { why: 'a token file that is not there', parts: { user: { tokenFile: 'gone' } }, says: 'gone' },
    {
      why: 'a key that does not fit its certificate',
      parts: {
        user: {
          'client-certificate-data': btoa(authority.issue({ commonName: 'a' }).certificate),
          'client-key-data': btoa(authority.issue({ commonName: 'b' }).key),
        },
      },
      says: 'the credentials are no good',
    },
  ])('$why is a problem of the kubeconfig', async ({ parts, says }) => {
    server = await serve(guard(new Set()), tls);
    const told = await problemOf(connect(parts));
    expect(told).toContain(`${directory.path}/config: user lab-user`);
    expect(told).toContain(says);
  });
});

test('what is meant can be described without talking to it', async () => {
  const kubeconfig = directory.write('config', kubeconfigOf({ server: 'https://203.0.113.7:6443', namespace: 'study' }));
  expect(await describeKube({ kubeconfig })).toEqual({
    context: 'lab',
    server: 'https://203.0.113.7:6443',
    namespace: 'study',
    inCluster: false,
    files: [kubeconfig],
    nearness: { near: false, addresses: ['203.0.113.7'], reason: expect.stringContaining('neither loopback nor private') },
  });
});
