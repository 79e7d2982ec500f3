import { mkdirSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Output, tryRun } from './lab/command.ts';
import { type RealKube, startRealKube } from './real-kube.ts';

const PLUGIN = join(import.meta.dirname, '../../src/kubectl-nodeport_lb.js');

/** `kubectl nodeport-lb …` through the real kubectl, which finds the plugin on PATH and hands everything on. */
describe('the kubectl plugin', () => {
  let kube: RealKube;
  let path: string;

  beforeAll(async () => {
    kube = await startRealKube();
    const bin = join(kube.directory, 'bin');
    mkdirSync(bin);
    symlinkSync(PLUGIN, join(bin, 'kubectl-nodeport_lb')); // as npm links it
    path = [bin, dirname(process.execPath), process.env['PATH']].join(delimiter);
    for (const namespace of ['shop', 'study']) await kubectl(['create', 'namespace', namespace]);
    for (const name of ['web', 'api']) {
      await kubectl(['-n', 'shop', 'create', 'service', 'loadbalancer', name, '--tcp=80:8080']);
    }
  });

  afterAll(async () => {
    await kube?.close();
  });

  function kubectl(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Output> {
    const all = { ...process.env, HOME: kube.directory, KUBECONFIG: kube.kubeconfig, PATH: path, ...env };
    return tryRun(kube.tools.kubectl, args, { env: all });
  }

  const plugin = (...args: readonly string[]): Promise<Output> => kubectl(['nodeport-lb', ...args]);

  test('kubectl lists it, and its help says how it was called', async () => {
    expect((await kubectl(['plugin', 'list'])).stdout).toContain('kubectl-nodeport_lb');
    const { code, stdout } = await plugin('status', '--help');
    expect({ code, usage: stdout.split('\n')[0] }).toEqual({
      code: 0,
      usage: 'Usage: kubectl nodeport-lb status [OPTIONS] [NAMESPACE/NAME]',
    });
    const wrong = await plugin('status', '--no-such');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/^kubectl nodeport-lb status: .*--no-such/);
  });

  test('with the namespace, all of them, the output and the file that kubectl is given', async () => {
    const named = (output: Output): readonly string[] => output.stdout.trim().split('\n');
    expect((await plugin('status', '-n', 'shop', '-o', 'name')).stderr).toBe('');
    expect(named(await plugin('status', '-n', 'shop', '-o', 'name'))).toEqual(['service/api', 'service/web']);
    expect(named(await plugin('status', '-A', '-o', 'name'))).toEqual(['service/api', 'service/web']);
    expect((await plugin('status', '-n', 'study', '-o', 'name')).stdout).toBe('');
    expect((await plugin('status', 'web', '-n', 'shop')).stdout).toContain('shop/web');
    const other = await kubectl(['nodeport-lb', 'status', '--kubeconfig', kube.kubeconfig, '--context', 'real', '-o', 'name'], {
      KUBECONFIG: '/nowhere',
    });
    expect(named(other)).toEqual(['service/api', 'service/web']);
  });

  test('with a server, a token, a user and a cluster in place of those of the file', async () => {
    const everything = ['-A', '-o', 'name'];
    const alone = { KUBECONFIG: '/nowhere', NODEPORT_LB_TOKEN: '' };
    const asked = (...flags: readonly string[]) => kubectl(['nodeport-lb', 'status', ...everything, ...flags], alone);
    const token = (kube.headers?.['authorization'] ?? '').replace('Bearer ', '');
    const unread = ['-s', kube.url, '--insecure-skip-tls-verify', '--kubeconfig', kube.kubeconfig];
    expect(await asked(...unread, '--token', token)).toMatchObject({ code: 0, stdout: 'service/api\nservice/web\n' });
    const wrong = await asked(...unread, '--token', 'wr0ng');
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).not.toContain('wr0ng');
    const doubtful = await asked(
      '--server',
      kube.url,
      '--certificate-authority',
      '/nowhere/ca.crt',
      '--kubeconfig',
      kube.kubeconfig,
    );
    expect({ code: doubtful.code, told: doubtful.stderr }).toEqual({
      code: 2,
      told: expect.stringContaining('--certificate-authority "/nowhere/ca.crt": cannot be read'),
    });
    const named = await asked('--cluster', 'nowhere', '--kubeconfig', kube.kubeconfig);
    expect({ code: named.code, told: named.stderr }).toEqual({ code: 2, told: expect.stringContaining('--cluster "nowhere"') });
  });

  test('as somebody else, within a time, and with the exit code of the program', async () => {
    const asked = await plugin(
      'status',
      '-A',
      '--as',
      'reader',
      '--as-group',
      'readers',
      '--request-timeout',
      '20s',
      '-o',
      'json',
    );
    expect(JSON.parse(asked.stdout)).toMatchObject({ version: 1, services: [{ name: 'api' }, { name: 'web' }] });
    const nobody = await plugin('status', '-A', '--as-group', 'readers'); // a group without a user
    expect(nobody.code).toBe(1);
    expect((await plugin('url', 'nowhere', '-n', 'shop')).code).toBe(1);
  });
});
