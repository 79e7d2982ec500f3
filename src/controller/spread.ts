import type { Annotations } from '../config/annotations.ts';
import { ACTIONS, readWeights, type WeightedTarget, type Weights } from '../config/weights.ts';
import { Refusal } from '../errors.ts';
import type { Service, ServicePort } from '../kube/objects.ts';
import type { Listener, Share } from '../model.ts';
import { describeTargetGroup } from './target-group.ts';

/** Services of the cluster, by `namespace/name`. */
interface Around {
  serviceNamed(name: string): Service | undefined;
}

/** Of the Service's own protocols, those that a listener of this one carries. */
const CARRIED: Readonly<Record<Weights['protocol'], readonly string[]>> = {
  TCP: ['TCP'],
  UDP: ['UDP'],
  TCP_UDP: ['TCP', 'UDP'],
  TLS: ['TCP'],
};
/** Their Services are reached at their nodePorts. */
const WITH_NODE_PORTS = ['NodePort', 'LoadBalancer'];

/** Pure. `namespace/name` of the Services that get a share of this one's connections: a change of theirs concerns it, too. */
export function otherServicesOf({ namespace, annotations }: Service): readonly string[] {
  if (!Object.keys(annotations).some((name) => name.startsWith(ACTIONS))) return [];
  const others = readWeights(annotations).weights.flatMap((one) => one.others);
  return [...new Set(others.flatMap((one) => ('service' in one ? [`${namespace}/${one.service}`] : [])))];
}

/** Pure. Why the connections cannot be shared out as the author asks, or undefined. */
export function whyNoSpread(service: Service, { weights }: Annotations, around: Around): Refusal | undefined {
  for (const [at, asked] of weights.entries()) {
    const rival = weights.slice(0, at).find((one) => overlaps(one, asked));
    const why = rival ? `${rival.annotation} is about the same port` : findFault(service, asked, around);
    if (why !== undefined) return new Refusal('AnnotationInvalid', `Annotation ${asked.annotation}: ${why}`);
  }
  return undefined;
}

function overlaps(one: Weights, other: Weights): boolean {
  return one.port === other.port && CARRIED[one.protocol].some((protocol) => CARRIED[other.protocol].includes(protocol));
}

function findFault(service: Service, asked: Weights, around: Around): string | undefined {
  const missing = CARRIED[asked.protocol].find((protocol) => !portOf(service, asked.port, protocol));
  if (missing !== undefined) return `the Service has no port ${asked.port}/${missing} (it has ${sayPorts(service)})`;
  for (const [at, other] of asked.others.entries()) {
    const place = `forwardConfig.targetGroups[${at}]`;
    for (const protocol of CARRIED[asked.protocol]) {
      const found = 'service' in other ? findOther(service, other, protocol, around) : undefined;
      if (typeof found === 'string') return `${place}: ${found}`;
    }
  }
  return undefined;
}

interface Other {
  readonly service: Service;
  readonly port: ServicePort;
}

/** @returns what is missing, when there is no such port to send to */
function findOther(
  { namespace }: Service,
  target: Extract<WeightedTarget, { readonly service: string }>,
  protocol: string,
  { serviceNamed }: Around,
): Other | string {
  const name = `${namespace}/${target.service}`;
  const service = serviceNamed(name);
  if (!service) return `there is no Service ${name}`;
  if (!WITH_NODE_PORTS.includes(service.type)) {
    return `Service ${name} is of type ${service.type}, which has no nodePorts: make it ${WITH_NODE_PORTS.join(' or ')}`;
  }
  const port = portOf(service, target.port, protocol);
  if (!port) return `Service ${name} has no port ${target.port}/${protocol} (it has ${sayPorts(service)})`;
  return port.nodePort === 0 ? `port ${target.port}/${protocol} of Service ${name} has no nodePort` : { service, port };
}

function portOf({ ports }: Service, asked: number | string, protocol: string): ServicePort | undefined {
  return ports.find((one) => one.protocol === protocol && (one.port === asked || (asked !== '' && one.name === asked)));
}

function sayPorts({ ports }: Service): string {
  return ports.map(({ port, protocol, name }) => `${port}/${protocol}${name === '' ? '' : ` ${name}`}`).join(', ') || 'none';
}

/** Pure. The listener's shares; nothing where there are none, or where they cannot be had, which `whyNoSpread` tells. */
export function describeSpread(
  service: Service,
  port: ServicePort,
  notes: Annotations,
  around: Around,
): Pick<Listener, 'spread'> {
  const asked = notes.weights.find((one) => one.port === port.port && CARRIED[one.protocol].includes(port.protocol));
  if (!asked || asked.others.length === 0) return {};
  const others = asked.others.flatMap((one): Share[] => {
    if (!('service' in one)) return [one];
    const found = findOther(service, one, port.protocol, around);
    return typeof found === 'string' ? [] : [describeShare(service, one, found, notes)];
  });
  if (others.length < asked.others.length) return {};
  return { spread: { weight: asked.weight, ...(asked.sticky === undefined ? {} : { sticky: asked.sticky }), others } };
}

/** The other Service says where its nodes answer, and the one that has the listener who is let in and how it is checked. */
function describeShare(
  { sourceRanges }: Service,
  { weight, decrypt }: Extract<WeightedTarget, { readonly service: string }>,
  { service, port }: Other,
  notes: Annotations,
): Share {
  return {
    weight,
    service: { namespace: service.namespace, name: service.name, uid: service.uid },
    port: { name: port.name, port: port.port },
    targetGroup: { ...describeTargetGroup(service, port, notes, {}), sourceRanges },
    decrypt,
  };
}
