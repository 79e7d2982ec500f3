import { agentGroup, DEFAULT_NAMESPACE } from '../agent/names.ts';
import type { Config } from '../config/config.ts';
import { optionsForProvider } from '../config/read.ts';
import { nameHolder } from '../controller/claim.ts';
import type { KubeApi } from '../kube/api.ts';
import type { Log, ProviderContext } from '../providers/provider.ts';

export interface ContextParts {
  readonly api: KubeApi;
  readonly config: Config;
  readonly log: Log;
  /** Of the pod. */
  readonly namespace?: string;
}

/** What a provider is made with. */
export async function describeContext({ api, config, log, namespace: ownNamespace }: ContextParts): Promise<ProviderContext> {
  const { openBoard } = await import('../agent/board.ts');
  const { clusterName, loadBalancerClass, shareAcrossNamespaces, nodeAddressTypes, namespaces, provider } = config;
  const namespace = config.local.agentsNamespace ?? ownNamespace ?? DEFAULT_NAMESPACE;
  return {
    clusterName,
    log,
    options: optionsForProvider(config),
    agents: () => openBoard({ api, namespace, group: agentGroup(loadBalancerClass), log }),
    reading: {
      holder: nameHolder(provider, clusterName, loadBalancerClass),
      loadBalancerClass,
      shareAcrossNamespaces,
      nodeAddressTypes,
      namespaces,
    },
  };
}
