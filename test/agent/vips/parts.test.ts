import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { FitnessRecord, servedOf } from '../../../src/agent/vips/fitness.ts';
import { Former } from '../../../src/agent/vips/former.ts';
import { lend } from '../../../src/agent/vips/loans.ts';
import { readEvent, readLogLine, readRival } from '../../../src/agent/vips/log-line.ts';
import { lackingCapabilities } from '../../../src/agent/vips/means.ts';
import { judgeRecord, VipRecord } from '../../../src/agent/vips/record.ts';
import { holdingsOf, recordOf, stageVips, whomToAsk } from '../../../src/agent/vips/stage.ts';

describe('fitness', () => {
  const HOLD = 1_000;
  const at = (record: FitnessRecord, ...times: number[]) => times.map((ms) => record.of(7, ms));

  test('waits after the start, then counts', () => {
    const record = new FitnessRecord(HOLD, 0);
    record.see(7, 'all', 10);
    expect(at(record, 10, 999, 1_000)).toEqual(['waiting', 'waiting', 'full']);
    expect([record.nextMs(10), record.nextMs(1_000)]).toEqual([1_000, undefined]);
  });

  test('a new group need not wait: nobody has it yet', () => {
    const record = new FitnessRecord(HOLD, 0);
    record.see(7, 'some', 5_000);
    expect(at(record, 5_000)).toEqual(['partly']);
  });

  test('worse counts at once, better after a wait', () => {
    const record = new FitnessRecord(HOLD, 0);
    for (const [ms, served] of [
      [2_000, 'all'],
      [2_100, 'none'],
      [2_200, 'some'],
    ] as const)
      record.see(7, served, ms);
    expect(at(record, 2_150, 2_200, 3_199, 3_200)).toEqual(['waiting', 'waiting', 'waiting', 'partly']);
    record.see(7, 'all', 4_000);
    expect(at(record, 4_000, 4_999, 5_000)).toEqual(['partly', 'partly', 'full']);
    record.see(7, 'none', 6_000);
    expect(at(record, 6_000)).toEqual(['not']);
  });

  test('an interface that is down waits from its return on', () => {
    const record = new FitnessRecord(HOLD, 0);
    record.see(7, 'all', 0);
    record.lost(7);
    expect(at(record, 60_000)).toEqual(['waiting']);
    record.found(7, 60_000);
    expect(at(record, 60_999, 61_000)).toEqual(['waiting', 'full']);
    record.found(7, 62_000); // it never went
    expect(at(record, 62_000)).toEqual(['full']);
  });

  test('whoever leaves is fit for nothing, nor is it for what is forgotten', () => {
    const record = new FitnessRecord(0, 0);
    record.see(7, 'all', 1);
    record.keepOnly(new Set());
    expect(at(record, 1)).toEqual(['not']);
    record.see(7, 'all', 1);
    record.leave();
    expect(at(record, 1)).toEqual(['not']);
  });

  test('served is all, some or none', () => {
    expect([servedOf([true, true]), servedOf([true, false]), servedOf([false])]).toEqual(['all', 'some', 'none']);
  });
});

test('an agent that speaks without being in the list is told like one that left', () => {
  const former = new Former();
  former.see(['a'], 0);
  for (const address of ['a', 'x']) former.add(address, 1_000);
  expect([former.has('a'), former.has('x'), former.has('y')]).toEqual([true, true, false]);
  expect([former.see(['a'], 3_600_999), former.see(['a'], 3_601_000)]).toEqual([['x'], []]);
});

test('agents that left are told for an hour, and no longer once they are back', () => {
  const former = new Former();
  expect(former.see(['a', 'b'], 0)).toEqual([]);
  expect(former.see(['a'], 1_000)).toEqual(['b']);
  expect(former.see(['a'], 3_600_999)).toEqual(['b']);
  expect(former.see(['a'], 3_601_000)).toEqual([]);
  expect(former.see([], 4_000_000)).toEqual(['a']);
  expect(former.see(['a'], 4_000_001)).toEqual([]);
  former.see(
    Array.from({ length: 200 }, (_, i) => `x${i}`),
    5_000_000,
  );
  expect(former.see([], 5_000_001)).toHaveLength(64);
});

describe('what keepalived says', () => {
  test.each([
    ['Sat Nov  1 02:43:13 2026: Netlink reports eth0 down', 'info', 'Netlink reports eth0 down'],
    ['Sat Nov 21 02:43:13 2026: (nplb_7) Entering MASTER STATE', 'debug', '(nplb_7) Entering MASTER STATE'],
    ["Sat Nov 21 02:43:13 2026: Unable to open config file '/x'", 'warn', "Unable to open config file '/x'"],
    ['keepalived: error while loading shared libraries', 'warn', 'keepalived: error while loading shared libraries'],
  ])('%s', (line, level, text) => expect(readLogLine(line)).toEqual({ level, text }));

  test('nothing is nothing', () =>
    expect([readLogLine(''), readLogLine('Sat Nov 21 02:43:13 2026:  ')]).toEqual([undefined, undefined]));

  test('who has not heard us', () => {
    const said = '(nplb_7) Received advert from 10.0.0.3 with lower priority 210, ours 248, forcing new election';
    expect([said, 'Received advert from x with lower priority 1', ''].map(readRival)).toEqual(['10.0.0.3', undefined, undefined]);
  });

  test('events of our groups', () => {
    expect(readEvent('INSTANCE "nplb_7" MASTER 250\n')).toEqual({ id: 7, state: 'MASTER' });
    expect(['INSTANCE "other" MASTER 250', 'GROUP "nplb_7" MASTER', '', 'INSTANCE "nplb_7"'].map(readEvent)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test('an address is lent with its own label, and one of IPv6 stays deprecated', () => {
  const lines = ['10.0.0.9', 'fd00::9'].map((address) => lend({ address, interface: 'eth0' }));
  expect(lines).toEqual([
    'addr change 10.0.0.9/32 dev eth0 label eth0:nplb valid_lft 1 preferred_lft 1',
    'addr change fd00::9/128 dev eth0 valid_lft 1 preferred_lft 0',
  ]);
});

test('capabilities that are lacking', () => {
  expect(lackingCapabilities('Name:\tnode\nCapEff:\t000001ffffffffff\n')).toEqual([]);
  expect(lackingCapabilities('CapEff:\t0000000000001000\n')).toEqual(['NET_RAW']);
  expect(lackingCapabilities('')).toEqual(['NET_ADMIN', 'NET_RAW']);
});

describe('the record', () => {
  test('is read back as it was written, and what is no record of ours is none', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nplb-record-'));
    try {
      expect(new VipRecord(directory).placed).toEqual([]);
      const placed = [{ address: '10.0.0.9', interface: 'eth0' }];
      await new VipRecord(directory).write(placed);
      expect(new VipRecord(directory).placed).toEqual(placed);
      writeFileSync(join(directory, 'addresses.json'), '{"version":1,"pla');
      expect(new VipRecord(directory).placed).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('entries that are not ours are left out', () => {
    const placed = [
      { address: '10.0.0.9', interface: 'eth0' },
      { address: '10.0.0.9; rm', interface: 'eth0' },
      { address: '::1', interface: 'a b' },
      null,
      7,
    ];
    expect(judgeRecord({ version: 1, placed })).toEqual([placed[0]]);
    expect([judgeRecord({ version: 2, placed }), judgeRecord(null), judgeRecord([]), judgeRecord({ version: 1 })]).toEqual([
      [],
      [],
      [],
      [],
    ]);
  });
});

describe('the scene', () => {
  const links = [{ name: 'eth0', addresses: [{ address: '10.0.0.1', prefix: 24 }] }];
  const agents = [
    { name: 'a', addresses: ['10.0.0.1'] },
    { name: 'b', addresses: ['10.0.0.2'] },
  ];
  const staging = {
    agents,
    addresses: ['10.0.0.99', '10.0.0.98'],
    self: 'a',
    ids: { first: 1, last: 255 },
    links,
    ours: [],
    strangers: new Map<string, string>(),
  };
  const codes = (scene: ReturnType<typeof stageVips>) =>
    Object.fromEntries([...scene.failures].map(([address, { code }]) => [address, code]));

  test('has who we are, and every group that can be placed', () => {
    const scene = stageVips(staging);
    expect(scene.as).toEqual({ self: { name: 'a', address: '10.0.0.1' }, family: 'IPv4', interface: 'eth0' });
    expect(scene.groups.flatMap((group) => group.addresses.map((one) => one.address)).sort()).toEqual(['10.0.0.98', '10.0.0.99']);
    expect(scene.failures.size).toBe(0);
  });

  test('what cannot be is named, and the rest is as before', () => {
    const scene = stageVips({
      ...staging,
      addresses: [...staging.addresses, '192.0.2.1'],
      strangers: new Map([['10.0.0.98', '52:54:00:00:00:08']]),
    });
    expect(codes(scene)).toEqual({ '192.0.2.1': 'AddressOffLink', '10.0.0.98': 'AddressDuplicate' });
    expect(scene.groups).toHaveLength(1);
    const holdings = holdingsOf(['10.0.0.99', '10.0.0.98'], scene, new Set(['10.0.0.99']));
    expect([...holdings.values()].map(({ state }) => state)).toEqual(['held', 'failed']);
  });

  test('strangers are asked for where each other agent is known by an address of its own', () => {
    const eth1 = { name: 'eth1', addresses: [{ address: '10.1.0.1', prefix: 24 }] };
    const scenes = (ofB: readonly string[]) => {
      const wide = {
        ...staging,
        agents: [
          { name: 'a', addresses: ['10.0.0.1', '10.1.0.1'] },
          { name: 'b', addresses: ofB },
        ],
      };
      const both = { ...wide, addresses: ['10.0.0.99', '10.1.0.99'], links: [...links, eth1] };
      return whomToAsk(stageVips(both), both);
    };
    const names = ({ asked }: ReturnType<typeof whomToAsk>) => asked.map(({ address }) => address).sort();
    expect(names(scenes(['10.0.0.2', '10.1.0.2']))).toEqual(['10.0.0.99', '10.1.0.99']);
    expect(scenes(['10.0.0.2', '10.1.0.2']).friends).toEqual(expect.arrayContaining(['10.0.0.2', '10.1.0.2']));
    expect(names(scenes(['10.0.0.2', '10.2.0.2']))).toEqual(['10.0.0.99']);
    expect(scenes(['10.0.0.2', '10.2.0.2']).friends).not.toContain('10.2.0.2');
  });

  test('without an agent, without us, without our interface or a common family there is none', () => {
    expect(codes(stageVips({ ...staging, agents: [] }))['10.0.0.99']).toBe('FamilyUnsupported');
    expect(codes(stageVips({ ...staging, self: 'z' }))['10.0.0.99']).toBe('SyncFailed');
    expect(codes(stageVips({ ...staging, links: [] }))['10.0.0.99']).toBe('InterfaceMissing');
    const mixed = stageVips({ ...staging, agents: [agents[0]!, { name: 'b', addresses: ['fd00::2'] }] });
    expect(mixed.failures.get('10.0.0.99')?.message).toBe(
      'the agents (a, b) have no common IP family: of 2, 1 have IPv4 and 1 IPv6',
    );
  });

  test('an agent that is new is not in the list yet: nothing is known, and nothing has failed', () => {
    for (const agents of [[], staging.agents.slice(1)]) {
      const scene = stageVips({ ...staging, agents, isEarly: true });
      expect([scene.groups, codes(scene)]).toEqual([[], {}]);
      expect([...holdingsOf(['10.0.0.99'], scene, new Set()).values()]).toEqual([{ state: 'pending' }]);
    }
    expect(stageVips({ ...staging, isEarly: true }).groups).toHaveLength(stageVips(staging).groups.length);
  });

  test('what has come since it was made is still to be decided', () => {
    const holdings = holdingsOf(['10.0.0.99', '10.0.0.97'], stageVips(staging), new Set());
    expect([...holdings.values()].map(({ state }) => state)).toEqual(['standby', 'pending']);
  });

  test('beyond 1,024 addresses the rest is named', () => {
    const many = Array.from({ length: 1_030 }, (_, i) => `10.0.${4 + Math.floor(i / 250)}.${1 + (i % 250)}`);
    expect(codes(stageVips({ ...staging, addresses: many, chosen: 'eth0' }))).toEqual(
      Object.fromEntries(many.slice(1_024).map((address) => [address, 'NotSupported'])),
    );
  });

  test('the record has what is wanted, and what was and is still on its link', () => {
    const ours = [
      { address: '10.0.0.50', interface: 'eth0' },
      { address: '10.0.0.51', interface: 'eth0' },
    ];
    const here = [{ name: 'eth0', addresses: [{ address: '10.0.0.50', prefix: 32 }] }];
    const wanted = stageVips({ ...staging, addresses: ['10.0.0.99'] }).groups;
    expect(recordOf(wanted, ours, here)).toEqual([{ address: '10.0.0.99', interface: 'eth0' }, ours[0]]);
  });
});
