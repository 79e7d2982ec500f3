import { describe, expect, test } from '@jest/globals';
import { readService, type Service } from '../../../src/kube/objects.ts';
import { planEntrances, readSlice, type Slice, type Slices } from '../../../src/sandbox/nodes/entrances.ts';

interface Wish {
  type?: string;
  policy?: string;
  healthPort?: number;
  protocol?: string;
  nodePort?: number;
}

function service({ type = 'NodePort', policy = 'Cluster', healthPort, protocol = 'TCP', nodePort = 30123 }: Wish = {}): Service {
  return readService({
    metadata: { namespace: 'default', name: 'kubia', uid: 'u1' },
    spec: {
      type,
      externalTrafficPolicy: policy,
      healthCheckNodePort: healthPort,
      ports: [{ port: 80, targetPort: 8080, nodePort, protocol }],
    },
  })!;
}

interface Told {
  address: string;
  node: string;
  ready?: boolean;
  terminating?: boolean;
}

function slices(...endpoints: Told[]): Slices {
  const slice = readSlice({
    metadata: { namespace: 'default', name: 'kubia-1', labels: { 'kubernetes.io/service-name': 'kubia' } },
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: endpoints.map(({ address, node, ready, terminating }) => ({
      addresses: [address],
      nodeName: node,
      conditions: { ready, serving: true, terminating },
    })),
  }) as Slice;
  return new Map([['default/kubia', [slice]]]);
}

const here = { address: '10.244.1.4', node: 'worker-1' };
const there = { address: '10.244.2.4', node: 'worker-2' };

describe('what a node opens for a Service', () => {
  test.each<{ why: string; wish?: Wish; endpoints: Told[]; sendsTo: string[] | undefined }>([
    { why: 'endpoints of every node with policy Cluster', endpoints: [here, there], sendsTo: ['10.244.1.4', '10.244.2.4'] },
    { why: 'only its own with policy Local', wish: { policy: 'Local' }, endpoints: [here, there], sendsTo: ['10.244.1.4'] },
    { why: 'nothing with policy Local and no pod here', wish: { policy: 'Local' }, endpoints: [there], sendsTo: undefined },
    { why: 'nothing without endpoints', endpoints: [], sendsTo: undefined },
    { why: 'nothing for a cluster IP alone', wish: { type: 'ClusterIP' }, endpoints: [here], sendsTo: undefined },
    { why: 'nothing for UDP', wish: { protocol: 'UDP' }, endpoints: [here], sendsTo: undefined },
    { why: 'nothing without a nodePort', wish: { type: 'LoadBalancer', nodePort: 0 }, endpoints: [here], sendsTo: undefined },
    { why: 'not the pod that is not ready', endpoints: [here, { ...there, ready: false }], sendsTo: ['10.244.1.4'] },
    {
      why: 'a terminating pod that serves, when no other is left',
      endpoints: [{ ...here, ready: false, terminating: true }],
      sendsTo: ['10.244.1.4'],
    },
    {
      why: 'no terminating pod while another is ready',
      endpoints: [{ ...here, ready: false, terminating: true }, there],
      sendsTo: ['10.244.2.4'],
    },
  ])('$why', ({ wish, endpoints, sendsTo }) => {
    const { entrances } = planEntrances('worker-1', [service(wish)], slices(...endpoints));
    expect(entrances[0]?.endpoints.map((e) => e.address)).toEqual(sendsTo);
  });

  test.each([
    { why: 'counts the ready pods of the node', endpoints: [here, there], localEndpoints: 1 },
    { why: 'counts none elsewhere', endpoints: [there], localEndpoints: 0 },
    { why: 'counts no terminating pod', endpoints: [{ ...here, ready: false, terminating: true }], localEndpoints: 0 },
  ])('the health check port $why', ({ endpoints, localEndpoints }) => {
    const local = service({ type: 'LoadBalancer', policy: 'Local', healthPort: 31_000 });
    const { health } = planEntrances('worker-1', [local], slices(...endpoints));
    expect(health).toEqual([{ port: 31_000, namespace: 'default', name: 'kubia', localEndpoints }]);
  });
});
