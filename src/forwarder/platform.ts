import { readFileSync } from 'node:fs';

// Everything in which the userspace path differs between platforms. Each takes the platform's name, so that all of them can be
// tried on one; what only Linux has (nftables, conntrack, keepalived) is in rooms that are not entered elsewhere.

type Platform = NodeJS.Platform;

/** Systems on whose loopback interface all of 127.0.0.0/8 can be bound without preparation; macOS and the BSDs have 127.0.0.1 alone. */
const WHOLE_LOOPBACK: readonly Platform[] = ['linux', 'android', 'win32'];

/** Pure. Whether sockets can listen at any address of 127.0.0.0/8. */
export function hasWholeLoopback(platform: Platform = process.platform): boolean {
  return WHOLE_LOOPBACK.includes(platform);
}

/** Pure. Whether connections have the TCP_NODELAY of the socket that they came in by. @see https://man7.org/linux/man-pages/man7/tcp.7.html */
export function inheritsNoDelay(platform: Platform = process.platform): boolean {
  return platform === 'linux' || platform === 'android';
}

/** Pure. Whether open sockets can be given to a process that is no child. */
export function passesSockets(platform: Platform = process.platform): boolean {
  return platform !== 'win32';
}

/** Pure. Whether /proc tells who has which socket. */
export function showsSockets(platform: Platform = process.platform): boolean {
  return platform === 'linux';
}

/**
 * How often a new connection found the queue of a listening socket full, whosever it was, in this network namespace since it began.
 * @returns undefined where that is not told @see https://docs.kernel.org/networking/snmp_counter.html (TcpExtListenOverflows)
 */
export function queueOverflows(platform: Platform = process.platform): number | undefined {
  if (platform !== 'linux') return undefined;
  try {
    return overflowsIn(readFileSync('/proc/self/net/netstat', 'utf8'));
  } catch {
    return undefined;
  }
}

/** Pure. Of /proc/net/netstat, whose lines come in pairs: names, then numbers. */
export function overflowsIn(netstat: string): number | undefined {
  const [names = [], numbers = []] = netstat
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  const at = names.indexOf('ListenOverflows');
  const count = Number(numbers[at]);
  return at > 0 && Number.isSafeInteger(count) ? count : undefined;
}

/** How many files this process may have open; Node has raised the soft limit to the hard one. @returns infinity where there is no limit */
export function openFilesLimit(platform: Platform = process.platform): number {
  if (platform === 'win32') return Number.POSITIVE_INFINITY; // sockets are no files there
  try {
    return platform === 'linux'
      ? filesInLimits(readFileSync('/proc/self/limits', 'utf8'))
      : filesInReport(process.report.getReport());
  } catch {
    return Number.POSITIVE_INFINITY; // what the system refuses is refused then
  }
}

/** Pure. The soft limit. @returns infinity for `unlimited` */
export function filesInLimits(limits: string): number {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

/** Pure. The soft limit, out of Node's diagnostic report. @see https://nodejs.org/api/report.html */
export function filesInReport(report: object): number {
  const { userLimits } = report as { userLimits?: { open_files?: { soft?: unknown } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
