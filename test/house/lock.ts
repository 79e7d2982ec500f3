import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The parts of package-lock.json that matter here. */
export interface Lock {
  packages: Record<string, LockEntry>;
}

interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export const lockPath = join(fileURLToPath(new URL('../..', import.meta.url)), 'package-lock.json');

export function readLock(): Lock {
  return JSON.parse(readFileSync(lockPath, 'utf8'));
}

/**
 * Optional packages that some package wants and the lock file lacks. npm leaves them out when the registry that it asked does not
 * have them (a mirror of one platform), and `npm ci` then refuses the lock file everywhere.
 */
export function missingPackages(
  lock: Lock,
): readonly { readonly name: string; readonly version: string; readonly dev: boolean }[] {
  const known = new Set(Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, '')));
  const found = Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(path === '' ? {} : (entry.optionalDependencies ?? {}))
      .filter(([name]) => !known.has(name))
      .map(([name, version]) => ({ name, version: version.replace(/^[~^]/, ''), dev: entry.dev === true })),
  );
  return found.filter((one, i) => found.findIndex((other) => other.name === one.name) === i);
}

/** Platform packages carry it in their names: `…-linux-x64-musl`. */
const PLATFORM = /(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-(\w+))?$/;

function describePlatform(name: string): object {
  const [, os, cpu, abi = ''] = PLATFORM.exec(name) ?? [];
  if (!os || !cpu) throw new Error(`${name} is missing from the lock file, and its name tells no platform`);
  const libc = os !== 'linux' || abi === '' ? {} : { libc: [abi.includes('musl') ? 'musl' : 'glibc'] };
  return { cpu: [cpu], os: [os], ...libc };
}

/** The lock file with an entry for each missing package; npm takes its checksum from the registry when it installs it. */
export function completeLock(lock: Lock): Lock {
  const added = missingPackages(lock).map(({ name, version, dev }): [string, LockEntry] => [
    `node_modules/${name}`,
    { version, ...(dev ? { dev } : {}), optional: true, ...describePlatform(name) },
  ]);
  const packages = Object.fromEntries([...Object.entries(lock.packages), ...added].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...lock, packages };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(lockPath, `${JSON.stringify(completeLock(readLock()), null, 2)}\n`);
