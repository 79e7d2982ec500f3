import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { findHolders, type Neighbour } from '../../forwarder/neighbours.ts';
import { parseIp } from './addresses.ts';

/** So long an address that a stranger answered for is given to nobody who did not ask for it; then it is tried again. */
const AGAIN_MS = 60_000;
/** So many are remembered; the oldest goes first. */
const MOST = 1_024;
/** IFA_F_DADFAILED of linux/if_addr.h. */
const DAD_FAILED = 0x08;

/** Addresses of pools that machines answer for which are none of ours, and what was seen of them. */
export class Strangers {
  readonly #seen = new Map<string, { readonly what: string; readonly untilMs: number }>();
  readonly #nowMs: () => number;
  readonly #againMs: number;
  readonly #forgot: (addresses: readonly string[]) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param forgot these addresses may be given out again */
  constructor(forgot: (addresses: readonly string[]) => void, nowMs = () => performance.now(), againMs = AGAIN_MS) {
    this.#forgot = forgot;
    this.#nowMs = nowMs;
    this.#againMs = againMs;
  }

  note(address: string, what: string): void {
    this.#seen.delete(address); // to the end
    this.#seen.set(address, { what, untilMs: this.#nowMs() + this.#againMs });
    if (this.#seen.size > MOST) this.#seen.delete(this.#seen.keys().next().value!);
    this.#timer ??= setTimeout(() => this.#forget(), this.#againMs + 1).unref();
  }

  /** What was seen of whoever has the address; undefined: nobody was. */
  at(address: string): string | undefined {
    return this.#seen.get(address)?.what;
  }

  /** All of them, by address. */
  all(): ReadonlyMap<string, string> {
    return new Map([...this.#seen].map(([address, { what }]) => [address, what]));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #forget(): void {
    const now = this.#nowMs();
    const over = [...this.#seen].flatMap(([address, { untilMs }]) => (untilMs <= now ? [address] : []));
    for (const address of over) this.#seen.delete(address);
    const [next] = this.#seen.values();
    this.#timer = next && setTimeout(() => this.#forget(), next.untilMs - now + 1).unref();
    if (over.length > 0) this.#forgot(over);
  }
}

/**
 * Who else has an address that this machine cannot serve: by the kernel's own duplicate address detection where it is on an interface
 * (IPv6), by asking the segment where it lies in the subnet of one. Takes some 0.4 s. What is on an interface as IPv4 cannot be asked
 * for without raw sockets: the kernel would answer itself.
 * @returns what was seen, as a sentence; undefined: nobody
 */
export async function findStranger(address: string): Promise<string | undefined> {
  const failedOn = failedDetections(readText('/proc/net/if_inet6')).get(address);
  const place = placeOf(address, networkInterfaces());
  const where = failedOn ?? place?.interface;
  if (where === undefined) return undefined;
  const hardware = await findHolders([{ address, interface: where }]).then(
    (found) => found.get(address),
    () => undefined, // no such command here
  );
  if (hardware !== undefined) return `${address} is answered for by ${hardware} on ${where}, which is none of ours`;
  if (failedOn === undefined) return undefined;
  return `${address} is another machine's, as the kernel found when it was put on ${failedOn} (duplicate address detection)`;
}

/** Pure. The interface in whose subnet an address is that no interface has, the narrowest first; undefined: none, or it is here. */
export function placeOf(address: string, interfaces: ReturnType<typeof networkInterfaces>): Neighbour | undefined {
  const ip = parseIp(address);
  if (!ip) return undefined;
  let best: { readonly name: string; readonly prefix: number } | undefined;
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    for (const { address: own, cidr, internal } of addresses) {
      if (own === address) return undefined;
      if (internal || cidr === null) continue;
      const [base, prefix] = ipaddr.parseCIDR(cidr);
      const isIn = base.kind() === ipaddr.parse(address).kind() && ipaddr.parse(address).match(base, prefix);
      if (isIn && prefix > (best?.prefix ?? -1)) best = { name, prefix };
    }
  }
  return best && { address, interface: best.name };
}

/** Pure. Addresses of which the kernel found another holder, and their interfaces. @param table of /proc/net/if_inet6 */
export function failedDetections(table: string): ReadonlyMap<string, string> {
  return new Map(
    table.split('\n').flatMap((line) => {
      const [digits = '', , , , flags = '', name] = line.trim().split(/\s+/);
      if (name === undefined || (Number.parseInt(flags, 16) & DAD_FAILED) === 0) return [];
      return [[ipaddr.fromByteArray([...Buffer.from(digits, 'hex')]).toString(), name] as const];
    }),
  );
}

/** Empty where there is no such file, as elsewhere than on Linux. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
