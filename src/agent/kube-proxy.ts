import { explain } from '../errors.ts';
import { startBystander } from '../forwarder/bystander.ts';
import type { StartForwarder } from '../providers/local/link.ts';
import type { Log } from '../providers/provider.ts';
import { cleanUpDatapath } from './datapath.ts';
import { type ProxyFault, watchKubeProxy } from './proxy-watch.ts';

/**
 * What an agent has in the place of a forwarder where kube-proxy delivers. Rules that a run with another data path has left in the
 * kernel would take everything before kube-proxy sees it, so they go first.
 */
export function leaveToKubeProxy(group: string, log: Log): StartForwarder {
  return async ({ onReport }) => {
    try {
      const removed = await cleanUpDatapath(group);
      if (removed.length > 0) log.info({ removed }, 'what another data path has left is gone: kube-proxy delivers now');
    } catch (thrown) {
      log.warn({ error: explain(thrown) }, 'whether another data path has left rules in the kernel is not known');
    }
    const bystander = startBystander({ onReport });
    const changed = (fault: ProxyFault | undefined): void => {
      if (fault) log.warn({}, `${fault.message}; addresses are left to other nodes`);
      else log.info({}, 'kube-proxy of this node is well again');
      bystander.judge(fault);
    };
    const stop = await watchKubeProxy({ changed });
    return {
      apply: (next) => bystander.apply(next),
      counters: () => bystander.counters(),
      close: () => {
        stop();
        return bystander.close();
      },
    };
  };
}
