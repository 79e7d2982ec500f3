import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { tellStory } from '../../src/cli/story.ts';
import type { StoryInput } from '../../src/cli/story-input.ts';
import { readNode, readService } from '../../src/kube/objects.ts';
import { rawNode, rawService, type ServiceWish } from './objects.ts';

const excluded = { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } };
const nodes = [rawNode('n1', '10.0.0.1'), rawNode('n2', '10.0.0.2'), rawNode('n3', '10.0.0.3', excluded)].map(
  (raw) => readNode({ ...raw, metadata: { ...raw.metadata, uid: raw.metadata.name } })!,
);

function inputFor(wish: ServiceWish, more: Partial<StoryInput> = {}): StoryInput {
  const raw = rawService('shop', 'web', wish);
  const service = readService({ ...raw, metadata: { ...raw.metadata, uid: 'u' } })!;
  const standard = { externalName: '', endpoints: { ready: 2, notReady: 1 }, loadBalancerClass: 'nodeport-lb.io/lb' };
  return { service, nodes, ...standard, now: Date.parse('2026-01-01T00:03:20Z'), ...more };
}

const ready = { status: 'True', reason: 'Ready', message: 'Serving on 127.0.0.32.' };

test('a Service that serves', () => {
  const wish = {
    held: true,
    spec: { loadBalancerClass: 'nodeport-lb.io/lb' },
    annotations: { 'nodeport-lb.io/served-ports': '80/TCP=49153' },
    ingress: [{ ip: '127.0.0.32', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }],
    condition: ready,
  };
  expect(tellStory(inputFor(wish), undefined)).toBe(`\
shop/web
  type LoadBalancer; 3m20s old
  cluster IP 10.96.0.10
  loadBalancerClass nodeport-lb.io/lb: ours
Ready for 2m20s: Ready
  Serving on 127.0.0.32.
External addresses
  127.0.0.32 (ipMode Proxy)
  balancer shop/web, held by provider local for cluster kubernetes
Ports
  80/TCP (http) -> port 30123 of every node -> 8080 of the pods; served on port 49153, because 80
  could not be bound
Targets: 2 of 2 healthy
  n1 (10.0.0.1), n2 (10.0.0.2)
  n3 is left out: it has the label node.kubernetes.io/exclude-from-external-load-balancers=
Endpoints
  2 ready, 1 not ready
`);
});

describe('what it says of others', () => {
  test.each<{ why: string; wish: ServiceWish; more?: Partial<StoryInput>; told: RegExp }>([
    {
      why: 'a refusal and its cure',
      wish: { condition: { status: 'False', reason: 'PoolExhausted', message: 'No address is left. Add one.' } },
      told: /Not ready for 2m20s: PoolExhausted\n {2}No address is left\. Add one\./,
    },
    {
      why: 'a port that is not served, and its cure',
      wish: {
        held: true,
        condition: ready,
        ingress: [{ ip: '1.2.3.4', ports: [{ port: 80, protocol: 'TCP', error: 'nodeport-lb.io/PortInUse' }] }],
      },
      told: /NOT served: PortInUse\.\s+Stop the\s+process that holds the port/,
    },
    {
      why: 'a misspelt annotation',
      wish: { annotations: { 'nodeport-lb.io/drain-secons': '5' } },
      told: /drain-secons is not known, and has no effect; did you mean\s+nodeport-lb\.io\/drain-seconds\?/,
    },
    {
      why: 'a bad annotation',
      wish: { annotations: { 'nodeport-lb.io/drain-seconds': 'x' } },
      told: /drain-seconds: "x" must be a whole number/,
    },
    {
      why: 'another class',
      wish: { spec: { loadBalancerClass: 'example.com/lb' } },
      told: /Not ours\n {2}This controller leaves it alone: its loadBalancerClass is example\.com\/lb/,
    },
    {
      why: "another controller's addresses",
      wish: { ingress: [{ ip: '1.2.3.4' }] },
      told: /Not ours[\s\S]*written by other/,
    },
    { why: 'not seen yet', wish: {}, told: /Not looked at yet\n {2}No controller has said anything/ },
    {
      why: 'no endpoints',
      wish: {},
      more: { endpoints: { ready: 0, notReady: 0 } },
      told: /0 ready\n {2}No pod takes what arrives/,
    },
    { why: 'ClusterIP', wish: { type: 'ClusterIP' }, told: /kubectl port-forward -n shop\s+service\/web\s+80/ },
    { why: 'NodePort', wish: { type: 'NodePort' }, told: /nodeport-lb url shop\/web lists them/ },
    {
      why: 'ExternalName',
      wish: { type: 'ExternalName', spec: { clusterIP: '', clusterIPs: [], selector: null, ports: [] } },
      more: { externalName: 'example.com' },
      told: /an alias for example\.com[\s\S]*a DNS alias only/,
    },
    { why: 'headless', wish: { spec: { clusterIP: 'None' } }, told: /headless[\s\S]*Remove `clusterIP: None`/ },
    { why: 'no selector', wish: { spec: { selector: null } }, told: /has no selector/ },
    {
      why: 'Local, where endpoints are',
      wish: { held: true, spec: { externalTrafficPolicy: 'Local' } },
      more: { endpoints: { ready: 1, notReady: 0, nodes: ['n1'] } },
      told: /n1 \(10[\d.]+\)\n {2}n2 is left out: it has no endpoint that serves/,
    },
    {
      why: 'Local, with endpoints nowhere',
      wish: { held: true, spec: { externalTrafficPolicy: 'Local' } },
      more: { endpoints: { ready: 0, notReady: 1, nodes: [] } },
      told: /no node has an endpoint that serves\n {2}n1 is left out/,
    },
    { why: 'Local', wish: { spec: { externalTrafficPolicy: 'Local' } }, told: /only nodes with a ready\s+endpoint/ },
    {
      why: 'changed since',
      wish: { condition: ready, spec: {} },
      more: { service: { ...inputFor({ condition: ready }).service, generation: 3 } },
      told: /has been changed since/,
    },
    {
      why: 'an address that is held only',
      wish: { held: true, annotations: { 'nodeport-lb.io/held-addresses': '10.0.0.9' } },
      told: /10\.0\.0\.9 is held, but not published/,
    },
  ])('$why', ({ wish, more, told }) => {
    const story = tellStory(inputFor(wish, more), undefined);
    expect(story).toMatch(told);
    for (const line of story.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });
});

test('whatever the Service is, there is a story', () => {
  fc.assert(
    fc.property(fc.anything(), fc.anything(), (spec, status) => {
      const service = readService({ metadata: { namespace: 'a', name: 'b', uid: 'c' }, spec, status })!;
      expect(tellStory(inputFor({}, { service }), 80)).toMatch(/^a\/b\n/);
    }),
    { numRuns: 300 },
  );
});
