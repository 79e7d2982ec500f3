import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { canonical, type Family } from './plan.ts';

const LISTEN_STATE = '0A';

/** Canonical addresses of this machine. */
export function ownAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(all.map(({ address }) => canonical(address.replace(/%.*$/, ''))));
}

export function sameSet<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

/** Families whose packets this machine passes on. */
export function forwardedFamilies(): ReadonlySet<Family> {
  return new Set(([4, 6] as const).filter(isForwarding));
}

function isForwarding(family: Family): boolean {
  const path = family === 4 ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding';
  try {
    return readFileSync(`/proc/sys/net/${path}`, 'utf8').trim() !== '0';
  } catch {
    return false;
  }
}

/** Ports that sockets of this machine hold, as `tcp 0100007F:1F90`, the kernel's own notation. */
export function readHeldPorts(): ReadonlySet<string> {
  const held = new Set<string>();
  for (const protocol of ['tcp', 'udp'])
    for (const file of [protocol, `${protocol}6`])
      for (const place of heldIn(readTable(file), protocol)) held.add(`${protocol} ${place}`);
  return held;
}

/** Pure. Local places of the sockets that listen, or of all for UDP. @see https://docs.kernel.org/networking/proc_net_tcp.html */
export function heldIn(table: string, protocol: string): readonly string[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', remote = '', state] = line.trim().split(/\s+/);
      const waits = protocol === 'tcp' ? state === LISTEN_STATE : /^0+:0+$/.test(remote);
      return waits ? [local] : [];
    });
}

/** Pure. Whether a socket has the port at this address or at all addresses. @param address canonical */
export function isHeld(held: ReadonlySet<string>, protocol: string, address: string, port: number): boolean {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return hexPlaces(address).some((place) => held.has(`${protocol} ${place}:${hexPort}`));
}

function hexPlaces(address: string): readonly string[] {
  const wildcard6 = '0'.repeat(32);
  if (address.includes(':')) return [hex6(address), wildcard6];
  const hex = hex4(address);
  return [hex, '00000000', wildcard6, `0000000000000000FFFF0000${hex}`];
}

/** The bytes of each 32 bits are turned round on the machines that Node runs on. */
function hex4(address: string): string {
  return Buffer.from(address.split('.').map(Number).reverse()).toString('hex').toUpperCase();
}

function hex6(address: string): string {
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const middle = Array.from({ length: right === undefined ? 0 : 8 - head.length - tail.length }, () => '0');
  const bytes = Buffer.from([...head, ...middle, ...tail].map((part) => part.padStart(4, '0')).join(''), 'hex');
  return bytes.length === 16 ? bytes.swap32().toString('hex').toUpperCase() : '';
}

function readTable(name: string): string {
  try {
    return readFileSync(`/proc/net/${name}`, 'utf8');
  } catch {
    return '';
  }
}
