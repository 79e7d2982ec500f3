import { OUR_CLASS } from '../config/options.ts';

/** Names and marks of what agents and controller keep for each other, in one namespace. Pure. */

/** On each agent's ConfigMap and Lease; the value is the group, so that controllers of several classes have agents of their own. */
export const AGENT_LABEL = 'nodeport-lb.io/agent';

/** Where controller and agents meet, unless they run in pods or are told another place. */
export const DEFAULT_NAMESPACE = 'kube-system';

/** Controllers of different classes work side by side, each with agents of its own. */
export function agentGroup(loadBalancerClass: string): string {
  return loadBalancerClass === OUR_CLASS ? 'nodeport-lb' : `nodeport-lb-${agentName(loadBalancerClass)}`;
}

/** The ConfigMap that the controller of the group writes and its agents follow. */
export function ordersName(group: string): string {
  return `${group}-orders`;
}

/** The agent's own ConfigMap and Lease. @param agent a DNS subdomain */
export function agentObject(group: string, agent: string): string {
  return `${group}-agent-${agent}`;
}

/** A machine's or node's name as a part of an object's name. @returns empty when nothing of it is left */
export function agentName(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]+/g, '-')
    .slice(0, 150)
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
}
