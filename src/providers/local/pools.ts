import type { PoolConfig } from '../../config/config.ts';
import type { Problem } from '../../errors.ts';
import { UsageError } from '../../errors.ts';
import type { Balancer, IpFamily } from '../../model.ts';
import { formatIp, type Ip, type IpRange, mergeRanges, parseRange, rangeHolds, rangeSize } from './addresses.ts';

/** Addresses that may be given out, and to whom. */
export interface Pool extends Omit<PoolConfig, 'addresses'> {
  /** Per family: sorted, without overlap. */
  readonly ranges: Readonly<Record<IpFamily, readonly IpRange[]>>;
  readonly sizes: Readonly<Record<IpFamily, bigint>>;
  /** As it was written, for people. */
  readonly text: string;
}

/**
 * Pools in the order in which they are tried: by priority, then as they were written.
 * @throws {UsageError} with everything that is wrong with any of them
 */
export function readPools(configs: readonly PoolConfig[]): readonly Pool[] {
  const problems: Problem[] = [];
  const pools = configs.map((config) => readPool(config, problems));
  const names = configs.map((config) => config.name);
  for (const name of new Set(names.filter((n, i) => names.indexOf(n) !== i))) {
    problems.push({ where: 'localPools', value: name, message: 'Two pools have this name. Give each pool a name of its own.' });
  }
  if (problems.length > 0) throw new UsageError(problems);
  return pools.sort((a, b) => a.priority - b.priority);
}

function readPool(config: PoolConfig, problems: Problem[]): Pool {
  const where = `--local-pool (pool ${config.name})`;
  const parsed: IpRange[] = [];
  for (const text of config.addresses) {
    const range = parseRange(text.trim());
    if (typeof range === 'string') problems.push({ where, value: text, message: `Not usable as a pool: ${range}.` });
    else parsed.push(range);
  }
  if (config.addresses.length === 0) {
    problems.push({ where, message: 'The pool has no addresses. Give it a CIDR, a range or an address.' });
  }
  const ranges = mergeRanges(parsed);
  const byFamily = { IPv4: ranges.filter((r) => r.family === 'IPv4'), IPv6: ranges.filter((r) => r.family === 'IPv6') };
  const { addresses, ...rest } = config;
  return {
    ...rest,
    ranges: byFamily,
    sizes: { IPv4: total(byFamily.IPv4), IPv6: total(byFamily.IPv6) },
    text: addresses.join(', '),
  };
}

function total(ranges: readonly IpRange[]): bigint {
  return ranges.reduce((sum, range) => sum + rangeSize(range), 0n);
}

export function poolHolds(pool: Pool, ip: Ip): boolean {
  return pool.ranges[ip.family].some((range) => rangeHolds(range, ip));
}

/** Whether the balancer may have addresses of the pool; as for every balancer-wide setting, its oldest member decides. */
export function poolAdmits(pool: Pool, balancer: Balancer): boolean {
  const member = balancer.members[0];
  if (!member) return false;
  if (pool.namespaces.length > 0 && !pool.namespaces.includes(member.namespace)) return false;
  return Object.entries(pool.serviceSelector).every(([label, value]) => member.labels[label] === value);
}

/** The address at a place of the pool, counted over all ranges of the family. @param index 0 to size - 1 */
export function addressAt(pool: Pool, family: IpFamily, index: bigint): Ip {
  let left = index;
  for (const range of pool.ranges[family]) {
    if (left < rangeSize(range)) return { family, value: range.first + left };
    left -= rangeSize(range);
  }
  throw new RangeError(`pool ${pool.name} has no ${family} address number ${index}`);
}

/** The place of an address in the pool, or undefined when it is not in it. */
export function indexOfAddress(pool: Pool, ip: Ip): bigint | undefined {
  let before = 0n;
  for (const range of pool.ranges[ip.family]) {
    if (rangeHolds(range, ip)) return before + (ip.value - range.first);
    before += rangeSize(range);
  }
  return undefined;
}

/** So many addresses of each pool are looked at for clashes; a larger pool gets a sample from its beginning. */
const INSPECTED = 4_096n;

/**
 * What a person should know of the pools before they are used: one line each. An overlap is a warning and no error, because the
 * address that is taken is skipped when addresses are given out.
 */
export function describePools(pools: readonly Pool[], reservedBy: (address: string) => string | undefined): readonly string[] {
  return [...pools.flatMap((pool) => describeReserved(pool, reservedBy)), ...describeOverlaps(pools)];
}

function describeReserved(pool: Pool, reservedBy: (address: string) => string | undefined): readonly string[] {
  const taken: string[] = [];
  for (const family of ['IPv4', 'IPv6'] as const) {
    const count = pool.sizes[family] < INSPECTED ? pool.sizes[family] : INSPECTED;
    for (let i = 0n; i < count; i += 1n) {
      const text = formatIp(addressAt(pool, family, i));
      const who = reservedBy(text);
      if (who !== undefined) taken.push(`${text} (${who})`);
    }
  }
  if (taken.length === 0) return [];
  const more = taken.length > 3 ? ` and ${taken.length - 3} more` : '';
  return [`pool ${pool.name}: addresses that are in use already are skipped: ${taken.slice(0, 3).join(', ')}${more}`];
}

function describeOverlaps(pools: readonly Pool[]): readonly string[] {
  return pools.flatMap((pool, i) =>
    pools
      .slice(i + 1)
      .filter((other) => overlaps(pool, other))
      .map((other) => `pools ${pool.name} (${pool.text}) and ${other.name} (${other.text}) have addresses in common`),
  );
}

function overlaps(a: Pool, b: Pool): boolean {
  return (['IPv4', 'IPv6'] as const).some((family) =>
    a.ranges[family].some((x) => b.ranges[family].some((y) => x.first <= y.last && y.first <= x.last)),
  );
}
