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
  /** Other balancer controllers that were seen, for people; empty: none, or nobody has looked. */
  rivals(): string;
  /**
   * @param quick leaves out the Deployments, of which there may be thousands; what they said before counts
   * @returns whether the answer has changed
   */
  refresh(quick?: boolean): Promise<boolean>;
}

/** Objects a page; workloads are large, and most clusters have few. */
const PAGE_SIZE = 250;

/** Says in one line what was decided and why. */
export async function decideClaims(api: KubeApi, config: Config, log: Log): Promise<Claims> {
  let unset = config.claimUnsetClass === 'true';
  let looked = false;
  let said = '';
  let rivals = '';
  let deployments: readonly unknown[] = [];
  const decide = async (quick: boolean): Promise<boolean> => {
    const before = unset;
    const found = await lookForRivals(api, quick ? deployments : undefined);
    if ('blind' in found && looked) {
      log.warn({ error: found.blind }, 'could not look for other balancer controllers again; what is claimed stays as it was');
      return false;
    }
    looked ||= 'rivals' in found;
    unset = 'rivals' in found && found.rivals.length === 0;
    if ('rivals' in found) {
      deployments = found.deployments;
      rivals = nameRivals(found.rivals);
    }
    const text = sayDecision(config, found);
    if (text !== said) log.info({ claimUnsetClass: 'auto' }, text);
    said = text;
    return unset !== before;
  };
  if (config.claimUnsetClass === 'auto') await decide(false);
  else log.info({ claimUnsetClass: config.claimUnsetClass }, sayFixed(config));
  return {
    unset: () => unset,
    rivals: () => rivals,
    refresh: async (quick = false) => (config.claimUnsetClass === 'auto' ? await decide(quick) : false),
  };
}

type Found = { readonly rivals: readonly Rival[]; readonly deployments: readonly unknown[] } | { readonly blind: string };

function sayFixed(config: Config): string {
  const others = config.claimUnsetClass === 'true' ? 'and those without a class' : 'only';
  return `claiming Services of class ${config.loadBalancerClass} ${others} (--claim-unset-class ${config.claimUnsetClass})`;
}

function sayDecision(config: Config, found: Found): string {
  const ours = `claiming Services of class ${config.loadBalancerClass}`;
  if ('blind' in found)
    return `${ours} only: could not look for other balancer controllers (${found.blind}); --claim-unset-class true claims the others too`;
  if (found.rivals.length === 0)
    return `${ours} and those without a class: no other balancer controller was seen; what one of ours holds under another class is left alone`;
  return `${ours} only: saw ${nameRivals(found.rivals)}; --claim-unset-class true claims those without a class too`;
}

function nameRivals(rivals: readonly Rival[]): string {
  return rivals.map((rival) => `${rival.name} (${rival.seen})`).join(', ');
}

/** @param known Deployments as they were; undefined: they are looked at, and those that are a rival's are kept */
async function lookForRivals(api: KubeApi, known: readonly unknown[] | undefined): Promise<Found> {
  try {
    const [leases, daemonSets, all] = await Promise.all([
      listAll(api, 'listLeases', 'kube-system', { limit: PAGE_SIZE, fieldSelector: 'metadata.name=cloud-controller-manager' }),
      listAll(api, 'listDaemonSets', '', { limit: PAGE_SIZE }),
      known ?? listAll(api, 'listDeployments', '', { limit: PAGE_SIZE }),
    ]);
    const now = Date.now();
    const deployments = all.filter((one) => findRivals({ leases: [], daemonSets: [], deployments: [one] }, now).length > 0);
    return { rivals: findRivals({ leases, daemonSets, deployments }, now), deployments };
  } catch (thrown) {
    return { blind: explain(thrown) };
  }
}
