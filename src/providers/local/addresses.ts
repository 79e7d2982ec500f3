import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { IpFamily } from '../../model.ts';

/** An IP address as a number, so that ranges can be counted and walked. */
export interface Ip {
  readonly family: IpFamily;
  readonly value: bigint;
}

/** Both ends belong to the range. */
export interface IpRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

const WIDTH = { IPv4: 32, IPv6: 128 } as const;

/**
 * Reads an address strictly: no leading zeros, no zone, and no IPv4 dressed up as IPv6, because each of those would be a second
 * spelling of an address that somebody else may hold.
 * @returns undefined when the text is no such address
 */
export function parseIp(text: string): Ip | undefined {
  if (isIPv4(text)) return fromBytes('IPv4', ipaddr.IPv4.parse(text).toByteArray());
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? undefined : fromBytes('IPv6', address.toByteArray());
}

/** The one spelling of an address: dotted for IPv4, RFC 5952 for IPv6. */
export function formatIp(ip: Ip): string {
  const bytes: number[] = [];
  for (let shift = WIDTH[ip.family] - 8; shift >= 0; shift -= 8) bytes.push(Number((ip.value >> BigInt(shift)) & 0xffn));
  return ipaddr.fromByteArray(bytes).toString();
}

/**
 * Reads a CIDR, a range `first-last` or a single address. Of an IPv4 CIDR of /30 or wider the network and the broadcast address
 * are left out, of an IPv6 CIDR of /126 or wider the first one (the subnet-router anycast address, RFC 4291 section 2.6.1);
 * who wants those writes a range.
 * @returns the range, or what is wrong with the text
 */
export function parseRange(text: string): IpRange | string {
  const slash = text.indexOf('/');
  if (slash >= 0) return parseCidr(text.slice(0, slash), text.slice(slash + 1));
  const dash = text.indexOf('-');
  const first = parseIp((dash < 0 ? text : text.slice(0, dash)).trim());
  const last = dash < 0 ? first : parseIp(text.slice(dash + 1).trim());
  if (!first || !last) return 'it is neither a CIDR (10.0.0.0/28), nor a range (10.0.0.5-10.0.0.9), nor an address';
  if (first.family !== last.family) return 'the two ends of the range are of different IP families';
  if (first.value > last.value) return 'the range ends before it begins';
  return whyUnusable(first) ?? whyUnusable(last) ?? { family: first.family, first: first.value, last: last.value };
}

function parseCidr(addressText: string, lengthText: string): IpRange | string {
  const ip = parseIp(addressText.trim());
  if (!ip) return `${JSON.stringify(addressText)} is not an IP address`;
  const width = WIDTH[ip.family];
  const length = /^\d{1,3}$/.test(lengthText.trim()) ? Number(lengthText) : Number.NaN;
  if (!(length >= 0 && length <= width)) return `the prefix length must be a whole number from 0 to ${width}`;
  const size = 1n << BigInt(width - length);
  const network = ip.value - (ip.value % size);
  if (network !== ip.value)
    return `it is not the first address of its network; write ${formatIp({ ...ip, value: network })}/${length}`;
  const skipsFirst = size >= 4n;
  const skipsLast = skipsFirst && ip.family === 'IPv4';
  const range = { family: ip.family, first: network + (skipsFirst ? 1n : 0n), last: network + size - (skipsLast ? 2n : 1n) };
  return whyUnusable({ ...ip, value: range.first }) ?? whyUnusable({ ...ip, value: range.last }) ?? range;
}

/** Addresses on which nobody can listen, or not without a zone. */
function whyUnusable(ip: Ip): string | undefined {
  const text = formatIp(ip);
  const kind = ipaddr.parse(text).range();
  if (kind === 'unspecified' || kind === 'multicast' || kind === 'broadcast')
    return `${text} is ${kind}, not an address to listen on`;
  if (ip.family === 'IPv6' && kind === 'linkLocal') return `${text} is link-local, which means nothing without an interface`;
  return undefined;
}

export function rangeSize(range: IpRange): bigint {
  return range.last - range.first + 1n;
}

export function rangeHolds(range: IpRange, ip: Ip): boolean {
  return range.family === ip.family && range.first <= ip.value && ip.value <= range.last;
}

/** Sorted and without overlap, so that every address is counted once. */
export function mergeRanges(ranges: readonly IpRange[]): readonly IpRange[] {
  const sorted = [...ranges].sort(
    (a, b) => a.family.localeCompare(b.family) || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0),
  );
  const merged: IpRange[] = [];
  for (const range of sorted) {
    const before = merged.at(-1);
    if (!before || before.family !== range.family || range.first > before.last + 1n) merged.push(range);
    else if (range.last > before.last) merged[merged.length - 1] = { ...before, last: range.last };
  }
  return merged;
}

function fromBytes(family: IpFamily, bytes: readonly number[]): Ip {
  return { family, value: bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n) };
}
