import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { UsageError } from '../../src/errors.ts';
import { chooseKube, inCluster, type KubeChoice } from '../../src/kube/kubeconfig.ts';
import { kubeconfigOf, makeDirectory } from './serve.ts';

let directory: ReturnType<typeof makeDirectory>;
beforeEach(() => {
  directory = makeDirectory();
});
afterEach(() => directory.remove());

function problemsOf(choice: KubeChoice): string {
  try {
    chooseKube({ env: { HOME: directory.path }, ...choice });
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return '';
}

const ONE = kubeconfigOf({ server: 'https://10.0.0.1:6443/', namespace: 'study' });

describe('which kubeconfig', () => {
  test('--kubeconfig beats KUBECONFIG, which beats ~/.kube/config', () => {
    mkdirSync(join(directory.path, '.kube'));
    const home = directory.write('.kube/config', kubeconfigOf({ server: 'https://home:1' }));
    const named = directory.write('named', kubeconfigOf({ server: 'https://named:1' }));
    const given = directory.write('given', kubeconfigOf({ server: 'https://given:1' }));
    const env = { HOME: directory.path, KUBECONFIG: named };
    expect(chooseKube({ env, kubeconfig: given })).toMatchObject({ server: 'https://given:1', files: [given] });
    expect(chooseKube({ env })).toMatchObject({ server: 'https://named:1', files: [named] });
    expect(chooseKube({ env: { HOME: directory.path } })).toMatchObject({ server: 'https://home:1', files: [home] });
  });

  test('of several files in KUBECONFIG the first to name a thing wins, and a missing one is passed over', () => {
    const first = directory.write('first', { ...ONE, users: [], contexts: [] });
    const second = directory.write('second', kubeconfigOf({ server: 'https://second:1', user: { token: 't' } }));
    const target = chooseKube({ env: { KUBECONFIG: [join(directory.path, 'absent'), first, second].join(':') } });
    expect(target).toMatchObject({ server: 'https://10.0.0.1:6443', files: [first, second], inCluster: false });
    expect(target.kubeconfig?.users).toEqual([{ name: 'lab-user', user: { token: 't' } }]);
  });

  test('in a pod, without a kubeconfig, the service account is used', () => {
    const account = join(directory.path, 'var/run/secrets/kubernetes.io/serviceaccount');
    mkdirSync(account, { recursive: true });
    directory.write('var/run/secrets/kubernetes.io/serviceaccount/token', 'abc');
    directory.write('var/run/secrets/kubernetes.io/serviceaccount/namespace', 'infra\n');
    const env = { HOME: '/nonexistent', KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(inCluster(directory.path, env)).toBe(true);
    expect(inCluster(directory.path, {})).toBe(false);
    expect(chooseKube({ root: directory.path, env })).toMatchObject({
      server: 'https://[fd00::1]:443',
      namespace: 'infra',
      inCluster: true,
    });
    expect(problemsOf({ root: directory.path, env, context: 'prod' })).toContain('--context "prod": there is no kubeconfig');
  });
});

describe('what is wrong with it', () => {
  test('there is none', () => {
    expect(problemsOf({})).toContain('neither --kubeconfig, KUBECONFIG nor ~/.kube/config');
    expect(problemsOf({ kubeconfig: '/no/such/file' })).toBe(
      '--kubeconfig "/no/such/file": there is no such file; give the path of a kubeconfig',
    );
    expect(problemsOf({ env: { KUBECONFIG: '/no/a:/no/b' } })).toContain('KUBECONFIG "/no/a:/no/b": there is no such file');
  });

  test.each<{ why: string; content: string | object; says: readonly string[] }>([
    { why: 'no YAML: with the line', content: 'clusters: [\nusers: }', says: ['is not YAML', 'line 2'] },
    { why: 'a list', content: '[]', says: ['is not a kubeconfig'] },
    { why: 'empty', content: '', says: ['is not a kubeconfig'] },
    { why: 'no current-context', content: { ...ONE, 'current-context': '' }, says: ['has no current-context', 'it has lab'] },
    { why: 'no contexts', content: { clusters: 7 }, says: ['it has no contexts'] },
    {
      why: 'an unknown current-context',
      content: { ...ONE, 'current-context': 'lba' },
      says: ['"lba": no such context; it has lab'],
    },
    { why: 'an unknown cluster', content: { ...ONE, clusters: [] }, says: ['context lab "lab-cluster": names a cluster'] },
    {
      why: 'an unknown user and a bad URL, told together',
      content: { ...kubeconfigOf({ server: 'localhost:8080' }), users: [] },
      says: ['server "localhost:8080": must be an http or https URL', '"lab-user": names a user'],
    },
  ])('$why', ({ content, says }) => {
    const file = directory.write('config', content);
    const told = problemsOf({ kubeconfig: file });
    for (const part of [file, ...says]) expect(told).toContain(part);
  });

  test('an unknown --context lists those that exist', () => {
    const file = directory.write('config', ONE);
    expect(problemsOf({ kubeconfig: file, context: 'prod' })).toBe(`--context "prod": ${file} has no such context; it has lab`);
  });

  test('a broken neighbour does no harm', () => {
    const lab = kubeconfigOf({ server: 'https://10.0.0.1:6443' }) as Record<string, object[]>;
    const file = directory.write('config', {
      ...lab,
      clusters: [null, 3, { name: 'bad' }, ...lab['clusters']!],
      users: [{ name: 'other', user: 'garbage' }, ...lab['users']!],
      contexts: [{ name: 'other' }, ...lab['contexts']!],
    });
    expect(chooseKube({ kubeconfig: file })).toMatchObject({ context: 'lab', server: 'https://10.0.0.1:6443' });
  });
});

describe('what the library needs to be told', () => {
  const user = (fields: object): unknown => {
    const file = directory.write('config', kubeconfigOf({ server: 'https://10.0.0.1:6443', user: fields }));
    return chooseKube({ kubeconfig: file }).kubeconfig?.users[0]?.['user'];
  };

  test('paths start at the directory of their file', () => {
    expect(user({ 'client-certificate': 'pki/me.crt', 'client-key': '/abs/me.key' })).toEqual({
      'client-certificate': join(directory.path, 'pki/me.crt'),
      'client-key': '/abs/me.key',
    });
    expect(user({ exec: { command: './login' } })).toEqual({ exec: { command: join(directory.path, 'login') } });
    expect(user({ exec: { command: 'aws' } })).toEqual({ exec: { command: 'aws' } });
  });

  test('data beats the file, a token file beats the token', () => {
    expect(user({ 'client-certificate': 'x', 'client-certificate-data': 'eA==' })).toEqual({ 'client-certificate-data': 'eA==' });
    expect(user({ token: 'old', tokenFile: 'token' })).toEqual({
      tokenFile: 'token',
      'auth-provider': { name: 'tokenFile', config: { tokenFile: join(directory.path, 'token') } },
    });
  });

  test('a context without a user still has one, or the CA would be forgotten', () => {
    const file = directory.write('config', {
      ...ONE,
      users: [],
      contexts: [{ name: 'lab', context: { cluster: 'lab-cluster' } }],
    });
    expect(chooseKube({ kubeconfig: file }).kubeconfig?.users).toEqual([{ name: 'nobody', user: {} }]);
  });
});

describe("kubectl's own flags", () => {
  const two = {
    ...ONE,
    clusters: [
      {
        name: 'lab-cluster',
        cluster: { server: 'https://10.0.0.1:6443', 'tls-server-name': 'lab', 'certificate-authority-data': 'Q0E=' },
      },
      { name: 'spare', cluster: { server: 'https://10.0.0.2:6443', 'insecure-skip-tls-verify': true } },
      { name: 'plain', cluster: { server: 'http://127.0.0.1:8001' } },
    ],
    users: [
      { name: 'lab-user', user: { exec: { command: 'login' }, 'client-certificate-data': 'Y3J0', 'client-key-data': 'a2V5' } },
      { name: 'jane', user: { tokenFile: '/run/jane', 'as-groups': ['dev'] } },
    ],
  };
  const given = (choice: KubeChoice) => {
    const kubeconfig = directory.write('config', two);
    const { clusters, users } = chooseKube({ kubeconfig, env: {}, ...choice }).kubeconfig ?? {};
    return { cluster: clusters?.[0]?.['cluster'], user: users?.[0]?.['user'] };
  };

  test.each<{ why: string; choice: KubeChoice; cluster: object }>([
    {
      why: 'a server keeps the CA and loses the name that its certificate had to be for',
      choice: { server: 'https://10.0.0.9:6443' },
      cluster: { server: 'https://10.0.0.9:6443', 'certificate-authority-data': 'Q0E=' },
    },
    {
      why: 'a server and a name',
      choice: { server: 'https://10.0.0.9:6443', tlsServerName: 'kubernetes' },
      cluster: { server: 'https://10.0.0.9:6443', 'tls-server-name': 'kubernetes', 'certificate-authority-data': 'Q0E=' },
    },
    {
      why: 'another cluster of the file',
      choice: { cluster: 'spare' },
      cluster: { server: 'https://10.0.0.2:6443', 'insecure-skip-tls-verify': true },
    },
    {
      why: 'no check of the certificate takes the CA away',
      choice: { insecureSkipTlsVerify: true },
      cluster: { server: 'https://10.0.0.1:6443', 'tls-server-name': 'lab', 'insecure-skip-tls-verify': true },
    },
    {
      why: 'a CA beats the kubeconfig that checks nothing',
      choice: { cluster: 'spare', certificateAuthority: '/dev/null' },
      cluster: { server: 'https://10.0.0.2:6443', 'certificate-authority': '/dev/null' },
    },
    {
      why: 'a cluster that speaks plain HTTP does not leave the check out for another server',
      choice: { cluster: 'plain', server: 'https://10.0.0.9:6443' },
      cluster: { server: 'https://10.0.0.9:6443' },
    },
  ])('$why', ({ choice, cluster }) => {
    expect(given(choice).cluster).toEqual(cluster);
  });

  test.each<{ why: string; choice: KubeChoice; user: object }>([
    {
      why: 'a token beats the exec plugin; a client certificate is shown all the same, as kubectl does',
      choice: { token: ' abc\n' },
      user: { token: 'abc', 'client-certificate-data': 'Y3J0', 'client-key-data': 'a2V5' },
    },
    {
      why: 'a token beats a token file, and the groups of the user stay',
      choice: { user: 'jane', token: 'abc' },
      user: { token: 'abc', 'as-groups': ['dev'] },
    },
    {
      why: 'a certificate and a key',
      choice: { clientCertificate: '/dev/null', clientKey: '/dev/null' },
      user: { exec: { command: 'login' }, 'client-certificate': '/dev/null', 'client-key': '/dev/null' },
    },
  ])('$why', ({ choice, user }) => {
    expect(given(choice).user).toEqual(user);
  });

  test('a server that is named needs no kubeconfig, a cluster that is named no context', () => {
    const env = { HOME: directory.path };
    const alone = chooseKube({ env, server: 'http://127.0.0.1:8001/', token: 'abc' });
    expect(alone).toMatchObject({ server: 'http://127.0.0.1:8001', namespace: '', inCluster: false, files: [] });
    const kubeconfig = directory.write('config', { ...two, 'current-context': '' });
    expect(chooseKube({ kubeconfig, cluster: 'spare', user: 'jane' })).toMatchObject({
      server: 'https://10.0.0.2:6443',
      impersonateGroups: ['dev'],
    });
  });

  test('in a pod a token is sent to its own API server', () => {
    mkdirSync(join(directory.path, 'var/run/secrets/kubernetes.io/serviceaccount'), { recursive: true });
    directory.write('var/run/secrets/kubernetes.io/serviceaccount/token', 'pod');
    const env = { HOME: '/nonexistent', KUBERNETES_SERVICE_HOST: '10.96.0.1' };
    const target = chooseKube({ root: directory.path, env, token: 'abc' });
    expect(target).toMatchObject({ server: 'https://10.96.0.1:443', inCluster: true });
    expect(target.kubeconfig?.users).toEqual([{ name: 'in-cluster', user: { token: 'abc' } }]);
    expect(target.kubeconfig?.clusters[0]?.['cluster']).toMatchObject({
      'certificate-authority': expect.stringContaining('ca.crt'),
    });
    expect(problemsOf({ root: directory.path, env, user: 'jane' })).toContain('--user "jane": there is no kubeconfig');
  });

  test.each<{ why: string; choice: KubeChoice; says: string }>([
    { why: 'an unknown cluster', choice: { cluster: 'lba' }, says: '--cluster "lba": names a cluster that is not in' },
    { why: 'which there are', choice: { cluster: 'lba' }, says: 'it has lab-cluster, spare, plain' },
    { why: 'an unknown user', choice: { user: 'joe' }, says: 'it has lab-user, jane' },
    { why: 'a server that is no URL', choice: { server: '10.0.0.1' }, says: '--server "10.0.0.1": must be an http or https URL' },
    { why: 'a file that is missing', choice: { clientKey: '/no/key' }, says: '--client-key "/no/key": cannot be read' },
    {
      why: 'a CA that is not to be used',
      choice: { certificateAuthority: '/dev/null', insecureSkipTlsVerify: true },
      says: '--certificate-authority "/dev/null": cannot go with --insecure-skip-tls-verify',
    },
  ])('is refused: $why', ({ choice, says }) => {
    expect(problemsOf({ kubeconfig: directory.write('config', two), ...choice })).toContain(says);
  });
});
