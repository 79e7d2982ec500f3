import { readFile } from 'node:fs/promises';
import { explain } from '../../errors.ts';
import { runCommand } from './command.ts';
import type { Failure } from './links.ts';

/** Bits of capabilities(7), from linux/capability.h. */
const NEEDED = { NET_ADMIN: 12n, NET_RAW: 13n } as const;

/** Why this process cannot hold addresses at all, or undefined: it asks the system for everything that is needed. */
export async function missingMeans(): Promise<Failure | undefined> {
  if (process.platform !== 'linux')
    return { code: 'NotSupported', message: `addresses move between Linux machines only, not ${process.platform}` };
  const lacking = lackingCapabilities(await readFile('/proc/self/status', 'utf8').catch(() => ''));
  if (lacking.length > 0) return { code: 'VipsNotPermitted', message: `this process lacks ${lacking.join(' and ')}` };
  try {
    await runCommand('ip', ['-V']);
    await runCommand('keepalived', ['--version']);
    return undefined;
  } catch (error) {
    return { code: 'KeepalivedMissing', message: `a program is missing or does not run: ${explain(error).split('\n')[0]}` };
  }
}

/** Reads `/proc/PID/status`. A text without capabilities lacks all. */
export function lackingCapabilities(status: string): readonly string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Object.entries(NEEDED).flatMap(([name, bit]) => ((effective >> bit) & 1n ? [] : [name]));
}

const NONLOCAL = ['net.ipv4.ip_nonlocal_bind', 'net.ipv6.ip_nonlocal_bind'] as const;

/** Settings of the kernel without which a port in userspace cannot be opened before its address is here. */
export async function missingSettings(): Promise<readonly string[]> {
  const values = await Promise.all(
    NONLOCAL.map((name) => readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => '')),
  );
  return NONLOCAL.filter((_, i) => values[i]!.trim() === '0');
}
