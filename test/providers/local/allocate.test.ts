import { describe, expect, test } from '@jest/globals';
import type { PoolConfig } from '../../../src/config/config.ts';
import type { Balancer } from '../../../src/model.ts';
import { Allocator } from '../../../src/providers/local/allocate.ts';
import { readPools } from '../../../src/providers/local/pools.ts';
import { type BalancerWish, balancer, holding, pool, refusalOf } from '../builders.ts';

const free = () => undefined;
const small = [pool('small', ['10.0.0.1-10.0.0.3'])];

function allocator(pools: readonly PoolConfig[] = small, portFallback = false): Allocator {
  return new Allocator(readPools(pools), { portFallback });
}

function assign(from: Allocator, wanted: Balancer): readonly string[] {
  return from.assign(wanted, free, []);
}

describe('which address', () => {
  test('the next free one, in order', () => {
    const from = allocator();
    expect(['a', 'b', 'c'].map((name) => assign(from, balancer({ name })))).toEqual([['10.0.0.1'], ['10.0.0.2'], ['10.0.0.3']]);
  });

  test('asking again answers the same, whether or not the cluster has recorded it yet', () => {
    const from = allocator();
    assign(from, balancer({ name: 'a' }));
    assign(from, balancer({ name: 'b' }));
    expect(assign(from, balancer({ name: 'a' }))).toEqual(['10.0.0.1']);
    expect(assign(from, balancer({ name: 'a', held: ['10.0.0.1'] }))).toEqual(['10.0.0.1']);
  });

  test('a freed address rests while another is free', () => {
    const from = allocator();
    assign(from, balancer({ name: 'a' }));
    from.release('default/a', []);
    expect(assign(from, balancer({ name: 'b' }))).toEqual(['10.0.0.2']);
    expect(assign(from, balancer({ name: 'c' }))).toEqual(['10.0.0.3']);
    expect(assign(from, balancer({ name: 'd' }))).toEqual(['10.0.0.1']);
  });

  test.each<{
    why: string;
    pools: readonly PoolConfig[];
    wish: Parameters<typeof balancer>[0];
    gets: readonly string[] | string;
  }>([
    {
      why: 'the lower priority number goes first',
      pools: [pool('b', ['10.0.1.1'], { priority: 5 }), pool('a', ['10.0.0.1'])],
      wish: {},
      gets: ['10.0.0.1'],
    },
    {
      why: 'a pool that gives nothing unasked is passed over',
      pools: [pool('a', ['10.0.0.1'], { autoAssign: false }), pool('b', ['10.0.1.1'])],
      wish: {},
      gets: ['10.0.1.1'],
    },
    {
      why: 'and used when it is named',
      pools: [pool('a', ['10.0.0.1'], { autoAssign: false })],
      wish: { pool: 'a' },
      gets: ['10.0.0.1'],
    },
    {
      why: 'or when its address is',
      pools: [pool('a', ['10.0.0.1'], { autoAssign: false })],
      wish: { requested: ['10.0.0.1'] },
      gets: ['10.0.0.1'],
    },
    { why: 'only such pools', pools: [pool('a', ['10.0.0.1'], { autoAssign: false })], wish: {}, gets: 'PoolNotAllowed' },
    {
      why: 'namespaces decide',
      pools: [pool('a', ['10.0.0.1'], { namespaces: ['prod'] }), pool('b', ['10.0.1.1'])],
      wish: { namespace: 'prod' },
      gets: ['10.0.0.1'],
    },
    {
      why: 'also against',
      pools: [pool('a', ['10.0.0.1'], { namespaces: ['prod'] })],
      wish: { requested: ['10.0.0.1'] },
      gets: 'PoolNotAllowed',
    },
    {
      why: 'and by the name of the pool',
      pools: [pool('a', ['10.0.0.1'], { namespaces: ['prod'] })],
      wish: { pool: 'a' },
      gets: 'PoolNotAllowed',
    },
    {
      why: 'labels decide',
      pools: [pool('a', ['10.0.0.1'], { serviceSelector: { tier: 'web' } })],
      wish: { labels: { tier: 'web' } },
      gets: ['10.0.0.1'],
    },
    { why: 'no such pool', pools: small, wish: { pool: 'nope' }, gets: 'PoolUnknown' },
    { why: 'not an address', pools: small, wish: { requested: ['10.0.0'] }, gets: 'AddressInvalid' },
    { why: 'in no pool', pools: small, wish: { requested: ['10.9.9.9'] }, gets: 'AddressNotInPool' },
    {
      why: 'in another pool than the one that is named',
      pools: [...small, pool('b', ['10.1.0.1'])],
      wish: { requested: ['10.1.0.1'], pool: 'small' },
      gets: 'AddressNotInPool',
    },
    {
      why: 'a second spelling is the same address',
      pools: [pool('six', ['fd00::1-fd00::9'])],
      wish: { families: ['IPv6'], requested: ['FD00:0:0::2'] },
      gets: ['fd00::2'],
    },
    {
      why: 'two addresses asked for are two addresses',
      pools: small,
      wish: { requested: ['10.0.0.3', '10.0.0.1'] },
      gets: ['10.0.0.3', '10.0.0.1'],
    },
    { why: 'IPv6', pools: [...small, pool('six', ['fd00::/64'])], wish: { families: ['IPv6'] }, gets: ['fd00::1'] },
    {
      why: 'dual stack',
      pools: [...small, pool('six', ['fd00::/64'])],
      wish: { families: ['IPv6', 'IPv4'] },
      gets: ['fd00::1', '10.0.0.1'],
    },
    {
      why: 'dual stack demanded where there is no IPv6',
      pools: small,
      wish: { families: ['IPv4', 'IPv6'] },
      gets: 'FamilyUnsupported',
    },
    {
      why: 'dual stack wished for where there is no IPv6',
      pools: small,
      wish: { families: ['IPv4', 'IPv6'], preferDualStack: true },
      gets: ['10.0.0.1'],
    },
    {
      why: 'one family asked for by address, the other found',
      pools: [...small, pool('six', ['fd00::/64'])],
      wish: { families: ['IPv4', 'IPv6'], requested: ['fd00::5'] },
      gets: ['fd00::5', '10.0.0.1'],
    },
    {
      why: 'an address of a family that the Service has not got',
      pools: [pool('six', ['fd00::/64'])],
      wish: { requested: ['fd00::5'] },
      gets: 'FamilyUnsupported',
    },
    { why: 'held is kept', pools: small, wish: { held: ['10.0.0.3'] }, gets: ['10.0.0.3'] },
    {
      why: 'held in a pool that gives nothing unasked is kept',
      pools: [pool('a', ['10.0.0.1'], { autoAssign: false }), pool('b', ['10.0.1.1'])],
      wish: { held: ['10.0.0.1'] },
      gets: ['10.0.0.1'],
    },
    { why: 'held outside every pool is given up', pools: small, wish: { held: ['10.9.9.9'] }, gets: ['10.0.0.1'] },
    {
      why: 'held outside the pool that is named is given up',
      pools: [...small, pool('b', ['10.1.0.1'])],
      wish: { held: ['10.0.0.1'], pool: 'b' },
      gets: ['10.1.0.1'],
    },
    { why: 'garbage held is no address', pools: small, wish: { held: ['what', ''] }, gets: ['10.0.0.1'] },
    {
      why: 'what is asked for beats what is held',
      pools: small,
      wish: { held: ['10.0.0.3'], requested: ['10.0.0.2'] },
      gets: ['10.0.0.2'],
    },
  ])('$why', ({ pools, wish, gets }) => {
    const from = allocator(pools);
    if (typeof gets === 'string') expect(refusalOf(() => assign(from, balancer(wish))).code).toBe(gets);
    else expect(assign(from, balancer(wish))).toEqual(gets);
  });
});

describe('what is taken', () => {
  test('a reserved address is passed over, refused by name, and given up when held', () => {
    const reservedBy = (address: string) => (address === '10.0.0.1' ? 'node n1' : undefined);
    expect(allocator().assign(balancer(), reservedBy, [])).toEqual(['10.0.0.2']);
    expect(allocator().assign(balancer({ held: ['10.0.0.1'] }), reservedBy, [])).toEqual(['10.0.0.2']);
    const refusal = refusalOf(() => allocator().assign(balancer({ requested: ['10.0.0.1'] }), reservedBy, []));
    expect(refusal).toMatchObject({ code: 'AddressReserved', message: expect.stringContaining('node n1') });
  });

  test('an address in use is refused, and the holder named', () => {
    const from = allocator();
    assign(from, balancer({ namespace: 'shop', name: 'old', requested: ['10.0.0.2'] }));
    const refusal = refusalOf(() => assign(from, balancer({ name: 'young', requested: ['10.0.0.2'] })));
    expect(refusal).toMatchObject({ code: 'AddressInUse', message: expect.stringContaining('shop/old') });
    expect(from.addressesOf('default/young')).toEqual([]);
  });

  test('a refusal leaves what the balancer has', () => {
    const from = allocator();
    assign(from, balancer({ name: 'a' }));
    assign(from, balancer({ name: 'b' }));
    expect(refusalOf(() => assign(from, balancer({ name: 'b', requested: ['10.0.0.1'] }))).code).toBe('AddressInUse');
    expect(from.addressesOf('default/b')).toEqual(['10.0.0.2']);
  });

  test('a full pool says how full, and who was refused is told when there is room', () => {
    const from = allocator();
    for (const name of ['a', 'b', 'c']) assign(from, balancer({ name }));
    const refusal = refusalOf(() => assign(from, balancer({ name: 'd' })));
    expect(refusal).toMatchObject({ code: 'PoolExhausted', message: expect.stringContaining('small: 3 of 3 in use') });
    expect(from.release('default/b', [])).toEqual(['default/d']);
    expect(assign(from, balancer({ name: 'd' }))).toEqual(['10.0.0.2']);
    expect(from.release('default/c', [])).toEqual([]);
  });

  test('an address with an open listener is not given to others before it is closed', () => {
    const from = allocator();
    assign(from, balancer({ name: 'a', requested: ['10.0.0.1'] }));
    const bound = [{ address: '10.0.0.1', port: '80/TCP' }];
    from.assign(balancer({ name: 'a', requested: ['10.0.0.2'] }), free, bound);
    expect(refusalOf(() => assign(from, balancer({ name: 'b', requested: ['10.0.0.1'] }))).code).toBe('AddressInUse');
    expect(from.settle('default/a', [])).toEqual(['default/b']);
    expect(assign(from, balancer({ name: 'b', requested: ['10.0.0.1'] }))).toEqual(['10.0.0.1']);
  });
});

describe('ports of one address', () => {
  const one = [pool('one', ['10.0.0.1'], { sharePorts: true })];

  test('balancers with different ports share it, and with the same port do not', () => {
    const from = allocator(one);
    expect(assign(from, balancer({ name: 'a', ports: [{ port: 80 }] }))).toEqual(['10.0.0.1']);
    expect(assign(from, balancer({ name: 'b', ports: [{ port: 80, protocol: 'UDP' }, { port: 443 }] }))).toEqual(['10.0.0.1']);
    const refusal = refusalOf(() => assign(from, balancer({ name: 'c', ports: [{ port: 443 }], requested: ['10.0.0.1'] })));
    expect(refusal).toMatchObject({ code: 'AddressInUse', message: expect.stringMatching(/443\/TCP.*default\/b/) });
    expect(refusalOf(() => assign(from, balancer({ name: 'c', ports: [{ port: 443 }] }))).code).toBe('PoolExhausted');
  });

  test('with portFallback a port that clashes keeps nobody away, but an address without a clash goes first', () => {
    const from = allocator([pool('two', ['10.0.0.1-10.0.0.2'], { sharePorts: true })], true);
    const wanted = [80, 81, 80, 80].map((port, i) => balancer({ name: `b${i}`, ports: [{ port }] }));
    const given = wanted.map((each) => assign(from, each));
    expect(given).toEqual([['10.0.0.1'], ['10.0.0.2'], ['10.0.0.2'], ['10.0.0.1']]);
    expect(wanted.map((each) => assign(from, each))).toEqual(given);
  });

  test('with portFallback a port that two have stays taken when the older goes, and both are rebuilt after a start', () => {
    const two = [pool('two', ['10.0.0.1-10.0.0.2'], { sharePorts: true })];
    const [a, b] = ['a', 'b'].map((name, i) =>
      balancer({ name, createdAt: `2026-01-0${i + 1}T00:00:00Z`, requested: ['10.0.0.1'] }),
    );
    const from = allocator(two, true);
    for (const wanted of [a!, b!]) expect(assign(from, wanted)).toEqual(['10.0.0.1']);
    from.release(a!.key, []);
    expect(assign(from, balancer({ name: 'd', ports: [{ port: 81 }] }))).toEqual(['10.0.0.2']);
    expect(assign(from, balancer({ name: 'c' }))).toEqual(['10.0.0.2']); // no clash there
    const rebuilt = allocator(two, true);
    rebuilt.restore(
      [b!, a!].map((wanted) => holding(wanted, ['10.0.0.1'])),
      free,
    );
    expect(rebuilt.keys()).toEqual([a!.key, b!.key]);
  });

  test('with portFallback an address that is not shared still belongs to one', () => {
    const from = allocator([pool('one', ['10.0.0.1'])], true);
    assign(from, balancer({ name: 'a' }));
    expect(refusalOf(() => assign(from, balancer({ name: 'b' }))).code).toBe('PoolExhausted');
  });

  test('an unused address goes before a shared one', () => {
    const from = allocator([pool('two', ['10.0.0.1-10.0.0.2'], { sharePorts: true })]);
    const names = ['a', 'b', 'c'].map((name, i) => assign(from, balancer({ name, ports: [{ port: 80 + i }] })));
    expect(names).toEqual([['10.0.0.1'], ['10.0.0.2'], ['10.0.0.1']]);
  });

  test('a new port that somebody has is refused, also after a restart; nobody moves', () => {
    const a = balancer({ name: 'a', ports: [{ port: 80 }] });
    const b = balancer({ name: 'b', ports: [{ port: 81 }, { port: 80 }], createdAt: '2026-01-02T00:00:00Z' });
    const from = allocator([pool('two', ['10.0.0.1', '10.0.0.9'], { sharePorts: true })]);
    const held = ['10.0.0.1'];
    from.restore([holding(b, held), holding(a, held)], free);
    expect(refusalOf(() => assign(from, holding(b, held))).code).toBe('AddressInUse');
    expect(assign(from, holding(a, held))).toEqual(held);
    expect(from.addressesOf('default/b')).toEqual(held);
  });

  test('a port is free again when its listener has closed', () => {
    const from = allocator(one);
    assign(from, balancer({ name: 'a', ports: [{ port: 80 }, { port: 81 }] }));
    const bound = ['80/TCP', '81/TCP'].map((port) => ({ address: '10.0.0.1', port }));
    from.assign(balancer({ name: 'a', ports: [{ port: 80 }] }), free, bound);
    const b = balancer({ name: 'b', ports: [{ port: 81 }] });
    expect(refusalOf(() => assign(from, b)).code).toBe('PoolExhausted');
    expect(from.settle('default/a', bound.slice(0, 1))).toEqual(['default/b']);
    expect(assign(from, b)).toEqual(['10.0.0.1']);
  });
});

describe('after a start', () => {
  test('what is held comes first, then what is asked for, then the rest', () => {
    const from = allocator();
    const auto = balancer({ name: 'auto', createdAt: '2026-01-01T00:00:00Z' });
    const asks = balancer({ name: 'asks', createdAt: '2026-01-02T00:00:00Z', requested: ['10.0.0.1'] });
    const holds = balancer({ name: 'holds', createdAt: '2026-01-03T00:00:00Z', held: ['10.0.0.2'] });
    from.restore([auto, asks, holds], free);
    expect([auto, asks, holds].map((b) => assign(from, b))).toEqual([['10.0.0.3'], ['10.0.0.1'], ['10.0.0.2']]);
  });

  test('of two that claim to hold one address the older keeps it and the younger gets another', () => {
    const from = allocator();
    const old = balancer({ name: 'old', createdAt: '2026-01-01T00:00:00Z', held: ['10.0.0.2'] });
    const copy = balancer({ name: 'copy', createdAt: '2026-01-02T00:00:00Z', held: ['10.0.0.2'] });
    from.restore([copy, old], free);
    expect(assign(from, copy)).toEqual(['10.0.0.3']);
    expect(assign(from, old)).toEqual(['10.0.0.2']);
  });

  test('an address that is published stays with whom it is published for, however old the one is that claims it by an annotation', () => {
    const from = allocator();
    const old = balancer({ name: 'old', createdAt: '2026-01-01T00:00:00Z', held: ['10.0.0.2'] });
    const young = balancer({ name: 'young', createdAt: '2026-01-02T00:00:00Z', held: ['10.0.0.2'], published: ['10.0.0.2'] });
    from.restore([old, young], free);
    expect(assign(from, young)).toEqual(['10.0.0.2']);
    expect(assign(from, old)).toEqual(['10.0.0.3']);
  });

  test('of two that ask for one address the older gets it', () => {
    const from = allocator();
    const old = balancer({ name: 'old', createdAt: '2026-01-01T00:00:00Z', requested: ['10.0.0.2'] });
    const young = balancer({ name: 'young', createdAt: '2026-01-02T00:00:00Z', requested: ['10.0.0.2'] });
    from.restore([young, old], free);
    expect(refusalOf(() => assign(from, young))).toMatchObject({
      code: 'AddressInUse',
      message: expect.stringContaining('default/old'),
    });
  });
});

test('1,000 addresses of a /16, and 1,000 refusals of a full one, do not grow out of hand', () => {
  const from = allocator([pool('wide', ['10.0.0.0/16'])]);
  const begun = process.cpuUsage();
  const given = new Set(Array.from({ length: 1_000 }, (_, i) => assign(from, balancer({ name: `s${i}` }))[0]));
  expect(given.size).toBe(1_000);
  const full = allocator([pool('full', ['10.0.0.1-10.0.3.232'])]);
  for (let i = 0; i < 1_000; i += 1) assign(full, balancer({ name: `s${i}` }));
  for (let i = 0; i < 1_000; i += 1)
    expect(refusalOf(() => assign(full, balancer({ name: `t${i}` }))).code).toBe('PoolExhausted');
  const { user } = process.cpuUsage(begun);
  expect(user / 1_000).toBeLessThan(15_000); // ms; a quarter of a second, and a search that grows with the square takes minutes
});

describe('pools that change', () => {
  const keeping = (pools: readonly PoolConfig[]) => new Allocator(readPools(pools), { portFallback: false, keepsOutside: true });
  const none = () => undefined;

  test('move nobody: what is held is kept, is told, and is nobody else’s; new ones get addresses of the new pools', () => {
    const one = keeping(small);
    expect(one.assign(balancer({ name: 'old' }), none, [])).toEqual(['10.0.0.1']);
    one.usePools(readPools([pool('next', ['10.0.0.1-10.0.0.2'], { namespaces: ['prod'] }), pool('b', ['10.1.0.1'])]));
    expect(one.assign(balancer({ name: 'old' }), none, [])).toEqual(['10.0.0.1']);
    expect(one.outsideOf('default/old')).toEqual(['10.0.0.1']);
    expect(one.assign(balancer({ name: 'new' }), none, [])).toEqual(['10.1.0.1']);
    expect(one.outsideOf('default/new')).toEqual([]);
    expect(one.assign(balancer({ name: 'prod', namespace: 'prod' }), none, [])).toEqual(['10.0.0.2']);
  });

  test.each<{ why: string; wish: BalancerWish }>([
    { why: 'allows disruption', wish: { settings: { allowDisruption: true } } },
    { why: 'names a pool', wish: { pool: 'b' } },
    { why: 'asks for an address', wish: { requested: ['10.1.0.1'] } },
  ])('move a Service that $why', ({ wish }) => {
    const one = keeping(small);
    one.assign(balancer({ name: 'old' }), none, []);
    one.usePools(readPools([pool('b', ['10.1.0.1'])]));
    expect(one.assign(balancer({ name: 'old', ...wish }), none, [])).toEqual(['10.1.0.1']);
  });

  test('change nothing over a restart either', () => {
    const one = keeping([pool('b', ['10.1.0.1'])]);
    const old = balancer({ name: 'old', held: ['10.0.0.1'], published: ['10.0.0.1'] });
    one.restore([old], none);
    expect(one.assign(old, none, [])).toEqual(['10.0.0.1']);
  });

  test('keep nobody at an address that only an annotation claims: its author may have written it', () => {
    const forged = balancer({ name: 'forged', held: ['10.0.0.1'] });
    const after = keeping([pool('b', ['10.1.0.1'])]);
    after.restore([forged], none);
    expect(after.assign(forged, none, [])).toEqual(['10.1.0.1']);
    expect(keeping([pool('b', ['10.1.0.1'])]).assign(forged, none, [])).toEqual(['10.1.0.1']); // nor without a restart
  });

  test('give room to those that waited for it', () => {
    const one = keeping([pool('a', ['10.0.0.1'])]);
    one.assign(balancer({ name: 'a' }), none, []);
    expect(refusalOf(() => one.assign(balancer({ name: 'b' }), none, [])).code).toBe('PoolExhausted');
    expect(one.usePools(readPools([pool('a', ['10.0.0.1-10.0.0.2'])]))).toEqual(['default/b']);
    expect(one.assign(balancer({ name: 'b' }), none, [])).toEqual(['10.0.0.2']);
    expect(refusalOf(() => one.assign(balancer({ name: 'c' }), none, [])).message).toContain('2 of 2 in use');
  });

  test('leave Services at one address together that share it', () => {
    const one = keeping([pool('a', ['10.0.0.1'], { sharePorts: true })]);
    const [a, b] = [balancer({ name: 'a', ports: [{ port: 80 }] }), balancer({ name: 'b', ports: [{ port: 81 }] })];
    for (const each of [a, b]) one.assign(each, none, []);
    one.usePools(readPools([pool('b', ['10.1.0.1'])]));
    for (const each of [a, b]) expect(one.assign(each, none, [])).toEqual(['10.0.0.1']);
  });
});
