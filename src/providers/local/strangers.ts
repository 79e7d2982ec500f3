import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { findHolders, type Neighbour } from '../../forwarder/neighbours.ts';
import { parseIp } from './addresses.ts';

/** So long an address that a stranger answered for is given to nobody who did not ask for it; then it is tried again. */
const AGAIN_MS = 60_000;
/** Twice as long each time that it is answered for again, up to so long. */
const AGAIN_MOST_MS = 600_000;
/** So many are remembered; the oldest goes first. */
const MOST = 1_024;
/** IFA_F_DADFAILED of linux/if_addr.h. */
const DAD_FAILED = 0x08;

interface Stranger {
  readonly what: string;
  /** How long it is remembered. */
  readonly againMs: number;
  readonly untilMs: number;
}

/** Addresses of pools that machines answer for which are none of ours, and what was seen of them. */
export class Strangers {
  readonly #seen = new Map<string, Stranger>();
  /** Those that were forgotten last: whoever answers again has not left. As many as `#seen` at most. */
  readonly #before = new Map<string, Stranger>();
  /** By key, when each address that it met a stranger at is forgotten; no more than `chooseAddresses` gives it in that time. */
  readonly #met = new Map<string, Map<string, number>>();
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

  /** @param key of the balancer that had been given the address */
  note(address: string, what: string, key: string): void {
    const now = this.#nowMs();
    const againMs = this.#againMsOf(address, now);
    const untilMs = now + againMs;
    put(this.#seen, address, { what, againMs, untilMs });
    const met = this.#met.get(key) ?? new Map<string, number>();
    this.#met.set(key, met.set(address, untilMs));
    this.#wait(now);
  }

  /** What was seen of whoever has the address; undefined: nobody was. */
  at(address: string): string | undefined {
    return this.#seen.get(address)?.what;
  }

  /** All of them, by address. */
  all(): ReadonlyMap<string, string> {
    return new Map([...this.#seen].map(([address, { what }]) => [address, what]));
  }

  /** How many different addresses the balancer was given that strangers had, as far as these are remembered. */
  metBy(key: string): number {
    return this.#met.get(key)?.size ?? 0;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #againMsOf(address: string, now: number): number {
    const known = this.#seen.get(address);
    if (known) return known.againMs;
    const before = this.#before.get(address);
    const isSame = before !== undefined && now < before.untilMs + before.againMs;
    return isSame ? Math.min(before.againMs * 2, Math.max(AGAIN_MOST_MS, this.#againMs)) : this.#againMs;
  }

  /** For the first that is to be forgotten. */
  #wait(now: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#seen.size === 0) return;
    const next = Math.min(...[...this.#seen.values()].map(({ untilMs }) => untilMs));
    this.#timer = setTimeout(() => this.#forget(), Math.max(0, next - now) + 1).unref();
  }

  #forget(): void {
    const now = this.#nowMs();
    const over = [...this.#seen].filter(([, { untilMs }]) => untilMs <= now);
    for (const [address, stranger] of over) {
      this.#seen.delete(address);
      put(this.#before, address, stranger);
    }
    for (const [key, met] of this.#met) {
      for (const [address, untilMs] of met) if (untilMs <= now) met.delete(address);
      if (met.size === 0) this.#met.delete(key);
    }
    this.#wait(now);
    if (over.length > 0) this.#forgot(over.map(([address]) => address));
  }
}

/** At the end; where there are too many the oldest goes. */
function put(into: Map<string, Stranger>, address: string, stranger: Stranger): void {
  into.delete(address);
  into.set(address, stranger);
  if (into.size > MOST) into.delete(into.keys().next().value!);
}

/**
 * Who else has an address that this machine cannot serve: by the kernel's own duplicate address detection where it is on an interface
 * (IPv6), by asking the segment where it lies in the subnet of one. Takes some 0.4 s. What is on an interface as IPv4 cannot be asked
 * for without raw sockets: the kernel would answer itself.
 * @returns what was seen, as a sentence; undefined: nobody
 */
export async function findStranger(address: string): Promise<string | undefined> {
  const failedOn = failedHere().get(address);
  const place = placeOf(address, networkInterfaces());
  const where = failedOn ?? place?.interface;
  if (where === undefined) return undefined;
  const hardware = await findHolders([{ address, interface: where }]).then(
    (found) => found.get(address),
    () => undefined, // no such command here
  );
  if (hardware !== undefined) return `${address} is answered for by ${hardware} on ${where}, which is none of ours`;
  return failedOn && sayFailed(address, failedOn);
}

/**
 * Addresses of this machine that the kernel has found with another one (IPv6), each with that as a sentence. Of IPv4 ones on an interface
 * that cannot be known, as above.
 */
export function readDuplicates(): ReadonlyMap<string, string> {
  return new Map([...failedHere()].map(([address, name]) => [address, sayFailed(address, name)]));
}

function failedHere(): ReadonlyMap<string, string> {
  return failedDetections(readText('/proc/net/if_inet6'));
}

function sayFailed(address: string, name: string): string {
  return `${address} is another machine's, as the kernel found when it was put on ${name} (duplicate address detection)`;
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
