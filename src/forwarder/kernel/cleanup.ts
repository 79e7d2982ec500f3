import { TABLE } from '../datapath.ts';
import { isClaimed } from './claim.ts';
import { type Output, runCommand } from './command.ts';
import { faultOf, type KernelFault } from './nft.ts';

type Run = (command: string, args: readonly string[]) => Promise<Output>;

/**
 * Takes our table out of the kernel, whoever left it there; established connections through it end. Safe to repeat.
 * @returns whether there was one; or why it could not be done
 */
export async function cleanUpKernel({
  table = TABLE,
  run = runCommand as Run,
} = {}): Promise<{ readonly removed: boolean; readonly fault?: KernelFault }> {
  const listed = await run('nft', ['list', 'tables', 'inet']);
  if (listed.code === 'ENOENT') return { removed: false };
  if (listed.code !== 0) return { removed: false, fault: faultOf(listed.stderr, listed.code) };
  if (!listed.stdout.split('\n').includes(`table inet ${table}`)) return { removed: false };
  // Somebody else may take it out meanwhile, and only what is there can be deleted.
  const { code, stderr } = await run('nft', [`add table inet ${table}; delete table inet ${table}`]);
  return code === 0 ? { removed: true } : { removed: false, fault: faultOf(stderr, code) };
}

/**
 * Takes out of the kernel the tables of processes that are no more, which had no time to do so. Other processes' stay. Safe to repeat.
 * @param prefix of their names
 * @returns names of the tables that were removed; none where nothing can be seen or done
 */
export async function cleanUpOrphans(prefix: string, run: Run = runCommand): Promise<readonly string[]> {
  const { code, stdout } = await run('nft', ['list', 'tables', 'inet']);
  const names = code === 0 ? stdout.split('\n').map((line) => line.replace(/^table inet /, '')) : [];
  const removed: string[] = [];
  for (const name of names.filter((one) => one.startsWith(prefix))) {
    if (isClaimed(name)) continue;
    if ((await cleanUpKernel({ table: name, run })).removed) removed.push(name);
  }
  return removed;
}
