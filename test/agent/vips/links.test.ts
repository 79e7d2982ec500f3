import { describe, expect, test } from '@jest/globals';
import { type Link, leftoversOf, placeVip, readLinks } from '../../../src/agent/vips/links.ts';
import { readNeighbours } from '../../../src/forwarder/neighbours.ts';

const link = (name: string, ...addresses: string[]): Link => ({
  name,
  addresses: addresses.map((text) => {
    const [address, prefix] = text.split('/') as [string, string];
    return { address, prefix: Number(prefix) };
  }),
});
const links = [link('lo', '127.0.0.1/8', '::1/128'), link('eth0', '10.0.0.1/24', 'fd00::1/64'), link('wan', '10.0.0.1/8')];

describe('reading what ip says', () => {
  test('interfaces and addresses', () => {
    const json = JSON.stringify([
      { ifindex: 1, ifname: 'lo', addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, label: 'lo' }] },
      { ifindex: 2, ifname: 'eth0', operstate: 'DOWN', addr_info: [{ family: 'inet6', local: 'fe80::1', prefixlen: 64 }, {}] },
      { ifindex: 3, ifname: 'wg0' },
    ]);
    expect(readLinks(json)).toEqual([
      { name: 'lo', addresses: [{ address: '127.0.0.1', prefix: 8, label: 'lo' }] },
      { name: 'eth0', addresses: [{ address: 'fe80::1', prefix: 64 }] },
      { name: 'wg0', addresses: [] },
    ]);
  });

  test('neighbours that answered', () => {
    const json = JSON.stringify([
      { dst: '10.0.0.9', dev: 'eth0', lladdr: '52:54:00:00:00:09', state: ['REACHABLE'] },
      { dst: '10.0.0.8', dev: 'eth0', lladdr: '52:54:00:00:00:08', state: ['STALE'] },
      { dst: '10.0.0.7', dev: 'eth0', state: ['FAILED'] },
      { dst: '10.0.0.6', dev: 'eth0', lladdr: '52:54:00:00:00:06', state: ['INCOMPLETE'] },
    ]);
    expect([...readNeighbours(json).keys()]).toEqual(['10.0.0.9', '10.0.0.8']);
  });

  test.each(['', 'not JSON', '{}', 'null', '[null, 1, {"ifname": 2}]'])('nothing out of %j', (json) => {
    expect(readLinks(json)).toEqual([]);
    expect(readNeighbours(json).size).toBe(0);
  });
});

describe('placing an address', () => {
  test('on the interface with the narrowest subnet that has it', () => {
    expect(placeVip('10.0.0.99', links, [])).toEqual({ address: '10.0.0.99', interface: 'eth0' });
    expect(placeVip('10.7.0.99', links, [])).toEqual({ address: '10.7.0.99', interface: 'wan' });
    expect(placeVip('fd00::99', links, [])).toEqual({ address: 'fd00::99', interface: 'eth0' });
  });

  test('or on the one that was chosen', () => {
    expect(placeVip('192.0.2.1', links, [], 'wan')).toEqual({ address: '192.0.2.1', interface: 'wan' });
    expect(placeVip('192.0.2.1', links, [], 'eth9')).toMatchObject({ code: 'InterfaceMissing' });
  });

  test('not where no subnet has it: nobody would ask for it there', () => {
    expect(placeVip('192.0.2.1', links, [])).toEqual({
      code: 'AddressOffLink',
      message: "192.0.2.1 is in no subnet of this machine's interfaces (there are: eth0, wan)",
    });
    expect(placeVip('127.0.0.9', links, [])).toMatchObject({ code: 'AddressOffLink' });
  });

  test('not where it is already, unless it is ours', () => {
    const held = [link('eth0', '10.0.0.1/24', '10.0.0.99/32')];
    const ours = [{ address: '10.0.0.99', interface: 'eth0' }];
    expect(placeVip('10.0.0.99', held, [])).toMatchObject({ code: 'AddressDuplicate' });
    expect(placeVip('10.0.0.99', held, ours)).toEqual(ours[0]);
    expect(placeVip('10.0.0.1', held, [{ address: '10.0.0.1', interface: 'eth0' }])).toMatchObject({ code: 'AddressDuplicate' });
  });
});

describe('what is left over', () => {
  const held: readonly Link[] = [
    {
      name: 'eth0',
      addresses: [
        { address: '10.0.0.1', prefix: 24, label: 'eth0' },
        { address: '10.0.0.98', prefix: 32, label: 'eth0:nplb' },
        { address: '10.0.0.99', prefix: 32, label: 'eth0' },
        { address: 'fd00::99', prefix: 128 },
        { address: 'fd00::98', prefix: 128 },
      ],
    },
    { name: 'lo', addresses: [{ address: '127.86.82.7', prefix: 32, label: 'lo' }] },
  ];

  test('is what the record says, what has our label, and anchors', () => {
    const record = [
      { address: 'fd00::99', interface: 'eth0' },
      { address: '10.0.0.1', interface: 'eth0' }, // not as we put it: it has a subnet
      { address: 'fd00::98', interface: 'eth1' },
    ];
    expect(leftoversOf(held, record, ['127.86.82.7']).map((one) => one.address)).toEqual([
      '10.0.0.98',
      'fd00::99',
      '127.86.82.7',
    ]);
  });
});
