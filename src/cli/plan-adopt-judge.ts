import type { Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import { isNodePortOfItsOwn, whoseNodePort } from '../providers/local/node-ports.ts';
import type { AdoptedService } from './plan-adopt-document.ts';
import { findUncovered, type RivalName, rivals } from './plan-adopt-rivals.ts';
import { publishedIps, publishedNames, sayCommands } from './plan-adopt-services.ts';
import type { BalancerPlan } from './plan-document.ts';

export interface Judging {
  readonly from: RivalName;
  readonly balancers: readonly BalancerPlan[];
  readonly loadBalancerClass: string;
}

/** Pure. What would become of one Service, and what brings it about. */
export function judgeService(service: Service, { from, balancers, loadBalancerClass }: Judging): AdoptedService {
  const name = nameOf(service);
  const plan = balancers.find(({ services }) => services.includes(name));
  const now = publishedNames(service);
  const ofNodes = from === 'klipper';
  const planned = ofNodes ? now : (plan?.addresses.planned ?? []);
  const refused = (plan?.refused ?? []).filter((one) => one.service === name);
  const pinned = ofNodes || rivals[from].provider === 'aws' ? [] : publishedIps(service);
  return {
    service: name,
    addresses: { now, planned },
    keepsAddresses: refused.length === 0 && now.length > 0 && now.every((address) => planned.includes(address)),
    refused,
    notes: [...describeRest(service, from), ...(plan?.notes ?? [])],
    commands: refused.length > 0 ? [] : sayCommands(service, pinned, loadBalancerClass),
  };
}

function describeRest(service: Service, from: RivalName): readonly string[] {
  const rest = findUncovered(service, rivals[from]).map((one) => `${one} has no counterpart`);
  if (from === 'klipper') return [...rest, ...describeNodePorts(service)];
  if (rivals[from].provider === 'local') return rest;
  return [...rest, ...describeAws(service, from)];
}

function describeNodePorts({ ports }: Service): readonly string[] {
  const taken = ports.filter(({ port }) => isNodePortOfItsOwn(port));
  return taken.map(({ port }) => `port ${port} of a node's own address is that of ${whoseNodePort(port)}, and would be refused`);
}

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';

function describeAws(service: Service, from: RivalName): readonly string[] {
  const fixed = service.annotations[`${AWS}eip-allocations`] ?? service.annotations[`${AWS}private-ipv4-addresses`];
  const type = service.annotations[`${AWS}type`] ?? '';
  const isClassic = from === 'cloud-provider-aws' && !type.startsWith('nlb');
  return [
    `it gets a new NLB with a new hostname${fixed === undefined ? '' : `, and its addresses (${fixed}) stay`}; the old one goes with the first command`,
    ...(isClassic ? ['it has a Classic Load Balancer now, whose own annotations do not count for an NLB'] : []),
    'to move without a gap, give the same pods a second Service of our class, and let DNS follow before this one goes',
  ];
}
