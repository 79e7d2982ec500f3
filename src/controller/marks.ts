import type { Service } from '../kube/objects.ts';
import type { Balancer } from '../model.ts';
import { forAll } from './for-all.ts';
import { holds } from './intent.ts';
import type { Desk } from './reconcile.ts';
import { sayHeld, sayMarks } from './status.ts';

/** What may be made, as far as marks (finalizer, holder, addresses) must be on record before. */
export interface Held {
  /** To be told of what becomes of their balancer; as they are now. */
  readonly services: readonly Service[];
  /** Without the Services of which nothing can be put on record. */
  readonly wanted: Balancer | undefined;
  /** Why not; undefined: there are none. */
  readonly thrown?: unknown;
}

/**
 * Puts on record what must be there before the provider acts, or a crash could leak what it makes. Of an ephemeral provider that is nothing:
 * its marks go with the address. Only of a Service of which the API server has refused that (rights, a policy) it is asked first from
 * then on, and nothing is made for it meanwhile: nobody could be told.
 * @throws {import('../kube/api.ts').KubeError} when it fails, but not of an ephemeral provider
 */
export async function hold<O>(services: readonly Service[], wanted: Balancer, desk: Desk<O>): Promise<Held> {
  if (desk.provider.ephemeral !== true) return { services: await holdAll(services, wanted, desk), wanted };
  const barred = services.filter((service) => !holds(service) && desk.writer.isRefused(service.uid));
  if (barred.length === 0) return { services, wanted };
  const answers = await Promise.allSettled(barred.map((service) => holdAll([service], wanted, desk)));
  const failed = answers.flatMap((answer, i) => (answer.status === 'rejected' ? barred.slice(i, i + 1) : []));
  const held = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  return {
    services: [...services.filter((service) => !barred.includes(service)), ...held],
    wanted: without(wanted, failed),
    thrown: answers.find((answer) => answer.status === 'rejected')?.reason,
  };
}

async function holdAll<O>(services: readonly Service[], wanted: Balancer, desk: Desk<O>): Promise<readonly Service[]> {
  const marks = sayMarks(desk.holder, wanted.address.held);
  const first = sayHeld(desk.holder, wanted.address.held);
  const answers = await forAll(services, (service) => desk.writer.say(service, holds(service) ? marks : first));
  return answers.filter((service) => service !== undefined);
}

function without(wanted: Balancer, left: readonly Service[]): Balancer | undefined {
  const uids = new Set(left.map(({ uid }) => uid));
  const listeners = wanted.listeners.filter(({ service }) => !uids.has(service.uid));
  if (listeners.length === 0) return undefined;
  return { ...wanted, members: wanted.members.filter(({ uid }) => !uids.has(uid)), listeners };
}
