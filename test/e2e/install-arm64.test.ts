import { chmodSync, closeSync, copyFileSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startKube } from '../../src/sandbox/kube/kube.ts';
import { buildArm64, findQemu } from './cluster/arm64.ts';
import { type Output, run } from './lab/command.ts';
import { Process } from './lab/process.ts';
import type { ServiceObject } from './lab/product.ts';
import { until } from './lab/until.ts';

/**
 * The image for linux/arm64, built here and run by qemu's user-mode emulation. That passes no netfilter on, so nft and conntrack are
 * loaded with their libraries and do nothing; there is no arm64 kernel, kubelet or node in it.
 */

const BUILD_MS = 30 * 60_000; // with nothing in the caches
/** Emulated, on a busy machine. */
const PATIENT_MS = 150_000;
const CALLED = ['/usr/local/bin/node', '/usr/sbin/nft', '/usr/bin/ip', '/usr/sbin/conntrack', '/usr/sbin/keepalived'];
const AARCH64 = 183; // EM_AARCH64, elf(5)
const [NODE, PROGRAM] = ['/usr/local/bin/node', '/opt/nodeport-lb/bin/nodeport-lb'];

const say = (line: string) => process.stderr.write(`arm64: ${line}\n`);
const directory = mkdtempSync(join(tmpdir(), 'nodeport-lb-arm64-'));
const qemu = await findQemu(say);
let root: string;

beforeAll(async () => {
  root = await buildArm64(directory, say);
  if (qemu) copyFileSync(qemu, join(root, 'qemu'));
}, BUILD_MS);

const started: Process[] = [];
const closing: (() => unknown)[] = [];
afterAll(async () => {
  await Promise.all(started.map((program) => program.kill()));
  for (const close of closing) await close();
  rmSync(directory, { recursive: true, force: true });
});

/**
 * Arguments of `unshare` for a program of the image with its user, its own processes, and this machine's network. The shell stays as
 * process 1 there: it dies with `unshare`, and takes the program with it, which no longer would as another user.
 */
function inImage(args: readonly string[]): readonly string[] {
  const [command = '', ...rest] = args;
  const enter =
    'mkdir -p "$1/dev" "$1/proc"; mount --rbind /dev "$1/dev"; mount -t proc proc "$1/proc"; chroot --userspec=65532:65532 "$@"; exit $?';
  return [...['--mount', '--pid', '--fork', '--kill-child', 'sh', '-ec', enter, 'sh', root, '/qemu', command], ...rest];
}

const env = { PATH: '/opt/nodeport-lb/bin:/usr/local/bin:/usr/sbin:/usr/bin', NODE_OPTIONS: '--max-semi-space-size=2' };

function emulate(args: readonly string[]): Promise<Output> {
  return run('unshare', inImage(args), { timeoutMs: PATIENT_MS, env: { ...process.env, ...env } });
}

/** A command of the program, without the launcher: that starts itself again with other flags, and the kernel cannot start what is emulated. */
function start(name: string, args: readonly string[]): Process {
  const all = inImage([NODE, '/opt/nodeport-lb/dist/main.js', name, ...args]);
  const logFile = join(directory, `${name}.log`);
  const program = new Process({ name, command: 'unshare', args: all, logFile, env: { ...process.env, ...env } });
  started.push(program);
  return program;
}

/** SIGTERM to the program, which is the child of the shell, which is the child of `unshare`. @returns its exit code */
async function end(program: Process): Promise<number | null> {
  const childOf = (pid: number) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  process.kill(childOf(childOf(program.pid)), 'SIGTERM');
  await until(() => !program.alive, { withinMs: PATIENT_MS, what: `${program.name} ends` });
  return (await program.exited).code;
}

/** The machine that a file is for (e_machine), or undefined when it is no ELF file. */
function machineOf(file: string): number | undefined {
  const head = Buffer.alloc(20);
  const fd = openSync(file, 'r');
  try {
    readSync(fd, head);
  } finally {
    closeSync(fd);
  }
  return head.toString('latin1', 0, 4) === '\x7fELF' ? head.readUInt16LE(18) : undefined;
}

test('every program and library of the image is for arm64', () => {
  const entries = ['usr', 'opt'].flatMap((top) => readdirSync(join(root, top), { recursive: true, withFileTypes: true }));
  const machines = entries.filter((entry) => entry.isFile()).map((entry) => machineOf(join(entry.parentPath, entry.name)));
  const programs = machines.filter((machine) => machine !== undefined);
  expect(programs.length).toBeGreaterThan(300);
  expect(new Set(programs)).toEqual(new Set([AARCH64]));
});

test('it says what is in it, for arm64', () => {
  const { components } = JSON.parse(readFileSync(join(root, 'opt/nodeport-lb/sbom.json'), 'utf8')) as {
    components: { purl: string }[];
  };
  const purls = components.map(({ purl }) => purl);
  expect(purls).toContainEqual(expect.stringMatching(/^pkg:deb\/debian\/keepalived@.*arch=arm64/));
  expect(purls.filter((purl) => purl.includes('arch=amd64'))).toEqual([]);
});

if (qemu === undefined) {
  test('it was not run: there is no qemu-user-static to be had here', () => expect(qemu).toBeUndefined());
} else {
  describe('emulated', () => {
    test.each(CALLED)('%s finds every library', async (program) => {
      const { stdout } = await emulate(['/lib/ld-linux-aarch64.so.1', '--list', program]);
      expect(stdout).toContain('libc.so.6 => /lib/aarch64-linux-gnu/libc.so.6');
      expect(stdout).not.toContain('not found');
    });

    test('Node, ip, keepalived and the program say their versions', async () => {
      const { version } = JSON.parse(readFileSync(join(root, 'opt/nodeport-lb/package.json'), 'utf8')) as { version: string };
      expect((await emulate([NODE, '-p', 'process.version + process.arch'])).stdout).toMatch(/^v24\.\d+\.\d+arm64$/m);
      expect((await emulate([NODE, PROGRAM, '--version'])).stdout.trim()).toBe(version);
      expect((await emulate(['/usr/bin/ip', '-V'])).stdout).toMatch(/^ip utility/);
      const { stdout, stderr } = await emulate(['/usr/sbin/keepalived', '--version']);
      expect(stdout + stderr).toMatch(/Keepalived v2/);
    });

    test('the userspace forwarder passes requests on, and stops at SIGTERM', async () => {
      const server = http.createServer((request, response) => response.end(`you asked for ${request.url}`));
      closing.push(() => server.close());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const forward = start('forward', ['--datapath', 'userspace', 'tcp://127.0.0.1:0', `127.0.0.1:${port}`]);
      const [, address] = await forward.logged(/^listening tcp (\S+)/m, PATIENT_MS);
      const answer = await fetch(`http://${address}/arm`, { headers: { connection: 'close' } });
      expect(await answer.text()).toBe('you asked for /arm');
      expect(await end(forward)).toBe(0);
    });

    test('the controller treats a Service, and stops at SIGTERM', async () => {
      const kube = await startKube();
      closing.push(() => kube.close());
      await kube.writeKubeconfig(join(root, 'kubeconfig'));
      chmodSync(join(root, 'kubeconfig'), 0o644);
      const controller = start('controller', ['--kubeconfig', '/kubeconfig', '--provider', 'none', '--http', 'off']);
      await controller.logged(/provider none/, PATIENT_MS);
      const services = `${kube.url}/api/v1/namespaces/default/services`;
      const service = { metadata: { name: 'kubia' }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } };
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(service) };
      expect((await fetch(services, init)).status).toBe(201);
      const read = async () => (await (await fetch(`${services}/kubia`)).json()) as ServiceObject;
      await until(async () => (await read()).status.conditions?.some(({ reason }) => reason === 'NodePortOnly'), {
        withinMs: PATIENT_MS,
        what: 'default/kubia says NodePortOnly',
      });
      expect(await end(controller)).toBe(0);
    });
  });
}
