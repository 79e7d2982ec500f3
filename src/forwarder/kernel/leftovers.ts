import type { Nft } from './nft.ts';

/** Takes the table of an earlier run out of the kernel, if there is one. */
export async function removeLeftovers(nft: Nft, table: string): Promise<void> {
  const tables = (await nft.list('list', 'tables', 'inet')) ?? '';
  if (tables.split('\n').includes(`table inet ${table}`)) await nft.apply(`delete table inet ${table}`);
}
