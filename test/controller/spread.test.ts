import { describe, expect, test } from '@jest/globals';
import { decideIntent } from '../../src/controller/intent.ts';
import type { Service } from '../../src/kube/objects.ts';
import { nameOf } from '../../src/model.ts';
import { refuseUncarried } from '../../src/providers/local/wish.ts';
import { type RawService, service } from '../builders.ts';
import { refusalOf } from '../providers/builders.ts';
import { makeStage } from './cluster-stage.ts';

const ACTIONS = 'service.beta.kubernetes.io/actions.';

function action(targetGroups: readonly object[], more: object = {}): string {
  return JSON.stringify({ type: 'forward', forwardConfig: { baseServiceWeight: 90, targetGroups, ...more } });
}

const toCanary = action([{ serviceName: 'canary', servicePort: 81, weight: 10 }]);

function sender(annotations: Record<string, string>, spec: object = {}): Service {
  return service({ metadata: { name: 'web', annotations }, spec: { ...spec } });
}

function other(spec: Record<string, unknown> = {}, metadata: RawService['metadata'] = {}): Service {
  const ports = [{ name: 'http', port: 81, protocol: 'TCP', nodePort: 30081 }];
  return service({
    metadata: { name: 'canary', ...metadata },
    spec: { type: 'NodePort', loadBalancerClass: undefined, ports, ...spec },
  });
}

function intentOf(one: Service, ...neighbours: readonly Service[]) {
  return decideIntent({
    key: 'default/web',
    members: [one],
    provider: 'aws',
    claims: { loadBalancerClass: 'nodeport-lb.io/lb', claimUnset: false },
    nodesFor: () => [],
    serviceNamed: (name) => [one, ...neighbours].find((each) => nameOf(each) === name),
  });
}

describe('connections shared out by weight', () => {
  test('another Service of the namespace gets its share at its own nodePort', () => {
    const { wanted, refused } = intentOf(sender({ [`${ACTIONS}TCP-80`]: toCanary }), other());
    expect(refused).toEqual([]);
    expect(wanted?.listeners[0]).toMatchObject({
      port: 80,
      targetGroup: { nodePort: 30080 },
      spread: {
        weight: 90,
        others: [
          {
            weight: 10,
            service: { namespace: 'default', name: 'canary' },
            port: { name: 'http', port: 81 },
            targetGroup: { nodePort: 30081, healthCheck: { protocol: 'tcp', port: 30081 }, localOnly: false },
          },
        ],
      },
    });
  });

  test('the other Service says its policy, and the one that has the port who is let in', () => {
    const local = other({ type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32100 });
    const { wanted } = intentOf(sender({ [`${ACTIONS}TCP-80`]: toCanary }, { loadBalancerSourceRanges: ['10.0.0.0/8'] }), local);
    expect(wanted?.listeners[0]?.spread?.others).toMatchObject([
      { targetGroup: { localOnly: true, healthCheck: { port: 32100, path: '/healthz' }, sourceRanges: ['10.0.0.0/8'] } },
    ]);
  });

  test('a port may be named, and only the port of the action is shared', () => {
    const ports = [
      { name: 'a', port: 80, protocol: 'TCP', nodePort: 30080 },
      { name: 'b', port: 443, protocol: 'TCP', nodePort: 30443 },
    ];
    const named = action([{ serviceName: 'canary', servicePort: 'http', weight: 10 }]);
    const { wanted } = intentOf(sender({ [`${ACTIONS}TLS-443`]: named }, { ports }), other());
    expect(wanted?.listeners.map(({ spread }) => spread?.others.length)).toEqual([undefined, 1]);
  });

  test.each<{ why: string; name?: string; text?: string; neighbours: readonly Service[]; says: RegExp }>([
    {
      why: 'no such Service',
      neighbours: [],
      says: /TCP-80: forwardConfig\.targetGroups\[0\]: there is no Service default\/canary/,
    },
    {
      why: 'one of that name elsewhere',
      neighbours: [other({}, { namespace: 'elsewhere' })],
      says: /there is no Service default\/canary/,
    },
    {
      why: 'no nodePorts',
      neighbours: [other({ type: 'ClusterIP' })],
      says: /default\/canary is of type ClusterIP.*NodePort or LoadBalancer/,
    },
    {
      why: 'no such port',
      neighbours: [other({ ports: [{ port: 82, protocol: 'TCP', nodePort: 30082 }] })],
      says: /has no port 81\/TCP \(it has 82\/TCP\)/,
    },
    {
      why: 'the port of another protocol',
      neighbours: [other({ ports: [{ port: 81, protocol: 'UDP', nodePort: 30081 }] })],
      says: /has no port 81\/TCP \(it has 81\/UDP\)/,
    },
    {
      why: 'a port without nodePort',
      neighbours: [other({ type: 'LoadBalancer', ports: [{ port: 81, protocol: 'TCP' }] })],
      says: /port 81\/TCP of Service default\/canary has no nodePort/,
    },
    {
      why: 'a port of ours that is none',
      name: 'TCP-8080',
      neighbours: [other()],
      says: /has no port 8080\/TCP \(it has 80\/TCP\)/,
    },
    { why: 'no JSON', text: '{', neighbours: [other()], says: /actions\.TCP-80: "\{": it must be JSON/ },
  ])('$why: refused, with what is missing', ({ name = 'TCP-80', text = toCanary, neighbours, says }) => {
    const { wanted, refused } = intentOf(sender({ [ACTIONS + name]: text }), ...neighbours);
    expect(wanted).toBeUndefined();
    expect(refused).toMatchObject([{ refusal: { code: 'AnnotationInvalid', message: expect.stringMatching(says) } }]);
  });

  test('two actions for one port are refused', () => {
    const { refused } = intentOf(sender({ [`${ACTIONS}TCP-80`]: toCanary, [`${ACTIONS}TLS-80`]: toCanary }), other());
    expect(refused[0]?.refusal.message).toMatch(/TLS-80: service\.beta\.kubernetes\.io\/actions\.TCP-80 is about the same port/);
  });

  test('the local provider refuses it by name', () => {
    const { wanted } = intentOf(sender({ [`${ACTIONS}TCP-80`]: toCanary }), other());
    expect(refusalOf(() => refuseUncarried(wanted!, undefined))).toEqual({
      code: 'NotSupported',
      message: expect.stringMatching(/default\/web: port 80\/TCP .*by weight.*actions/),
    });
  });
});

describe('a change of the other Service', () => {
  test('concerns the balancers that send to it, for as long as they do', () => {
    const { put, remove } = makeStage();
    expect(put(sender({ [`${ACTIONS}TCP-80`]: toCanary }))).toEqual(['default/web']);
    expect(put(other())).toEqual(['default/canary', 'default/web']);
    expect(remove('default/canary')).toEqual(['default/canary', 'default/web']);
    expect(put(sender({}))).toEqual(['default/web']);
    expect(put(other())).toEqual(['default/canary']);
  });
});
