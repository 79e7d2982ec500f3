import type { Config } from '../config/config.ts';
import { explain } from '../errors.ts';
import type { KubeApi } from '../kube/api.ts';
import { listAll } from '../kube/pages.ts';
import type { Log } from '../providers/provider.ts';
import { findRivals, type Rival } from './rivals.ts';

/** Whether Services without a loadBalancerClass are ours, decided at the start and looked at again from time to time. */
export interface Claims {
  unset(): boolean;
  /** Whether nothing is claimed any more; absent: it is. */
  retired?(): boolean;
  /** @returns whether the answer has changed */
  refresh(): Promise<boolean>;
}

/** Objects a page; workloads are large, and most clusters have few. */
const PAGE_SIZE = 250;

/** Says in one line what was decided and why. */
export async function decideClaims(api: KubeApi, config: Config, log: Log): Promise<Claims> {
  let unset = config.claimUnsetClass === 'true';
  let looked = false;
  let said = '';
  const decide = async (): Promise<boolean> => {
    const before = unset;
    const found = await lookForRivals(api);
    if ('blind' in found && looked) {
      log.warn({ error: found.blind }, 'could not look for other balancer controllers again; what is claimed stays as it was');
      return false;
    }
    looked ||= 'rivals' in found;
    unset = 'rivals' in found && found.rivals.length === 0;
    const text = sayDecision(config, found);
    if (text !== said) log.info({ claimUnsetClass: 'auto' }, text);
    said = text;
    return unset !== before;
  };
  if (config.claimUnsetClass === 'auto') await decide();
  else log.info({ claimUnsetClass: config.claimUnsetClass }, sayFixed(config));
  return { unset: () => unset, refresh: async () => (config.claimUnsetClass === 'auto' ? await decide() : false) };
}

type Found = { readonly rivals: readonly Rival[] } | { readonly blind: string };

function sayFixed(config: Config): string {
  const others = config.claimUnsetClass === 'true' ? 'and those without a class' : 'only';
  return `claiming Services of class ${config.loadBalancerClass} ${others} (--claim-unset-class ${config.claimUnsetClass})`;
}

function sayDecision(config: Config, found: Found): string {
  const ours = `claiming Services of class ${config.loadBalancerClass}`;
  if ('blind' in found)
    return `${ours} only: could not look for other balancer controllers (${found.blind}); --claim-unset-class true claims the others too`;
  if (found.rivals.length === 0) return `${ours} and those without a class: no other balancer controller was seen`;
  const seen = found.rivals.map((rival) => `${rival.name} (${rival.seen})`).join(', ');
  return `${ours} only: saw ${seen}; --claim-unset-class true claims those without a class too`;
}

async function lookForRivals(api: KubeApi): Promise<Found> {
  try {
    const [leases, daemonSets, deployments] = await Promise.all([
      listAll(api, 'listLeases', 'kube-system', { limit: PAGE_SIZE, fieldSelector: 'metadata.name=cloud-controller-manager' }),
      listAll(api, 'listDaemonSets', '', { limit: PAGE_SIZE }),
      listAll(api, 'listDeployments', '', { limit: PAGE_SIZE }),
    ]);
    return { rivals: findRivals({ leases, daemonSets, deployments }, Date.now()) };
  } catch (thrown) {
    return { blind: explain(thrown) };
  }
}
