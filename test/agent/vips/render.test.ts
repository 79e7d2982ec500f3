import { describe, expect, test } from '@jest/globals';
import {
  anchorOf,
  anchorsOf,
  isPlainInterface,
  judgePath,
  labelOf,
  type PlacedGroup,
  renderKeepalived,
} from '../../../src/agent/vips/render.ts';

const peers = [
  { name: 'b', address: '10.0.0.2' },
  { name: 'a', address: '10.0.0.1' },
  { name: 'c', address: '10.0.0.3' },
];
const group: PlacedGroup = {
  id: 51,
  order: peers,
  addresses: [
    { address: 'fd00::99', interface: 'eth0' },
    { address: '10.0.0.99', interface: 'eth0' },
    { address: '10.9.0.99', interface: 'uplink-of-ten' },
  ],
};
const settings = { self: peers[1]!, family: 'IPv4', interface: 'eth0', runDir: '/run/x', advertMs: 250, former: [] } as const;

const golden = `global_defs {
  router_id 10.0.0.1
  vrrp_version 3
  script_user root
  vrrp_notify_fifo /run/x/events
  vrrp_garp_master_repeat 3
  vrrp_garp_master_delay 1
  vrrp_garp_master_refresh 5
  vrrp_garp_lower_prio_repeat 1
}
track_file nplb_51 {
  file /run/x/group-51
  weight 1
}
vrrp_instance nplb_51 {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority 234
  advert_int 0.25
  accept
  unicast_src_ip 10.0.0.1
  unicast_peer {
    10.0.0.2
    10.0.0.3
  }
  virtual_ipaddress {
    127.86.82.51/32 dev lo scope host
  }
  virtual_ipaddress_excluded {
    10.0.0.99/32 dev eth0 label eth0:nplb
    10.9.0.99/32 dev uplink-of-ten
    fd00::99/128 dev eth0
  }
  track_interface {
    uplink-of-ten
  }
  track_file {
    nplb_51
  }
}
`;

describe('configuration', () => {
  test('of one group, whole', () => {
    expect(renderKeepalived(settings, [group])).toBe(golden);
  });

  test('is the same text whatever the order of the addresses', () => {
    expect(renderKeepalived(settings, [{ ...group, addresses: [...group.addresses].reverse() }])).toBe(golden);
  });

  test('over IPv6 has an anchor of that family', () => {
    const order = [
      { name: 'a', address: 'fd00::1' },
      { name: 'b', address: 'fd00::2' },
    ];
    const text = renderKeepalived({ ...settings, self: order[0]!, family: 'IPv6' }, [{ ...group, order }]);
    expect(text).toContain('  native_ipv6\n');
    expect(text).toContain('    fe80::5652:33/128 dev lo\n');
    expect(text).toContain('  unicast_src_ip fd00::1\n  unicast_peer {\n    fd00::2\n  }\n');
  });

  test('tells agents that have left, each once', () => {
    const text = renderKeepalived({ ...settings, former: ['10.0.0.9', '10.0.0.2', '10.0.0.1'] }, [group]);
    expect(text).toContain('  unicast_peer {\n    10.0.0.2\n    10.0.0.3\n    10.0.0.9\n  }\n');
  });

  test('of an agent without others still names a peer, or it would speak to every router of the segment', () => {
    const text = renderKeepalived(settings, [{ ...group, order: [peers[1]!] }]);
    expect(text).toContain('  unicast_peer {\n    127.0.0.1\n  }\n');
  });
});

test('labels fit into the kernel, or there is none', () => {
  expect([labelOf('eth0'), labelOf('enp0s31f6x'), labelOf('enp0s31f6xy')]).toEqual(['eth0:nplb', 'enp0s31f6x:nplb', undefined]);
});

test('each id has anchors of its own', () => {
  const all = anchorsOf({ first: 1, last: 255 });
  expect(new Set(all).size).toBe(510);
  expect(all).toContain(anchorOf(255, 'IPv6'));
});

test('what keepalived would misread is refused', () => {
  expect(['/var/lib/nodeport-lb/vips', '/run/x_1.2,@:+-'].map(judgePath)).toEqual([undefined, undefined]);
  const bad = ['relative', '/with space', '/quo"te', '/brace{', '/dollar$', '/hash#', '/bang!', '/'];
  expect(bad.filter((path) => judgePath(path) === undefined)).toEqual([]);
  expect(['eth0', 'br-lan', 'wg0.12', 'eth0@if5'].every(isPlainInterface)).toBe(true);
  expect(['a b', '{', '', 'sixteencharacter', 'eth0:1'].some(isPlainInterface)).toBe(false);
});
