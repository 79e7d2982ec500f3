import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIP } from 'node:net';
import { basename } from 'node:path';
import { showsSockets } from './platform.ts';

/** Processes looked at before giving up; a busy machine has a few thousand. */
const MAX_PROCESSES = 5_000;
/** Characters of a program's name in a message. */
const MAX_SHOWN = 60;
const LISTEN_STATE = '0A';

interface Place {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly address: string;
  readonly port: number;
}

/**
 * Who has a port, in words for a message: `process 4711 (nginx)`, or why that cannot be said.
 * @see https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
 */
export async function describePortHolder(place: Place, platform?: NodeJS.Platform): Promise<string> {
  if (!showsSockets(platform)) return 'another process (which one cannot be seen on this platform)';
  const inodes = await holdingInodes(place);
  if (inodes.size === 0) return `another process (which one /proc/net/${place.protocol.toLowerCase()} does not say)`;
  return (await findOwner(inodes)) ?? 'a process of another user (run as root to see which)';
}

/** A UDP socket holds its port in whatever state it is. */
async function holdingInodes({ protocol, address, port }: Place): Promise<Set<string>> {
  const found = new Set<string>();
  const table = `/proc/net/${protocol.toLowerCase()}`;
  for (const file of [table, `${table}6`]) {
    for (const line of (await readLines(file)).slice(1)) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      const [hexAddress = '', hexPort = ''] = local.split(':');
      if (protocol === 'TCP' && state !== LISTEN_STATE) continue;
      if (Number.parseInt(hexPort, 16) !== port || inode === undefined) continue;
      if (clashes(hexAddress, address)) found.add(inode);
    }
  }
  return found;
}

/** A wildcard clashes with every address; an IPv6 address is told apart no further, since only who may hold it is asked. */
function clashes(hexAddress: string, address: string): boolean {
  if (/^0+$/.test(hexAddress) || address === '::' || address === '0.0.0.0') return true;
  if (isIP(address) !== 4) return hexAddress.length === 32;
  const hex = Buffer.from(address.split('.').map(Number).reverse()).toString('hex').toUpperCase();
  return hexAddress === hex || hexAddress === `0000000000000000FFFF0000${hex}`;
}

async function findOwner(inodes: ReadonlySet<string>): Promise<string | undefined> {
  const pids = (await orElse([], readdir('/proc'))).filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, MAX_PROCESSES)) {
    if (!(await holdsSocket(pid, inodes))) continue;
    if (Number(pid) === process.pid) return 'this very process';
    return `process ${pid} (${await nameProcess(pid)})`;
  }
  return undefined;
}

/** What runs a program whose name is the first argument. */
const INTERPRETERS = /^(node|deno|bun|python[\d.]*|ruby|perl|php|sh|bash)$/;

/**
 * The main thread of a process may be called MainThread, which tells people nothing. Only the program is named: other arguments may be
 * secrets, and the message is written to the Service.
 */
async function nameProcess(pid: string): Promise<string> {
  const [first = '', second = ''] = (await orElse('', readFile(`/proc/${pid}/cmdline`, 'latin1'))).split('\0');
  const program = plainName(first.split(/[\s:]/)[0]!); // some write what they do behind their name
  if (program === '') return (await readLines(`/proc/${pid}/comm`))[0] || '?';
  const script = INTERPRETERS.test(program) && !second.startsWith('-') ? plainName(second) : '';
  return script === '' ? program : `${program} ${script}`;
}

function plainName(path: string): string {
  return basename(path)
    .replaceAll(/[^\x21-\x7e]/g, '?')
    .slice(0, MAX_SHOWN);
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  for (const fd of await orElse([], readdir(`/proc/${pid}/fd`))) {
    const inode = /^socket:\[(\d+)\]$/.exec(await orElse('', readlink(`/proc/${pid}/fd/${fd}`)))?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}

async function readLines(file: string): Promise<string[]> {
  return (await orElse('', readFile(file, 'latin1'))).split('\n');
}

/** Processes come and go, and others' are closed to us, while we look. */
async function orElse<T>(otherwise: T, attempt: Promise<T>): Promise<T> {
  try {
    return await attempt;
  } catch {
    return otherwise;
  }
}
