import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from './kernel/command.ts';

/** An address and the interface in whose subnet it is. */
export interface Neighbour {
  readonly address: string;
  readonly interface: string;
}

/** Nobody should listen there (RFC 863), and whether somebody does is all the same: what counts is who answers for the address. */
const DISCARD_PORT = 9;
/** A machine on the segment answers within milliseconds; the kernel asks again only after a second. */
const ANSWER_MS = 400;
/** Addresses that are asked for at a time. */
const AT_A_TIME = 64;

/**
 * Who else on the segment answers for each address, by hardware address, without raw sockets: one datagram makes the kernel ask
 * (ARP, or neighbour discovery for IPv6), and its neighbour table has the answer. Friends are not "else".
 * @param friends addresses of machines that may have them
 * @returns entries for the addresses that somebody has; rejects when the table cannot be read
 */
export async function findHolders(
  places: readonly Neighbour[],
  friends: readonly string[] = [],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (let i = 0; i < places.length; i += AT_A_TIME) {
    const some = places.slice(i, i + AT_A_TIME);
    await forget(some);
    await knock([...some.map((one) => one.address), ...friends]);
    await sleep(ANSWER_MS);
    const answers = await askTable();
    const known = new Set(friends.map((address) => answers.get(address)));
    for (const { address } of some) {
      const hardware = answers.get(address);
      if (hardware !== undefined && !known.has(hardware)) found.set(address, hardware);
    }
  }
  return found;
}

async function askTable(): Promise<ReadonlyMap<string, string>> {
  const { code, stdout, stderr } = await runCommand('ip', ['-j', 'neigh', 'show']);
  if (code !== 0) throw new Error(`the neighbour table cannot be read: ${stderr.trim() || code}`);
  return readNeighbours(stdout);
}

/** What the kernel learnt of them before may be old. */
async function forget(places: readonly Neighbour[]): Promise<void> {
  const lines = places.map(({ address, interface: name }) => `neigh del ${address} dev ${name}`);
  await runCommand('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n` }); // it knew nothing of some
}

/** One datagram to each. What cannot be sent has no neighbour either. */
async function knock(addresses: readonly string[]): Promise<void> {
  const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') };
  for (const socket of Object.values(sockets)) socket.on('error', () => {});
  const send = (address: string) =>
    new Promise<void>((resolve) =>
      sockets[isIPv6(address) ? 6 : 4].send(new Uint8Array(1), DISCARD_PORT, address, () => resolve()),
    );
  await Promise.all(addresses.map(send));
  for (const socket of Object.values(sockets)) socket.close();
}

/** Reads `ip -j neigh show`: who answers for an address, by hardware address; whoever did not answer is not in it. */
export function readNeighbours(json: string): ReadonlyMap<string, string> {
  return new Map(
    listOf(parse(json)).flatMap((entry) => {
      const [address, hardware] = [fieldOf(entry, 'dst'), fieldOf(entry, 'lladdr')];
      const states = listOf(fieldOf(entry, 'state'));
      const silent = states.includes('FAILED') || states.includes('INCOMPLETE');
      return typeof address === 'string' && typeof hardware === 'string' && !silent ? [[address, hardware] as const] : [];
    }),
  );
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json === '' ? '[]' : json);
  } catch {
    return [];
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
