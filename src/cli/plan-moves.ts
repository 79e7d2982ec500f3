import type { Config } from '../config/config.ts';
import { parseIp } from '../providers/local/addresses.ts';
import { readOptions } from '../providers/local/options.ts';
import { poolAdmits, poolHolds, readPools } from '../providers/local/pools.ts';
import type { Mover } from './plan-notes.ts';

/**
 * Why an address does not fit the pools of this configuration, for provider local.
 * @throws {import('../errors.ts').UsageError} for pools that are none
 */
export function explainPools(config: Config, inCluster: boolean): Mover {
  const pools = readPools(readOptions(config.local, inCluster).pools);
  return (balancer, address) => {
    if (pools.length === 0) return undefined; // nodes have their own
    const ip = parseIp(address);
    const holding = ip ? pools.filter((pool) => poolHolds(pool, ip)) : [];
    if (holding.length === 0) return `it is in no pool (${pools.map(({ name, text }) => `${name}: ${text}`).join('; ')})`;
    if (holding.some((pool) => poolAdmits(pool, balancer))) return undefined;
    const owner = balancer.members.map(({ namespace, name }) => `${namespace}/${name}`)[0] ?? balancer.key;
    return `pool ${holding.map(({ name }) => name).join(', ')} does not admit ${owner}`;
  };
}
