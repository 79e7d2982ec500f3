import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Control groups of version 1 below which a cluster's nodes put their pods: `/nplb-ID/NODE` in every hierarchy. */

const ROOT = '/sys/fs/cgroup';
const PREFIX = 'nplb-';

function hierarchies(): readonly string[] {
  return readdirSync(ROOT).map((name) => join(ROOT, name));
}

/** @returns the group's path inside each hierarchy */
export function makeNodeGroup(id: string, node: string): string {
  const group = join(PREFIX + id, node);
  for (const hierarchy of hierarchies()) {
    mkdirSync(join(hierarchy, group), { recursive: true });
    // A new group of cpuset has neither processors nor memory, and nothing could run in it.
    for (const kind of ['cpuset.cpus', 'cpuset.mems'].filter((file) => existsSync(join(hierarchy, file))))
      for (const at of [PREFIX + id, group]) writeFileSync(join(hierarchy, at, kind), readFileSync(join(hierarchy, kind)));
  }
  return `/${group}`;
}

/** Removes the groups of every cluster that is not in use, as far as no process is in them. */
export function removeGroups(inUse: (id: string) => boolean): void {
  for (const hierarchy of hierarchies()) {
    for (const name of readdirSync(hierarchy)) {
      if (name.startsWith(PREFIX) && !inUse(name.slice(PREFIX.length))) removeTree(join(hierarchy, name));
    }
  }
}

/** A group is removed by rmdir alone, its children first; one with a process in it stays. */
function removeTree(directory: string): void {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(directory, entry.name));
    rmdirSync(directory);
  } catch {
    // a process in it is still ending: the next cluster removes it
  }
}
