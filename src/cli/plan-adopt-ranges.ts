import { isIPv4 } from 'node:net';

/**
 * Pure. Other controllers give out every address of a CIDR, ours keeps the first and the last of an IPv4 one: written as a range,
 * nobody loses his.
 * @param skipEnds addresses that end with 0 or 255 are not given out, where they begin or end the entry
 */
export function toRange(entry: string, skipEnds: boolean): string {
  const text = entry.replaceAll(/\s+/g, '');
  const ends = text.includes('-') ? endsOfRange(text) : endsOfCidr(text);
  if (!ends) return text;
  const [first, last] = skipEnds ? [skip(ends[0], 0, 1), skip(ends[1], 255, -1)] : ends;
  return first === last ? sayAddress(first) : `${sayAddress(first)}-${sayAddress(last)}`;
}

/** Whether addresses that end with 0 or 255 are in the middle of the entry. */
export function hasBuggyInside(entry: string): boolean {
  const text = entry.replaceAll(/\s+/g, '');
  const ends = text.includes('-') ? endsOfRange(text) : endsOfCidr(text);
  return ends !== undefined && Math.floor(ends[0] / 256) !== Math.floor(ends[1] / 256);
}

type Ends = readonly [first: number, last: number];

function endsOfRange(text: string): Ends | undefined {
  const [first = '', last = ''] = text.split('-');
  return isIPv4(first) && isIPv4(last) ? [readIpv4(first), readIpv4(last)] : undefined;
}

function endsOfCidr(text: string): Ends | undefined {
  const [address = '', length = ''] = text.split('/');
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined;
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(readIpv4(address) / size) * size;
  return [first, first + size - 1];
}

function readIpv4(text: string): number {
  return text.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

function sayAddress(value: number): string {
  return [24, 16, 8, 0].map((bits) => Math.floor(value / 2 ** bits) % 256).join('.');
}

function skip(value: number, lastByte: number, by: 1 | -1): number {
  return value % 256 === lastByte ? value + by : value;
}
