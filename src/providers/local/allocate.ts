import { Refusal } from '../../errors.ts';
import type { Balancer, IpFamily } from '../../model.ts';
import { formatIp, type Ip, parseIp } from './addresses.ts';
import {
  type Choice,
  chooseAddresses,
  includesIp,
  isPublished,
  ownerOf,
  portsOf,
  type ReservedBy,
  staysOutside,
} from './choose.ts';
import { Ledger } from './ledger.ts';
import { indexOfAddress, type Pool, poolAdmits, poolHolds } from './pools.ts';

/** An address and port where a listener is open now; nobody else gets it before it is closed. */
export interface Bound {
  /** As `formatIp` writes it. */
  readonly address: string;
  /** As `portName` writes it. */
  readonly port: string;
}

/** Who has which addresses. What is in memory is rebuilt by `restore` from what the cluster recorded. */
export interface AddressBook {
  /** What the key holds; empty: nothing. */
  addressesOf(key: string): readonly string[];
  /** Every key that holds an address. */
  keys(): readonly string[];
  restore(balancers: readonly Balancer[], reservedBy: ReservedBy): void;
  /**
   * The addresses that the balancer has from now on; asking again never moves it. @param nodePortUsers Services whose NodePort a port is
   * @throws {Refusal} why it gets none
   */
  assign(
    balancer: Balancer,
    reservedBy: ReservedBy,
    bound: readonly Bound[],
    nodePortUsers?: (port: string) => readonly string[],
  ): readonly string[];
  /** Frees what the key neither holds nor has open. @returns the keys for which there may be room now */
  settle(key: string, bound: readonly Bound[]): readonly string[];
  /** Takes everything from the key but what it still has open. @returns as `settle` */
  release(key: string, bound: readonly Bound[]): readonly string[];
  /** The keys that were refused and wait for room. */
  waiting(): readonly string[];
  /** Addresses that the key keeps although no pool has them for it any more. */
  outsideOf(key: string): readonly string[];
}

export interface AllocatorOptions {
  /** Ports that clash at a shared address are served on other ones, so they keep nobody away. */
  readonly portFallback: boolean;
  /** What is held stays held though the pools have changed, unless its Service allows disruption; default: false. */
  readonly keepsOutside?: boolean;
  /** What machines answer for that are none of ours. Default: nothing. */
  readonly strangers?: StrangerBook;
}

export interface StrangerBook {
  /** What was seen of them, by address. */
  all(): ReadonlyMap<string, string>;
  /** How many of these addresses the balancer had been given. */
  metBy(key: string): number;
}

const noStrangers: StrangerBook = { all: () => new Map(), metBy: () => 0 };

interface Holding {
  readonly owner: string;
  readonly ips: readonly Ip[];
  readonly ports: ReadonlySet<string>;
  /** Of its addresses, those that no pool had for it when it was assigned. */
  readonly outside?: readonly string[];
}

/**
 * Gives addresses out and remembers who has which. Nothing is read but what is passed in, so the same calls in the same order
 * give the same addresses; what is in memory is rebuilt by `restore` from what the cluster recorded.
 *
 * A balancer keeps what it has for as long as that fits: asking again never moves it. A call that throws changes nothing but
 * that its balancer waits; `settle` and `release` answer with the keys for which there may be room now, the first come first.
 */
export class Allocator implements AddressBook {
  #pools: readonly Pool[];
  readonly #portFallback: boolean;
  readonly #keepsOutside: boolean;
  readonly #strangers: StrangerBook;
  readonly #ledger: Ledger;
  readonly #holdings = new Map<string, Holding>();
  /** What each key has in the ledger: what it holds, and what it still has open. */
  readonly #entered = new Map<string, readonly Ip[]>();
  /** Where the search for the next free address begins; one entry a pool and family. */
  readonly #next = new Map<string, bigint>();
  /** Refused balancers; one entry a key, gone when it is woken. */
  readonly #waiting = new Set<string>();

  /** @param pools in the order in which they are tried */
  constructor(pools: readonly Pool[], { portFallback, keepsOutside = false, strangers = noStrangers }: AllocatorOptions) {
    this.#pools = pools;
    this.#portFallback = portFallback;
    this.#keepsOutside = keepsOutside;
    this.#strangers = strangers;
    this.#ledger = new Ledger(pools);
  }

  /** What the balancer has, those asked for by name first, then in the order of its families; empty: nothing. */
  addressesOf(key: string): readonly string[] {
    return this.#holdings.get(key)?.ips.map(formatIp) ?? [];
  }

  /** Every key that holds an address. */
  keys(): readonly string[] {
    return [...this.#holdings.keys()];
  }

  /** Other pools from now on; nobody loses an address by it. @returns the keys that were refused before */
  usePools(pools: readonly Pool[]): readonly string[] {
    this.#pools = pools;
    this.#ledger.usePools(pools);
    return this.#wake();
  }

  outsideOf(key: string): readonly string[] {
    return this.#holdings.get(key)?.outside ?? [];
  }

  /**
   * Rebuilds the memory after a start: first what balancers hold and their status shows, then what they hold by an annotation alone,
   * which any author can write, each the oldest first, then what they ask for by name. An address that two claim stays with the
   * earlier of these; the other finds another, or is refused, when it is assigned.
   */
  restore(balancers: readonly Balancer[], reservedBy: ReservedBy): void {
    const byAge = [...balancers].sort(compareAge);
    const isProven = ({ address }: Balancer): boolean => address.held.every((text) => address.published?.includes(text));
    for (const balancer of byAge.filter(isProven)) this.#restoreHeld(balancer);
    for (const balancer of byAge.filter((one) => !isProven(one))) this.#restoreHeld(balancer);
    for (const balancer of byAge) {
      if (balancer.address.requested.length > 0) this.#restoreRequested(balancer, reservedBy);
    }
  }

  /**
   * The addresses that the balancer has from now on.
   * @param bound what it has open now: stays taken, also where it is not wanted any more, until `settle`
   * @throws {Refusal} AddressInvalid, AddressNotInPool, AddressReserved, AddressInUse, FamilyUnsupported, PoolUnknown,
   *   PoolNotAllowed, PoolExhausted, AddressDuplicate
   */
  assign(balancer: Balancer, reservedBy: ReservedBy, bound: readonly Bound[]): readonly string[] {
    const { ips, waits } = this.#choose(balancer, reservedBy);
    if (waits) this.#waiting.add(balancer.key);
    else this.#waiting.delete(balancer.key);
    const before = this.#holdings.get(balancer.key)?.ips ?? [];
    const admitting = this.#pools.filter((pool) => poolAdmits(pool, balancer));
    const outside = ips.filter((ip) => !admitting.some((pool) => poolHolds(pool, ip))).map(formatIp);
    this.#holdings.set(balancer.key, { owner: ownerOf(balancer), ips, ports: portsOf(balancer.listeners), outside });
    this.#enter(balancer.key, bound);
    for (const ip of ips) if (!includesIp(before, ip)) this.#advance(ip);
    return ips.map(formatIp);
  }

  /** Frees what the key neither holds nor has open. @returns the keys for which there may be room now */
  settle(key: string, bound: readonly Bound[]): readonly string[] {
    return this.#enter(key, bound) ? this.#wake() : [];
  }

  /** Takes everything from the key; what it still has open stays taken until it is settled. @returns as `settle` */
  release(key: string, bound: readonly Bound[]): readonly string[] {
    this.#holdings.delete(key); // if it waits it still does: what it asks for now may be something else than what it had
    return this.settle(key, bound);
  }

  waiting(): readonly string[] {
    return [...this.#waiting];
  }

  #choose(balancer: Balancer, reservedBy: ReservedBy): Choice {
    try {
      return chooseAddresses({
        balancer,
        pools: this.#pools,
        ledger: this.#ledger,
        mine: this.#holdings.get(balancer.key)?.ips ?? [],
        reservedBy,
        strangers: this.#strangers.all(),
        strangersMet: this.#strangers.metBy(balancer.key),
        portFallback: this.#portFallback,
        keepsOutside: this.#keepsOutside,
        nameHolder: (key) => this.#holdings.get(key)?.owner ?? key,
        startOf: (pool, family) => this.#next.get(cursorName(pool, family)) ?? 0n,
      });
    } catch (thrown) {
      if (thrown instanceof Refusal) this.#waiting.add(balancer.key);
      throw thrown;
    }
  }

  #restoreHeld(balancer: Balancer): void {
    const pools = this.#pools.filter((pool) => poolAdmits(pool, balancer));
    const ips: Ip[] = [];
    let kept = portsOf(balancer.listeners);
    for (const text of balancer.address.held) {
      const ip = parseIp(text);
      if (!ip || includesIp(ips, ip)) continue;
      const stays = staysOutside({ keepsOutside: this.#keepsOutside, balancer }) && isPublished(balancer, ip);
      if (!stays && !pools.some((pool) => poolHolds(pool, ip))) continue;
      const free = [...kept].filter((port) => {
        const clash = this.#ledger.clash(balancer.key, ip, new Set([port]));
        return !clash || (this.#portFallback && clash.port !== undefined);
      });
      if (free.length === 0) continue;
      ips.push(ip);
      kept = new Set(free); // a port that somebody older has there is refused when the balancer is assigned
    }
    if (ips.length === 0) return;
    this.#holdings.set(balancer.key, { owner: ownerOf(balancer), ips, ports: kept });
    this.#enter(balancer.key, []);
    for (const ip of ips) this.#advance(ip);
  }

  #restoreRequested(balancer: Balancer, reservedBy: ReservedBy): void {
    try {
      this.assign(balancer, reservedBy, []);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown; // the refusal is told when the balancer is looked at
    }
  }

  /** Writes into the ledger what the key holds and what it has open. @returns whether something became free */
  #enter(key: string, bound: readonly Bound[]): boolean {
    const holding = this.#holdings.get(key);
    const open = bound.map((b) => ({ ip: parseIp(b.address), port: b.port }));
    const ips: Ip[] = [...(holding?.ips ?? [])];
    for (const { ip } of open) if (ip && !includesIp(ips, ip)) ips.push(ip);
    let freed = false;
    for (const ip of this.#entered.get(key) ?? []) {
      if (includesIp(ips, ip)) continue;
      this.#ledger.drop(key, ip);
      freed = true;
    }
    for (const ip of ips) {
      const ports = new Set(holding && includesIp(holding.ips, ip) ? holding.ports : []);
      for (const other of open) if (other.ip && includesIp([ip], other.ip)) ports.add(other.port);
      freed = this.#ledger.set(key, ip, ports) || freed;
    }
    if (ips.length > 0) this.#entered.set(key, ips);
    else this.#entered.delete(key);
    return freed;
  }

  /** Everyone who waits: whoever is still refused waits again, and the queue that is told keeps one entry a key. */
  #wake(): readonly string[] {
    const keys = [...this.#waiting];
    this.#waiting.clear();
    return keys;
  }

  #advance(ip: Ip): void {
    for (const pool of this.#pools) {
      const index = indexOfAddress(pool, ip);
      if (index !== undefined) this.#next.set(cursorName(pool, ip.family), (index + 1n) % pool.sizes[ip.family]);
    }
  }
}

function cursorName(pool: Pool, family: IpFamily): string {
  return `${pool.name} ${family}`;
}

/** By the oldest member's creation time, then UID, then key. */
export function compareAge(a: Balancer, b: Balancer): number {
  const [first, second] = [a, b].map((balancer) => {
    const member = balancer.members[0];
    return `${member?.createdAt ?? ''} ${member?.uid ?? ''} ${balancer.key}`;
  });
  return first! < second! ? -1 : first! > second! ? 1 : 0;
}
