import { readAnnotations, selectsNodes } from '../config/annotations.ts';
import { Refusal } from '../errors.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer, NodeTarget } from '../model.ts';
import type { Provider, Surroundings } from '../providers/provider.ts';
import { decideIntent, holds, type Intent, type IntentInput, type RefusedService } from './intent.ts';
import { keepRefused } from './keep.ts';
import { byAge } from './share.ts';

/** What a pass over one balancer would bring about; nothing of it has been asked of the provider or written. */
export interface Decision {
  readonly intent: Intent;
  /** With what refused members keep; undefined: nothing is wanted, or nothing is known that would have to be kept. */
  readonly wanted?: Balancer;
  /** Empty when the provider refuses the balancer. */
  readonly served: readonly Service[];
  /** By the intent or by the provider. */
  readonly refused: readonly RefusedService[];
  /** Something must stay, and what it is nobody remembers: the provider is not to be touched. */
  readonly blind: boolean;
  /** There is nothing to do at the provider, and nobody leaves. */
  readonly idle: boolean;
  /** Refused members that have something at the provider of which nobody remembers what was wanted: after a start. */
  readonly forgotten?: Forgotten;
}

export interface Forgotten {
  readonly uids: readonly string[];
  readonly nodes: readonly NodeTarget[];
}

/** Who decides about addresses and refuses what he cannot do. */
export interface Decider {
  readonly provider: Pick<Provider, 'adjust' | 'ephemeral'>;
  readonly surroundings: Surroundings;
}

/** @param last as it was brought about last; undefined: not known, or there was none */
export function decide(input: IntentInput, decider: Decider, last: Balancer | undefined): Decision {
  const intent = decideIntent(input); // pure
  const { adjusted, served, refused } = adjust(intent, decider);
  const kept = decider.provider.ephemeral ? refused.filter(isOnRecord) : refused;
  const wanted = keepRefused(adjusted, last, kept, input); // pure
  const blind = !wanted && (intent.heldElsewhere || refused.some(isHeldHere));
  const idle = !wanted && (blind || refused.length > 0) && intent.leaving.length === 0;
  const forgotten = intent.heldElsewhere ? undefined : findForgotten(refused, last, wanted, input); // pure
  return { intent, ...(wanted ? { wanted } : {}), served, refused, blind, idle, ...(forgotten ? { forgotten } : {}) };
}

function findForgotten(
  refused: readonly RefusedService[],
  last: Balancer | undefined,
  wanted: Balancer | undefined,
  { provider, nodesFor }: IntentInput,
): Forgotten | undefined {
  const known = new Set(last?.listeners.map(({ service }) => service.uid));
  const left = refused.filter((one) => isHeldHere(one) && !known.has(one.service.uid)).map(({ service }) => service);
  const [oldest] = [...left].sort(byAge);
  if (!oldest) return undefined;
  const { nodeSelector } = readAnnotations(oldest.annotations, provider);
  if (nodeSelector === undefined && selectsNodes(oldest.annotations)) return undefined; // nobody knows which nodes it had
  return { uids: left.map(({ uid }) => uid), nodes: wanted?.nodes ?? nodesFor(nodeSelector) };
}

interface Adjusted extends Pick<Decision, 'served' | 'refused'> {
  readonly adjusted?: Balancer;
}

function adjust({ wanted, served, refused }: Intent, { provider, surroundings }: Decider): Adjusted {
  if (!wanted) return { served, refused };
  try {
    return { adjusted: provider.adjust(wanted, surroundings), served, refused };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { served: [], refused: [...refused, ...served.map((service) => ({ service, refusal: thrown }))] };
  }
}

/** Whether somebody may have been told of what was made for it: else it was not made for long enough to be kept. */
function isOnRecord({ service }: RefusedService): boolean {
  return holds(service) || service.ingress.length > 0;
}

/** Whether a refused Service may have something at this provider. */
function isHeldHere({ service, refusal }: RefusedService): boolean {
  return holds(service) && refusal.code !== 'OtherProvider';
}
