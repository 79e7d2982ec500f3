import { type OptionValues, OUR_CLASS } from '../config/options.ts';
import { explain } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { readEndpointSlice } from '../kube/endpoint-slices.ts';
import { at, list, type Node, readService, type Service, text } from '../kube/objects.ts';
import type { ServiceName } from './connect.ts';
import { listNodes } from './read.ts';
import type { TargetHealth } from './status-health.ts';

/** Everything that the story of a Service is told from. */
export interface StoryInput {
  readonly service: Service;
  /** `spec.externalName`. */
  readonly externalName: string;
  readonly nodes: readonly Node[];
  readonly endpoints: EndpointCount | undefined;
  /** Class that counts as ours. */
  readonly loadBalancerClass: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** As the provider says, which was asked; absent: it was not. */
  readonly health?: readonly TargetHealth[];
  /** It was asked for, and there is nobody to ask. */
  readonly isUnread?: boolean;
}

export interface EndpointCount {
  readonly ready: number;
  readonly notReady: number;
  /** Names of the nodes with one that serves; absent: nobody has said where any is. */
  readonly nodes?: readonly string[];
}

/** @throws {KubeError} when the Service cannot be read */
export async function readStoryInput(api: KubeApi, { namespace, name }: ServiceName, values: OptionValues): Promise<StoryInput> {
  const [raw, nodes, endpoints] = await Promise.all([
    api.get('getService', namespace, name),
    listNodes(api),
    countEndpoints(api, namespace, name),
  ]);
  const service = readService(raw);
  if (!service) throw new KubeError(0, 'Unreadable', `the API server's answer for Service ${namespace}/${name} is not a Service`);
  return {
    service,
    externalName: text(at(at(raw, 'spec'), 'externalName')),
    nodes,
    endpoints,
    loadBalancerClass: values.loadBalancerClass ?? OUR_CLASS,
    now: Date.now(),
  };
}

/** @returns undefined when they may not be listed: the rest of the story is worth telling all the same */
async function countEndpoints(api: KubeApi, namespace: string, name: string): Promise<EndpointCount | undefined> {
  try {
    const page = await api.list('listEndpointSlices', namespace, {
      labelSelector: `kubernetes.io/service-name=${name}`,
      limit: 500,
    });
    const endpoints = page.items.flatMap((slice) => list(at(slice, 'endpoints')));
    const ready = endpoints.filter((endpoint) => at(at(endpoint, 'conditions'), 'ready') !== false).length;
    const nodes = new Set(page.items.flatMap((slice) => readEndpointSlice(slice)?.nodes ?? []));
    return { ready, notReady: endpoints.length - ready, ...(page.items.length === 0 ? {} : { nodes: [...nodes] }) };
  } catch (thrown) {
    if (thrown instanceof KubeError) return undefined;
    throw new Error(`endpoints could not be counted: ${explain(thrown)}`, { cause: thrown });
  }
}
