import { describe, expect, test } from '@jest/globals';
import { FINALIZER } from '../../src/controller/claim.ts';
import { decideIntent } from '../../src/controller/intent.ts';
import { balancerKeyOf } from '../../src/controller/share.ts';
import { chooseTargets } from '../../src/controller/targets.ts';
import type { Service } from '../../src/kube/objects.ts';
import { nameOf } from '../../src/model.ts';
import { node, type RawService, service } from '../builders.ts';

const nodes = [node('a', '10.0.0.1'), node('b', '10.0.0.2', { metadata: { labels: { edge: 'yes' } } })];

function intentOf(...members: Service[]) {
  return decideIntent({
    key: 'k',
    members,
    provider: 'local',
    claims: { loadBalancerClass: 'nodeport-lb.io/lb', claimUnset: false },
    serviceNamed: (name) => members.find((one) => nameOf(one) === name),
    nodesFor: (nodeSelector) =>
      chooseTargets(nodes, { addressTypes: ['InternalIP'], ...(nodeSelector ? { nodeSelector } : {}) }).nodes,
  });
}

const annotated = (annotations: Record<string, string>, more: RawService = {}): Service =>
  service({ ...more, metadata: { ...more.metadata, annotations } });

describe('what is wanted of a Service', () => {
  test('every node is a target of every port', () => {
    const { wanted } = intentOf(service());
    expect(wanted).toMatchObject({
      key: 'k',
      listeners: [
        {
          protocol: 'TCP',
          port: 80,
          targetGroup: { nodePort: 30080, healthCheck: { protocol: 'tcp', port: 30080 }, localOnly: false },
        },
      ],
      nodes: [{ name: 'a' }, { name: 'b' }],
    });
  });

  test.each<{ why: string; parts: RawService; check: object }>([
    {
      why: 'policy Local asks healthCheckNodePort',
      parts: { spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: 32100 } },
      check: { protocol: 'http', port: 32100, path: '/healthz' },
    },
    {
      why: 'UDP alone asks kube-proxy',
      parts: { spec: { ports: [{ port: 53, protocol: 'UDP', nodePort: 30053 }] } },
      check: { protocol: 'http', port: 10256, path: '/healthz' },
    },
    {
      why: 'a check port of the author',
      parts: { metadata: { annotations: { 'nodeport-lb.io/health-check-port': '9000' } } },
      check: { protocol: 'tcp', port: 9000 },
    },
    {
      why: 'an http check of the author at the traffic port',
      parts: {
        metadata: { annotations: { 'nodeport-lb.io/health-check-protocol': 'http', 'nodeport-lb.io/health-check-path': '/up' } },
      },
      check: { protocol: 'http', port: 30080, path: '/up' },
    },
    {
      why: 'thresholds of the author',
      parts: { metadata: { annotations: { 'nodeport-lb.io/health-check-healthy-threshold': '4' } } },
      check: { healthyThreshold: 4 },
    },
  ])('health check: $why', ({ parts, check }) => {
    expect(intentOf(service(parts)).wanted!.listeners[0]!.targetGroup.healthCheck).toMatchObject(check);
  });

  test('UDP beside TCP is checked at its TCP sibling', () => {
    const both = service({
      spec: {
        ports: [
          { name: 't', port: 53, protocol: 'TCP', nodePort: 30053 },
          { name: 'u', port: 53, protocol: 'UDP', nodePort: 30053 },
        ],
      },
    });
    expect(intentOf(both).wanted!.listeners.map((l) => l.targetGroup.healthCheck.port)).toEqual([30053, 30053]);
  });

  test.each<{ why: string; parts: RawService; code: string; says: string }>([
    { why: 'no ports', parts: { spec: { ports: [] } }, code: 'NoPorts', says: 'no ports' },
    { why: 'headless', parts: { spec: { clusterIP: 'None' } }, code: 'Headless', says: 'headless' },
    { why: 'no nodePort at all', parts: { spec: { ports: [{ port: 80 }, { port: 443 }] } }, code: 'NoNodePort', says: '80, 443' },
    {
      why: 'a source range that is none',
      parts: { spec: { loadBalancerSourceRanges: ['10.0.0.0/33'] } },
      code: 'SourceRangeInvalid',
      says: '10.0.0.0/33',
    },
    {
      why: 'an address that is none',
      parts: { spec: { loadBalancerIP: '10.0.0.256' } },
      code: 'AddressInvalid',
      says: '10.0.0.256',
    },
    {
      why: 'two different wishes',
      parts: { metadata: { annotations: { 'nodeport-lb.io/addresses': '10.0.0.7' } }, spec: { loadBalancerIP: '10.0.0.8' } },
      code: 'AnnotationInvalid',
      says: '10.0.0.8',
    },
    {
      why: 'a bad annotation',
      parts: { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } },
      code: 'AnnotationInvalid',
      says: 'soon',
    },
    {
      why: "a share group that isn't one namespace's",
      parts: { metadata: { annotations: { 'nodeport-lb.io/share': 'other/web' } } },
      code: 'ShareAcrossNamespaces',
      says: 'other/web',
    },
    {
      why: "another provider's balancer",
      parts: {
        metadata: {
          finalizers: [FINALIZER],
          annotations: { 'nodeport-lb.io/held-by': 'aws/prod', 'nodeport-lb.io/held-addresses': '192.0.2.9' },
        },
      },
      code: 'OtherProvider',
      says: '192.0.2.9',
    },
  ])('refused by name: $why', ({ parts, code, says }) => {
    const intent = intentOf(service(parts));
    expect(intent.refused.map((r) => r.refusal.code)).toEqual([code]);
    expect(intent.refused[0]!.refusal.message).toContain(says);
    expect(intent.wanted).toBeUndefined();
    expect(intent.leaving).toEqual([]);
  });

  test('one port without nodePort is refused by name and the other is served', () => {
    const intent = intentOf(
      service({
        spec: {
          ports: [
            { name: 'a', port: 80, nodePort: 30080 },
            { name: 'b', port: 443 },
          ],
        },
      }),
    );
    expect(intent.wanted!.listeners.map((l) => l.port)).toEqual([80]);
    expect(intent.portRefusals).toEqual([expect.objectContaining({ port: 443, protocol: 'TCP' })]);
  });

  test('a node selector narrows the targets', () => {
    expect(intentOf(annotated({ 'nodeport-lb.io/node-selector': 'edge=yes' })).wanted!.nodes.map((n) => n.name)).toEqual(['b']);
  });

  test('an unknown annotation is warned of and harms nothing', () => {
    const intent = intentOf(annotated({ 'nodeport-lb.io/drain-second': '3' }));
    expect(intent.warnings.map((w) => w.text)).toEqual([expect.stringContaining('drain-seconds')]);
    expect(intent.wanted).toBeDefined();
  });

  test('a Service held by another provider does not go, even when it is deleted', () => {
    const gone = service({
      metadata: { deletionTimestamp: 'x', finalizers: [FINALIZER], annotations: { 'nodeport-lb.io/held-by': 'aws/prod' } },
    });
    const intent = intentOf(gone);
    expect(intent.leaving).toEqual([]);
    expect(intent.refused.map((r) => r.refusal.code)).toEqual(['OtherProvider']);
  });
});

describe('share groups', () => {
  const member = (name: string, port: number, createdAt: string) =>
    annotated(
      { 'nodeport-lb.io/share': 'edge' },
      { metadata: { name, creationTimestamp: createdAt }, spec: { ports: [{ port, nodePort: 30000 + port }] } },
    );

  test('members of one group in one namespace have one key, in two namespaces two', () => {
    const here = member('web', 80, '2026-01-01T00:00:00Z');
    expect(balancerKeyOf(here, false)).toBe('default/share:edge');
    expect(balancerKeyOf({ ...here, namespace: 'other' }, false)).toBe('other/share:edge');
    expect(balancerKeyOf({ ...here, namespace: 'other' }, true)).toBe('share:edge');
  });

  test('MetalLB’s sharing key makes a group too, and ours beats it', () => {
    const theirs = annotated({ 'metallb.universe.tf/allow-shared-ip': 'edge' });
    expect(balancerKeyOf(theirs, false)).toBe('default/share:edge');
    expect(balancerKeyOf(annotated({ 'metallb.io/allow-shared-ip': 'edge', 'nodeport-lb.io/share': 'own' }), false)).toBe(
      'default/share:own',
    );
    expect(intentOf(theirs).understood.map(({ text }) => text)).toEqual([expect.stringContaining('nodeport-lb.io/share')]);
  });

  test('of two of the same second, the one that is served keeps its port', () => {
    const second = '2026-01-01T00:00:00Z';
    const served = { ...member('zz', 80, second), finalizers: [FINALIZER] };
    expect(intentOf(member('aa', 80, second), served).served.map((s) => s.name)).toEqual(['zz']);
  });

  test('the older keeps a port, the younger is told whom it clashes with', () => {
    const intent = intentOf(
      member('young', 80, '2026-02-01T00:00:00Z'),
      member('old', 80, '2026-01-01T00:00:00Z'),
      member('other', 81, '2026-03-01T00:00:00Z'),
    );
    expect(intent.served.map((s) => s.name)).toEqual(['old', 'other']);
    expect(intent.refused).toEqual([
      expect.objectContaining({
        refusal: expect.objectContaining({ code: 'SharePortClash', message: expect.stringContaining('default/old') }),
      }),
    ]);
  });

  test('each member keeps its own traffic policy: they share an address, not the way to their pods', () => {
    const local = annotated(
      { 'nodeport-lb.io/share': 'edge' },
      {
        metadata: { name: 'local' },
        spec: { ports: [{ port: 81, nodePort: 30081 }], externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 },
      },
    );
    const { wanted } = intentOf(member('cluster', 80, '2026-01-01T00:00:00Z'), local);
    const ways = wanted?.listeners.map(({ port, targetGroup }) => [port, targetGroup.localOnly, targetGroup.healthCheck.port]);
    expect(ways).toEqual([
      [80, false, 30080],
      [81, true, 32000],
    ]);
  });
});
