import type { Nft } from './nft.ts';

/** Base chains by which new connections come to our rules. */
const DOORS = ['prerouting', 'output', 'input'] as const;

/**
 * Has the kernel go on by itself, for the next forwarder to take over, but no longer than `rulesMs`: afterwards nothing new is taken,
 * though nobody may be left to see to it. What is established goes on.
 * @param entries in the rules
 * @returns false: there is nothing to go on with, or the kernel cannot do so
 */
export async function leaveRules(nft: Nft, table: string, entries: number, rulesMs: number): Promise<boolean> {
  if (entries === 0 || rulesMs <= 0) return false;
  if (rulesMs === Number.POSITIVE_INFINITY) return true;
  return (await nft.apply(renderEnd(table, Date.now() + rulesMs))) === undefined;
}

/**
 * Pure. From then on every packet passes our table by. By the wall clock, which is the one that nftables can ask (Linux 5.4): a machine
 * that is set back has the rules for longer, until the next forwarder or `--cleanup`.
 */
export function renderEnd(table: string, atMs: number): string {
  const seconds = Math.ceil(atMs / 1_000);
  return DOORS.map((chain) => `insert rule inet ${table} ${chain} meta time >= ${seconds} accept`).join('\n');
}

/** Whether our table is there and nobody has set an end to it: a forwarder of another name may have taken its leave in the same table. */
export async function goesOn(nft: Pick<Nft, 'list'>, table: string): Promise<boolean> {
  const chain = await nft.list('-t', 'list', 'chain', 'inet', table, DOORS[0]);
  return chain !== undefined && !chain.includes('meta time');
}
