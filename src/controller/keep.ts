import { readAnnotations } from '../config/annotations.ts';
import type { Balancer, Listener } from '../model.ts';
import type { IntentInput, RefusedService } from './intent.ts';
import { byAge } from './share.ts';
import { type Around, describeEndpoints } from './target-group.ts';

/**
 * Pure. The balancer that is wanted, and with it what those members have who are refused for now: they keep their listeners, which
 * follow the nodes and endpoints, until they are mended or leave.
 * @param wanted for the members that can be served; undefined: there is none
 * @param last as it was brought about last; undefined: not known, or there was none
 * @returns undefined when nothing is wanted and nothing is known that would have to be kept
 */
export function keepRefused(
  wanted: Balancer | undefined,
  last: Balancer | undefined,
  refused: readonly RefusedService[],
  { provider, nodesFor, ...around }: Pick<IntentInput, 'provider' | 'nodesFor' | 'endpointsAt'>,
): Balancer | undefined {
  const uids = new Set(refused.map(({ service }) => service.uid));
  const taken = new Set(wanted?.listeners.map(({ port, protocol }) => `${port}/${protocol}`));
  const listeners = (last?.listeners ?? [])
    .filter(({ service, port, protocol }) => uids.has(service.uid) && !taken.has(`${port}/${protocol}`))
    .map((listener) => withEndpoints(listener, around));
  if (!last || listeners.length === 0) return wanted;
  const owners = new Set(listeners.map(({ service }) => service.uid));
  const members = last.members.filter(({ uid }) => owners.has(uid));
  if (wanted) {
    return {
      ...wanted,
      members: [...wanted.members, ...members].sort(byAge),
      listeners: [...wanted.listeners, ...listeners],
    };
  }
  const nodes = nodesFor(readAnnotations(last.members[0]?.annotations ?? {}, provider).nodeSelector);
  return { ...last, members, listeners, nodes };
}

function withEndpoints(listener: Listener, around: Around): Listener {
  const { endpointNodes: _before, ...targetGroup } = listener.targetGroup;
  const now = describeEndpoints(listener.service, listener, targetGroup.localOnly, around);
  return { ...listener, targetGroup: { ...targetGroup, ...now } };
}
