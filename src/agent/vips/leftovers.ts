import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ForwarderLog } from '../../forwarder/rules.ts';
import { runCommand } from './command.ts';
import { type Link, leftoversOf, readLinks } from './links.ts';
import { ALL_IDS } from './plan.ts';
import { VipRecord } from './record.ts';
import { anchorsOf, type Placed } from './render.ts';

/** Names within the run directory. */
export const CONFIG_FILE = 'keepalived.conf';
export const PID_FILES = ['keepalived.pid', 'vrrp.pid'] as const;

const STOP_MS = 3_000; // keepalived takes one second to stop
const LOOK_MS = 20;
const ANCHORS = anchorsOf(ALL_IDS);

/** Every interface of this machine with its addresses, those that are down as well. Rejects without the command `ip`. */
export async function listLinks(): Promise<readonly Link[]> {
  return readLinks(await runCommand('ip', ['-j', 'addr', 'show']));
}

/**
 * Removes from the links what a keepalived of ours has left there: what the record says, what has our label, and anchors.
 * @returns what was removed
 */
export async function removeLeftovers(record: VipRecord): Promise<readonly Placed[]> {
  const leftovers = leftoversOf(await listLinks(), record.placed, ANCHORS);
  if (leftovers.length === 0) return [];
  const lines = leftovers.map(
    ({ address, interface: name }) => `addr del ${address}/${address.includes(':') ? 128 : 32} dev ${name}`,
  );
  await runCommand('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`).catch(() => {}); // some may have gone by themselves
  const remaining = leftoversOf(await listLinks(), record.placed, ANCHORS);
  return leftovers.filter(
    (one) => !remaining.some((other) => other.address === one.address && other.interface === one.interface),
  );
}

/** Ends what an agent before us has left running, which then gives its addresses back by itself; kills it after 3 s. */
export async function stopOrphans(runDir: string): Promise<boolean> {
  const pids = () => PID_FILES.map((name) => readPid(runDir, name)).filter((pid) => pid !== undefined);
  if (pids().length === 0) return false;
  for (const pid of pids()) signal(pid, 'SIGTERM');
  const untilMs = performance.now() + STOP_MS;
  while (pids().length > 0 && performance.now() < untilMs) await sleep(LOOK_MS);
  for (const pid of pids()) signal(pid, 'SIGKILL');
  return true;
}

/**
 * What `nodeport-lb forwarder --cleanup` does about VIPs: ends a keepalived of ours that runs without an agent, and takes our
 * addresses from the links. Rejects when it cannot. @returns a line for each thing that was removed
 */
export async function cleanUpVips(options: { readonly runDir: string; readonly log: ForwarderLog }): Promise<readonly string[]> {
  if (process.platform !== 'linux') return [];
  const stopped = await stopOrphans(options.runDir);
  const record = new VipRecord(options.runDir);
  const removed = await removeLeftovers(record).catch((error: unknown) => {
    if (record.placed.length > 0) throw error;
    return []; // without the command ip nothing can be there
  });
  if (record.placed.length > 0) await record.write([]);
  const lines = removed
    .filter((one) => !ANCHORS.includes(one.address))
    .map(({ address, interface: name }) => `address ${address} on ${name}`);
  return stopped ? [`keepalived of ${join(options.runDir, CONFIG_FILE)}`, ...lines] : lines;
}

/** A process that is alive and was started with our configuration: a pid alone may be another's by now. */
function readPid(runDir: string, name: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(runDir, name), 'utf8').trim());
    if (!Number.isInteger(pid) || pid < 2) return undefined;
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return args.includes(join(runDir, CONFIG_FILE)) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended meanwhile
  }
}
