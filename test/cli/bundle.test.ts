import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { startAws } from '../../src/sandbox/aws/aws.ts';
import { rawNode, rawService } from './objects.ts';
import { endAll, pinnedNode, root, run, start } from './run.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // builds, and starts processes, on a machine that may be busy

let folder = '';
let kube: SmallKube;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  const build = `umask 077; exec '${pinnedNode}' '${join(root, 'src', 'build.ts')}' '${join(folder, 'dist')}'`;
  await promisify(execFile)('sh', ['-c', build]);
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  kube = await startSmallKube();
  kube.put('nodes', rawNode('n1', '127.0.0.1'));
  kube.put('services', rawService('shop', 'web'));
});
afterAll(async () => {
  endAll();
  await kube.close();
  await rm(folder, { recursive: true });
});

const bundle = () => ({ bin: join(folder, 'dist', 'main.js') });

test('whoever builds it, everybody may read it', async () => {
  const entries = await readdir(join(folder, 'dist'), { recursive: true, withFileTypes: true });
  const modes = entries.map(async (entry) => {
    const { mode } = await stat(join(entry.parentPath, entry.name));
    return `${entry.isDirectory() ? 'd' : 'f'}${(mode & 0o777).toString(8)}`;
  });
  expect(new Set(await Promise.all(modes))).toEqual(new Set(['d755', 'f644']));
});

test('the bundle reads a cluster', async () => {
  expect(await run(['status', '-o', 'name', '--kubeconfig', kube.kubeconfig], bundle())).toMatchObject({
    code: 0,
    stdout: 'service/web\n',
    stderr: '',
  });
});

test('the bundle plans, also from a file', async () => {
  const file = join(folder, 'new.yaml');
  await writeFile(file, 'kind: Service\nmetadata: { name: new }\nspec: { type: LoadBalancer, ports: [{ port: 80 }] }\n');
  const words = ['plan', 'shop/new', '-f', file, '--provider', 'local', '--exit-code', '--kubeconfig', kube.kubeconfig];
  const { code, stdout } = await run(words, bundle());
  expect({ code, first: stdout.split('\n')[0] }).toEqual({ code: 1, first: '+ create shop/new at 127.0.0.34' });
});

test.each(['none', 'local'])('the bundle runs the controller with provider %s', async (provider) => {
  const running = start(
    ['controller', '--kubeconfig', kube.kubeconfig, '--provider', provider, '--dry-run', '--http', '127.0.0.1:0'],
    bundle(),
  );
  await running.said(/serving \/healthz.* port=\d+/);
  await running.said(/claiming Services of class nodeport-lb\.io\/lb and those without a class/);
  running.child.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
});

/** Writes down, as the process ends, which files and which of Node's own modules it has loaded. */
const LOADED = `import { writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
const files = [];
registerHooks({ load: (url, context, next) => (files.push(url), next(url, context)) });
process.on('exit', () => writeFileSync(process.env.LOADED_FILE, JSON.stringify({ files, modules: process.moduleLoadList })));`;

test('a controller with provider local loads no AWS SDK, no HTTP/2, and not the fetch that comes with Node', async () => {
  const [hook, out] = [join(folder, 'loaded.mjs'), join(folder, 'loaded.json')];
  await writeFile(hook, LOADED);
  const env = { NODE_OPTIONS: `--import=${pathToFileURL(hook).href}`, LOADED_FILE: out };
  const words = ['controller', '--kubeconfig', kube.kubeconfig, '--provider', 'local', '--dry-run', '--http', '127.0.0.1:0'];
  const running = start(words, { ...bundle(), env });
  await running.said(/claiming Services of class/);
  running.child.kill('SIGTERM');
  expect((await running.ended).code).toBe(0);
  const { files, modules } = JSON.parse(await readFile(out, 'utf8')) as Record<'files' | 'modules', readonly string[]>;
  const own = files.filter((url) => url.startsWith(pathToFileURL(join(folder, 'dist')).href));
  const texts = await Promise.all(own.map((url) => readFile(new URL(url), 'utf8')));
  expect(texts.filter((text) => text.includes('prom-client') || text.includes('nodeport_lb_targets'))).not.toEqual([]); // it has begun
  expect(texts.filter((text) => text.includes('DescribeLoadBalancers'))).toEqual([]);
  expect(modules).not.toContain('NativeModule http2');
  expect(modules).not.toContain('NativeModule internal/deps/undici/undici');
});

test('the bundle assumes a role at AWS by web identity', async () => {
  const aws = await startAws();
  const claims = Buffer.from(JSON.stringify({ exp: Date.now(), sub: 'system:serviceaccount:lb:lb' })).toString('base64url');
  await writeFile(join(folder, 'token'), `e30.${claims}.signature`);
  const env = {
    AWS_ENDPOINT_URL: aws.url,
    AWS_REGION: aws.region,
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/nodeport-lb',
    AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token'),
  };
  const { code, stdout, stderr } = await run(
    ['gc', '--provider', 'aws', '--log-level', 'error', '--kubeconfig', kube.kubeconfig],
    {
      ...bundle(),
      env,
    },
  );
  await aws.close();
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'nothing is left over (provider aws)\n' });
});

test('the bundle reads and writes YAML', async () => {
  const config = join(folder, 'config.yaml');
  await writeFile(config, `kubeconfig: ${kube.kubeconfig}\noutput: yaml\n`);
  const { code, stdout, stderr } = await run(['status', '--config', config], bundle());
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^version: 1\nservices:\n {2}- namespace: shop\n {4}name: web\n/);
});

test('the bundle logs JSON, as in a cluster', async () => {
  const [chunk = ''] = await findChunks(/json-log-/);
  const script = `import { createJsonLog } from ${JSON.stringify(pathToFileURL(chunk).href)}; createJsonLog('info', console.log).warn({ a: 1 }, 'said');`;
  const { stdout } = await promisify(execFile)(pinnedNode, ['--input-type=module', '--eval', script]);
  expect(JSON.parse(stdout)).toMatchObject({ level: 'warn', a: 1, msg: 'said' });
});

async function findChunks(name: RegExp): Promise<readonly string[]> {
  const files = await readdir(join(folder, 'dist'));
  return files.filter((file) => name.test(file) && file.endsWith('.js')).map((file) => join(folder, 'dist', file));
}

test('what a command does not need is not loaded with it', async () => {
  const main = await readFile(bundle().bin, 'utf8');
  const loaded = [...main.matchAll(/from"\.\/(chunk-[A-Z0-9]+\.js)"/g)].map((match) => match[1]!);
  const texts = await Promise.all(loaded.map((name) => readFile(join(folder, 'dist', name), 'utf8')));
  expect([main, ...texts].join('').length).toBeLessThan(150_000); // commander, ipaddr.js and the tables of options
});
