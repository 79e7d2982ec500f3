import { explain } from '../errors.ts';
import type { Services } from '../kube/api.ts';
import type { Log, Provider } from '../providers/provider.ts';
import { heldByClass } from './claim.ts';
import type { Claims } from './claims.ts';
import type { Cluster } from './cluster.ts';
import type { Writer } from './writer.ts';

export interface RoundOptions {
  readonly claims: Claims;
  readonly cluster: Pick<Cluster, 'keys'>;
  readonly services: Services;
  readonly writer: Writer;
  /** Undefined while it has not been opened. */
  provider(): Provider | undefined;
  add(keys: readonly string[]): void;
  readonly log: Log;
}

/** How often provider and cluster are compared as a whole. */
const SWEEP_MS = 600_000;
/** How often other balancer controllers are looked for: one that comes while we run would take the same Services. */
const RIVALS_MS = 60_000;
/** Services that a rival's coming is told on; those that have a class are no concern of its. */
const TOLD_OF_RIVALS = 100;

/** What no watch tells is looked at from time to time. */
export function startRounds(options: RoundOptions): { stop(): void } {
  const { add, log } = options;
  const timers = [
    every(SWEEP_MS, async () => add(await compare(options)), log),
    every(RIVALS_MS, async () => add(await lookForRivals(options)), log),
  ];
  return { stop: () => timers.forEach(clearInterval) };
}

/** With up to a fifth more by chance, so that several controllers do not look in step. */
function every(ms: number, look: () => Promise<void>, log: Log): NodeJS.Timeout {
  const tellLater = (thrown: unknown): void =>
    log.warn({ error: explain(thrown) }, 'provider and cluster could not be compared; tried again later');
  return setInterval(() => void look().catch(tellLater), ms * (1 + Math.random() / 5));
}

/** @returns the keys whose claim may have changed, and those that the provider has and no Service wants */
async function compare({ claims, cluster, provider }: RoundOptions): Promise<readonly string[]> {
  const changed = await claims.refresh();
  const owned = (await provider()?.keys()) ?? [];
  if (changed) return [...cluster.keys(), ...owned];
  const known = new Set(cluster.keys());
  return owned.filter((key) => !known.has(key));
}

/** What we hold stays as it is, and says so. @returns every key, when it has changed whose Services without a class are */
export async function lookForRivals(
  options: Pick<RoundOptions, 'claims' | 'cluster' | 'services' | 'writer'>,
): Promise<readonly string[]> {
  const { claims, cluster, services, writer } = options;
  if (!(await claims.refresh(true))) return [];
  if (claims.unset()) return cluster.keys();
  const held = [...services.all()].filter((one) => one.loadBalancerClass === undefined && heldByClass(one) !== undefined);
  const text = `Seen in the cluster: ${claims.rivals()}. Services without a loadBalancerClass are left to it from now on; this one stays as it is.`;
  for (const service of held.slice(0, TOLD_OF_RIVALS)) writer.eventOnce(service, 'Warning', 'RivalController', text);
  return cluster.keys();
}
