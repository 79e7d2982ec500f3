import type { PoolConfig } from '../../src/config/config.ts';
import type { Balancer, Listener, NodeTarget, Protocol } from '../../src/model.ts';
import type { Log, Surroundings } from '../../src/providers/provider.ts';

/** What a test says of a balancer; the rest is a plain Service `default/web` on port 80. */
export interface BalancerWish {
  readonly name?: string;
  readonly namespace?: string;
  readonly createdAt?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly PortWish[];
  readonly nodes?: readonly NodeTarget[];
  readonly families?: Balancer['families'];
  readonly preferDualStack?: boolean;
  readonly requested?: readonly string[];
  readonly pool?: string;
  readonly held?: readonly string[];
  /** Of those held, what the status shows. */
  readonly published?: readonly string[];
  readonly settings?: Partial<Balancer['settings']>;
}

export interface PortWish extends Partial<Omit<Listener['targetGroup'], 'nodePort'>> {
  readonly port: number;
  readonly nodePort?: number;
  readonly protocol?: Protocol;
}

export function balancer(wish: BalancerWish = {}): Balancer {
  const { name = 'web', namespace = 'default', createdAt = '2026-01-01T00:00:00Z', labels = {} } = wish;
  const service = { namespace, name, uid: `uid-${namespace}-${name}` };
  return {
    key: `${namespace}/${name}`,
    members: [{ ...service, createdAt, labels, annotations: {} }],
    listeners: (wish.ports ?? [{ port: 80 }]).map((port) => listener(service, port)),
    nodes: wish.nodes ?? [node('n1', '127.0.0.1')],
    families: wish.families ?? ['IPv4'],
    preferDualStack: wish.preferDualStack ?? false,
    address: {
      requested: wish.requested ?? [],
      held: wish.held ?? [],
      published: wish.published ?? [],
      ...(wish.pool === undefined ? {} : { pool: wish.pool }),
    },
    settings: { publish: 'auto', retain: false, allowDisruption: false, ...wish.settings },
  };
}

function listener(service: Listener['service'], wish: PortWish): Listener {
  const { port, nodePort = 30_000 + (port % 2_768), protocol = 'TCP', ...group } = wish;
  const targetGroup = {
    nodePort,
    healthCheck: { protocol: 'tcp', port: nodePort } as const,
    localOnly: false,
    sourceRanges: [],
    ...group,
  };
  return { service, name: `p${port}`, protocol, port, targetGroup };
}

export function node(name: string, ...addresses: readonly string[]): NodeTarget {
  return { name, addresses };
}

export function pool(name: string, addresses: readonly string[], more: Partial<PoolConfig> = {}): PoolConfig {
  return { name, addresses, namespaces: [], serviceSelector: {}, priority: 0, autoAssign: true, sharePorts: false, ...more };
}

/** The same balancer with the addresses that the cluster recorded for it. */
export function holding(wanted: Balancer, held: readonly string[]): Balancer {
  return { ...wanted, address: { ...wanted.address, held, published: held } };
}

export const nothingReserved: Surroundings = { reservedBy: () => undefined };

export const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The code of the Refusal that the call throws; any other outcome is told as text. */
export function refusalOf(call: () => unknown): { readonly code: string; readonly message: string } {
  try {
    return { code: 'none', message: `answered ${JSON.stringify(call())}` };
  } catch (thrown) {
    const { code = 'not a refusal', message } = thrown as { readonly code?: string; readonly message: string };
    return { code, message };
  }
}
