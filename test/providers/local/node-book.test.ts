import { describe, expect, test } from '@jest/globals';
import { NodeBook } from '../../../src/providers/local/node-book.ts';
import { type BalancerWish, balancer, node, refusalOf } from '../builders.ts';

const published: Readonly<Record<string, readonly string[]>> = {
  n1: ['10.0.0.1'],
  n2: ['10.0.0.2', 'fd00::2'],
  n3: [],
};
const three = ['n1', 'n2', 'n3'].map((name) => node(name, '10.9.9.9'));

function book(at: (name: string) => readonly string[] = (name) => published[name] ?? []): NodeBook {
  return new NodeBook(at);
}

describe('a Service gets', () => {
  test.each<{ why: string; wish: BalancerWish; gets: readonly string[] | string }>([
    { why: 'every node’s address where an agent lives', wish: {}, gets: ['10.0.0.1', '10.0.0.2'] },
    { why: 'those of its own nodes', wish: { nodes: [three[1]!] }, gets: ['10.0.0.2'] },
    {
      why: 'both families where it wishes so',
      wish: { families: ['IPv4', 'IPv6'], preferDualStack: true },
      gets: ['10.0.0.1', '10.0.0.2', 'fd00::2'],
    },
    { why: 'nothing of a family that no node has', wish: { families: ['IPv6'], nodes: [three[0]!] }, gets: 'FamilyUnsupported' },
    { why: 'just what it asks for', wish: { requested: ['10.0.0.2'] }, gets: ['10.0.0.2'] },
    { why: 'nothing that is no node’s', wish: { requested: ['10.0.0.7'] }, gets: 'AddressNotInPool' },
    { why: 'nothing for a word', wish: { requested: ['ten'] }, gets: 'AddressInvalid' },
    { why: 'the same under the name of the nodes’ pool', wish: { pool: 'nodes' }, gets: ['10.0.0.1', '10.0.0.2'] },
    { why: 'nothing of another pool', wish: { pool: 'public' }, gets: 'PoolUnknown' },
    { why: 'nothing where no agent lives', wish: { nodes: [three[2]!] }, gets: 'NoForwarder' },
    { why: 'what it held, while no agent lives', wish: { nodes: [three[2]!], held: ['10.0.0.3'] }, gets: ['10.0.0.3'] },
    { why: 'nothing for ports that the nodes need', wish: { ports: [{ port: 6443 }, { port: 22 }] }, gets: 'NodePortReserved' },
    { why: 'its other ports beside such a one', wish: { ports: [{ port: 22 }, { port: 80 }] }, gets: ['10.0.0.1', '10.0.0.2'] },
  ])('$why', ({ wish, gets }) => {
    const wanted = balancer({ nodes: three, ...wish });
    const one = book();
    if (typeof gets === 'string') expect(refusalOf(() => one.assign(wanted, undefined, [])).code).toBe(gets);
    else expect(one.assign(wanted, undefined, [])).toEqual(gets);
  });
});

describe('ports', () => {
  const web = (name: string, wish: BalancerWish = {}) => balancer({ name, nodes: three, ...wish });

  test('belong to who had them first, are told with his name, and are free when nothing of his is open any more', () => {
    const one = book();
    one.assign(web('a'), undefined, []);
    expect(refusalOf(() => one.assign(web('b'), undefined, [])).message).toContain(
      '80/TCP of the nodes’ addresses is held by default/a'.replace('’', "'"),
    );
    const open = [{ address: '10.0.0.2', port: '80/TCP' }];
    expect(one.release('default/a', open)).toEqual(['default/b']);
    expect(one.assign(web('b'), undefined, [])).toEqual(['10.0.0.1']);
    one.settle('default/a', []);
    expect(one.assign(web('b'), undefined, [])).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test('of one Service may be others’ of other protocols, and at other nodes', () => {
    const one = book();
    one.assign(web('a', { nodes: [three[0]!] }), undefined, []);
    expect(one.assign(web('udp', { ports: [{ port: 80, protocol: 'UDP' }] }), undefined, [])).toHaveLength(2);
    expect(one.assign(web('far', { nodes: [three[1]!] }), undefined, [])).toEqual(['10.0.0.2']);
    expect(refusalOf(() => one.assign(web('both'), undefined, [])).code).toBe('AddressInUse');
  });

  test('that are the NodePort of another Service are refused by its name, and kept by whoever had them before', () => {
    const one = book();
    const users =
      (...names: readonly string[]) =>
      (port: string) =>
        port === '30080/TCP' ? names : [];
    const wish = web('a', { ports: [{ port: 30_080 }] });
    const refusal = refusalOf(() => one.assign(wish, undefined, [], users('shop/api')));
    expect(refusal).toMatchObject({ code: 'PortInUse', message: expect.stringContaining('nodePort of shop/api') });
    expect(one.waiting()).toEqual(['default/a']);
    expect(one.assign(wish, undefined, [], users('default/a'))).toHaveLength(2);
    expect(one.assign(wish, undefined, [], users('shop/api'))).toHaveLength(2);
    const beside = web('b', { ports: [{ port: 30_080, protocol: 'UDP' }] });
    expect(one.assign(beside, undefined, [], users('shop/api'))).toHaveLength(2);
  });

  test('are the older one’s after a restart, whatever the order of the list', () => {
    const one = book();
    const old = web('old', { held: ['10.0.0.1', '10.0.0.2'], createdAt: '2026-01-01T00:00:00Z' });
    const young = web('young', { held: ['10.0.0.1', '10.0.0.2'], createdAt: '2026-02-01T00:00:00Z' });
    one.restore([young, old]);
    expect(one.keys()).toEqual(['default/old']);
    expect(refusalOf(() => one.assign(young, undefined, [])).code).toBe('AddressInUse');
    expect(one.assign(old, undefined, [])).toEqual(['10.0.0.1', '10.0.0.2']);
  });
});

test('asking again gives the same, and follows the agents that come and go', () => {
  const live = new Set(['n1']);
  const one = book((name) => (live.has(name) ? (published[name] ?? []) : []));
  const wanted = balancer({ nodes: three });
  expect(one.assign(wanted, undefined, [])).toEqual(['10.0.0.1']);
  expect(one.assign(wanted, undefined, [])).toEqual(['10.0.0.1']);
  live.add('n2');
  expect(one.assign(wanted, undefined, [])).toEqual(['10.0.0.1', '10.0.0.2']);
  live.clear();
  expect(one.assign(wanted, undefined, [])).toEqual(['10.0.0.1', '10.0.0.2']);
  live.add('n2');
  expect(one.assign(wanted, undefined, [])).toEqual(['10.0.0.2']);
});
