import { type Code, Refusal } from '../../errors.ts';

/** Judged by what others have at AWS: subnets, security groups, Elastic IPs. */
const OF_FACTS: readonly Code[] = ['SubnetUnavailable', 'AwsResourceUnknown', 'AwsAddressMismatch'];
/** Another NLB of ours has a name or an address that is asked for. */
const OF_ROOM: readonly Code[] = ['DisruptionNotAllowed', 'AwsNameInUse'];

export function isOfFacts(thrown: unknown): boolean {
  return thrown instanceof Refusal && OF_FACTS.includes(thrown.code);
}

/** Balancers that were refused for something that may change though nobody touches their Services. As many as there are such. */
export class TurnedAway {
  readonly #byFacts = new Set<string>();
  readonly #byRoom = new Set<string>();

  note(key: string, thrown: unknown): void {
    if (isOfFacts(thrown)) this.#byFacts.add(key);
    if (thrown instanceof Refusal && OF_ROOM.includes(thrown.code)) this.#byRoom.add(key);
  }

  /** Those who may be judged otherwise after another look at the account; they are forgotten here. */
  takeByFacts(): readonly string[] {
    return take(this.#byFacts);
  }

  /** Those for whom there may be room once an NLB has gone; they are forgotten here. */
  takeByRoom(): readonly string[] {
    return take(this.#byRoom);
  }
}

function take(keys: Set<string>): readonly string[] {
  const taken = [...keys];
  keys.clear();
  return taken;
}
