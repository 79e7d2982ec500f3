import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { explain } from '../../src/errors.ts';
import { chooseKubernetes, sumFileOf } from './kubernetes.ts';
import { holdLock, run } from './lab/command.ts';

/** Programs of the end-to-end lab, as absolute paths. */
export interface Tools {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubeProxy: string;
  readonly scheduler: string;
  readonly kubelet: string;
  readonly kubectl: string;
}

/** What the lab must not do without, gathered into one message. */
export class ToolsMissing extends Error {
  override readonly name = 'ToolsMissing';

  constructor(problems: readonly string[]) {
    super(`the end-to-end tests cannot run here:\n${problems.map((p) => `- ${p}`).join('\n')}`);
  }
}

const ETCD = '3.6.8';
const HYPER = join(import.meta.dirname, 'hyper');
const HYPER_NAMES = ['kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler', 'kubelet', 'kubectl'] as const;

/** Debian's package of each command that the lab calls. util-linux, which has the last three, is on every Debian. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  conntrack: 'conntrack',
  python3: 'python3',
  keepalived: 'keepalived',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
};

const BUILD_MS = 40 * 60_000; // 12 minutes were seen on two busy cores with empty caches
const INSTALL_MS = 10 * 60_000;

/** Where built tools are kept, outside the checkout. */
export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(base, 'nodeport-lb');
}

/**
 * Finds, installs or builds every program that the lab needs; a second call finds them in the cache. Root is needed, for
 * network namespaces as for apt-get.
 * @throws {ToolsMissing} naming everything that cannot be had, and why
 */
export async function prepareTools(say: (line: string) => void): Promise<Tools> {
  requireRoot();
  mkdirSync(cacheDirectory(), { recursive: true });
  const problems: string[] = [];
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      problems.push(explain(error));
      return undefined;
    }
  };
  await attempt(() => installCommands(say));
  const etcd = await attempt(() => prepareEtcd(say));
  const hyper = await attempt(() => prepareHyper(say));
  if (problems.length > 0 || !etcd || !hyper) throw new ToolsMissing(problems);
  return {
    etcd,
    apiServer: join(hyper, 'kube-apiserver'),
    controllerManager: join(hyper, 'kube-controller-manager'),
    kubeProxy: join(hyper, 'kube-proxy'),
    scheduler: join(hyper, 'kube-scheduler'),
    kubelet: join(hyper, 'kubelet'),
    kubectl: join(hyper, 'kubectl'),
  };
}

/** @throws {ToolsMissing} unless this is root's process on Linux */
export function requireRoot(): void {
  if (process.platform !== 'linux') throw new ToolsMissing([`it needs Linux, not ${process.platform}`]);
  if (process.getuid?.() !== 0) throw new ToolsMissing(['it makes network namespaces: run it as root']);
}

/** Installs Debian's package of each command that is not there. @throws naming what is missing where there is no apt-get */
export async function installCommands(
  say: (line: string) => void,
  packagesOf: Readonly<Record<string, string>> = PACKAGES,
): Promise<void> {
  const missing = Object.keys(packagesOf).filter((command) => find(command) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((command) => packagesOf[command] ?? command))];
  if (find('apt-get') === undefined) {
    throw new Error(`commands ${missing.join(', ')} are missing and there is no apt-get: install ${packages.join(', ')}`);
  }
  say(`installing ${packages.join(', ')} with apt-get`);
  await refreshPackageLists();
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], { timeoutMs: INSTALL_MS, env });
}

let refreshed: Promise<unknown> | undefined;

/** Once in a process: a fresh image has no package lists at all. */
function refreshPackageLists(): Promise<unknown> {
  refreshed ??= run('apt-get', ['update'], { timeoutMs: INSTALL_MS });
  return refreshed;
}

async function prepareEtcd(say: (line: string) => void): Promise<string> {
  const installed = find('etcd');
  if (installed) return installed;
  const unpacked = await unpackPackages('etcd-debian', ['etcd-server'], say).catch(() => undefined);
  if (unpacked) return join(unpacked, 'usr/bin/etcd');
  const go = await findGo(say);
  const built = await fromCache(`etcd-${ETCD}`, async (directory) => {
    say(`building etcd ${ETCD}`);
    const env = { ...process.env, GOBIN: directory, GOFLAGS: '-buildvcs=false' };
    await run(go, ['install', `go.etcd.io/etcd/server/v3@v${ETCD}`], { timeoutMs: BUILD_MS, env });
    renameSync(join(directory, 'server'), join(directory, 'etcd')); // named after the module, which is not what we call it
    return true;
  });
  return join(built ?? '', 'etcd');
}

/**
 * Debian packages unpacked beside, not installed: theirs would start daemons. What they depend on is not fetched.
 * @returns the directory in the cache, or undefined where there is no apt-get
 */
export function unpackPackages(name: string, packages: readonly string[], say: (line: string) => void) {
  return fromCache(name, async (directory) => {
    if (find('apt-get') === undefined) return false;
    say(`fetching Debian’s ${packages.join(', ')}`);
    await refreshPackageLists();
    await run('apt-get', ['download', ...packages], { cwd: directory, timeoutMs: INSTALL_MS });
    const archives = readdirSync(directory).filter((file) => file.endsWith('.deb'));
    for (const archive of archives)
      await run('dpkg-deb', ['--extract', join(directory, archive), directory], { timeoutMs: INSTALL_MS });
    return true;
  });
}

/** Directory with a link for each of HYPER_NAMES. */
async function prepareHyper(say: (line: string) => void): Promise<string> {
  const kubernetes = chooseKubernetes();
  const { version, modFile } = kubernetes;
  const sources = [join(HYPER, 'main.go'), modFile, sumFileOf(kubernetes)].map((path) => readFileSync(path));
  const digest = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 8);
  const made = await fromCache(`kubernetes-${version}-${digest}`, async (directory) => {
    const go = await findGo(say);
    say(`building Kubernetes ${version} (about a minute with warm Go caches, 5 to 12 without)`);
    const [major, minor] = version.split('.');
    const stamp = { gitMajor: major, gitMinor: minor, gitVersion: `v${version}`, gitTreeState: 'clean' };
    const flags = Object.entries(stamp).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
    const ldflags = ['-s', '-w', ...flags].join(' ');
    const args = ['build', `-modfile=${modFile}`, '-trimpath', '-ldflags', ldflags, '-o', join(directory, 'hyperkube'), '.'];
    await run(go, args, { cwd: HYPER, timeoutMs: BUILD_MS, env: { ...process.env, GOFLAGS: '-buildvcs=false' } });
    for (const name of HYPER_NAMES) await symlink('hyperkube', join(directory, name));
    return true;
  });
  return made ?? '';
}

const GO = '1.26.8';

export async function findGo(say: (line: string) => void): Promise<string> {
  const installed = find('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined);
  if (installed) return installed;
  const unpacked = await fromCache(`go-${GO}`, async (directory) => {
    const name = `go${GO}.linux-${process.arch === 'x64' ? 'amd64' : process.arch}.tar.gz`;
    say(`fetching Go ${GO}`);
    const archive = await download(`https://go.dev/dl/${name}`, name);
    await run('tar', ['-xz', '-C', directory], { timeoutMs: INSTALL_MS, input: archive });
    return true;
  });
  return join(unpacked ?? '', 'go/bin/go');
}

/** Checked against the sum in https://go.dev/dl/?mode=json, so that half an archive is never unpacked. */
async function download(url: string, name: string): Promise<Buffer> {
  const hint = `Kubernetes is built with Go, which is not on PATH; install Go ${GO} or later`;
  try {
    const releases = await (
      await fetch('https://go.dev/dl/?mode=json&include=all', { signal: AbortSignal.timeout(60_000) })
    ).text();
    const wanted = new RegExp(`"filename":\\s*"${name.replaceAll('.', '\\.')}"[^}]*"sha256":\\s*"([0-9a-f]{64})"`).exec(
      releases,
    )?.[1];
    const archive = Buffer.from(await (await fetch(url, { signal: AbortSignal.timeout(INSTALL_MS) })).arrayBuffer());
    if (createHash('sha256').update(archive).digest('hex') !== wanted) throw new Error('its checksum is not the published one');
    return archive;
  } catch (error) {
    throw new Error(`${hint} (${url} could not be fetched)`, { cause: error });
  }
}

/**
 * A directory of the cache, made by `fill` the first time: in a directory of its own that is renamed when whole, one
 * process at a time. @returns undefined when `fill` says that it cannot be made
 */
export async function fromCache(name: string, fill: (directory: string) => Promise<boolean>): Promise<string | undefined> {
  const target = join(cacheDirectory(), name);
  if (existsSync(target)) return target;
  const lock = await holdLock(join(cacheDirectory(), `.${name}.lock`));
  const draft = mkdtempSync(join(cacheDirectory(), `.${name}-`));
  try {
    if (existsSync(target)) return target;
    if (!(await fill(draft))) return undefined;
    renameSync(draft, target);
    return target;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    lock.release();
  }
}

/** The absolute path of a command on PATH, or in the places where Debian keeps root's. */
export function find(command: string): string | undefined {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  return places.map((place) => join(place, command)).find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
