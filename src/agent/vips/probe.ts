import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from './command.ts';
import { readNeighbours } from './links.ts';
import type { Placed } from './render.ts';

/** Nobody should listen there (RFC 863), and whether somebody does is all the same: what counts is who answers for the address. */
const DISCARD_PORT = 9;
/** A machine on the segment answers within milliseconds; the kernel asks again only after a second. */
const ANSWER_MS = 400;
/** Addresses that are asked for at a time. */
const AT_A_TIME = 64;

/** So long after a stranger was found the address is asked for again. */
const AGAIN_MS = 10_000;

/** Who has which address although none of the agents; each is asked for once, and those that a stranger has again and again. */
export class Strangers {
  readonly #asked = new Map<string, { readonly hardware?: string; readonly atMs: number }>();

  /** @returns address to the stranger's hardware address; rejects as `findHolders` */
  async among(places: readonly Placed[], agents: readonly string[], nowMs: number): Promise<ReadonlyMap<string, string>> {
    const wanted = new Set(places.map((one) => one.address));
    for (const address of this.#asked.keys()) if (!wanted.has(address)) this.#asked.delete(address);
    const due = places.filter(({ address }) => {
      const before = this.#asked.get(address);
      return !before || (before.hardware !== undefined && nowMs - before.atMs >= AGAIN_MS);
    });
    const found = due.length > 0 ? await findHolders(due, agents) : new Map<string, string>();
    for (const { address } of due) {
      const hardware = found.get(address);
      this.#asked.set(address, { atMs: nowMs, ...(hardware === undefined ? {} : { hardware }) });
    }
    return new Map([...this.#asked].flatMap(([address, { hardware }]) => (hardware === undefined ? [] : [[address, hardware]])));
  }
}

/**
 * Who else on the segment answers for each address, by hardware address, without raw sockets: one datagram makes the kernel ask
 * (ARP, or neighbour discovery for IPv6), and its neighbour table has the answer. Agents are not "else".
 * @param agents addresses of the agents on the interfaces' segments
 * @returns entries for the addresses that somebody has; rejects when the table cannot be read
 */
export async function findHolders(places: readonly Placed[], agents: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (let i = 0; i < places.length; i += AT_A_TIME) {
    const some = places.slice(i, i + AT_A_TIME);
    await forget(some);
    await knock([...some.map((one) => one.address), ...agents]);
    await sleep(ANSWER_MS);
    const answers = readNeighbours(await runCommand('ip', ['-j', 'neigh', 'show']));
    const known = new Set(agents.map((address) => answers.get(address)));
    for (const { address } of some) {
      const hardware = answers.get(address);
      if (hardware !== undefined && !known.has(hardware)) found.set(address, hardware);
    }
  }
  return found;
}

/** What the kernel learnt of them before may be old. */
async function forget(places: readonly Placed[]): Promise<void> {
  const lines = places.map(({ address, interface: name }) => `neigh del ${address} dev ${name}`);
  await runCommand('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`).catch(() => {}); // it knew nothing of some
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
