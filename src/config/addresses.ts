import ipaddr from 'ipaddr.js';
import type { IpFamily } from '../model.ts';

/** Consecutive addresses of one family, both ends included. */
export interface AddressRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * Reads one IPv4 address (four decimal parts) or IPv6 address (no zone).
 * @returns its usual spelling (`::FFFF:1.2.3.4` is 1.2.3.4, as Kubernetes has it), or undefined when it is neither
 */
export function readAddress(text: string): { readonly family: IpFamily; readonly address: string } | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return { family: 'IPv4', address: ipaddr.IPv4.parse(text).toString() };
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress()) return { family: 'IPv4', address: parsed.toIPv4Address().toString() };
  return { family: 'IPv6', address: parsed.toRFC5952String() };
}

/** The address as a number, for comparing and counting. The text must be an address. */
export function numberOf(address: string): bigint {
  let value = 0n;
  for (const byte of ipaddr.parse(address).toByteArray()) value = (value << 8n) | BigInt(byte);
  return value;
}

/** The address in its usual spelling. */
export function addressOf(family: IpFamily, value: bigint): string {
  const bytes: number[] = [];
  for (let rest = value, left = family === 'IPv4' ? 4 : 16; left > 0; left--, rest >>= 8n) bytes.unshift(Number(rest & 255n));
  const parsed = ipaddr.fromByteArray(bytes);
  return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString();
}

/** How many addresses a range has. */
export function sizeOf(range: AddressRange): bigint {
  return range.last - range.first + 1n;
}

export function overlaps(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/**
 * Reads a CIDR (`10.0.0.0/28`), a range (`10.0.0.5-10.0.0.9`) or a single address.
 * @returns the range, or in words what is wrong with the text
 */
export function readRange(text: string): AddressRange | string {
  if (text === '') return 'is empty';
  const range = text.includes('/') ? readCidr(text) : text.includes('-') ? readFromTo(text) : readSingle(text);
  return typeof range === 'string' ? range : (judgeUse(range) ?? range);
}

function readSingle(text: string): AddressRange | string {
  const one = readAddress(text);
  if (!one) return 'is neither a CIDR, a range nor an address';
  const value = numberOf(one.address);
  return { family: one.family, first: value, last: value };
}

function readFromTo(text: string): AddressRange | string {
  const parts = text.split('-').map((part) => part.trim());
  const [from, to] = parts.map(readAddress);
  if (parts.length !== 2 || !from || !to) return 'is not a range: write FIRST-LAST with two addresses';
  if (from.family !== to.family) return 'is not a range: its ends are of different IP families';
  const [first, last] = [numberOf(from.address), numberOf(to.address)];
  if (first > last) return `is a range that ends before it begins: write ${to.address}-${from.address}`;
  return { family: from.family, first, last };
}

function readCidr(text: string): AddressRange | string {
  const [base = '', length = '', ...more] = text.split('/');
  const address = readAddress(base);
  const bits = address?.family === 'IPv4' ? 32 : 128;
  if (!address || more.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > bits) {
    return `is not a CIDR: write ADDRESS/BITS with 0 to ${bits} bits`;
  }
  const size = 1n << BigInt(bits - Number(length));
  const value = numberOf(address.address);
  const first = value - (value % size);
  if (first !== value) {
    return `is not a CIDR: ${address.address} lies inside the network ${addressOf(address.family, first)}/${length}; write that, or the address alone`;
  }
  return { family: address.family, first, last: first + size - 1n };
}

/** Addresses that no client can connect to: "this network", multicast, reserved. https://www.iana.org/assignments/iana-ipv4-special-registry */
const unusable: readonly { readonly what: string; readonly range: AddressRange }[] = [
  { what: '0.0.0.0/8', range: { family: 'IPv4', first: 0n, last: 0x00ff_ffffn } },
  { what: '224.0.0.0/3 (multicast and reserved)', range: { family: 'IPv4', first: 0xe000_0000n, last: 0xffff_ffffn } },
  { what: 'the unspecified address ::', range: { family: 'IPv6', first: 0n, last: 0n } },
  { what: 'ff00::/8 (multicast)', range: { family: 'IPv6', first: 0xff00n << 112n, last: (1n << 128n) - 1n } },
];

function judgeUse(range: AddressRange): string | undefined {
  const hit = unusable.find((u) => overlaps(u.range, range));
  return hit && `contains addresses that no client can connect to: ${hit.what}`;
}
