import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';

/**
 * Whether an API server is near: on a loopback or private address. The controller works on a near one unasked, and demands
 * to be told --context or --kubeconfig for any other.
 */

export interface Nearness {
  readonly near: boolean;
  /** What the host of the URL stands for; empty when the name could not be resolved. */
  readonly addresses: readonly string[];
  /** For people: why it is not near. */
  readonly reason: string;
}

/** Ranges of ipaddr.js that cannot lead out of one's own network; `unspecified` because 0.0.0.0 connects to this machine. */
const NEAR_RANGES: readonly string[] = ['loopback', 'private', 'uniqueLocal', 'linkLocal', 'unspecified'];

/** Pure. An IPv4 address in an IPv6 coat counts as what it is inside. */
export function isNearAddress(address: string): boolean {
  const bare = address.replace(/%.*$/, '');
  return ipaddr.isValid(bare) && NEAR_RANGES.includes(ipaddr.process(bare).range());
}

/** Pure. Every address must be near: one public address among private ones is where a request may go. */
export function judgeNearness(host: string, addresses: readonly string[]): Nearness {
  if (addresses.length === 0) return { near: false, addresses, reason: `${host} cannot be resolved` };
  const far = addresses.filter((address) => !isNearAddress(address));
  if (far.length === 0) return { near: true, addresses, reason: '' };
  return { near: false, addresses, reason: `${host} is at ${far.join(', ')}, which is neither loopback nor private` };
}

/** Resolves a name as a connection would, with the system's resolver and so with its time limits. Never rejects. */
export async function lookUpNearness(
  server: string,
  resolve: (host: string) => Promise<readonly string[]> = resolveAll,
): Promise<Nearness> {
  const host = new URL(server).hostname.replace(/^\[|\]$/g, '');
  if (ipaddr.isValid(host)) return judgeNearness(host, [host]);
  return judgeNearness(host, await resolve(host).catch(() => []));
}

async function resolveAll(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map((found) => found.address);
}
