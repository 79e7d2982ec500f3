import { expect, test } from '@jest/globals';
import { claim, FINALIZER, HELD_BY } from '../../src/controller/claim.ts';
import { decideIntent } from '../../src/controller/intent.ts';
import { patchFor, sayGone, sayHeld, sayRefused, sayServed } from '../../src/controller/status.ts';
import { Refusal } from '../../src/errors.ts';
import { calls } from '../../src/kube/api.ts';
import type { Service } from '../../src/kube/objects.ts';
import { service } from '../builders.ts';

/** What SECURITY.md says of a person who may create Services, and of a token of the controller's. */

const METADATA = '169.254.169.254';
const options = { loadBalancerClass: 'nodeport-lb.io/lb', claimUnset: true };
const nodes = [{ name: 'a', addresses: ['10.0.0.1'] }];

function wantedOf(one: Service) {
  return decideIntent({
    key: 'default/web',
    members: [one],
    provider: 'local',
    claims: options,
    nodesFor: () => nodes,
    serviceNamed: () => undefined,
  }).wanted;
}

/** Points wherever a field of a Service can point. */
const pointing = service({
  metadata: {
    annotations: {
      'nodeport-lb.io/health-check-port': '22',
      'nodeport-lb.io/health-check-protocol': 'http',
      'nodeport-lb.io/health-check-path': '/latest/meta-data',
      'nodeport-lb.io/node-port-map': '*=192.0.2.1', // of a Node it would be followed
    },
  },
  spec: {
    externalIPs: [METADATA],
    externalName: METADATA,
    loadBalancerIP: METADATA,
    ports: [{ port: 80, targetPort: 80, nodePort: 30080 }],
  },
  status: { loadBalancer: { ingress: [{ ip: METADATA }] } },
});

test('traffic goes to addresses of nodes and to node ports that the API server has allocated, wherever a Service points', () => {
  const wanted = wantedOf(pointing)!;
  expect(wanted.nodes).toEqual(nodes);
  expect(wanted.listeners.map(({ targetGroup }) => targetGroup.nodePort)).toEqual([30080]);
  expect(wanted.address.requested).toEqual([METADATA]); // for the provider to refuse: it is of no pool
  expect(JSON.stringify({ ...wanted, address: undefined })).not.toContain(METADATA);
});

test('marks that its author writes on a Service hold nothing: without the finalizer they are not believed', () => {
  const forged = service({
    metadata: { annotations: { [HELD_BY]: 'local/kubernetes', 'nodeport-lb.io/held-addresses': '10.9.9.9' } },
  });
  expect(wantedOf(forged)?.address.held).toEqual([]);
  expect(claim(forged, options).kind).toBe('ours');
});

test('what is published is told apart from what an annotation alone claims', () => {
  const held = {
    finalizers: [FINALIZER],
    annotations: { [HELD_BY]: 'local/kubernetes', 'nodeport-lb.io/held-addresses': '10.9.9.9' },
  };
  const shown = { loadBalancer: { ingress: [{ ip: '10.9.9.9' }] } };
  expect(wantedOf(service({ metadata: held }))?.address).toMatchObject({ held: ['10.9.9.9'], published: [] });
  expect(wantedOf(service({ metadata: held, status: shown }))?.address).toMatchObject({ published: ['10.9.9.9'] });
});

test('no write of the controller touches a spec, and its rights cover none that could', () => {
  const one = service();
  const wanted = wantedOf(one)!;
  const report = { addresses: [{ ip: '10.0.0.9' }], listeners: [], targets: [], settled: true, gone: false };
  const said = [
    sayHeld('local/kubernetes', ['10.0.0.9']),
    sayServed(one, wanted, report, []),
    sayRefused(new Refusal('NoPorts', 'x')),
    sayGone(service({ metadata: { finalizers: [FINALIZER] } })),
  ];
  for (const each of said) {
    expect(
      Object.keys(patchFor(one, each, '2026-01-01T00:00:00Z') ?? {}).filter((key) => key !== 'metadata' && key !== 'status'),
    ).toEqual([]);
  }
  const writes = Object.values(calls).filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
  const resources = new Set(
    writes.map((call) => ('subresource' in call ? `${call.resource}/${call.subresource}` : call.resource)),
  );
  expect([...resources].sort()).toEqual(['configmaps', 'events', 'leases', 'services/status']);
  expect(Object.values(calls).map(({ resource }) => resource)).not.toContain('secrets');
});
