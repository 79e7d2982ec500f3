import { type ForwarderOptions, startForwarder } from './forwarder.ts';
import type { Estate } from './handover.ts';
import { readChains } from './kernel/nft.ts';
import { readOlderTables } from './kernel/older.ts';
import { tryRulesets } from './kernel/trial.ts';
import { olderWallsIn, unreadWalls, wallsIn } from './kernel/walls.ts';
import type { Walls } from './paths.ts';
import type { Forwarder, ForwarderLog } from './rules.ts';

/** Of the ruleset, unless another name is asked for. */
export const TABLE = 'nodeport-lb';

/** Beginning of the names of tables that are one process's alone, whose id follows for people, and go with it. */
export const PRIVATE_TABLES = `${TABLE}-pid-`;

/** Beginning of the names of the tables of `forward`: what one has left goes on until the same call is made again, or `--cleanup`. */
export const FORWARD_TABLES = `${TABLE}-forward-`;

export interface DatapathOptions extends ForwarderOptions {
  /** `auto`: each listener is served by the kernel where rights, machine and rule allow it, else in userspace. */
  readonly datapath: 'auto' | 'userspace' | 'nftables';
  /** Name of our table in the family inet, letters, digits, - and _; two forwarders on one machine need two. Default: TABLE. */
  readonly table?: string;
  /** Count bytes of each listener in the kernel path, at the price of a lookup for each packet. Default: true. */
  readonly countBytes?: boolean;
  /** On close the kernel goes on forwarding, until the next forwarder takes over or `cleanUpKernel` ends it. Default: false. */
  readonly keepRules?: boolean;
}

/** Forwards in this process, or by the kernel for it. What cannot be served is reported, never thrown. */
export function openForwarder({
  datapath,
  table = TABLE,
  countBytes = true,
  keepRules = false,
  ...options
}: DatapathOptions): Forwarder & Estate {
  if (datapath === 'userspace') return startForwarder(options);
  const { fault, staying } = tryRulesets({ table, countBytes });
  if (fault) options.log.info({ asked: datapath, why: fault.message }, 'data path: no nftables');
  else options.log.info({ asked: datapath, table }, 'data path: nftables for every listener that it can serve');
  if (!fault && staying) options.log.info({ why: staying.message }, 'data path: no nftables for sessionAffinity');
  const walls = fault || datapath !== 'auto' ? {} : readWalls(options.log);
  return startForwarder({ ...options, paths: { asked: datapath, fault, table, countBytes, keepRules, walls, staying } });
}

function readWalls(log: ForwarderLog): Walls {
  const older = readOlderTables();
  for (const unread of unreadWalls(older)) log.warn({ unread }, 'data path: whether a firewall stands in the way is not known');
  return { ...olderWallsIn(older), ...wallsIn(readChains()) };
}
