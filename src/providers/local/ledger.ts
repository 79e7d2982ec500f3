import type { IpFamily } from '../../model.ts';
import type { Ip } from './addresses.ts';
import { type Pool, poolHolds } from './pools.ts';

/** Who stands in the way at an address: at one port, or (port undefined) with the whole address. */
export interface Clash {
  readonly key: string;
  readonly port?: string;
}

interface Use {
  readonly ports: Map<string, ReadonlySet<string>>;
  /** The same turned round, so that a crowded address is as quick as an empty one. Of several at one port, the first come. */
  readonly byPort: Map<string, string>;
}

/** Which balancer uses which address and which of its ports. Ports are written `80/TCP`. */
export class Ledger {
  #pools: readonly Pool[];
  readonly #uses: Record<IpFamily, Map<bigint, Use>> = { IPv4: new Map(), IPv6: new Map() };
  /** Used addresses of each pool, so that an exhausted pool is known without a walk through it. */
  readonly #usedIn = new Map<string, number>();

  constructor(pools: readonly Pool[]) {
    this.#pools = pools;
  }

  /** Other pools; who uses what stays. */
  usePools(pools: readonly Pool[]): void {
    this.#pools = pools;
    this.#usedIn.clear();
    for (const family of ['IPv4', 'IPv6'] as const)
      for (const value of this.#uses[family].keys()) this.#count({ family, value }, 1);
  }

  /** Replaces what `key` uses at the address; an empty set of ports still holds the address. @returns whether a port became free */
  set(key: string, ip: Ip, ports: ReadonlySet<string>): boolean {
    const use = this.#uses[ip.family].get(ip.value) ?? this.#begin(ip);
    const freed = [...(use.ports.get(key) ?? [])].filter((port) => !ports.has(port));
    use.ports.set(key, ports);
    for (const port of freed) passOn(use, port, key);
    for (const port of ports) if (!use.byPort.has(port)) use.byPort.set(port, key); // the older keeps a port that two have
    return freed.length > 0;
  }

  drop(key: string, ip: Ip): void {
    const use = this.#uses[ip.family].get(ip.value);
    const ports = use?.ports.get(key);
    if (!use || !ports) return;
    use.ports.delete(key);
    for (const port of ports) passOn(use, port, key);
    if (use.ports.size > 0) return;
    this.#uses[ip.family].delete(ip.value);
    this.#count(ip, -1);
  }

  isUsed(ip: Ip): boolean {
    return this.#uses[ip.family].has(ip.value);
  }

  usedIn(pool: Pool, family: IpFamily): number {
    return this.#usedIn.get(countName(pool, family)) ?? 0;
  }

  /** Whether every pool that has the address lets several balancers have different ports of it; one that is in none is given to nobody new. */
  isSharable(ip: Ip): boolean {
    return this.#pools.every((pool) => pool.sharePorts || !poolHolds(pool, ip));
  }

  /** Who else stands in the way of `key` at the address with these ports. */
  clash(key: string, ip: Ip, ports: ReadonlySet<string>): Clash | undefined {
    const use = this.#uses[ip.family].get(ip.value);
    if (!use) return undefined;
    if (!this.isSharable(ip)) {
      for (const other of use.ports.keys()) if (other !== key) return { key: other };
      return undefined;
    }
    for (const port of ports) {
      const other = use.byPort.get(port);
      if (other !== undefined && other !== key) return { key: other, port };
    }
    return undefined;
  }

  #begin(ip: Ip): Use {
    const use: Use = { ports: new Map(), byPort: new Map() };
    this.#uses[ip.family].set(ip.value, use);
    this.#count(ip, 1);
    return use;
  }

  #count(ip: Ip, change: 1 | -1): void {
    for (const pool of this.#pools) {
      if (poolHolds(pool, ip)) this.#usedIn.set(countName(pool, ip.family), this.usedIn(pool, ip.family) + change);
    }
  }
}

/** The port of one who has left it is the next one's who shares it. */
function passOn(use: Use, port: string, from: string): void {
  if (use.byPort.get(port) !== from) return;
  const next = [...use.ports].find(([, ports]) => ports.has(port));
  if (next) use.byPort.set(port, next[0]);
  else use.byPort.delete(port);
}

function countName(pool: Pool, family: IpFamily): string {
  return `${pool.name} ${family}`;
}
