import type { Config } from '../config/config.ts';
import { claim } from '../controller/claim.ts';
import { decideClaims } from '../controller/claims.ts';
import type { KubeApi } from '../kube/api.ts';
import type { Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { listServices } from './read.ts';

/** A person reads it; the rest is counted. */
const MAX_NAMED = 10;

/** What the controller is about to claim, in lines for a person. */
export async function announceClaims(api: KubeApi, config: Config): Promise<string> {
  const quiet = { debug() {}, info() {}, warn() {}, error() {} }; // the controller says it itself when it starts
  const claims = await decideClaims(api, config, quiet);
  const services = await listServices(api, config.namespaces);
  const options = { loadBalancerClass: config.loadBalancerClass, claimUnset: claims.unset() };
  const ours = services.filter((service) => claim(service, options).kind === 'ours');
  const where = config.namespaces.length === 0 ? 'all namespaces' : `namespaces ${config.namespaces.join(', ')}`;
  const verb = config.dryRun ? 'would claim (dry run: nothing is written)' : 'will claim';
  return `provider ${config.provider}; ${verb} ${countOf(ours)} of ${where}${nameSome(ours)}\n`;
}

function countOf(services: readonly Service[]): string {
  return services.length === 1 ? '1 Service' : `${services.length} Services`;
}

function nameSome(services: readonly Service[]): string {
  if (services.length === 0) return '';
  const named = services.slice(0, MAX_NAMED).map((service) => `  ${nameOf(service)}`);
  const more = services.length - named.length;
  return `:\n${[...named, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n')}`;
}
