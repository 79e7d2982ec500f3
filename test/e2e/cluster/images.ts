import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { holdLock, run } from '../lab/command.ts';
import { cacheDirectory, fromCache } from '../tools.ts';
import type { Parts } from './parts.ts';
import { buildTraefik } from './traefik.ts';

/**
 * Images without a registry and without a daemon, by buildah. The two images that the Dockerfile begins from cannot be fetched
 * everywhere, so stand-ins are made of Debian's packages and of the Node that the lock file pins: what is proven is the Dockerfile and
 * what it makes, not the published base.
 */

const CHECKOUT = join(import.meta.dirname, '../../..');
export const BASE = 'docker.io/library/debian:bookworm-slim';
const NODE = 'docker.io/library/node:24-bookworm-slim';
export const PAUSE = 'registry.k8s.io/pause:3.10';
/** What the chart asks for without values. */
export const PRODUCT = `docker.io/library/nodeport-lb:${version()}`;
/** Of the release before, whose version may be the same as ours still. */
export const PRODUCT_BEFORE = 'docker.io/library/nodeport-lb:before';
export const INGRESS = 'localhost/traefik:lab';
export const BUILD_MS = 15 * 60_000; // npm and apt in it

/** As debian:bookworm-slim has no manuals, translations or documents but copyrights, nor a Perl beyond the essential. */
const SLIM = [
  '--variant=minbase',
  '--include=usr-is-merged',
  ...['man', 'locale', 'doc'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  `--customize-hook=chroot "$1" apt-get -qy purge --auto-remove usrmerge perl perl-modules-5.36 libperl5.36`,
];

function version(): string {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
  return version;
}

export interface Image {
  readonly name: string;
  /** An OCI archive that `ctr images import` takes. */
  readonly archive: string;
  /** Of its compressed layers, as a registry would keep them. */
  readonly bytes: number;
}

/** Buildah with a store of its own in the cache, for one process at a time. */
export class Store {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** In a mount namespace of its own, since it leaves its store mounted. */
  buildah(args: readonly string[]) {
    const own = ['--root', join(this.#root, 'store'), '--runroot', join(this.#root, 'run'), '--storage-driver', 'overlay'];
    return run('unshare', ['--mount', 'nice', '-n', '10', 'buildah', ...own, ...args], { timeoutMs: BUILD_MS });
  }

  /** Builds unless the image is there. */
  async once(name: string, directory: string, dockerfile: string): Promise<void> {
    const { stdout } = await this.buildah(['images', '--format', '{{.Name}}:{{.Tag}}']);
    if (stdout.split('\n').includes(name)) return;
    const file = join(this.#root, 'Dockerfile');
    writeFileSync(file, dockerfile);
    await this.build(name, directory, ['--file', file]);
  }

  async build(name: string, directory: string, options: readonly string[] = []): Promise<void> {
    await this.buildah(['bud', '--quiet', '--isolation', 'chroot', '--pull-never', ...options, '--tag', name, directory]);
  }

  async export(name: string, archive: string): Promise<Image> {
    rmSync(archive, { force: true });
    await this.buildah(['push', '--quiet', name, `oci-archive:${archive}:${name}`]);
    return { name, archive, bytes: statSync(archive).size };
  }
}

export interface Wanted {
  /** For the archives. */
  readonly directory: string;
  /** Tree of the release before, for PRODUCT_BEFORE. */
  readonly before?: string;
}

/** Waits for the store, and gives it back when the work is done. */
export async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
  const lock = await holdLock(join(cacheDirectory(), '.images.lock'));
  try {
    return await work(new Store(storeDirectory()));
  } finally {
    lock.release();
  }
}

/** Makes the images that the Dockerfile begins from, unless they are there. @returns the archive of Debian's files */
export async function prepareBases(store: Store, directory: string, say: (line: string) => void): Promise<string> {
  const base = await fromCache('debian-bookworm-slim', async (draft) => {
    say('making a Debian base with mmdebstrap');
    await run('mmdebstrap', ['--quiet', ...SLIM, 'bookworm', join(draft, 'base.tar')], { timeoutMs: BUILD_MS });
    return true;
  });
  await store.once(BASE, base ?? '', 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n');
  await store.once(NODE, await nodeContext(directory), nodeFile());
  return join(base ?? '', 'base.tar');
}

/** Builds what the nodes run from the checkout as it is now. */
export function buildImages(parts: Parts, { directory, before }: Wanted, say: (line: string) => void): Promise<readonly Image[]> {
  return withStore(async (store) => {
    await prepareBases(store, directory, say);
    await store.once(PAUSE, dirname(parts.pause), 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n');
    await store.once(INGRESS, await buildTraefik(say), 'FROM scratch\nCOPY traefik /traefik\nENTRYPOINT ["/traefik"]\n');
    say('building the image');
    await store.build(PRODUCT, CHECKOUT, ['--layers', ...npmCache()]);
    if (before !== undefined) await store.build(PRODUCT_BEFORE, before, ['--layers', ...npmCache()]);
    return [
      ...(before === undefined ? [] : [await store.export(PRODUCT_BEFORE, join(directory, 'before.tar'))]),
      await store.export(PAUSE, join(directory, 'pause.tar')),
      await store.export(INGRESS, join(directory, 'traefik.tar')),
      await store.export(PRODUCT, join(directory, 'nodeport-lb.tar')),
    ];
  });
}

/** One for each state of what decides about the large layers; those of other states go, so that the cache does not grow for ever. */
function storeDirectory(): string {
  const hash = createHash('sha256');
  for (const file of ['Dockerfile', 'package-lock.json']) hash.update(readFileSync(join(CHECKOUT, file)));
  const name = `images-${hash.digest('hex').slice(0, 8)}`;
  for (const old of readdirSync(cacheDirectory()).filter((entry) => /^images-[0-9a-f]{8}$/.test(entry) && entry !== name))
    rmSync(join(cacheDirectory(), old), { recursive: true, force: true });
  mkdirSync(join(cacheDirectory(), name), { recursive: true });
  return join(cacheDirectory(), name);
}

async function nodeContext(directory: string): Promise<string> {
  const context = join(directory, 'node-image');
  mkdirSync(context, { recursive: true });
  cpSync(process.execPath, join(context, 'node'));
  const globals = (await run('npm', ['root', '--global'])).stdout.trim();
  cpSync(join(globals, 'npm'), join(context, 'npm'), { recursive: true, dereference: true });
  return context;
}

/** npm prefers what it has: the cache is the machine's, see npmCache. */
function nodeFile(): string {
  return `FROM ${BASE}
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
ENV npm_config_prefer_offline=true
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && npm --version
`;
}

/** What npm has fetched for this checkout already, and how this machine reaches its registry. */
export function npmCache(): readonly string[] {
  const mounts = [join(homedir(), '.npm'), join(homedir(), '.npmrc')].filter((path) => existsSync(path));
  return mounts.flatMap((path) => ['--volume', `${path}:/root/${path.slice(homedir().length + 1)}`]);
}
