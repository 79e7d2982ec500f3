import { describe, expect, test } from '@jest/globals';
import { chooseTargets } from '../../src/controller/targets.ts';
import { node, type RawNode } from '../builders.ts';

const options = { addressTypes: ['InternalIP', 'ExternalIP'] };
const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';

function names(nodes: ReturnType<typeof node>[], more = {}): string[] {
  return chooseTargets(nodes, { ...options, ...more }).nodes.map((n) => n.name);
}

describe('which nodes are targets', () => {
  test.each<{ why: string; parts: RawNode; in: boolean }>([
    { why: 'an ordinary node', parts: {}, in: true },
    {
      why: 'a cordoned node stays',
      parts: { spec: { unschedulable: true, taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] } },
      in: true,
    },
    {
      why: 'a NotReady node stays, its health check decides',
      parts: {
        status: { addresses: [{ type: 'InternalIP', address: '10.0.0.9' }], conditions: [{ type: 'Ready', status: 'False' }] },
      },
      in: true,
    },
    { why: 'the exclude label takes it out', parts: { metadata: { labels: { [EXCLUDE]: 'true' } } }, in: false },
    {
      why: 'an empty exclude label takes it out, as kubeadm writes it',
      parts: { metadata: { labels: { [EXCLUDE]: '' } } },
      in: false,
    },
    { why: 'a garbage exclude label takes it out', parts: { metadata: { labels: { [EXCLUDE]: 'maybe' } } }, in: false },
    { why: 'a false exclude label leaves it in', parts: { metadata: { labels: { [EXCLUDE]: 'false' } } }, in: true },
    { why: 'False is false too', parts: { metadata: { labels: { [EXCLUDE]: 'False' } } }, in: true },
    {
      why: 'the autoscaler is about to delete it',
      parts: { spec: { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] } },
      in: false,
    },
    {
      why: 'it is out of service',
      parts: { spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] } },
      in: false,
    },
    { why: 'it is being deleted', parts: { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } }, in: false },
    { why: 'it has no address', parts: { status: { addresses: [] } }, in: false },
    {
      why: 'its address is no address',
      parts: { status: { addresses: [{ type: 'InternalIP', address: 'not-an-ip' }] } },
      in: false,
    },
    {
      why: 'only a host name does not do',
      parts: { status: { addresses: [{ type: 'Hostname', address: 'node-b' }] } },
      in: false,
    },
    {
      why: 'an external address will do',
      parts: { status: { addresses: [{ type: 'ExternalIP', address: '203.0.113.9' }] } },
      in: true,
    },
  ])('$why', ({ parts, in: expected }) => {
    const chosen = names([node('a', '10.0.0.1'), node('b', '10.0.0.9', parts)]);
    expect(chosen).toEqual(expected ? ['a', 'b'] : ['a']);
  });

  test('a single control-plane node with the exclude label is used, and said so', () => {
    const only = node('cp', '10.0.0.1', { metadata: { labels: { [EXCLUDE]: '', 'node-role.kubernetes.io/control-plane': '' } } });
    expect(chooseTargets([only], options)).toMatchObject({ controlPlaneOnly: true, nodes: [{ name: 'cp' }] });
  });

  test('an excluded worker stays out though it is alone', () => {
    expect(names([node('w', '10.0.0.1', { metadata: { labels: { [EXCLUDE]: '' } } })])).toEqual([]);
  });

  test('a deleted worker beside an excluded control plane does not hide the control plane', () => {
    const cp = node('cp', '10.0.0.1', { metadata: { labels: { [EXCLUDE]: '', 'node-role.kubernetes.io/control-plane': '' } } });
    const going = node('w', '10.0.0.2', { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } });
    expect(names([cp, going])).toEqual(['cp']);
  });

  test('addresses come in the order of the types asked for', () => {
    const both = node('a', '', {
      status: {
        addresses: [
          { type: 'ExternalIP', address: '203.0.113.1' },
          { type: 'InternalIP', address: '10.0.0.1' },
        ],
      },
    });
    expect(chooseTargets([both], options).nodes[0]!.addresses).toEqual(['10.0.0.1', '203.0.113.1']);
    expect(chooseTargets([both], { addressTypes: ['ExternalIP', 'InternalIP'] }).nodes[0]!.addresses).toEqual([
      '203.0.113.1',
      '10.0.0.1',
    ]);
  });

  test('a node selector leaves out the rest and says why', () => {
    const chosen = chooseTargets([node('a', '10.0.0.1', { metadata: { labels: { edge: 'yes' } } }), node('b', '10.0.0.2')], {
      ...options,
      nodeSelector: { edge: 'yes' },
    });
    expect(chosen.nodes.map((n) => n.name)).toEqual(['a']);
    expect(chosen.skipped).toEqual([expect.objectContaining({ node: 'b', why: 'it has no label edge=yes', faulty: false })]);
  });

  test('a node port map is read from the node', () => {
    const mapped = node('a', '127.0.0.1', {
      metadata: { annotations: { 'nodeport-lb.io/node-port-map': '30123=127.0.0.1:49153' } },
    });
    expect(chooseTargets([mapped], options).nodes[0]!.portMap).toEqual({ 30123: '127.0.0.1:49153' });
  });

  test('what is wrong in a node port map is told, and the rest of it used', () => {
    const nodePortMap = '30123=localhost:80,30124=127.0.0.1:81';
    const mapped = node('a', '127.0.0.1', { metadata: { annotations: { 'nodeport-lb.io/node-port-map': nodePortMap } } });
    const { nodes, misread } = chooseTargets([mapped, node('b', '127.0.0.2')], options);
    expect(nodes[0]!.portMap).toEqual({ 30124: '127.0.0.1:81' });
    expect([...misread]).toEqual([['a', '"30123=localhost:80"']]);
  });

  test('a node whose NodePorts are all published elsewhere is looked for there, not at its addresses', () => {
    const mapped = node('a', '172.18.0.2', { metadata: { annotations: { 'nodeport-lb.io/node-port-map': '*=127.0.0.1' } } });
    expect(chooseTargets([mapped], options).nodes[0]!.addresses).toEqual(['127.0.0.1']);
  });
});
