import type { Walls } from '../paths.ts';
import type { Family } from './plan.ts';

/**
 * Pure. The chains of a firewall that drop whatever they are not told to pass on, as Docker's and ufw's do: what the kernel path
 * sends on would end there.
 * @param listing of `nft list chains`
 */
export function wallsIn(listing: string): Walls {
  const walls: { 4?: string; 6?: string } = {};
  let table = '';
  let chain = '';
  for (const line of listing.split('\n').map((one) => one.trim())) {
    if (line.startsWith('table ')) table = line.replace(/ \{$/, '');
    else if (line.startsWith('chain ')) chain = line.replace(/ \{$/, '');
    else if (/^type filter hook forward .*policy drop;/.test(line)) {
      const family = table.split(' ')[1];
      if (family === 'ip' || family === 'inet') walls[4] ??= `${chain} in ${table}`;
      if (family === 'ip6' || family === 'inet') walls[6] ??= `${chain} in ${table}`;
    }
  }
  return walls;
}

/** What the tables of the older iptables say, by family; '': there is none, undefined: there is one, but it cannot be read. */
export type OlderTables = Readonly<Record<Family, string | undefined>>;

/** Pure. The same of the older iptables, whose chains nft does not list. */
export function olderWallsIn(tables: OlderTables): Walls {
  const walls: { 4?: string; 6?: string } = {};
  for (const family of [4, 6] as const) {
    if (/^:FORWARD DROP\b/m.test(tables[family] ?? '')) walls[family] = `chain FORWARD of ${olderCommand(family)}`;
  }
  return walls;
}

/** Pure. Of what cannot be read, a sentence for people. */
export function unreadWalls(tables: OlderTables): readonly string[] {
  return ([4, 6] as const)
    .filter((family) => tables[family] === undefined)
    .map(
      (family) =>
        `this machine has a filter table of ${olderCommand(family)}, and what it does with IPv${family} cannot be read: ` +
        `${olderCommand(family)}-save is not installed or fails. If its chain FORWARD drops, connections end there: ` +
        'ask for the data path userspace, or let them pass',
    );
}

/** The command that has these tables; nft and the newer iptables do not see them. */
export function olderCommand(family: Family): string {
  return family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
}
