import type { Ground } from '../ground.ts';
import { parseEndpoint } from '../problems.ts';
import type { NodeEntry } from '../targets.ts';
import { verdicts } from '../verdict.ts';
import { canonical } from './plan.ts';

/** Whether no listener may keep a flow to this address: no node of the rules has it, or each that has it is down as a whole. */
export function isGone({ nodes, health }: Pick<Ground, 'nodes' | 'health'>, address: string): boolean {
  for (const node of nodes.all()) {
    if (health.states.get(node)?.verdict !== verdicts.unhealthy && hasAddress(node, address)) return false;
  }
  return true;
}

function hasAddress({ addresses, rule }: NodeEntry, address: string): boolean {
  if (addresses.some((one) => canonical(one) === address)) return true;
  return Object.values(rule.portMap ?? {}).some((to) => canonical(parseEndpoint(to)?.address ?? '') === address);
}
