import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, tryRun } from './command.ts';
import { until } from './until.ts';

/** What a lab has made on this machine: everything carries its id, so that it can be removed whoever made it. */
export interface Claim {
  /** Six hexadecimal digits. */
  readonly id: string;
  /** Logs, keys and etcd's data. */
  readonly directory: string;
}

interface Record {
  readonly id: string;
  readonly directory: string;
  readonly owner: Owner;
}

/** A process id and when it began, in clock ticks since boot: ids are used again. */
interface Owner {
  readonly pid: number;
  readonly started: string;
}

const RECORDS = '/run/nodeport-lb-labs';

/** Puts down, before anything is made, whose it will be. */
export function claimLab(): Claim {
  const id = randomBytes(3).toString('hex');
  const directory = mkdtempSync(join(tmpdir(), `nplb-${id}-`));
  const record: Record = { id, directory, owner: { pid: process.pid, started: startOf(process.pid) ?? '' } };
  mkdirSync(RECORDS, { recursive: true });
  writeFileSync(recordFile(id), JSON.stringify(record));
  return { id, directory };
}

/** Network namespaces of a lab begin with this. */
export function prefixOf(claim: Claim): string {
  return `nplb-${claim.id}-`;
}

/** Removes what labs left whose owners are dead. @returns their ids */
export async function removeLeftovers(): Promise<readonly string[]> {
  const dead = readRecords().filter((record) => startOf(record.owner.pid) !== record.owner.started);
  for (const record of dead) await removeLab(record);
  return dead.map((record) => record.id);
}

/** Ends every process in the lab's namespaces, then removes namespaces, directory and record. Safe to repeat. */
export async function removeLab(claim: Claim): Promise<void> {
  const namespaces = await namespacesOf(claim);
  await until(async () => (await endProcesses(namespaces)) === 0, {
    withinMs: 20_000,
    what: `the processes of lab ${claim.id} end`,
  });
  for (const name of namespaces) await run('ip', ['netns', 'delete', name]);
  if (process.env['NPLB_KEEP_LOGS'] === undefined) rmSync(claim.directory, { recursive: true, force: true });
  rmSync(recordFile(claim.id), { force: true });
}

/** Kills what lives in the namespaces, all of which the lab made. @returns how many processes there were */
async function endProcesses(namespaces: readonly string[]): Promise<number> {
  let seen = 0;
  for (const name of namespaces) {
    const pids = (await tryRun('ip', ['netns', 'pids', name])).stdout.split('\n').filter((line) => line !== '');
    for (const pid of pids) {
      seen++;
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // it ended by itself meanwhile
      }
    }
  }
  return seen;
}

export async function namespacesOf(claim: Claim): Promise<readonly string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.filter((name) => name.startsWith(prefixOf(claim)));
}

function readRecords(): readonly Record[] {
  try {
    const files = readdirSync(RECORDS).filter((name) => name.endsWith('.json'));
    return files.map((name) => JSON.parse(readFileSync(join(RECORDS, name), 'utf8')) as Record);
  } catch {
    return []; // no lab was ever started here
  }
}

function recordFile(id: string): string {
  return join(RECORDS, `${id}.json`);
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined when there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]; // the name in parentheses may hold spaces
  } catch {
    return undefined;
  }
}
