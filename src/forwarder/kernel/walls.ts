import type { Walls } from '../paths.ts';

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
