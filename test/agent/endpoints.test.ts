import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KubeError } from '../../src/kube/api.ts';
import { MemoryApi } from '../kube/memory-api.ts';
import { type AgentWish, openProvider, putHeld, putNode, startTestAgent, type TestAgent, until } from './parts.ts';

let api: MemoryApi;
let folder: string;
let asked: string[];
const toEnd: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  api = new MemoryApi();
  asked = [];
  api.refuse = (call) => void asked.push(call);
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  for (const n of [1, 2, 3]) putNode(api, `n${n}`, `10.0.0.${n}`);
  const { provider } = await openProvider(api);
  toEnd.push(() => provider.close(0));
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
  await rm(folder, { recursive: true });
});

async function start(wish: AgentWish = {}): Promise<TestAgent> {
  const started = await startTestAgent(api, 'n1', { node: 'n1', addresses: ['10.0.0.1'], ...wish });
  toEnd.push(() => started.agent.stop(0));
  return started;
}

function putLocal(name: string, port: number): void {
  const ports = [{ name: 'http', port, protocol: 'TCP', nodePort: 30_000 + port }];
  putHeld(api, { name, held: ['10.0.0.1'], spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 + port, ports } });
}

function putSlice(service: string, ...nodes: readonly string[]): void {
  api.set('endpointslices', {
    metadata: { namespace: 'shop', name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
    endpoints: nodes.map((nodeName) => ({ nodeName, conditions: { ready: true } })),
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  });
}

/** Names of the nodes that the forwarder was given for a port; undefined: it does not listen there. */
function targetsAt({ forwarder }: TestAgent, port: number): string | undefined {
  const { table } = forwarder() ?? {};
  const rule = [...(table?.listeners.values() ?? [])].find((one) => one.port === port);
  return rule && table?.nodeSets.get(rule.nodeSet)?.join();
}

describe('endpoints, to an agent', () => {
  test('are nothing that it asks for while no Service under policy Local is its', async () => {
    putSlice('web', 'n2');
    putHeld(api, { held: ['10.0.0.1'] });
    putHeld(api, { name: 'far', port: 81, holder: 'local/other', spec: { externalTrafficPolicy: 'Local' } });
    const one = await start();
    await until('it serves', () => targetsAt(one, 80) === 'n1,n2,n3');
    expect(asked.filter((call) => call.includes('EndpointSlices'))).toEqual([]);
    putSlice('local', 'n2');
    putLocal('local', 82);
    await until('it serves that, too', () => targetsAt(one, 82) === 'n2');
    expect(asked.filter((call) => call.includes('EndpointSlices'))).toEqual(['listEndpointSlices', 'watchEndpointSlices']);
    expect(targetsAt(one, 80)).toBe('n1,n2,n3');
  });

  test('are known before it serves, and followed as pods move; what does not concern it changes no rule', async () => {
    putSlice('local', 'n2');
    putLocal('local', 82);
    putHeld(api, { held: ['10.0.0.1'] });
    const one = await start();
    await until('it serves', () => targetsAt(one, 82) !== undefined && targetsAt(one, 80) !== undefined);
    expect(targetsAt(one, 82)).toBe('n2');
    const before = one.forwarder().taken.length;
    putSlice('web', 'n1'); // not under policy Local
    putSlice('elsewhere', 'n1');
    for (const nodes of [['n1', 'n2'], ['n1'], ['n3'], ['n1', 'n3']]) putSlice('local', ...nodes);
    await until('the pods have moved', () => targetsAt(one, 82) === 'n1,n3');
    expect(one.forwarder().taken).toHaveLength(before + 1);
    putSlice('local');
    await until('nobody serves', () => targetsAt(one, 82) === '');
    api.delete('endpointslices', 'shop', 'local-1');
    await until('nobody says who serves', () => targetsAt(one, 82) === 'n1,n2,n3');
  });

  test('that it has no right to watch leave it with every node', async () => {
    api.refuse = (call) =>
      call.includes('EndpointSlices') ? new KubeError(403, 'Forbidden', 'endpointslices is forbidden') : undefined;
    putSlice('local', 'n2');
    putLocal('local', 82);
    const one = await start();
    await until('it serves', () => targetsAt(one, 82) === 'n1,n2,n3');
  });

  test('are remembered over a restart without the API server, but do not count for long', async () => {
    putSlice('local', 'n2');
    putLocal('local', 82);
    const first = await startTestAgent(api, 'n1', { node: 'n1', addresses: ['10.0.0.1'], stateDir: folder });
    await until('it serves', () => targetsAt(first, 82) === 'n2');
    await first.agent.stop(0);
    api.refuse = () => new KubeError(0, 'Unreachable', 'the API server is away');
    const again = await start({ stateDir: folder, apartMs: 500 });
    expect(targetsAt(again, 82)).toBe('n2');
    await until('it asks every node', () => targetsAt(again, 82) === 'n1,n2,n3');
    putSlice('local', 'n3');
    api.refuse = () => undefined;
    await until('it is told where they are', () => targetsAt(again, 82) === 'n3');
  });
});
