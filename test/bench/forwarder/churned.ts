import { readdirSync, readFileSync } from 'node:fs';
import { openForwarder } from '../../../src/forwarder/datapath.ts';
import type { Rules, RulesChange } from '../../../src/forwarder/rules.ts';
import { type Drops, readDrops } from './drops.ts';

// The forwarder's process while it is churned, with --expose-gc: DATAPATH. Takes rules, and looks at itself when asked.

export type Order = { readonly apply: Rules | RulesChange } | { readonly look: true };

/** Megabytes, descriptors; the garbage has been collected. */
export interface Look {
  readonly rss: number;
  readonly heap: number;
  /** NaN where /proc does not tell. */
  readonly descriptors: number;
  /** Of the processes that it keeps, such as nft. */
  readonly childrenRss: number;
  readonly active: number;
  /** How often a target was found unhealthy: flows of UDP leave it then, and what is under way on them is lost. */
  readonly downs: number;
  readonly drops: Drops;
}

let wanted = -1;
let downs = 0;

const forwarder = openForwarder({
  datapath: process.argv[2] as 'userspace' | 'nftables',
  onReport: ({ generation, targets }) => {
    downs += Object.values(targets).filter((target) => target?.health === 'unhealthy').length;
    if (generation !== wanted) return;
    wanted = -1;
    process.send?.('applied');
  },
  log: { debug: () => {}, info: () => {}, warn: console.error, error: console.error },
});

process.on('message', (order: Order) => {
  if ('apply' in order) {
    wanted = order.apply.generation;
    forwarder.apply(order.apply);
  } else {
    void lookAtSelf().then((look) => process.send?.(look));
  }
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function lookAtSelf(): Promise<Look> {
  const { sum } = await forwarder.counters();
  (globalThis as { gc?: () => void }).gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    rss: rss / 1e6,
    heap: (heapUsed + external) / 1e6,
    descriptors: countDescriptors(),
    childrenRss: childrenRss(),
    active: sum.active,
    downs,
    drops: readDrops(),
  };
}

function countDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length - 1; // that of the directory itself
  } catch {
    return Number.NaN;
  }
}

function childrenRss(): number {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
    const status = children.map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'));
    return status.reduce((sum, text) => sum + Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1_000, 0);
  } catch {
    return Number.NaN;
  }
}
