import { TABLE } from '../datapath.ts';
import { runCommand } from './command.ts';
import { faultOf, type KernelFault } from './nft.ts';

/**
 * Takes our table out of the kernel, whoever left it there; established connections through it end. Safe to repeat.
 * @returns whether there was one; or why it could not be done
 */
export async function cleanUpKernel({
  table = TABLE,
} = {}): Promise<{ readonly removed: boolean; readonly fault?: KernelFault }> {
  const listed = await runCommand('nft', ['list', 'tables', 'inet']);
  if (listed.code === 'ENOENT') return { removed: false };
  if (listed.code !== 0) return { removed: false, fault: faultOf(listed.stderr, listed.code) };
  if (!listed.stdout.split('\n').includes(`table inet ${table}`)) return { removed: false };
  const { code, stderr } = await runCommand('nft', ['delete', 'table', 'inet', table]);
  return code === 0 ? { removed: true } : { removed: false, fault: faultOf(stderr, code) };
}
