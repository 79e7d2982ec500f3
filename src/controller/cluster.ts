import { readAddress } from '../config/addresses.ts';
import type { Code } from '../errors.ts';
import { FIELD_MANAGER } from '../kube/api.ts';
import type { Node, Service } from '../kube/objects.ts';
import { type NodeTarget, nameOf } from '../model.ts';
import type { Surroundings } from '../providers/provider.ts';
import { CONDITION, FINALIZER, heldAddresses } from './claim.ts';
import { balancerKeyOf } from './share.ts';
import { otherServicesOf } from './spread.ts';
import { chooseTargets, sameNodes, type TargetOptions, type Targets } from './targets.ts';

/**
 * The controller's picture of the cluster, kept up to date change by change, so that a pass over one balancer never walks over
 * all Services or all nodes.
 */
export interface Cluster {
  /** Services whose balancer key this is. */
  membersOf(key: string): readonly Service[];
  /** Every balancer key that some Service has. */
  keys(): readonly string[];
  /** @returns the balancer keys that the change concerns */
  serviceChanged(before: Service | undefined, after: Service | undefined): readonly string[];
  /** Balancer keys that look out for a reservation's end, or hold an address that is reserved. */
  keysTouched(services: Iterable<Service>): readonly string[];
  /** @returns whether any balancer's targets have changed by what has happened to the nodes since the last call */
  refreshNodes(nodes: Iterable<Node>): boolean;
  /** The targets without a node selector, and who was left out. */
  targets(): Targets;
  /** The node objects behind `targets().nodes`. */
  targetNodes(): readonly Node[];
  nodesFor(selector: Readonly<Record<string, string>> | undefined): readonly NodeTarget[];
  /** The Service `namespace/name`. */
  serviceNamed(name: string): Service | undefined;
  /** The Service of this UID; undefined: it is no more. */
  serviceOf(uid: string): Service | undefined;
  /** Any node of the cluster, whether it may be a target or not. */
  nodeNamed(name: string): Node | undefined;
  readonly surroundings: Surroundings;
}

export interface ClusterOptions {
  readonly shareAcrossNamespaces: boolean;
  readonly addressTypes: TargetOptions['addressTypes'];
  /** Finds a Service by `namespace/name`. */
  find(name: string): Service | undefined;
}

/** What a Service is told that a reservation's end may help: a pool may be full of addresses that somebody else uses. */
const WAITS_FOR_ADDRESS: ReadonlySet<string> = new Set<Code>(['AddressReserved', 'PoolExhausted']);

export function makeCluster(options: ClusterOptions): Cluster {
  const membersByKey = new Map<string, Set<string>>();
  const uses = makeAddressBook();
  const nameByUid = new Map<string, string>();
  const senders = new Map<string, Set<string>>(); // by Service, those that send a share of their connections to it
  const ports = makePortBook();
  const selected = new Map<string, readonly NodeTarget[]>(); // by selector, as JSON; emptied with every change of nodes
  let nodes: readonly Node[] = [];
  let targets: Targets = { nodes: [], skipped: [], misread: new Map(), controlPlaneOnly: false };
  let nodeFacts = '';

  function serviceChanged(before: Service | undefined, after: Service | undefined): readonly string[] {
    const keyBefore = before && balancerKeyOf(before, options.shareAcrossNamespaces);
    const keyAfter = after && balancerKeyOf(after, options.shareAcrossNamespaces);
    if (before && keyBefore !== undefined) drop(membersByKey, keyBefore, nameOf(before));
    if (after && keyAfter !== undefined) enter(membersByKey, keyAfter, nameOf(after));
    if (before) nameByUid.delete(before.uid);
    if (after) nameByUid.set(after.uid, nameOf(after));
    uses.replace(before ? addressesOf(before) : [], after ? addressesOf(after) : []);
    const rivals = ports.replace(before, after).flatMap((name) => options.find(name) ?? []);
    for (const name of before ? otherServicesOf(before) : []) drop(senders, name, nameOf(before!));
    for (const name of after ? otherServicesOf(after) : []) enter(senders, name, nameOf(after!));
    const changed = after ?? before;
    const keys = changed ? keysOfSenders(nameOf(changed)) : [];
    const rivalKeys = rivals.map((service) => balancerKeyOf(service, options.shareAcrossNamespaces));
    return [...new Set([keyBefore, keyAfter, ...keys, ...rivalKeys].filter((key) => key !== undefined))];
  }

  function keysOfSenders(name: string): readonly string[] {
    const found = [...(senders.get(name) ?? [])].flatMap((sender) => options.find(sender) ?? []);
    return found.map((service) => balancerKeyOf(service, options.shareAcrossNamespaces));
  }

  function keysTouched(services: Iterable<Service>): readonly string[] {
    const touched = [...services].filter(
      (service) =>
        service.conditions.some((c) => c.type === CONDITION && WAITS_FOR_ADDRESS.has(c.reason)) ||
        heldAddresses(service).some((address) => uses.reservedBy(address) !== undefined),
    );
    return touched.map((service) => balancerKeyOf(service, options.shareAcrossNamespaces));
  }

  function refreshNodes(now: Iterable<Node>): boolean {
    const before = nodes;
    nodes = [...now];
    uses.replace(before.flatMap(nodeAddresses), nodes.flatMap(nodeAddresses));
    const next = chooseTargets(nodes, { addressTypes: options.addressTypes });
    // Labels count too: a balancer with a node selector sees them. Heartbeats and conditions do not.
    const facts = JSON.stringify([next.nodes, nodes.map((n) => [n.name, n.labels, n.taints, n.deleting])]);
    const changed = facts !== nodeFacts;
    nodeFacts = facts;
    targets = sameNodes(targets.nodes, next.nodes) ? { ...next, nodes: targets.nodes } : next;
    if (changed) selected.clear();
    return changed;
  }

  function nodesFor(selector: Readonly<Record<string, string>> | undefined): readonly NodeTarget[] {
    if (!selector || Object.keys(selector).length === 0) return targets.nodes;
    const key = JSON.stringify(selector);
    const known = selected.get(key);
    if (known) return known;
    const chosen = chooseTargets(nodes, { addressTypes: options.addressTypes, nodeSelector: selector }).nodes;
    selected.set(key, chosen);
    return chosen;
  }

  return {
    membersOf: (key) => [...(membersByKey.get(key) ?? [])].flatMap((name) => options.find(name) ?? []),
    keys: () => [...membersByKey.keys()],
    serviceChanged,
    keysTouched,
    refreshNodes,
    targets: () => targets,
    targetNodes: () => nodes.filter((node) => targets.nodes.some((target) => target.name === node.name)),
    nodesFor,
    serviceNamed: options.find,
    serviceOf(uid) {
      const service = options.find(nameByUid.get(uid) ?? '');
      return service?.uid === uid ? service : undefined;
    },
    nodeNamed: (name) => nodes.find((node) => node.name === name),
    surroundings: { reservedBy: uses.reservedBy, nodePortUsers: ports.users },
  };
}

function drop(sets: Map<string, Set<string>>, key: string, name: string): void {
  const names = sets.get(key);
  names?.delete(name);
  if (names?.size === 0) sets.delete(key);
}

function enter(sets: Map<string, Set<string>>, key: string, name: string): void {
  const names = sets.get(key);
  if (names) names.add(name);
  else sets.set(key, new Set([name]));
}

interface Use {
  readonly address: string;
  readonly by: string;
}

/** Who uses which address; several may use one. */
function makeAddressBook() {
  const users = new Map<string, Map<string, number>>();
  const change = (use: Use, by1: 1 | -1): void => {
    const { by } = use;
    const address = spelt(use.address);
    const counts = users.get(address) ?? new Map<string, number>();
    const count = (counts.get(by) ?? 0) + by1;
    if (count > 0) counts.set(by, count);
    else counts.delete(by);
    if (counts.size > 0) users.set(address, counts);
    else users.delete(address);
  };
  return {
    replace(before: readonly Use[], after: readonly Use[]): void {
      for (const use of before) change(use, -1);
      for (const use of after) change(use, 1);
    },
    reservedBy: (address: string): string | undefined => users.get(spelt(address))?.keys().next().value,
  };
}

/** Which Services have a NodePort, and which want to be reached at a port of the same number: where that is at nodes, they clash. */
function makePortBook() {
  const nodePorts = new Map<string, Set<string>>();
  const wanted = new Map<string, Set<string>>();
  return {
    /** @returns names of the Services that want a port which has become, or is no longer, somebody's NodePort */
    replace(before: Service | undefined, after: Service | undefined): readonly string[] {
      const [had, has] = [before, after].map((service) => new Set(service ? nodePortsOf(service) : []));
      for (const port of had!) drop(nodePorts, port, nameOf(before!));
      for (const port of has!) enter(nodePorts, port, nameOf(after!));
      for (const port of before ? wantedPortsOf(before) : []) drop(wanted, port, nameOf(before!));
      for (const port of after ? wantedPortsOf(after) : []) enter(wanted, port, nameOf(after!));
      const changed = [...[...had!].filter((port) => !has!.has(port)), ...[...has!].filter((port) => !had!.has(port))];
      return changed.flatMap((port) => [...(wanted.get(port) ?? [])]);
    },
    users: (port: string): readonly string[] => [...(nodePorts.get(port) ?? [])],
  };
}

function nodePortsOf({ ports }: Service): readonly string[] {
  return ports.filter(({ nodePort }) => nodePort > 0).map(({ nodePort, protocol }) => `${nodePort}/${protocol}`);
}

/** No NodePort is below 1024 anywhere. */
function wantedPortsOf({ type, ports }: Service): readonly string[] {
  return type === 'LoadBalancer'
    ? ports.filter(({ port }) => port >= 1_024).map(({ port, protocol }) => `${port}/${protocol}`)
    : [];
}

function addressesOf(service: Service): readonly Use[] {
  return [
    ...service.externalIPs.map((address) => ({ address, by: `externalIPs of Service ${nameOf(service)}` })),
    ...publishedByOthers(service).map((address) => ({ address, by: `Service ${nameOf(service)} of another controller` })),
    ...service.clusterIPs
      .filter((ip) => ip !== 'None')
      .map((address) => ({ address, by: `cluster IP of Service ${nameOf(service)}` })),
  ];
}

/** Addresses that a Service reserves for as long as it says so, and that may be in a pool of ours. */
export function reservedAddresses(service: Service): readonly string[] {
  return [...service.externalIPs, ...publishedByOthers(service)];
}

/** Another controller serves there; what we publish is known by the balancer that has it. */
function publishedByOthers({ finalizers, ingress, statusManagers }: Service): readonly string[] {
  const isOurs = finalizers.includes(FINALIZER) || statusManagers.every((manager) => manager === FIELD_MANAGER);
  return isOurs ? [] : ingress.flatMap(({ ip }) => ip ?? []);
}

/** A loopback address is this machine's as much as a node's: where it is the only one, nodes and balancers share it. */
function nodeAddresses(node: Node): readonly Use[] {
  const own = node.addresses.filter(({ address }) => !/^(127\.|::1$)/.test(address));
  return own.map(({ address }) => ({ address, by: `node ${node.name}` }));
}

/** One address has one spelling (RFC 5952), however an author wrote it. */
function spelt(address: string): string {
  return readAddress(address)?.address ?? address;
}
