import { describe, expect, test } from '@jest/globals';
import { FINALIZER } from '../../src/controller/claim.ts';
import { patchFor, type Said, sayGone, sayHeld, sayRefused, sayServed } from '../../src/controller/status.ts';
import { Refusal } from '../../src/errors.ts';
import type { Balancer, Report } from '../../src/model.ts';
import { type RawService, service } from '../builders.ts';

const NOW = '2026-05-01T00:00:00Z';
const EARLIER = '2026-04-01T00:00:00Z';

const wanted = {
  listeners: [],
  nodes: [
    { name: 'a', addresses: ['10.0.0.1'] },
    { name: 'b', addresses: ['10.0.0.2'] },
  ],
} as unknown as Balancer;
const listener = { uid: 'uid-web', protocol: 'TCP', port: 80 } as const;
const address = { ip: '192.0.2.5', ipMode: 'Proxy' } as const;
const healthy: Report = { addresses: [address], listeners: [listener], targets: [], settled: true, gone: false };
const sick = (node: string, reason?: string) => ({ node, health: 'unhealthy' as const, asOf: 1, ...(reason ? { reason } : {}) });

function ready(parts: RawService = {}): RawService {
  return {
    ...parts,
    metadata: { finalizers: [FINALIZER], ...parts.metadata },
    status: {
      loadBalancer: { ingress: [{ ip: '192.0.2.5', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }] },
      conditions: [
        {
          type: 'nodeport-lb.io/Ready',
          status: 'True',
          reason: 'Ready',
          message: 'Serving on 192.0.2.5.',
          lastTransitionTime: EARLIER,
        },
      ],
      ...parts.status,
    },
  };
}

describe('what is said of a served Service', () => {
  test.each<{ why: string; report: Partial<Report>; verdict: object; published: boolean }>([
    {
      why: 'all is well',
      report: {},
      verdict: { status: 'True', reason: 'Ready', message: 'Serving on 192.0.2.5.' },
      published: true,
    },
    {
      why: 'something is served otherwise than its author may think',
      report: { notes: [{ code: 'QuotaExceeded', message: 'Only 250 nodes of a zone are targets' }] },
      verdict: { status: 'True', reason: 'Ready', message: 'Serving on 192.0.2.5. Only 250 nodes of a zone are targets.' },
      published: true,
    },
    {
      why: 'it serves, and something may turn clients away',
      report: { notes: [{ code: 'ConntrackFull', message: 'the kernel has no room', impairs: true }] },
      verdict: {
        status: 'True',
        reason: 'ConntrackFull',
        message: 'Serving on 192.0.2.5. ConntrackFull: the kernel has no room.',
      },
      published: true,
    },
    {
      why: 'the same, and a target is sick, which is worse',
      report: {
        notes: [{ code: 'ConntrackFull', message: 'the kernel has no room', impairs: true }],
        targets: [sick('b', 'connection refused')],
      },
      verdict: { status: 'True', reason: 'Degraded', message: expect.stringContaining('ConntrackFull: the kernel has no room.') },
      published: true,
    },
    {
      why: 'one target is sick',
      report: { targets: [sick('b', 'connection refused')] },
      verdict: {
        status: 'True',
        reason: 'Degraded',
        message: 'Serving on 192.0.2.5; 1 of 2 targets is unhealthy: b (connection refused).',
      },
      published: true,
    },
    {
      why: 'all targets are sick',
      report: { targets: [sick('a'), sick('b')] },
      verdict: { status: 'False', reason: 'NoHealthyTargets' },
      published: true,
    },
    {
      why: 'nothing was ever heard from any node',
      report: { targets: ['a', 'b'].map((node) => ({ ...sick(node), unreachable: true as const })) },
      verdict: { status: 'False', reason: 'NodesUnreachable', message: expect.stringContaining('node-port-map') },
      published: true,
    },
    {
      why: 'one node is there and sick, and nothing was ever heard from the other',
      report: { targets: [sick('a'), { ...sick('b'), unreachable: true as const }] },
      verdict: { status: 'False', reason: 'NoHealthyTargets' },
      published: true,
    },
    {
      why: 'a sick node that is no target any more does not count',
      report: { targets: [sick('z')] },
      verdict: { status: 'True', reason: 'Ready' },
      published: true,
    },
    { why: 'not settled yet', report: { settled: false }, verdict: { status: 'False', reason: 'Provisioning' }, published: true },
    { why: 'no address yet', report: { addresses: [] }, verdict: { status: 'False', reason: 'Provisioning' }, published: false },
    {
      why: 'its port is in use',
      report: { listeners: [{ ...listener, error: { code: 'PortInUse', message: 'held by nginx' } }] },
      verdict: { status: 'False', reason: 'PortInUse', message: 'Port 80/TCP: held by nginx' },
      published: false,
    },
    {
      why: 'its port is served elsewhere',
      report: { listeners: [{ ...listener, servedPort: 40080 }] },
      verdict: { status: 'True', reason: 'Ready', message: 'Serving on 192.0.2.5 (port 80/TCP on port 40080).' },
      published: true,
    },
  ])('$why', ({ report, verdict, published }) => {
    const said = sayServed(service(), wanted, { ...healthy, ...report }, []);
    expect(said.condition).toMatchObject(verdict);
    expect(said.ingress!.map((i) => i.ip)).toEqual(published ? ['192.0.2.5'] : []);
  });

  test('a published address stays while its port fails, with the error on the port', () => {
    const failed = { ...healthy, listeners: [{ ...listener, error: { code: 'ForwarderDown', message: 'restarting' } }] };
    expect(sayServed(service(ready()), wanted, failed, []).ingress).toEqual([
      { ...address, ports: [{ port: 80, protocol: 'TCP', error: 'nodeport-lb.io/ForwarderDown' }] },
    ]);
  });

  test('a port that was refused is told on the port; the others are served', () => {
    const two = service({
      spec: {
        ports: [
          { name: 'a', port: 80, nodePort: 30080 },
          { name: 'b', port: 443 },
        ],
      },
    });
    const refusals = [
      { uid: 'uid-web', port: 443, protocol: 'TCP' as const, refusal: new Refusal('NoNodePort', 'Port 443/TCP has no nodePort') },
    ];
    const said = sayServed(two, wanted, healthy, refusals);
    expect(said.ingress![0]!.ports).toEqual([
      { port: 80, protocol: 'TCP' },
      { port: 443, protocol: 'TCP', error: 'nodeport-lb.io/NoNodePort' },
    ]);
    expect(said.condition).toMatchObject({ status: 'False', reason: 'NoNodePort' });
  });

  test("a shared balancer tells each Service of its own targets only: another's sick node port is not its concern", () => {
    const at = (port: number, health: 'healthy' | 'unhealthy') => ['a', 'b'].map((node) => ({ node, port, health, asOf: 1 }));
    const shared = { ...healthy, targets: [...at(30080, 'healthy'), ...at(30081, 'unhealthy')] };
    expect(sayServed(service(), wanted, shared, []).condition).toMatchObject({ status: 'True', reason: 'Ready' });
    const own = { ...healthy, targets: at(30080, 'unhealthy') };
    expect(sayServed(service(), wanted, own, []).condition).toMatchObject({ reason: 'NoHealthyTargets' });
  });

  describe('under policy Local', () => {
    const under = (endpointNodes: readonly string[] | undefined) => {
      const targetGroup = { localOnly: true, ...(endpointNodes ? { endpointNodes } : {}) };
      const own = { service: { uid: 'uid-web' }, port: 80, protocol: 'TCP', targetGroup };
      const others = { service: { uid: 'uid-other' }, port: 81, protocol: 'TCP', targetGroup: { localOnly: false } };
      return { ...wanted, listeners: [own, others] } as unknown as Balancer;
    };
    const say = (endpointNodes: readonly string[] | undefined, report: Partial<Report> = {}) => {
      const { condition, annotations } = sayServed(service(), under(endpointNodes), { ...healthy, ...report }, []);
      return { ...condition, targets: annotations?.['nodeport-lb.io/targets'] };
    };

    test('the nodes with an endpoint are its targets, and are counted', () => {
      expect(say(['a'])).toMatchObject({ status: 'True', reason: 'Ready', targets: '1/1' });
      expect(say(['a', 'b'])).toMatchObject({ status: 'True', reason: 'Ready', targets: null });
      expect(say(['a', 'excluded'])).toMatchObject({ status: 'True', targets: '1/1' });
      expect(say(undefined)).toMatchObject({ status: 'True', targets: null });
    });

    test('what is sick is counted among them alone', () => {
      expect(say(['a'], { targets: [sick('b')] })).toMatchObject({ reason: 'Ready', targets: '1/1' });
      expect(say(['a'], { targets: [sick('a')] })).toMatchObject({ reason: 'NoHealthyTargets', targets: '0/1' });
      expect(say(['a', 'b'], { targets: [sick('a')] })).toMatchObject({ reason: 'Degraded', targets: '1/2' });
    });

    test('with none anywhere it says so, and what to do', () => {
      const { status, reason, message, targets } = say([]);
      expect({ status, reason, targets }).toEqual({ status: 'False', reason: 'NoHealthyTargets', targets: '0/0' });
      expect(message).toMatch(
        /Serving on 192.0.2.5, but none of its 2 nodes has an endpoint that is ready.*Check that the Service/,
      );
    });
  });

  test('what moves its packets is noted on each Service, and stays noted while that is not known', () => {
    const paths = [
      { uid: 'uid-web', datapath: 'nftables', why: 'a' },
      { uid: 'uid-other', datapath: 'userspace', why: 'b' },
      { uid: 'uid-web', datapath: 'userspace', why: 'c' },
    ];
    const noted = (report: Report) => sayServed(service(), wanted, report, []).annotations?.['nodeport-lb.io/datapath'];
    expect(noted({ ...healthy, paths })).toBe('nftables: a\nuserspace: c');
    expect(noted(healthy)).toBeUndefined();
  });

  test('a shared balancer tells each Service of its own ports only', () => {
    const shared = { ...healthy, listeners: [listener, { uid: 'uid-other', protocol: 'TCP' as const, port: 81 }] };
    expect(sayServed(service(), wanted, shared, []).ingress![0]!.ports).toEqual([{ port: 80, protocol: 'TCP' }]);
  });
});

describe('the patch', () => {
  const serve = (parts: RawService, report: Report = healthy) =>
    patchFor(service(parts), sayServed(service(parts), wanted, report, []), NOW);

  test('nothing differs: no patch', () => {
    expect(serve(ready())).toBeUndefined();
  });

  test('a cleared status is restored and the condition left alone', () => {
    expect(
      serve(ready({ status: { loadBalancer: {}, conditions: (ready().status as Record<string, unknown>)['conditions'] } })),
    ).toEqual({
      metadata: { uid: 'uid-web', resourceVersion: '1' },
      status: { loadBalancer: { ingress: [{ ...address, ports: [{ port: 80, protocol: 'TCP' }] }] } },
    });
  });

  test('the transition time changes with the status only', () => {
    const degraded = serve(ready(), { ...healthy, targets: [sick('b')] }) as {
      status: { conditions: { lastTransitionTime: string }[] };
    };
    const dead = serve(ready(), { ...healthy, targets: [sick('a'), sick('b')] }) as typeof degraded;
    expect([degraded, dead].map((p) => p.status.conditions[0]!.lastTransitionTime)).toEqual([EARLIER, NOW]);
  });

  test('finalizer, holder, addresses and condition are one patch', () => {
    expect(patchFor(service(), sayHeld('local/kind', ['192.0.2.5']), NOW)).toEqual({
      metadata: {
        uid: 'uid-web',
        resourceVersion: '1',
        finalizers: [FINALIZER],
        annotations: { 'nodeport-lb.io/held-by': 'local/kind', 'nodeport-lb.io/held-addresses': '192.0.2.5' },
      },
      status: { conditions: [expect.objectContaining({ status: 'False', reason: 'Provisioning', lastTransitionTime: NOW })] },
    });
  });

  test('letting go takes every mark away in one patch, and only what is there', () => {
    const held = service(
      ready({
        metadata: {
          annotations: { 'nodeport-lb.io/held-by': 'local/kind', 'nodeport-lb.io/held-addresses': '192.0.2.5', mine: 'stays' },
        },
      }),
    );
    expect(patchFor(held, sayGone(held), NOW)).toEqual({
      metadata: {
        uid: 'uid-web',
        resourceVersion: '1',
        annotations: { 'nodeport-lb.io/held-by': null, 'nodeport-lb.io/held-addresses': null },
        '$deleteFromPrimitiveList/finalizers': [FINALIZER],
      },
      status: { loadBalancer: { ingress: null }, conditions: [{ type: 'nodeport-lb.io/Ready', $patch: 'delete' }] },
    });
    expect(patchFor(service({ spec: { type: 'ClusterIP' } }), sayGone(service()), NOW)).toBeUndefined();
  });

  test("letting go leaves another controller's address", () => {
    const taken = service(ready({ metadata: { annotations: { 'nodeport-lb.io/held-addresses': '192.0.2.99' } } }));
    expect(sayGone(taken).ingress).toBeUndefined();
  });

  test('a refusal leaves addresses and finalizer as they are', () => {
    const said: Said = sayRefused(new Refusal('NoPorts', 'The Service has no ports'));
    const patch = patchFor(service(ready()), said, NOW) as { status: object; metadata: object };
    expect(Object.keys(patch.status)).toEqual(['conditions']);
    expect(Object.keys(patch.metadata)).toEqual(['uid', 'resourceVersion']);
  });

  test('observedGeneration follows the generation', () => {
    const patch = serve(ready({ metadata: { generation: 4 } })) as { status: { conditions: object[] } };
    expect(patch.status.conditions).toEqual([expect.objectContaining({ observedGeneration: 4, lastTransitionTime: EARLIER })]);
  });
});
