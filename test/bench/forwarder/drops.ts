import { readFileSync } from 'node:fs';

/** What the kernel has thrown away in this process's network namespace (of `backlog` and below: on the machine), since it began. */
export type Drops = Readonly<Record<string, number>>;

/** Packets, by what they met; what the kernel does not tell is left out. @see https://docs.kernel.org/networking/snmp_counter.html */
export function readDrops(): Drops {
  const snmp = pairsOf(read('/proc/self/net/snmp'));
  const tracked = statOf(read('/proc/self/net/stat/nf_conntrack'));
  return {
    'receive buffers of UDP full': snmp.get('Udp RcvbufErrors') ?? 0,
    'send buffers of UDP full': snmp.get('Udp SndbufErrors') ?? 0,
    'nobody at a port of UDP': snmp.get('Udp NoPorts') ?? 0,
    'conntrack full': (tracked.get('drop') ?? 0) + (tracked.get('early_drop') ?? 0),
    'two conntrack entries at once': tracked.get('insert_failed') ?? 0,
    'backlog of the machine full': backlogOf(read('/proc/net/softnet_stat')),
  };
}

/** Pure. What has come since, as a text; '' when nothing has. */
export function sayDrops(before: Drops, after: Drops): string {
  return Object.entries(after)
    .map(([what, count]) => [what, count - (before[what] ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${what}: ${count}`)
    .join(', ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Lines come in pairs: names, then numbers. */
function pairsOf(snmp: string): ReadonlyMap<string, number> {
  const lines = snmp.split('\n').map((line) => line.split(/:? /));
  return new Map(
    lines.flatMap(([group = '', ...names], i) =>
      lines[i + 1]?.[0] === group ? names.map((name, j) => [`${group} ${name}`, Number(lines[i + 1]?.[j + 1])] as const) : [],
    ),
  );
}

/** A line of names, then one of hexadecimal numbers for each CPU. */
function statOf(table: string): ReadonlyMap<string, number> {
  const [names = [], ...cpus] = table
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  return new Map(names.map((name, i) => [name, cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu[i] ?? '0', 16), 0)]));
}

/** The second number of each CPU. */
function backlogOf(softnet: string): number {
  const cpus = softnet
    .trim()
    .split('\n')
    .map((line) => Number.parseInt(line.split(' ')[1] ?? '0', 16));
  return cpus.reduce((sum, count) => sum + (count || 0), 0);
}
