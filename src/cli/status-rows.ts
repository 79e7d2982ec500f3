import { readAnnotations } from '../config/annotations.ts';
import { CONDITION, claim, FINALIZER, HELD_BY, SERVED_PORTS, TARGETS } from '../controller/claim.ts';
import { balancerKeyOf } from '../controller/share.ts';
import { chooseTargets } from '../controller/targets.ts';
import type { Condition, Node, Service } from '../kube/objects.ts';
import { describeClientAddress, type PathStatus, readPaths } from './status-paths.ts';

/** Reasons that say of a served Service that nobody answers behind it. */
const UNHEALTHY: readonly string[] = ['NoHealthyTargets', 'NodesUnreachable'];

/** Version of the JSON; fields are added freely and never renamed. */
export const STATUS_VERSION = 1;

/** One Service in `status -o json`. */
export interface ServiceStatus {
  readonly namespace: string;
  readonly name: string;
  /** `spec.loadBalancerClass`; empty when it has none. */
  readonly class: string;
  /** Who holds its balancer; empty: nobody of ours. */
  readonly provider: string;
  /** Key of the balancer; empty when there is none. */
  readonly balancer: string;
  /** Published addresses; those of another controller too. */
  readonly addresses: readonly string[];
  /** Zeros while there is no balancer. */
  readonly targets: { readonly healthy: number; readonly total: number };
  /** Reason code, `Unseen` (no word of a controller yet) or `NotOurs`. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339: since when the condition has been so; else the Service's creation. */
  readonly since: string;
  readonly ready: boolean;
  readonly type: string;
  readonly createdAt: string;
  readonly ports: readonly PortStatus[];
  /** What moves its packets, and why; empty: not known, or a balancer outside the cluster does. */
  readonly datapaths: readonly PathStatus[];
  /** Whether pods see their clients' addresses, in words; empty: not known. */
  readonly clientAddress: string;
}

export interface PortStatus {
  readonly name: string;
  readonly protocol: string;
  readonly port: number;
  readonly nodePort: number;
  /** Where it is served, when that is another port. */
  readonly servedPort?: number;
  /** Reason code of a port that is not served. */
  readonly error?: string;
}

/** Said of a Service that is ours to serve, for all that can be seen, and on which nobody has said anything. */
const UNSEEN = 'No controller has said anything about it yet: is one running, and does it claim the Service?';

/** Services that `status` is about: those that ask for a balancer, and those that still have something of one. */
export function isOfInterest(service: Service): boolean {
  return service.type === 'LoadBalancer' || service.finalizers.includes(FINALIZER) || readyCondition(service) !== undefined;
}

export function readyCondition(service: Service): Condition | undefined {
  return service.conditions.find((condition) => condition.type === CONDITION);
}

/** Counts the nodes that may be targets under a node selector. */
export type CountTargets = (selector: Readonly<Record<string, string>> | undefined) => number;

/** Each selector is counted once. */
export function targetCounter(nodes: readonly Node[]): CountTargets {
  const counts = new Map<string, number>();
  return (selector) => {
    const key = JSON.stringify(selector ?? {});
    const options = { addressTypes: ['InternalIP', 'ExternalIP'], ...(selector ? { nodeSelector: selector } : {}) };
    const count = counts.get(key) ?? chooseTargets(nodes, options).nodes.length;
    counts.set(key, count);
    return count;
  };
}

/** What is asked beside the Service itself. */
export interface Surroundings {
  readonly count: CountTargets;
  /** Class that counts as ours. */
  readonly loadBalancerClass: string;
}

/** What the cluster knows of a Service's balancer. Pure. */
export function describeStatus(service: Service, { count, loadBalancerClass }: Surroundings): ServiceStatus {
  const condition = readyCondition(service);
  const held = service.finalizers.includes(FINALIZER);
  const said = condition ?? sayUnspoken(service, loadBalancerClass);
  const provider = held ? (service.annotations[HELD_BY]?.split('/')[0] ?? '') : '';
  const datapaths = held ? readPaths(service) : [];
  return {
    namespace: service.namespace,
    name: service.name,
    class: service.loadBalancerClass ?? '',
    provider,
    balancer: held ? balancerKeyOf(service, false) : '',
    addresses: service.ingress.flatMap((entry) => entry.ip ?? entry.hostname ?? []),
    targets: held ? countTargets(service, count) : { healthy: 0, total: 0 },
    reason: said.reason,
    message: said.message,
    since: condition?.lastTransitionTime || service.createdAt,
    ready: condition?.status === 'True',
    type: service.type,
    createdAt: service.createdAt,
    ports: describePorts(service),
    datapaths,
    clientAddress: describeClientAddress(service, provider, datapaths),
  };
}

/** Without a condition of ours: somebody else's, not for a balancer, or not looked at yet. */
function sayUnspoken(service: Service, loadBalancerClass: string): { readonly reason: string; readonly message: string } {
  const decided = claim(service, { loadBalancerClass, claimUnset: true });
  if (decided.kind === 'ours') return { reason: 'Unseen', message: UNSEEN };
  return { reason: 'NotOurs', message: `This controller leaves it alone: ${decided.why}.` };
}

/** The controller notes the count only while a target is not healthy; else all that may be targets are. */
function countTargets(service: Service, count: CountTargets): ServiceStatus['targets'] {
  const noted = /^(\d{1,9})\/(\d{1,9})$/.exec(service.annotations[TARGETS] ?? '');
  if (noted) return { healthy: Number(noted[1]), total: Number(noted[2]) };
  const total = count(readAnnotations(service.annotations).nodeSelector);
  const condition = readyCondition(service);
  // A Service that is refused as it is written now keeps what it has: its addresses serve on, and nobody has said otherwise.
  const serves = condition?.status === 'True' || (service.ingress.length > 0 && !UNHEALTHY.includes(condition?.reason ?? ''));
  return { healthy: serves ? total : 0, total };
}

function describePorts(service: Service): readonly PortStatus[] {
  const served = servedPorts(service);
  return service.ports.map(({ name, protocol, port, nodePort }) => {
    const entries = service.ingress.flatMap((entry) => entry.ports ?? []);
    const error = entries.find((entry) => entry.port === port && entry.protocol === protocol)?.error;
    const servedPort = served.get(`${port}/${protocol}`);
    return {
      name,
      protocol,
      port,
      nodePort,
      ...(servedPort === undefined ? {} : { servedPort }),
      ...(error ? { error: error.replace(/^nodeport-lb\.io\//, '') } : {}),
    };
  });
}

/** The controller's note of ports that are served on another one: `80/TCP=49153,…`. */
export function servedPorts(service: Service): ReadonlyMap<string, number> {
  const entries = (service.annotations[SERVED_PORTS] ?? '').split(',').map((entry) => /^(\d+\/[A-Z]+)=(\d{1,5})$/.exec(entry));
  return new Map(entries.flatMap((match) => (match ? [[match[1]!, Number(match[2])] as const] : [])));
}
