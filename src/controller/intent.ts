import { isIP } from 'node:net';
import type { Annotations } from '../config/annotations.ts';
import { readAnnotations } from '../config/annotations.ts';
import { Refusal } from '../errors.ts';
import type { Service, ServicePort } from '../kube/objects.ts';
import type { Balancer, Listener, NodeTarget } from '../model.ts';
import { type ClaimOptions, claim, FINALIZER, heldAddresses, heldBy, heldByClass } from './claim.ts';
import { admitMembers, byAge, shareProblem } from './share.ts';
import { describeSpread, whyNoSpread } from './spread.ts';
import { type Around, describeTargetGroup } from './target-group.ts';

/** What shall become of one balancer key. */
export interface Intent {
  /** The balancer that is wanted; undefined: none. */
  readonly wanted?: Balancer;
  /** The Services that the wanted balancer serves. */
  readonly served: readonly Service[];
  /** Services that cannot be served as they are written, and why. What they hold is left as it is. */
  readonly refused: readonly RefusedService[];
  /** Services that carry our marks and no longer want a balancer. */
  readonly leaving: readonly { readonly service: Service; readonly why: string }[];
  /** A controller of another class holds a Service of this key: what the key has at the provider is not ours to judge. */
  readonly heldElsewhere: boolean;
  /** Ports of served Services that cannot be served; the Service's other ports are. */
  readonly portRefusals: readonly PortRefusal[];
  /** One line for each thing that was found odd and is not an error. */
  readonly warnings: readonly { readonly service: Service; readonly text: string }[];
  /** One line for each annotation of another controller that means something here. */
  readonly understood: readonly { readonly service: Service; readonly text: string }[];
}

export interface RefusedService {
  readonly service: Service;
  readonly refusal: Refusal;
}

export interface PortRefusal {
  readonly uid: string;
  readonly port: number;
  readonly protocol: ServicePort['protocol'];
  readonly refusal: Refusal;
}

export interface IntentInput extends Around {
  readonly key: string;
  /** Every Service whose balancer key this is, whoever it belongs to. */
  readonly members: readonly Service[];
  readonly provider: string;
  readonly claims: ClaimOptions;
  /** Eligible nodes for a node selector; answers with the same array while nothing has changed. */
  nodesFor(selector: Readonly<Record<string, string>> | undefined): readonly NodeTarget[];
  /** Any Service of the cluster, by `namespace/name`. */
  serviceNamed(name: string): Service | undefined;
}

/** Decides what one balancer shall be. Total: any Services, however odd, give an answer and never an exception. */
export function decideIntent(input: IntentInput): Intent {
  const ours: Service[] = [];
  const leaving: { service: Service; why: string }[] = [];
  const refused: RefusedService[] = [];
  for (const service of [...input.members].sort(byTenure)) {
    const decided = claim(service, input.claims);
    const elsewhere = decided.kind === 'foreign' ? undefined : refuseOtherHolder(service, input);
    if (elsewhere) refused.push({ service, refusal: elsewhere });
    else if (decided.kind === 'ours') ours.push(service);
    else if (decided.kind === 'leaving') leaving.push({ service, why: decided.why });
  }
  const judged = ours.map((service) => ({ service, notes: readAnnotations(service.annotations, input.provider) }));
  const sound: Service[] = [];
  for (const { service, notes } of judged) {
    const refusal = whyRefused(service, notes) ?? whyNoSpread(service, notes, input);
    if (refusal) refused.push({ service, refusal });
    else sound.push(service);
  }
  const group = admitMembers(sound);
  refused.push(...group.refused);
  const wanted = group.admitted.length > 0 ? describeBalancer(input, group.admitted) : undefined;
  return {
    ...(wanted ? { wanted } : {}),
    served: group.admitted,
    refused,
    leaving,
    heldElsewhere: input.members.some((service) => holds(service) && claim(service, input.claims).kind === 'foreign'),
    portRefusals: group.admitted.flatMap(refusePorts),
    warnings: judged.flatMap(({ service, notes }) =>
      notes.warnings.map((w) => ({ service, text: `${w.annotation}: ${w.message}` })),
    ),
    understood: judged.flatMap(({ service, notes }) =>
      notes.understood.map((w) => ({ service, text: `${w.annotation} ${w.message}` })),
    ),
  };
}

/**
 * The balancer with all members that this provider may hold, also those that are refused for now: what they hold stays theirs
 * over a restart. Undefined when there is none.
 */
export function describeHeld(input: IntentInput): Balancer | undefined {
  const ours = input.members.filter((service) => claim(service, input.claims).kind === 'ours');
  const here = ours.filter((service) => refuseOtherHolder(service, input) === undefined);
  return here.length > 0 ? describeBalancer(input, here.sort(byAge)) : undefined;
}

/** What another provider or controller holds only that one can take down, whether the Service stays or goes. */
function refuseOtherHolder(service: Service, { provider, claims }: IntentInput): Refusal | undefined {
  const holder = heldBy(service);
  const addresses = heldAddresses(service).join(', ') || 'none';
  if (holder !== '' && holder !== provider) {
    return new Refusal(
      'OtherProvider',
      `The balancer is held by provider ${holder} (addresses: ${addresses}), and this controller runs with ${provider}`,
    );
  }
  const holderClass = heldByClass(service);
  if (holderClass === undefined || holderClass === claims.loadBalancerClass) return undefined;
  return new Refusal(
    'OtherProvider',
    `The balancer is still held by the controller of class ${holderClass} (addresses: ${addresses}), which has not let go of it yet`,
  );
}

function whyRefused(service: Service, notes: Annotations): Refusal | undefined {
  const sharing = shareProblem(service);
  if (sharing) return sharing;
  const problem = notes.problems[0];
  if (problem) {
    return new Refusal(
      'AnnotationInvalid',
      `Annotation ${problem.annotation}: ${JSON.stringify(problem.value)}: ${problem.message}`,
    );
  }
  return refuseSpec(service, notes);
}

function refuseSpec(service: Service, notes: Annotations): Refusal | undefined {
  if (service.ports.length === 0) return new Refusal('NoPorts', 'The Service has no ports');
  if (service.clusterIP === 'None') return new Refusal('Headless', 'The Service is headless (clusterIP: None)');
  if (service.ports.every((port) => port.nodePort === 0)) {
    return new Refusal('NoNodePort', `No port of the Service has a nodePort (${service.ports.map((p) => p.port).join(', ')})`);
  }
  const range = service.sourceRanges.find((r) => !isCidr(r));
  if (range !== undefined)
    return new Refusal('SourceRangeInvalid', `loadBalancerSourceRanges: ${JSON.stringify(range)} is not a CIDR`);
  const address = requestedAddresses(service, notes).find((a) => isIP(a) === 0);
  if (address !== undefined) return new Refusal('AddressInvalid', `${JSON.stringify(address)} is not an IP address`);
  if (service.loadBalancerIP !== '' && notes.addresses.length > 0 && !notes.addresses.includes(service.loadBalancerIP)) {
    return new Refusal(
      'AnnotationInvalid',
      `spec.loadBalancerIP asks for ${service.loadBalancerIP} and annotation nodeport-lb.io/addresses for ${notes.addresses.join(', ')}`,
    );
  }
  return undefined;
}

function describeBalancer(input: IntentInput, services: readonly Service[]): Balancer {
  const first = services[0]!;
  const notes = readAnnotations(first.annotations, input.provider); // on balancer-wide settings the oldest member's word counts
  return {
    key: input.key,
    members: services.map(({ namespace, name, uid, createdAt, labels, annotations }) => ({
      namespace,
      name,
      uid,
      createdAt,
      labels,
      annotations,
    })),
    listeners: services.flatMap((service) => listenersOf(service, input)),
    nodes: input.nodesFor(notes.nodeSelector),
    families: first.families.length > 0 ? first.families : ['IPv4'],
    preferDualStack: first.familyPolicy === 'PreferDualStack',
    address: {
      requested: unique(
        services.flatMap((service) => requestedAddresses(service, readAnnotations(service.annotations, input.provider))),
      ),
      ...(notes.pool === undefined ? {} : { pool: notes.pool }),
      held: unique(services.flatMap(heldAddresses)),
      published: unique(services.flatMap(publishedOf)),
    },
    settings: {
      ...(notes.proxyProtocol ? { proxyProtocol: notes.proxyProtocol } : {}),
      ...(notes.retry === true ? { retry: true } : {}),
      ...(notes.drainSeconds === undefined ? {} : { drainSeconds: notes.drainSeconds }),
      ...(notes.idleTimeoutSeconds === undefined ? {} : { idleTimeoutSeconds: notes.idleTimeoutSeconds }),
      publish: notes.publish,
      retain: notes.retain,
      allowDisruption: notes.allowDisruption,
    },
  };
}

function requestedAddresses(service: Service, notes: Annotations): readonly string[] {
  return unique([...notes.addresses, ...(service.loadBalancerIP === '' ? [] : [service.loadBalancerIP])]);
}

function listenersOf(service: Service, around: Pick<IntentInput, 'serviceNamed' | 'endpointsAt'>): readonly Listener[] {
  const notes = readAnnotations(service.annotations);
  return service.ports
    .filter((port) => port.nodePort !== 0)
    .map((port) => ({
      service: { namespace: service.namespace, name: service.name, uid: service.uid },
      name: port.name,
      protocol: port.protocol,
      port: port.port,
      targetGroup: describeTargetGroup(service, port, notes, around),
      ...describeSpread(service, port, notes, around),
    }));
}

function refusePorts(service: Service): readonly PortRefusal[] {
  return service.ports
    .filter((port) => port.nodePort === 0)
    .map((port) => ({
      uid: service.uid,
      port: port.port,
      protocol: port.protocol,
      refusal: new Refusal('NoNodePort', `Port ${port.port}/${port.protocol} has no nodePort`),
    }));
}

/** Held addresses that the status shows. */
function publishedOf(service: Service): readonly string[] {
  const shown = service.ingress.flatMap((entry) => entry.ip ?? entry.hostname ?? []);
  return heldAddresses(service).filter((address) => shown.includes(address));
}

/** Whether the text is an address, a slash and a prefix length that fits the family. */
function isCidr(value: string): boolean {
  const [address = '', length = '', ...rest] = value.trim().split('/');
  const family = isIP(address);
  return rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}

/** Creation times are whole seconds: of two of one second, who is served already counts as the older. */
function byTenure(a: Service, b: Service): number {
  if (a.createdAt === b.createdAt && holds(a) !== holds(b)) return holds(a) ? -1 : 1;
  return byAge(a, b);
}

/** Whether the Service holds our finalizer, so that something of it may exist at a provider. */
export function holds(service: Service): boolean {
  return service.finalizers.includes(FINALIZER);
}
