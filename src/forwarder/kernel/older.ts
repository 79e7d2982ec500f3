import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { commandEnvironment } from './command.ts';
import type { Family } from './plan.ts';
import { type OlderTables, olderCommand } from './walls.ts';

/**
 * The filter tables of the older iptables. Nothing is run where there is none, for the command itself would make one. Synchronous: some
 * 5 ms for each family, once.
 */
export function readOlderTables(): OlderTables {
  return { 4: read(4), 6: read(6) };
}

function read(family: Family): string | undefined {
  if (!hasFilter(family)) return '';
  const options = { encoding: 'utf8', env: commandEnvironment, timeout: 10_000 } as const;
  const { status, stdout } = spawnSync(`${olderCommand(family)}-save`, ['-t', 'filter'], options);
  return status === 0 ? stdout : undefined;
}

/** The kernel names the tables that it has in this network namespace, to root alone. */
function hasFilter(family: Family): boolean {
  try {
    return readFileSync(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8')
      .split('\n')
      .includes('filter');
  } catch {
    return false;
  }
}
