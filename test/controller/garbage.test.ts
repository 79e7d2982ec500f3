import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { claim } from '../../src/controller/claim.ts';
import { decideIntent } from '../../src/controller/intent.ts';
import { findRivals } from '../../src/controller/rivals.ts';
import { balancerKeyOf } from '../../src/controller/share.ts';
import { patchFor, sayGone, sayServed } from '../../src/controller/status.ts';
import { chooseTargets } from '../../src/controller/targets.ts';
import { readNode, readService } from '../../src/kube/objects.ts';
import { type Balancer, nameOf, type Report } from '../../src/model.ts';
import { node, rawNode, rawService } from '../builders.ts';

/** Any JSON, with the words of the API among its keys and values, so that garbage comes near to the real thing. */
const words = fc.constantFrom(
  'metadata',
  'spec',
  'status',
  'ports',
  'port',
  'nodePort',
  'LoadBalancer',
  'ip',
  '__proto__',
  'constructor',
  '-1',
  '0',
  '65536',
  'null',
  '',
);
const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  words,
  fc.integer(),
  fc.double(),
  fc.constant(null),
  fc.dictionary(words, fc.jsonValue({ maxDepth: 2 })),
);

/** Every place in an object, as a path. */
function places(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [[...path]];
  return [[...path], ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

/** The object with junk put at one or several of its places. */
function mutated(base: object): fc.Arbitrary<unknown> {
  const all = places(base).filter((path) => path.length > 0);
  const change = fc.record({ path: fc.constantFrom(...all), value: junk });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const copy = structuredClone(base);
    for (const { path, value } of changes) put(copy, path, value);
    return copy;
  });
}

function put(root: object, path: readonly string[], value: unknown): void {
  let at = root as Record<string, unknown>;
  for (const key of path.slice(0, -1)) {
    const inner = at[key];
    if (typeof inner !== 'object' || inner === null) return;
    at = inner as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
}

const fullService = rawService({
  metadata: {
    generation: 2,
    labels: { app: 'web' },
    annotations: {
      'nodeport-lb.io/share': 'g',
      'nodeport-lb.io/addresses': '10.0.0.1',
      'nodeport-lb.io/node-selector': 'a=b',
      'nodeport-lb.io/held-by': 'local/x',
      'nodeport-lb.io/drain-seconds': '3',
    },
    finalizers: ['nodeport-lb.io/cleanup'],
    managedFields: [{ manager: 'x', fieldsV1: { 'f:status': { 'f:loadBalancer': {} } } }],
  },
  spec: {
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } },
    loadBalancerSourceRanges: ['10.0.0.0/8'],
    externalIPs: ['192.0.2.1'],
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
  },
  status: {
    loadBalancer: { ingress: [{ ip: '10.0.0.1', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }] },
    conditions: [{ type: 'nodeport-lb.io/Ready', status: 'True', reason: 'Ready', message: 'm', lastTransitionTime: 't' }],
  },
});
const fullNode = rawNode('n', '10.0.0.1', {
  metadata: {
    labels: { a: 'b', 'node.kubernetes.io/exclude-from-external-load-balancers': 'x' },
    annotations: { 'nodeport-lb.io/node-port-map': '30080=127.0.0.1:1' },
  },
  spec: { providerID: 'p', taints: [{ key: 'k', effect: 'NoSchedule' }] },
});

const report = { addresses: [{ ip: '10.0.0.1' }], listeners: [], targets: [], settled: true, gone: false } satisfies Report;

function judge(rawServices: readonly unknown[], rawNodes: readonly unknown[]): void {
  const services = rawServices.flatMap((raw) => readService(raw) ?? []);
  const nodes = [node('sound', '10.0.0.2'), ...rawNodes.flatMap((raw) => readNode(raw) ?? [])];
  const claims = { loadBalancerClass: 'nodeport-lb.io/lb', claimUnset: true };
  const intent = decideIntent({
    key: 'k',
    members: services,
    provider: 'local',
    claims,
    serviceNamed: (name) => services.find((one) => nameOf(one) === name),
    nodesFor: (nodeSelector) =>
      chooseTargets(nodes, { addressTypes: ['InternalIP'], ...(nodeSelector ? { nodeSelector } : {}) }).nodes,
  });
  for (const service of services) {
    balancerKeyOf(service, false);
    claim(service, claims);
    const said = sayServed(
      service,
      intent.wanted ?? ({ nodes: [], listeners: [] } as unknown as Balancer),
      report,
      intent.portRefusals,
    );
    JSON.stringify([patchFor(service, said, 'now'), patchFor(service, sayGone(service), 'now')]);
  }
  for (const listener of intent.wanted?.listeners ?? []) {
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.targetGroup.nodePort).toBeGreaterThan(0);
  }
  expect(chooseTargets(nodes, { addressTypes: ['InternalIP'] }).nodes.map((n) => n.name)).toContain('sound');
}

test('10,000 random and mutated Services and Nodes give answers and never an exception', () => {
  const services = fc.array(fc.oneof(junk, mutated(fullService)), { minLength: 1, maxLength: 3 });
  const nodes = fc.array(fc.oneof(junk, mutated(fullNode)), { minLength: 1, maxLength: 3 });
  fc.assert(fc.property(services, nodes, judge), { numRuns: 5_000 }); // at least one Service and one Node a run
});

test('random lists of workloads and Leases give rivals and never an exception', () => {
  fc.assert(
    fc.property(fc.array(junk), fc.array(junk), (a, b) =>
      Array.isArray(findRivals({ leases: a, daemonSets: b, deployments: a }, 0)),
    ),
    { numRuns: 1_000 },
  );
});
