import { execFile } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Wanted {
  /** Of the directory in the cache: what is in it, with versions, so that a change makes a new one. */
  readonly name: string;
  /** Minor versions of Python 3 that will do, best first. */
  readonly minors: readonly number[];
  /** For pip. */
  readonly packages: readonly string[];
  /** A package of ours. It is copied first, for pip builds where the source stands. */
  readonly source?: string;
  /** What is missing when there is no such Python. */
  readonly cure: string;
}

const INSTALL_MS = 15 * 60_000;
const PROBE_MS = 20_000;

/** Outside the checkout, so that it outlives it. */
function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'nodeport-lb');
}

/**
 * A Python environment with the packages in it; made once, found afterwards. Two that make it at a time do not meet: each builds its
 * own, and the name goes to the first that is ready.
 * @returns the environment's directory
 * @throws {Error} when there is no fitting Python, or pip cannot install
 */
export async function prepareVenv(wanted: Wanted, say: (line: string) => void): Promise<string> {
  const ready = join(cacheDirectory(), wanted.name);
  if (existsSync(join(ready, 'bin/python'))) return ready;
  const python = await findPython(wanted);
  mkdirSync(cacheDirectory(), { recursive: true });
  const build = mkdtempSync(`${ready}-`);
  try {
    say(`${wanted.name}: installing into ${build} with ${python}; a minute or two`);
    await run(python, ['-m', 'venv', build], { timeout: INSTALL_MS });
    const own = wanted.source === undefined ? [] : [join(build, basename(wanted.source))];
    if (wanted.source !== undefined) cpSync(wanted.source, own[0]!, { recursive: true });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...wanted.packages, ...own];
    await run(join(build, 'bin/python'), pip, { timeout: INSTALL_MS });
  } catch (error) {
    rmSync(build, { recursive: true, force: true });
    throw new Error(`${wanted.name} could not be installed: ${lastLines(error)}`, { cause: error });
  }
  rmSync(ready, { force: true }); // a link whose environment is gone
  const link = `${build}.link`;
  symlinkSync(build, link);
  renameSync(link, ready);
  return ready;
}

/** @throws {Error} naming what was tried */
async function findPython({ name, minors, cure }: Wanted): Promise<string> {
  const candidates = minors.flatMap((minor) => [
    `python3.${minor}`,
    ...globSync(join(process.env['PYENV_ROOT'] || join(homedir(), '.pyenv'), `versions/3.${minor}.*/bin/python`)),
  ]);
  for (const candidate of [...candidates, 'python3']) {
    const probe = 'import ensurepip, sys, venv; print(sys.version_info.minor)';
    const minor = await run(candidate, ['-c', probe], { timeout: PROBE_MS }).then(
      ({ stdout }) => Number(stdout),
      () => undefined, // not there, or without venv: the next one
    );
    if (minor !== undefined && minors.includes(minor)) return candidate;
  }
  const versions = minors.map((minor) => `3.${minor}`).join(', ');
  throw new Error(`${name} needs Python ${versions} with venv, and none was found among ${candidates.join(', ')}. ${cure}`);
}

function lastLines(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) || error.message : String(error);
  return text.trim().split('\n').slice(-5).join('\n');
}
