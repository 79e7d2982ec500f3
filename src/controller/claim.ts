import { ownAnnotations } from '../config/annotation-table.ts';
import { OUR_CLASS } from '../config/options.ts';
import { at, type Service } from '../kube/objects.ts';

/** Held before the first provider write (of an ephemeral provider: from when the address is published), dropped only when nothing of the balancer is left. */
export const FINALIZER = 'nodeport-lb.io/cleanup';
/** Type of our condition in `status.conditions`. */
export const CONDITION = 'nodeport-lb.io/Ready';
/** What the controller notes on a Service: `PROVIDER/CLUSTER` that holds its balancer, and `/CLASS` unless its controller has the default class; the addresses held (comma separated, so
 * that a cleared status loses nothing); `healthy/total` while a target is not healthy; `PORT/PROTOCOL=SERVED_PORT` while a port
 * is served on another one; what moves its packets, and why. */
export const {
  heldBy: HELD_BY,
  heldAddresses: HELD_ADDRESSES,
  targets: TARGETS,
  servedPorts: SERVED_PORTS,
  datapath: DATAPATH,
} = ownAnnotations;
export const OUR_ANNOTATIONS = [HELD_BY, HELD_ADDRESSES, TARGETS, SERVED_PORTS, DATAPATH] as const;

/** What a Service is to this controller. */
export type Claim =
  /** Ours to serve. */
  | { readonly kind: 'ours' }
  /** Carries marks of ours and no longer wants a balancer of ours. */
  | { readonly kind: 'leaving'; readonly why: string }
  /** Left alone; nothing is ever written on it. */
  | { readonly kind: 'foreign'; readonly why: string };

export interface ClaimOptions {
  readonly loadBalancerClass: string;
  /** Services without a class are ours too. */
  readonly claimUnset: boolean;
  /** Nothing is claimed any more, and what is held is given up. Default false. */
  readonly retired?: boolean;
}

/** Cleanup finalizers of other balancer controllers: a Service that carries one is theirs to clean up. */
const FOREIGN_FINALIZERS = [
  'service.kubernetes.io/load-balancer-cleanup', // kubernetes/cloud-provider
  'service.k8s.aws/resources', // AWS Load Balancer Controller
  'svccontroller.k3s.cattle.io/daemonset', // k3s ServiceLB
  'kube-vip.io/cleanup',
  'openelb.kubesphere.io/finalizer',
];
/** Values of `aws-load-balancer-type` that name AWS Load Balancer Controller or the in-tree provider. */
const FOREIGN_AWS_TYPES = ['external', 'nlb-ip', 'nlb', 'nlb-target-ip', 'clb', 'classic'];
const AWS_TYPE = 'service.beta.kubernetes.io/aws-load-balancer-type';

/** Decides whose Service this is. */
export function claim(service: Service, options: ClaimOptions): Claim {
  const held = service.finalizers.includes(FINALIZER);
  const holder = heldByClass(service);
  if (holder !== undefined && holder !== options.loadBalancerClass && service.loadBalancerClass !== options.loadBalancerClass)
    return { kind: 'foreign', why: `it is held by the controller of class ${holder}` };
  const reason = whyNotWanted(service, { ...options, claimUnset: options.claimUnset || held }); // what is claimed once stays so
  if (held) return reason === undefined ? { kind: 'ours' } : { kind: 'leaving', why: reason };
  const foreign = foreignMark(service);
  if (reason === undefined) return foreign === undefined ? { kind: 'ours' } : { kind: 'foreign', why: foreign };
  return hasMarks(service) && foreign === undefined ? { kind: 'leaving', why: reason } : { kind: 'foreign', why: reason };
}

/** Why the Service asks for no balancer of ours, or undefined when it does. */
function whyNotWanted(service: Service, options: ClaimOptions): string | undefined {
  if (service.deleting) return 'the Service is being deleted';
  if (service.type !== 'LoadBalancer') return `the Service is of type ${service.type}`;
  if (options.retired) return 'the controller was asked to retire (nodeport-lb retire)';
  if (service.loadBalancerClass === options.loadBalancerClass) return undefined;
  if (service.loadBalancerClass !== undefined)
    return `its loadBalancerClass is ${service.loadBalancerClass}, not ${options.loadBalancerClass}`;
  return options.claimUnset
    ? undefined
    : `it has no loadBalancerClass, and Services without one are not claimed (--claim-unset-class)`;
}

/** Another controller's mark on a Service that we hold nothing of, or undefined. */
function foreignMark(service: Service): string | undefined {
  const finalizer = foreignFinalizer(service);
  if (finalizer) return `it carries another controller's finalizer ${finalizer}`;
  const type = service.annotations[AWS_TYPE];
  if (type !== undefined && service.loadBalancerClass === undefined && FOREIGN_AWS_TYPES.includes(type)) {
    return `its annotation ${AWS_TYPE}: ${type} names another controller`;
  }
  const writer = service.statusManagers.find((manager) => manager !== 'nodeport-lb');
  if (service.ingress.length > 0 && writer !== undefined) return `its status.loadBalancer was written by ${writer}`;
  return undefined;
}

/** Cleanup finalizer of another balancer controller, which then has made something for the Service too. */
export function foreignFinalizer(service: Service): string | undefined {
  return service.finalizers.find((finalizer) => FOREIGN_FINALIZERS.includes(finalizer));
}

function hasMarks(service: Service): boolean {
  return (
    service.conditions.some((c) => c.type === CONDITION) ||
    OUR_ANNOTATIONS.some((name) => at(service.annotations, name) !== undefined)
  );
}

/** Provider named in the Service's held-by annotation; empty when it holds none. */
export function heldBy(service: Service): string {
  if (!service.finalizers.includes(FINALIZER)) return '';
  return service.annotations[HELD_BY]?.split('/')[0] ?? '';
}

/** Class of the controller that holds the Service; undefined when none does. */
export function heldByClass(service: Service): string | undefined {
  if (heldBy(service) === '') return undefined;
  return service.annotations[HELD_BY]?.split('/').slice(2).join('/') || OUR_CLASS;
}

/** What is noted on a Service before anything is made for it. */
export function nameHolder(provider: string, clusterName: string, loadBalancerClass: string): string {
  const holder = `${provider}/${clusterName}`;
  return loadBalancerClass === OUR_CLASS ? holder : `${holder}/${loadBalancerClass}`;
}

/** Addresses that the Service holds: the annotation first, else its status. */
export function heldAddresses(service: Service): readonly string[] {
  if (!service.finalizers.includes(FINALIZER)) return [];
  const noted = (service.annotations[HELD_ADDRESSES] ?? '').split(',').filter((a) => a !== '');
  if (noted.length > 0) return noted;
  return service.ingress.flatMap((entry) => entry.ip ?? entry.hostname ?? []);
}
