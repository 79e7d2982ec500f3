import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run, tryRun } from '../lab/command.ts';

const CHECKOUT = join(import.meta.dirname, '../../..');
const RELEASE = /^v(\d+)\.(\d+)\.(\d+)$/;

/** A release that was before this checkout. */
export interface Before {
  readonly tag: string;
  /** Its whole tree. */
  readonly tree: string;
}

/**
 * The last release before a commit. Pure.
 * @param merged tags of the commit and of everything before it
 * @param here those of the commit itself
 * @returns the highest vX.Y.Z, or undefined; what is not such a version (v1.0.0-rc.1) is no release
 */
export function chooseBefore(merged: readonly string[], here: readonly string[]): string | undefined {
  const releases = merged.flatMap((tag) => {
    const parts = here.includes(tag) ? undefined : RELEASE.exec(tag)?.slice(1).map(Number);
    return parts ? [{ tag, parts }] : [];
  });
  return releases.reduce<(typeof releases)[number] | undefined>(
    (best, one) => (best === undefined || isHigher(one.parts, best.parts) ? one : best),
    undefined,
  )?.tag;
}

function isHigher(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((part, i) => part !== b[i]);
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
}

/** The last release before the checkout, or undefined: there is none, or this is no clone with its tags. */
export async function findBefore(): Promise<string | undefined> {
  const tags = async (which: string): Promise<readonly string[]> => {
    const { code, stdout } = await tryRun('git', ['-C', CHECKOUT, 'tag', which, 'HEAD', '--list', 'v*']).catch(() => NO_GIT);
    return code === 0 ? stdout.split('\n').filter((line) => line !== '') : [];
  };
  return chooseBefore(await tags('--merged'), await tags('--points-at'));
}

const NO_GIT = { code: 1, stdout: '' };

/** Writes the tree of a tag below the directory. */
export async function unpackBefore(tag: string, directory: string): Promise<Before> {
  const tree = join(directory, tag);
  mkdirSync(tree, { recursive: true });
  const archive = `${tree}.tar`;
  await run('git', ['-C', CHECKOUT, 'archive', '--format=tar', `--output=${archive}`, tag]);
  await run('tar', ['-x', '-f', archive, '-C', tree]);
  return { tag, tree };
}
