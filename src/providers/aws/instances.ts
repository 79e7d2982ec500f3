import type { NodeTarget } from '../../model.ts';
import type { Facts, SkippedNode } from './picture.ts';

/** The instances that are targets, and the nodes that cannot be. */
export interface Targets {
  /** Instance ids, sorted. */
  readonly ids: readonly string[];
  /** Node names by instance id. */
  readonly nodes: Readonly<Record<string, string>>;
  readonly skipped: readonly SkippedNode[];
}

/** A target group takes instances in these states; others are on their way out or not there yet. */
const USABLE_STATES = ['pending', 'running'];

/** As cloud providers write it: `aws:///eu-west-1a/i-0123456789abcdef0`. */
export function instanceIdOf(node: NodeTarget): string | undefined {
  return /^aws:\/\/\/(?:[^/]+\/)?(i-[0-9a-f]{8,32})$/.exec(node.providerId ?? '')?.[1];
}

/** A node that cannot be a target is skipped and named; it never blocks the rest. */
export function chooseTargets(nodes: readonly NodeTarget[], facts: Pick<Facts, 'vpcId' | 'instances'>): Targets {
  const byId: Record<string, string> = {};
  const skipped: SkippedNode[] = [];
  for (const node of nodes) {
    const id = instanceIdOf(node);
    const why = id === undefined ? sayNoInstance(node) : whyUnusable(id, facts);
    if (id === undefined || why !== undefined) skipped.push({ node: node.name, why: why ?? '' });
    else byId[id] = node.name;
  }
  return { ids: Object.keys(byId).sort(), nodes: byId, skipped };
}

function sayNoInstance({ providerId }: NodeTarget): string {
  if (providerId === undefined) return 'it has no spec.providerID, so nobody knows which instance it is';
  return `its spec.providerID ${JSON.stringify(providerId)} is not an EC2 instance's`;
}

function whyUnusable(id: string, facts: Pick<Facts, 'vpcId' | 'instances'>): string | undefined {
  const instance = facts.instances[id];
  if (!instance) return `EC2 knows no instance ${id} in this account and region`;
  if (!USABLE_STATES.includes(instance.state)) return `instance ${id} is ${instance.state}`;
  if (instance.vpcId !== facts.vpcId) return `instance ${id} is in ${instance.vpcId}, and the balancers are in ${facts.vpcId}`;
  return undefined;
}
