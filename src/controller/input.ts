import type { Config } from '../config/config.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer } from '../model.ts';
import type { Carriers } from './carriers.ts';
import { type ClaimOptions, claim } from './claim.ts';
import type { Claims } from './claims.ts';
import type { Cluster } from './cluster.ts';
import type { Endpoints } from './endpoints.ts';
import { describeHeld, type IntentInput } from './intent.ts';
import { byAge } from './share.ts';

/** Where what is decided about a balancer comes from. */
export interface InputSources {
  /** Name of the provider. */
  readonly provider: string;
  readonly config: Pick<Config, 'loadBalancerClass'>;
  readonly cluster: Pick<Cluster, 'membersOf' | 'nodesFor' | 'serviceNamed'>;
  readonly claims: Pick<Claims, 'unset' | 'retired'>;
  readonly carriers: Pick<Carriers, 'holdsBack'>;
  /** Of a provider that goes by them. */
  readonly endpoints?: Pick<Endpoints, 'nodesAt'>;
}

/** What is claimed just now. */
export function claimOptions(
  { loadBalancerClass }: Pick<Config, 'loadBalancerClass'>,
  claims: Pick<Claims, 'unset' | 'retired'>,
): ClaimOptions {
  return { loadBalancerClass, claimUnset: claims.unset(), retired: claims.retired?.() ?? false };
}

/** Gathers, for a balancer key, all that is decided from, as it is when it is asked for. */
export function describeInput(sources: InputSources): (key: string) => IntentInput {
  const { provider, config, cluster, claims, carriers, endpoints } = sources;
  return (key) => {
    const options = claimOptions(config, claims);
    const leaves = (service: Service): boolean => claim(service, options).kind !== 'ours';
    return {
      key,
      members: cluster.membersOf(key).filter((service) => !carriers.holdsBack(key, service, leaves(service))),
      provider,
      claims: options,
      nodesFor: cluster.nodesFor,
      serviceNamed: cluster.serviceNamed,
      ...(endpoints === undefined ? {} : { endpointsAt: (service, port) => endpoints.nodesAt(service, port) }),
    };
  };
}

/** What the provider is opened with. Oldest first, so that older Services keep what younger ones ask for too. */
export function wantedBalancers(cluster: Pick<Cluster, 'keys'>, inputFor: (key: string) => IntentInput): readonly Balancer[] {
  const wanted = cluster.keys().flatMap((key) => describeHeld(inputFor(key)) ?? []);
  return wanted.sort((a, b) => byAge(a.members[0]!, b.members[0]!));
}
