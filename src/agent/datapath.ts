import { spawnForwarder } from '../forwarder/child.ts';
import { cleanUpKernel } from '../forwarder/kernel/cleanup.ts';
import type { StartForwarder } from '../providers/local/link.ts';

/**
 * What moves an agent's packets: a process of its own, so that whatever keeps the agent busy never stalls traffic.
 * @param datapath `auto`: each listener by the kernel where rights, machine and rule allow it, else in userspace
 */
export function chooseForwarder(datapath: 'auto' | 'userspace' | 'nftables'): StartForwarder {
  return (options) => spawnForwarder({ ...options, datapath });
}

/** Takes out of the kernel what a forwarder has left there. @returns what was removed, for people */
export async function cleanUpDatapath(): Promise<readonly string[]> {
  const { removed, fault } = await cleanUpKernel();
  if (fault) throw new Error(fault.message);
  return removed ? ['the nftables table of the forwarder'] : [];
}
