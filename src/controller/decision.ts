import { Refusal } from '../errors.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer } from '../model.ts';
import type { Provider, Surroundings } from '../providers/provider.ts';
import { decideIntent, holds, type Intent, type IntentInput, type RefusedService } from './intent.ts';
import { keepRefused } from './keep.ts';

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
  return { intent, ...(wanted ? { wanted } : {}), served, refused, blind, idle };
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
