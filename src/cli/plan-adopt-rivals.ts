import { at, list, type Service, stringMap, text } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { parseIp } from '../providers/local/addresses.ts';
import { type Pool, poolHolds } from '../providers/local/pools.ts';

export const rivalNames = ['metallb', 'kube-vip', 'klipper', 'cloud-provider-aws', 'aws-load-balancer-controller'] as const;
export type RivalName = (typeof rivalNames)[number];

/** What was found of another controller in the cluster. */
export interface RivalFacts {
  /** Its pools in our words; empty where it has none. */
  readonly pools: readonly Pool[];
  /** DaemonSets of k3s ServiceLB. */
  readonly daemonSets: readonly unknown[];
}

/** Another controller: which Services are its own, and what of it is on them. */
export interface Rival {
  readonly title: string;
  /** Ours that does the same. */
  readonly provider: 'local' | 'aws';
  /** Of its own; they go when its controller lets go of a Service. */
  readonly finalizers: readonly string[];
  /** Beginnings of its annotations and labels that a Service carries for it alone. */
  readonly prefixes: readonly string[];
  /** Those of them that need no counterpart: they say which address it has, which stays so, or were written by the controller. */
  readonly covered: readonly RegExp[];
  owns(service: Service, facts: RivalFacts): boolean;
}

const KLIPPER = 'svccontroller.k3s.cattle.io/';
const CCM_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';

export const rivals: Readonly<Record<RivalName, Rival>> = {
  metallb: {
    title: 'MetalLB',
    provider: 'local',
    finalizers: [],
    prefixes: ['metallb.io/', 'metallb.universe.tf/'],
    covered: [/\/ip-allocated-from-pool$/, /\/loadBalancerIPs$/, /\/address-pool$/, /\/allow-shared-ip$/],
    owns: (service, { pools }) =>
      Object.keys(service.annotations).some((name) => name.endsWith('/ip-allocated-from-pool')) || isInPools(service, pools),
  },
  'kube-vip': {
    title: 'kube-vip',
    provider: 'local',
    finalizers: ['kube-vip.io/cleanup'],
    prefixes: ['kube-vip.io/'],
    covered: [/\/loadbalancerIPs$/, /\/vipHost$/, /\/active-endpoint/, /\/hwaddr$/, /\/requestedIP$/],
    owns: (service, { pools }) =>
      service.labels['implementation'] === 'kube-vip' ||
      service.loadBalancerClass === 'kube-vip.io/kube-vip-class' ||
      service.finalizers.includes('kube-vip.io/cleanup') ||
      Object.keys(service.annotations).some((name) => name.startsWith('kube-vip.io/')) ||
      isInPools(service, pools),
  },
  klipper: {
    title: 'k3s ServiceLB',
    provider: 'local',
    finalizers: [`${KLIPPER}daemonset`],
    prefixes: [KLIPPER],
    covered: [],
    owns: (service, { daemonSets }) =>
      service.finalizers.includes(`${KLIPPER}daemonset`) || daemonSets.some((set) => serviceOf(set) === nameOf(service)),
  },
  'cloud-provider-aws': {
    title: 'cloud-provider-aws',
    provider: 'aws',
    finalizers: [CCM_FINALIZER],
    prefixes: [],
    covered: [],
    owns: (service) =>
      service.finalizers.includes(CCM_FINALIZER) &&
      service.ingress.every(({ hostname = '' }) => /\.amazonaws\.com(\.cn)?$/.test(hostname)),
  },
  'aws-load-balancer-controller': {
    title: 'AWS Load Balancer Controller',
    provider: 'aws',
    finalizers: ['service.k8s.aws/resources'],
    prefixes: ['service.k8s.aws/'],
    covered: [],
    owns: (service) =>
      service.finalizers.includes('service.k8s.aws/resources') || service.loadBalancerClass === 'service.k8s.aws/nlb',
  },
};

function isInPools({ ingress }: Service, pools: readonly Pool[]): boolean {
  return ingress.some(({ ip = '' }) => {
    const parsed = parseIp(ip);
    return parsed !== undefined && pools.some((pool) => poolHolds(pool, parsed));
  });
}

/** `namespace/name` of the Service that a DaemonSet of ServiceLB serves. */
export function serviceOf(daemonSet: unknown): string {
  const labels = stringMap(at(at(daemonSet, 'metadata'), 'labels'));
  return `${labels[`${KLIPPER}svcnamespace`] ?? ''}/${labels[`${KLIPPER}svcname`] ?? ''}`;
}

/** What of the rival is on the Service and has no counterpart: its annotations and labels, by name. */
export function findUncovered({ annotations, labels }: Service, { prefixes, covered }: Rival): readonly string[] {
  const names = [...Object.keys(annotations), ...Object.keys(labels)];
  return names.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)) && !covered.some((one) => one.test(name)));
}

/** `--flag=value` of a container's arguments, or the word behind the flag. */
export function readArgument(workload: unknown, flag: string): string | undefined {
  const containers = list(at(at(at(at(workload, 'spec'), 'template'), 'spec'), 'containers'));
  const words = containers.flatMap((one) => [...list(at(one, 'command')), ...list(at(one, 'args'))]).map((word) => text(word));
  for (const [index, word] of words.entries()) {
    if (word.startsWith(`${flag}=`)) return word.slice(flag.length + 1);
    if (word === flag) return words[index + 1];
  }
  return undefined;
}
