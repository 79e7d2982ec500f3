import type { Carriers } from '../controller/carriers.ts';
import { CONDITION } from '../controller/claim.ts';
import type { Decision } from '../controller/decision.ts';
import type { Service } from '../kube/objects.ts';
import { type Balancer, nameOf } from '../model.ts';
import type { Picture } from './plan-picture.ts';

/** Says why a balancer cannot keep an address; undefined: nothing stands against it but the wish for another one. */
export type Mover = (balancer: Balancer, address: string) => string | undefined;

export interface Noted {
  readonly key: string;
  readonly decision: Decision;
  readonly carriers: Pick<Carriers, 'waitingFor'>;
  readonly before: Picture;
  readonly after: Picture;
  /** Services that wait for another balancer. */
  readonly coming: readonly string[];
  /** As it stands now. */
  readonly held: Balancer | undefined;
  readonly whyMoved: Mover;
}

/** Pure. What a person should know beside the steps, one line each. */
export function describeNotes(noted: Noted): readonly string[] {
  const { decision, carriers, key } = noted;
  const { intent } = decision;
  return [
    ...intent.leaving.map(({ service, why }) => `${nameOf(service)} leaves: ${why}`),
    ...carriers
      .waitingFor(key)
      .map((service) => `${nameOf(service)} goes to another balancer once this one has let go of its address`),
    ...noted.coming.map((name) => `${name} comes with its address once its present balancer has let go of it`),
    ...describeMove(decision.wanted, noted.held, noted.whyMoved),
    ...noted.before.cluster.membersOf(key).filter(isBehind).map(sayBehind),
    ...intent.portRefusals.map(({ refusal }) => refusal.message),
    ...intent.warnings.map(({ service, text }) => `${nameOf(service)}: ${text}`),
    ...describeClashes(noted),
    ...(intent.heldElsewhere ? ['a controller of another class holds a Service of it, and is not interfered with'] : []),
    ...(decision.blind && !intent.heldElsewhere ? ['what it has at the provider stays as it is'] : []),
  ];
}

/** No controller has looked at it since it was changed last. */
function isBehind({ conditions, generation = 0 }: Service): boolean {
  const seen = conditions.find(({ type }) => type === CONDITION)?.observedGeneration;
  return seen !== undefined && seen < generation;
}

function sayBehind(service: Service): string {
  return `no controller has acted on the last change of ${nameOf(service)}; what it had before that is not known, so changes may be missing here`;
}

/** An address that clients know is given up. */
export function describeMove(wanted: Balancer | undefined, held: Balancer | undefined, whyMoved: Mover): readonly string[] {
  const next = wanted?.address.held ?? [];
  if (!held || !wanted || next.length === 0) return [];
  const lost = held.address.held.filter((address) => !next.includes(address));
  const gained = next.filter((address) => !held.address.held.includes(address));
  return lost.map((address, index) => {
    const to = gained[index] === undefined ? 'gives up' : 'moves from';
    const target = gained[index] === undefined ? '' : ` to ${gained[index]}`;
    return `${to} ${address}${target}: ${whyMoved(wanted, address) ?? 'another address is asked for'}`;
  });
}

function describeClashes({ decision, after }: Noted): readonly string[] {
  return (decision.wanted?.address.held ?? []).flatMap((address) => {
    const by = after.cluster.surroundings.reservedBy(address);
    return by === undefined ? [] : [`address ${address} is in use by ${by} too, which may take its traffic`];
  });
}
