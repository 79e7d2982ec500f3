import { RULES_VERSION } from '../forwarder/rules.ts';
import type { Delivery } from '../providers/local/rules.ts';

/**
 * What the controller tells all agents, in one ConfigMap: how Services are to be read, so that controller and agents make the same
 * rules of them, and who the agents are. Pure.
 */
export interface Orders {
  /** Of the rules that the controller reckons with; an agent that does not know it keeps its last rules and says so. */
  readonly version: number;
  /** `PROVIDER/CLUSTER`, or `PROVIDER/CLUSTER/CLASS`: Services that are held by it are the agents' to serve. */
  readonly holder: string;
  readonly loadBalancerClass: string;
  readonly shareAcrossNamespaces: boolean;
  readonly nodeAddressTypes: readonly string[];
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly portFallback: boolean;
  /** Who delivers what comes for the addresses; absent: the agents' forwarders. */
  readonly delivery?: Delivery;
  /** Every balancer is being taken down (nodeport-lb retire), although its Service looks as before. */
  readonly retired?: boolean;
  /** CIDRs, ranges and addresses that Services get; empty: the addresses of the nodes. */
  readonly pools: readonly string[];
  /** Live agents by name. */
  readonly agents: readonly { readonly name: string; readonly node?: string; readonly addresses: readonly string[] }[];
}

/** Settings that decide what is followed and how it is read, in a form that can be compared. */
export function followedBy({ agents: _agents, pools: _pools, ...rest }: Orders): string {
  return JSON.stringify(rest);
}

/** @returns the orders, or in words why they cannot be followed */
export function readOrders(text: string): Orders | string {
  const raw = parse(text);
  if (!isRecord(raw)) return 'the orders of the controller are no JSON object';
  if (raw['version'] !== RULES_VERSION) {
    return `the controller's rules have version ${JSON.stringify(raw['version'])}, and this agent knows ${RULES_VERSION}: it keeps its last rules; bring controller and agents to one release`;
  }
  const { holder, loadBalancerClass } = raw;
  if (typeof holder !== 'string' || typeof loadBalancerClass !== 'string') return 'the orders of the controller name no holder';
  return {
    version: RULES_VERSION,
    holder,
    loadBalancerClass,
    shareAcrossNamespaces: raw['shareAcrossNamespaces'] === true,
    nodeAddressTypes: texts(raw['nodeAddressTypes']),
    namespaces: texts(raw['namespaces']),
    portFallback: raw['portFallback'] === true,
    ...(raw['delivery'] === 'kube-proxy' ? { delivery: 'kube-proxy' } : {}),
    ...(raw['retired'] === true ? { retired: true } : {}),
    pools: texts(raw['pools']),
    agents: (Array.isArray(raw['agents']) ? raw['agents'] : []).flatMap(readAgent),
  };
}

/**
 * Why an agent cannot follow orders that reckon with another data path than its own; undefined: it can. Without the ipMode that belongs
 * to it an address is a black hole: kube-proxy delivers only what is published as VIP.
 */
export function sayOtherDelivery({ delivery }: Orders, own: Delivery | undefined): string | undefined {
  if (delivery === own) return undefined;
  const [is, has] = own === 'kube-proxy' ? ['has', 'has not'] : ['has not', 'has'];
  return `this agent ${is} --local-datapath kube-proxy, and the controller ${has}: give both the same`;
}

function readAgent(raw: unknown): Orders['agents'] {
  if (!isRecord(raw) || typeof raw['name'] !== 'string') return [];
  const node = raw['node'];
  return [{ name: raw['name'], ...(typeof node === 'string' ? { node } : {}), addresses: texts(raw['addresses']) }];
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
