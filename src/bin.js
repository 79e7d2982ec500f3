#!/usr/bin/env node
// Plain JavaScript that old Nodes can parse: runs the program on this Node when it is new enough, else on the one that is
// pinned in the lock file.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Keep equal to `engines` in package.json: from here on types are stripped without a flag. */
const LEAST = [22, 19];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

/**
 * Processes that live for long are kept small. V8's young generation of 1 MB and less code halve what it adds to Node itself. WebAssembly,
 * of which there is only the HTTP client's parser, is compiled once and quickly: to make it fast takes 10 MB, which stay, and more time
 * than it saves. And threads share one malloc, lest each keeps what it has freed.
 */
const LONG_LIVED = ['controller', 'forwarder'];
const FRUGAL = ['--optimize-for-size', '--liftoff-only']; // the first implies --max-semi-space-size=1
const FRUGAL_MALLOC = { MALLOC_ARENA_MAX: '1' }; // glibc's; mallopt(3)

/** Of Node's names of architectures, the kernel's. */
const KERNELS = { x64: 'x86_64', arm64: 'aarch64' };

const here = dirname(fileURLToPath(import.meta.url));

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1]);
}

/** A checkout runs its sources, so that a bundle that was built earlier never stands in for them; a package has its bundle. */
function findMain() {
  const source = join(here, 'main.ts');
  const installed = here.split(/[\\/]/).includes('node_modules'); // where Node strips no types
  if (!installed && existsSync(source)) return source;
  const bundle = join(here, '..', 'dist', 'main.js');
  return existsSync(bundle) ? bundle : fail(`${bundle} is missing: the package is not whole. Install it again.`);
}

function fail(message) {
  console.error(`nodeport-lb: ${message}`);
  process.exit(1);
}

function findPinnedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = `node-${platform}-${process.arch}`;
  try {
    const manifest = nodeModule.createRequire(import.meta.url).resolve(`${name}/package.json`);
    const node = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(node)) return node;
  } catch {
    // told below
  }
  return fail(
    `needs Node.js ${LEAST.join('.')} or newer; this is ${process.version}, and the package ${name}, which brings one, is not ` +
      'installed. Install a newer Node.js, or run npm install without --omit=optional.',
  );
}

/** The child sees by its channel that this process has gone, so that it is never left alone. */
function handOver(node) {
  const args = [...flags(), ...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env: environment() });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${node} cannot be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function isLongLived() {
  return LONG_LIVED.includes(process.argv[2]);
}

function flags() {
  return isLongLived() ? FRUGAL.filter((flag) => !process.execArgv.includes(flag)) : [];
}

function environment() {
  return isLongLived() ? { ...FRUGAL_MALLOC, ...process.env } : process.env;
}

/** V8 takes such flags at its start only, so the process starts again in place: the same pid, open files and environment. */
function beFrugal() {
  const more = flags();
  if (more.length === 0 || process.channel || !maySurelyExec()) return;
  process.emitWarning = () => {}; // that execve is experimental
  process.execve(process.execPath, [process.execPath, ...more, ...process.execArgv, ...process.argv.slice(1)], environment());
}

/** An execve(2) that fails ends the process (Node aborts), so it is tried only where nothing speaks against it; else it is only larger. */
function maySurelyExec() {
  if (process.platform !== 'linux' || !process.execve) return false;
  try {
    accessSync(process.execPath, constants.X_OK); // an upgrade may have taken the file away under the running process
    return statSync(process.execPath).isFile() && isForThisKernel();
  } catch {
    return false;
  }
}

/** Whether the kernel can start programs of this Node's kind: one that runs under qemu's user-mode emulation it may not. */
function isForThisKernel() {
  const own = KERNELS[process.arch];
  const arch = '/proc/sys/kernel/arch'; // since Linux 6.1; uname(2) is one of the things that are emulated
  return own !== undefined && (!existsSync(arch) || readFileSync(arch, 'utf8').trim() === own);
}

async function run() {
  beFrugal();
  if (process.channel) {
    process.channel.unref();
    process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  }
  const warn = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    if (!/type stripping/i.test(String(warning))) warn.call(process, warning, ...rest);
  };
  nodeModule.enableCompileCache?.();
  await import(pathToFileURL(findMain()).href);
}

if (isNewEnough(process.versions.node)) await run();
else handOver(findPinnedNode());
