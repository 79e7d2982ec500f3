import { describe, expect, test } from '@jest/globals';
import type { Observed, ObservedListener } from '../../../src/providers/local/plan.ts';
import { reportObserved } from '../../../src/providers/local/report.ts';
import { renderListeners, sameNodes, toRule } from '../../../src/providers/local/rules.ts';
import { type BalancerWish, balancer, holding, node, type PortWish } from '../builders.ts';

function render(wish: BalancerWish, addresses = ['10.9.0.1'], datapath?: 'auto' | 'nftables' | 'userspace') {
  return renderListeners(holding(balancer(wish), addresses), { portFallback: false, ...(datapath ? { datapath } : {}) });
}

describe('a listener for the forwarder', () => {
  test('has every setting, in the forwarder’s units', () => {
    const port: PortWish = {
      port: 80,
      nodePort: 30_080,
      localOnly: true,
      affinitySeconds: 60,
      sourceRanges: ['10.0.0.0/8'],
      healthCheck: {
        protocol: 'http',
        port: 31_000,
        path: '/healthz',
        intervalSeconds: 5,
        timeoutSeconds: 2,
        healthyThreshold: 2,
        unhealthyThreshold: 3,
      },
    };
    const [listener] = render({
      ports: [port],
      settings: { proxyProtocol: 'v2', retry: true, drainSeconds: 5, idleTimeoutSeconds: 90 },
    });
    expect(toRule(listener!, 's1')).toEqual({
      id: 'default/web 80/TCP 10.9.0.1',
      protocol: 'TCP',
      address: '10.9.0.1',
      port: 80,
      portFallback: false,
      nodeSet: 's1',
      nodePort: 30_080,
      check: { kind: 'http', port: 31_000, path: '/healthz', intervalMs: 5_000, timeoutMs: 2_000, rise: 2, fall: 3 },
      localOnly: true,
      sourceRanges: ['10.0.0.0/8'],
      affinitySeconds: 60,
      proxyProtocol: 'v2',
      retry: true,
      drainMs: 5_000,
      idleMs: 90_000,
    });
  });

  test.each([
    { why: 'the node port itself', check: { protocol: 'tcp', port: 30_080 } as const, rule: { kind: 'nodePort' } },
    { why: 'another port', check: { protocol: 'tcp', port: 22 } as const, rule: { kind: 'tcp', port: 22 } },
    {
      why: 'http',
      check: { protocol: 'http', port: 10_256, path: '/healthz' } as const,
      rule: { kind: 'http', port: 10_256, path: '/healthz' },
    },
    { why: 'http without a path', check: { protocol: 'http', port: 80 } as const, rule: { kind: 'http', port: 80, path: '/' } },
  ])('is checked at $why', ({ check, rule }) => {
    expect(render({ ports: [{ port: 80, nodePort: 30_080, healthCheck: check }] })[0]!.check).toEqual(rule);
  });

  test('has the documented defaults: 30 s to drain, 2 h 4 min of silence; zero is a value', () => {
    expect(render({})[0]).toMatchObject({ drainMs: 30_000, idleMs: 7_440_000 });
    expect(render({ settings: { drainSeconds: 0, idleTimeoutSeconds: 0 } })[0]).toMatchObject({ drainMs: 0, idleMs: 0 });
  });

  test('is one for each address and port', () => {
    const ids = render({ ports: [{ port: 80 }, { port: 443 }] }, ['10.9.0.1', 'fd00::1']).map(({ id }) => id);
    expect(ids).toHaveLength(4);
    expect(new Set(ids).size).toBe(4);
  });

  test('of UDP is a rule with 2 min of silence, or what the Service says', () => {
    const ports: PortWish[] = [{ port: 53, protocol: 'UDP' }];
    const [udp] = render({ ports });
    expect(toRule(udp!, 's1')).toMatchObject({ id: 'default/web 53/UDP 10.9.0.1', protocol: 'UDP', idleMs: 120_000 });
    expect(render({ ports, settings: { idleTimeoutSeconds: 300 } })[0]!.idleMs).toBe(300_000);
  });

  test.each([
    { datapath: 'auto', carried: true },
    { datapath: 'nftables', carried: true },
    { datapath: undefined, carried: true },
    { datapath: 'userspace', carried: false },
  ] as const)('of SCTP is a rule where there may be a kernel path: $datapath', ({ datapath, carried }) => {
    const ports: PortWish[] = [{ port: 9, protocol: 'SCTP' }, { port: 80 }]; // biome-ignore format: a row
    const [sctp, tcp] = render({ ports }, undefined, datapath);
    expect(toRule(sctp!, 's1')).toEqual(carried ? expect.objectContaining({ protocol: 'SCTP' }) : undefined);
    expect(sctp!.refusal?.code).toBe(carried ? undefined : 'ProtocolUnsupported');
    expect(toRule(tcp!, 's1')).toMatchObject({ protocol: 'TCP' });
  });
});

test.each([
  { why: 'the same array', a: [node('n1', '10.0.0.1')], same: true },
  { why: 'another address', a: [node('n1', '10.0.0.2')], same: false },
  { why: 'one more', a: [node('n1', '10.0.0.1'), node('n2', '10.0.0.2')], same: false },
  { why: 'another name', a: [node('n2', '10.0.0.1')], same: false },
  { why: 'a port map', a: [{ ...node('n1', '10.0.0.1'), portMap: { 30080: '127.0.0.1:1' } }], same: false },
  { why: 'a zone, which the forwarder does not know', a: [{ ...node('n1', '10.0.0.1'), zone: 'a' }], same: true },
])('same nodes: $why', ({ a, same }) => {
  expect(sameNodes(a, [node('n1', '10.0.0.1')])).toBe(same);
});

describe('a report', () => {
  const failed = (code: 'PortInUse' | 'ForwarderDown') => ({ state: 'failed', code, message: 'told' }) as const;
  const listening = { state: 'listening', address: '10.9.0.1', port: 80 } as const;

  function observe(states: readonly (ObservedListener['state'] | undefined)[], more: Partial<Observed> = {}): Observed {
    const listeners = render({ ports: states.map((_, i) => ({ port: 80 + i })) }).map(
      (listener, i): ObservedListener => ({ listener, nodes: [], ...(states[i] ? { state: states[i] } : {}) }),
    );
    return { key: 'default/web', at: 5, addresses: ['10.9.0.1'], listeners, closing: [], targets: [], ...more };
  }

  test.each<{ why: string; states: readonly (ObservedListener['state'] | undefined)[]; told: boolean; settled: boolean }>([
    { why: 'listening', states: [listening], told: true, settled: true },
    { why: 'no answer yet', states: [undefined], told: false, settled: false },
    { why: 'failed', states: [failed('PortInUse')], told: true, settled: true },
    { why: 'one of two failed', states: [listening, failed('PortInUse')], told: true, settled: true },
    { why: 'the forwarder is down', states: [failed('ForwarderDown')], told: true, settled: false },
  ])('$why', ({ states, told, settled }) => {
    const report = reportObserved(observe(states));
    expect(report).toMatchObject({ addresses: told ? [{ ip: '10.9.0.1', ipMode: 'Proxy' }] : [], settled, gone: false });
  });

  test('a listener that still closes is neither settled nor gone', () => {
    const { listeners } = observe([listening]);
    const closing = observe([], { addresses: [], closing: listeners.map(({ listener }) => listener) });
    expect(reportObserved(closing)).toMatchObject({ settled: false, gone: false });
    expect(reportObserved({ ...closing, closing: [] })).toMatchObject({ settled: true, gone: true });
  });

  test('a port that fails at one of two addresses is told', () => {
    const [four, six] = render({}, ['10.9.0.1', 'fd00::1']);
    const both = observe([], {
      addresses: ['10.9.0.1', 'fd00::1'],
      listeners: [
        { listener: four!, nodes: [], state: listening },
        { listener: six!, nodes: [], state: failed('PortInUse') },
      ],
    });
    expect(reportObserved(both)).toMatchObject({
      addresses: [{ ip: '10.9.0.1' }, { ip: 'fd00::1' }],
      listeners: [{ port: 80, error: { code: 'PortInUse', message: expect.stringMatching(/^told\. Stop the process/) } }],
    });
  });

  test('a target that was never checked is unknown as of now', () => {
    const [target] = reportObserved(observe([], { targets: [{ node: 'n1', nodePort: 30_080 }] })).targets;
    expect(target).toEqual({ node: 'n1', port: 30_080, health: 'unknown', reason: 'not checked yet', asOf: 5 });
  });
});
