import { CONDITION, heldAddresses, heldBy } from '../controller/claim.ts';
import { describeHeld, type IntentInput } from '../controller/intent.ts';
import { cures } from '../errors.ts';
import type { Service } from '../kube/objects.ts';
import type { Balancer, Listener } from '../model.ts';

/** Reasons of the table that are said of a Service which is served all the same. */
const SERVED_NEVERTHELESS: readonly string[] = ['NoNodes', 'NoHealthyTargets', 'NodesUnreachable', 'ForwarderDown'];

/** Pure. The balancer as a controller has brought it about, as far as its Services tell; undefined: they tell of none. */
export function describeStanding(input: IntentInput): Balancer | undefined {
  const members = input.members.filter((service) => isStanding(service, input.provider));
  const balancer = describeHeld({ ...input, members });
  if (!balancer) return undefined;
  const published = new Set(members.flatMap(publishedPorts));
  const listeners = balancer.listeners.filter((listener) => published.has(portOf(listener)));
  return listeners.length > 0 ? { ...balancer, listeners } : undefined;
}

/** What a Service has that was refused after it was served is not told by its spec, which asks for something else by now. */
function isStanding(service: Service, provider: string): boolean {
  const reason = service.conditions.find(({ type }) => type === CONDITION)?.reason ?? '';
  const ofOnePort = portsOf(service).some(({ error }) => error === `nodeport-lb.io/${reason}`);
  const refused = Object.hasOwn(cures, reason) && !SERVED_NEVERTHELESS.includes(reason) && !ofOnePort;
  return heldBy(service) === provider && heldAddresses(service).length > 0 && !refused;
}

function portsOf({ ingress }: Service) {
  return ingress.flatMap((entry) => entry.ports ?? []);
}

/** Ports that are served; one that is published with an error is not. */
function publishedPorts(service: Service): readonly string[] {
  const served = portsOf(service).filter(({ error }) => error === undefined);
  return served.map(({ port, protocol }) => `${service.uid} ${port}/${protocol}`);
}

function portOf({ service, port, protocol }: Listener): string {
  return `${service.uid} ${port}/${protocol}`;
}
