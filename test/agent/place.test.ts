import { describe, expect, test } from '@jest/globals';
import { listenersHere, nowhere, type Place, publishNode } from '../../src/agent/place.ts';
import { readNode } from '../../src/kube/objects.ts';
import { balancer, holding } from '../providers/builders.ts';

function node(...addresses: readonly (readonly [type: string, address: string])[]) {
  const status = { addresses: addresses.map(([type, address]) => ({ type, address })) };
  return readNode({ metadata: { name: 'n1', uid: 'u1' }, status });
}

describe('a node is published', () => {
  test.each<{ why: string; of: readonly (readonly [string, string])[]; machine: readonly string[]; gives: object }>([
    {
      why: 'at its internal address',
      of: [['InternalIP', '10.0.0.1']],
      machine: ['10.0.0.1'],
      gives: { '10.0.0.1': '10.0.0.1' },
    },
    {
      why: 'at its external address, where it has one',
      of: [
        ['InternalIP', '10.0.0.1'],
        ['ExternalIP', '192.0.2.1'],
      ],
      machine: ['10.0.0.1', '192.0.2.1'],
      gives: { '192.0.2.1': '192.0.2.1' },
    },
    {
      why: 'at an external address that a NAT has, and listens at the internal one of its family',
      of: [
        ['InternalIP', 'fd00::1'],
        ['InternalIP', '10.0.0.1'],
        ['ExternalIP', '192.0.2.1'],
      ],
      machine: ['10.0.0.1', 'fd00::1'],
      gives: { '192.0.2.1': '10.0.0.1' },
    },
    {
      why: 'at both families',
      of: [
        ['InternalIP', '10.0.0.1'],
        ['InternalIP', 'fd00::1'],
      ],
      machine: ['10.0.0.1', 'fd00::1'],
      gives: { '10.0.0.1': '10.0.0.1', 'fd00::1': 'fd00::1' },
    },
    { why: 'nowhere, with a name alone', of: [['Hostname', 'n1']], machine: ['10.0.0.1'], gives: {} },
  ])('$why', ({ of, machine, gives }) => expect(Object.fromEntries(publishNode(node(...of), new Set(machine)))).toEqual(gives));

  test('nowhere, when its object is not there', () => expect(publishNode(undefined, new Set()).size).toBe(0));
});

describe('an agent serves', () => {
  const here: Place = {
    ...nowhere,
    published: new Map([['10.0.0.1', '10.0.0.1']]),
    ofNode: new Set(['10.0.0.1']),
    machine: new Set(['10.0.0.1', '172.17.0.1', '198.51.100.3']),
  };

  test.each<{ why: string; held: string; published?: string; pools: readonly string[]; port?: number; serves: boolean }>([
    { why: 'its node’s address without pools', held: '10.0.0.1', pools: [], serves: true },
    { why: 'no other address of the machine then', held: '172.17.0.1', pools: [], serves: false },
    { why: 'no port that the node needs', held: '10.0.0.1', pools: [], port: 22, serves: false },
    { why: 'an address of a pool that the machine has', held: '198.51.100.3', pools: ['198.51.100.0/28'], serves: true },
    { why: 'none that the machine has not', held: '198.51.100.4', pools: ['198.51.100.0/28'], serves: false },
    { why: 'none that an annotation alone asks for', held: '172.17.0.1', pools: ['198.51.100.0/28'], serves: false },
    {
      why: 'one that has left the pools, while the status shows it',
      held: '172.17.0.1',
      published: '172.17.0.1',
      pools: ['198.51.100.0/28'],
      serves: true,
    },
  ])('$why', ({ held, published, pools, port = 80, serves }) => {
    const wanted = holding(balancer({ ports: [{ port }] }), [held]);
    const shown = { ...wanted, address: { ...wanted.address, published: published === undefined ? [] : [published] } };
    const listeners = listenersHere(shown, here, { portFallback: false, pools });
    expect(listeners.map((listener) => `${listener.address}:${listener.port}`)).toEqual(serves ? [`${held}:${port}`] : []);
  });
});
