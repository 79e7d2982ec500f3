import { Agent } from '../../src/agent/agent.ts';
import type { AgentOptions } from '../../src/agent/agent-options.ts';
import { openBoard } from '../../src/agent/board.ts';
import { recall } from '../../src/agent/state-file.ts';
import type { LocalConfig } from '../../src/config/config.ts';
import { createLocalProvider } from '../../src/providers/local/provider.ts';
import type { Provider, ProviderStart } from '../../src/providers/provider.ts';
import type { MemoryApi } from '../kube/memory-api.ts';
import { nothingReserved, quiet } from '../providers/builders.ts';
import { FakeForwarder } from '../providers/local/fake-forwarder.ts';

export const NAMESPACE = 'lb';
const HOLDER = 'local/c';

/** An agent with a forwarder that a test holds. */
export interface TestAgent {
  readonly agent: Agent;
  forwarder(): FakeForwarder;
}

export interface AgentWish
  extends Partial<
    Pick<
      AgentOptions,
      'node' | 'stateDir' | 'identity' | 'log' | 'startVips' | 'delivery' | 'free' | 'readDuplicates' | 'apartMs'
    >
  > {
  readonly addresses?: readonly string[];
  /** Its forwarder says nothing yet. */
  readonly isSilent?: boolean;
}

export async function startTestAgent(api: MemoryApi, name: string, wish: AgentWish = {}): Promise<TestAgent> {
  const { addresses = [], log = quiet, stateDir, isSilent = false, ...rest } = wish;
  const remembered = await recall(stateDir, log, wish.delivery);
  let forwarder: FakeForwarder | undefined;
  const agent = new Agent({
    api,
    name,
    namespace: NAMESPACE,
    group: 'nodeport-lb',
    identity: `machine-of-${name}`,
    startForwarder: ({ onReport }) => {
      forwarder = new FakeForwarder(onReport);
      forwarder.silent = isSilent;
      return forwarder;
    },
    log,
    readAddresses: () => new Set(addresses),
    renewMs: 50,
    ...(stateDir === undefined ? {} : { stateDir }),
    ...(remembered === undefined ? {} : { remembered }),
    ...rest,
  });
  await agent.start();
  return { agent, forwarder: () => forwarder! };
}

export interface OpenProvider {
  readonly provider: Provider;
  readonly changed: string[];
}

/** The local provider with agents, as the controller has it. */
export async function openProvider(
  api: MemoryApi,
  local: Partial<LocalConfig> = {},
  start: Partial<ProviderStart> = {},
): Promise<OpenProvider> {
  const changed: string[] = [];
  const provider: Provider = createLocalProvider(
    {
      clusterName: 'c',
      log: quiet,
      options: { forwarder: 'agents', ...local },
      agents: () => openBoard({ api, namespace: NAMESPACE, group: 'nodeport-lb', log: quiet }),
      reading: {
        holder: HOLDER,
        loadBalancerClass: 'nodeport-lb.io/lb',
        shareAcrossNamespaces: false,
        nodeAddressTypes: ['InternalIP', 'ExternalIP'],
        namespaces: [],
      },
    },
    { startForwarder: () => Promise.reject(new Error('no forwarder is started here')), now: Date.now, inCluster: true },
  );
  await provider.open({ balancers: [], surroundings: nothingReserved, changed: (key) => changed.push(key), ...start });
  return { provider, changed };
}

export function putNode(api: MemoryApi, name: string, internal: string, external?: string): void {
  const addresses = [{ type: 'InternalIP', address: internal }, ...(external ? [{ type: 'ExternalIP', address: external }] : [])];
  api.set('nodes', { metadata: { name }, status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] } });
}

export interface ServiceWish {
  readonly name?: string;
  readonly port?: number;
  readonly protocol?: string;
  readonly held?: readonly string[];
  readonly holder?: string;
  readonly leaving?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

/** A Service as the controller has taken it on: finalizer, holder and addresses are on record. */
export function putHeld(api: MemoryApi, wish: ServiceWish = {}): string {
  const {
    name = 'web',
    port = 80,
    protocol = 'TCP',
    held = [],
    holder = HOLDER,
    leaving = false,
    annotations = {},
    spec = {},
  } = wish;
  const stored = api.set('services', {
    metadata: {
      name,
      namespace: 'shop',
      creationTimestamp: '2026-01-01T00:00:00Z',
      finalizers: ['nodeport-lb.io/cleanup'],
      ...(leaving ? { deletionTimestamp: '2026-01-02T00:00:00Z' } : {}),
      annotations: { 'nodeport-lb.io/held-by': holder, 'nodeport-lb.io/held-addresses': held.join(','), ...annotations },
    },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.7',
      ipFamilies: ['IPv4'],
      ports: [{ port, protocol, nodePort: 30_000 + (port % 2_768) }],
      ...spec,
    },
  });
  return String(stored.metadata['uid']);
}

/** Waits for something that comes by itself. */
export async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`it never came about that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
