import { explain } from '../errors.ts';
import { type SpawnOptions, spawnForwarder } from '../forwarder/child.ts';
import { PRIVATE_TABLES } from '../forwarder/datapath.ts';
import { cleanUpKernel, cleanUpOrphans } from '../forwarder/kernel/cleanup.ts';
import type { StartForwarder } from '../providers/local/link.ts';

/**
 * What moves an agent's packets: a process of its own, so that whatever keeps the agent busy never stalls traffic.
 * @param datapath `auto`: each listener by the kernel where rights, machine and rule allow it, else in userspace
 * @param group names the table in the kernel: agents of several classes run beside each other
 * @param handover where it takes over from the forwarder before it, and gives to the next one; undefined: neither
 */
export function chooseForwarder(
  datapath: 'auto' | 'userspace' | 'nftables',
  group: string,
  handover?: SpawnOptions['handover'],
): StartForwarder {
  const start: StartForwarder = (options) =>
    spawnForwarder({ ...options, datapath, table: tableOf(group), ...(handover ? { handover } : {}) });
  return datapath === 'userspace' ? (options) => start({ ...options, onReport: onceServed(options, group) }) : start;
}

/** As soon as this one listens, what a run by the kernel has left there goes: it would take everything before a socket gets it. */
function onceServed({ onReport, log }: Parameters<StartForwarder>[0], group: string): typeof onReport {
  let hasServed = false;
  return (report) => {
    if (!hasServed && report.generation >= 0) {
      hasServed = true;
      void cleanUpDatapath(group).then(
        (removed) => removed.length > 0 && log.info({ removed }, 'what another data path has left is gone'),
        (thrown: unknown) => log.debug({ error: explain(thrown) }, 'what another data path may have left cannot be seen'),
      );
    }
    onReport(report);
  };
}

/** nft takes letters, digits, `-` and `_` in a name. */
function tableOf(group: string): string {
  return group.replaceAll('.', '_');
}

/** Takes out of the kernel what a forwarder has left there. @returns what was removed, for people */
export async function cleanUpDatapath(group: string): Promise<readonly string[]> {
  const { removed, fault } = await cleanUpKernel({ table: tableOf(group) });
  if (fault) throw new Error(fault.message);
  const orphans = await cleanUpOrphans(PRIVATE_TABLES);
  return [
    ...(removed ? ['the nftables table of the forwarder'] : []),
    ...orphans.map((table) => `the nftables table ${table} of a controller that was killed`),
  ];
}
