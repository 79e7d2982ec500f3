import { isIP } from 'node:net';
import { ownAnnotations } from '../config/annotation-table.ts';
import { readNodePortMap } from '../config/annotation-values.ts';
import type { Node } from '../kube/objects.ts';
import type { NodeTarget } from '../model.ts';

/** Nodes that a load balancer may send to, and why the others are left out. */
export interface Targets {
  /** Ordered by name. */
  readonly nodes: readonly NodeTarget[];
  readonly skipped: readonly SkippedNode[];
  /** What is wrong in the annotation of a node that is used nevertheless, by its name. */
  readonly misread: ReadonlyMap<string, string>;
  /** Every node carries the exclude label and all are control-plane nodes: they are used nevertheless. */
  readonly controlPlaneOnly: boolean;
}

export interface SkippedNode {
  readonly node: string;
  readonly uid: string;
  readonly why: string;
  /** The node object itself is wrong (no usable address); the others were taken out on purpose. */
  readonly faulty: boolean;
}

export interface TargetOptions {
  /** `--node-address-types`, in order. */
  readonly addressTypes: readonly string[];
  /** Labels that a node must have (`nodeport-lb.io/node-selector`). */
  readonly nodeSelector?: Readonly<Record<string, string>>;
}

/** @see https://kubernetes.io/docs/reference/labels-annotations-taints/#node-kubernetes-io-exclude-from-external-load-balancers */
const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
const CONTROL_PLANE_LABELS = ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master'];
const LEAVING_TAINTS = ['ToBeDeletedByClusterAutoscaler', 'node.kubernetes.io/out-of-service'];
/** Entries of an annotation that are quoted in a complaint. */
const NAMED_ENTRIES = 3;
/** What Go's strconv.ParseBool takes for false; Kubernetes' own components read booleans in labels with it. */
const FALSE_WORDS = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/**
 * Chooses the target nodes. NotReady nodes stay (the health check decides) and a cordon removes nothing; a node whose object
 * is of no use is skipped and named, and never stops the rest.
 */
export function chooseTargets(nodes: Iterable<Node>, options: TargetOptions): Targets {
  const all = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const staying = all.filter((node) => leaving(node) === undefined);
  const controlPlaneOnly = staying.length > 0 && staying.every((node) => excluded(node) && isControlPlane(node));
  const chosen: NodeTarget[] = [];
  const skipped: SkippedNode[] = [];
  for (const node of all) {
    const outcome = judgeNode(node, options, controlPlaneOnly);
    if ('why' in outcome) skipped.push({ node: node.name, uid: node.uid, ...outcome });
    else chosen.push(outcome);
  }
  return { nodes: chosen, skipped, misread: misreadMaps(all), controlPlaneOnly };
}

function misreadMaps(nodes: readonly Node[]): ReadonlyMap<string, string> {
  const misread = new Map<string, string>();
  for (const node of nodes) {
    const { bad } = readNodePortMap(portMapOf(node));
    const named = bad.slice(0, NAMED_ENTRIES).map((entry) => JSON.stringify(entry));
    if (named.length > 0) misread.set(node.name, named.join(', '));
  }
  return misread;
}

type Outcome = NodeTarget | { readonly why: string; readonly faulty: boolean };

function judgeNode(node: Node, options: TargetOptions, controlPlaneOnly: boolean): Outcome {
  const goes = leaving(node);
  if (goes) return { why: goes, faulty: false };
  if (excluded(node) && !controlPlaneOnly) {
    return { why: `it has the label ${EXCLUDE_LABEL}=${node.labels[EXCLUDE_LABEL]}`, faulty: false };
  }
  const missing = Object.entries(options.nodeSelector ?? {}).find(([key, value]) => node.labels[key] !== value);
  if (missing) return { why: `it has no label ${missing[0]}=${missing[1]}`, faulty: false };
  const addresses = usableAddresses(node, options.addressTypes);
  if (addresses.length === 0) {
    return { why: `it has no IP address of type ${options.addressTypes.join(' or ')}`, faulty: true };
  }
  return describeTarget(node, addresses);
}

function describeTarget(node: Node, addresses: readonly string[]): NodeTarget {
  const zone = node.labels['topology.kubernetes.io/zone'];
  const { map: portMap, all } = readNodePortMap(portMapOf(node));
  return {
    name: node.name,
    addresses: all === undefined ? addresses : [all],
    ...(node.providerID ? { providerId: node.providerID } : {}),
    ...(zone ? { zone } : {}),
    ...(Object.keys(portMap).length > 0 ? { portMap } : {}),
  };
}

function portMapOf(node: Node): string {
  return node.annotations[ownAnnotations.nodePortMap] ?? '';
}

/** Why the node is on its way out of the cluster, or undefined. */
function leaving(node: Node): string | undefined {
  if (node.deleting) return 'it is being deleted';
  const taint = node.taints.find((t) => LEAVING_TAINTS.includes(t.key));
  return taint ? `it has the taint ${taint.key}` : undefined;
}

function excluded(node: Node): boolean {
  const value = node.labels[EXCLUDE_LABEL];
  return value !== undefined && !FALSE_WORDS.has(value);
}

function isControlPlane(node: Node): boolean {
  return CONTROL_PLANE_LABELS.some((label) => node.labels[label] !== undefined);
}

function usableAddresses(node: Node, types: readonly string[]): readonly string[] {
  const found = types.flatMap((type) => node.addresses.filter((a) => a.type === type && isIP(a.address) !== 0));
  return [...new Set(found.map((a) => a.address))];
}

/** Whether two answers name the same targets with the same addresses, so that nothing needs to be done. */
export function sameNodes(a: readonly NodeTarget[], b: readonly NodeTarget[]): boolean {
  return a === b || (a.length === b.length && JSON.stringify(a) === JSON.stringify(b));
}
