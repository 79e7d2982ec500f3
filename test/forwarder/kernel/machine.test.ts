import { describe, expect, test } from '@jest/globals';
import { atMost, groupsOf, parseTracked, type Tracked, takesMany } from '../../../src/forwarder/kernel/conntrack.ts';
import { parseCounted } from '../../../src/forwarder/kernel/counted.ts';
import { needOfUserspace, sourcesOf } from '../../../src/forwarder/kernel/needs.ts';
import { faultOf } from '../../../src/forwarder/kernel/nft.ts';
import { heldIn, isHeld } from '../../../src/forwarder/kernel/surroundings.ts';
import { olderWallsIn, unreadWalls, wallsIn } from '../../../src/forwarder/kernel/walls.ts';
import { choosePath } from '../../../src/forwarder/paths.ts';
import type { RuleListener, RuleNode } from '../../../src/forwarder/rules.ts';
import { listener } from '../builders.ts';

const web = (part: Partial<RuleListener> = {}) => listener({ address: '192.0.2.1', port: 80, nodePort: 30_080, ...part });
const entry = (rule: RuleNode) => ({ id: rule.id, slot: 0, rule, addresses: rule.addresses });
const node = entry({ id: 'n1', addresses: ['10.0.0.1'] });
const machine = { own: new Set(['192.0.2.1', '10.0.0.9']), forwards: new Set([4, 6] as const) };

describe('what the kernel tracks', () => {
  const udp =
    'udp      17 29 src=10.9.1.2 dst=10.9.1.100 sport=1234 dport=53 [UNREPLIED] src=10.9.2.2 dst=10.9.2.1 sport=30053 dport=1234 mark=0 use=1';
  const tcp =
    'tcp      6 119 TIME_WAIT src=fd00::2 dst=FD00:0::100 sport=9 dport=80 src=fd00::9 dst=fd00::1 sport=8080 dport=9 [ASSURED] mark=0 use=1';
  test('is read', () => {
    expect(parseTracked(`${udp}\n${tcp}\nicmp 1 2 src=1.1.1.1 dst=2.2.2.2 type=8\n\n`)).toEqual([
      {
        protocol: 'udp',
        state: undefined,
        client: '10.9.1.2',
        to: { address: '10.9.1.100', port: 53 },
        from: { address: '10.9.2.2', port: 30_053 },
      },
      {
        protocol: 'tcp',
        state: 'TIME_WAIT',
        client: 'fd00::2',
        to: { address: 'fd00::100', port: 80 },
        from: { address: 'fd00::9', port: 8080 },
      },
    ]);
  });

  const flow = (port: number): Tracked => ({
    protocol: 'udp',
    state: undefined,
    client: '10.9.1.2',
    to: { address: '10.9.1.100', port },
    from: { address: '10.9.2.2', port: 30_000 },
  });
  test('is forgotten once for each listener and target', () => {
    const target = { address: '10.9.2.2', port: 30_000 };
    expect(groupsOf([flow(53), flow(53)])).toEqual([{ protocol: 'udp', address: '10.9.1.100', port: 53, target }]);
  });
  test('is forgotten once for each client where only some may not come any more', () => {
    const flows = [flow(53), { ...flow(53), client: '10.9.1.3' }, flow(53)];
    expect(groupsOf(flows, { isClients: true }).map(({ client }) => client)).toEqual(['10.9.1.2', '10.9.1.3']);
  });
  test('is forgotten by address when there is too much of it', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => flow(i + 1));
    expect(atMost(groupsOf(many))).toEqual([{ protocol: 'udp', address: '10.9.1.100', port: 0 }]);
  });
  test.each([
    ['conntrack v1.4.6 (conntrack-tools)', false],
    ['conntrack v1.4.7 (conntrack-tools)', true],
    ['conntrack v1.5.0 (conntrack-tools)', true],
    ['conntrack v2.0.0 (conntrack-tools)', true],
    ['conntrack v1.3.9 (conntrack-tools)', false],
    ['', false],
  ])('by %j many at once: %j', (said, isSo) => expect(takesMany(said)).toBe(isSo));
});

test('counters are read', () => {
  const text =
    'elements = { 10.9.1.1 . tcp . 80 counter packets 2 bytes 120 : goto t1,\n fd00::1 . udp . 53 counter packets 3 bytes 9 }';
  expect([...parseCounted(text)]).toEqual([
    ['10.9.1.1 . tcp . 80', { packets: 2, bytes: 120 }],
    ['fd00::1 . udp . 53', { packets: 3, bytes: 9 }],
  ]);
});

test.each([
  { why: 'no such command', code: 'ENOENT', stderr: '', fault: 'NftMissing' },
  {
    why: 'no rights',
    code: 1,
    stderr: 'netlink: Error: cache initialization failed: Operation not permitted',
    fault: 'NetAdminMissing',
  },
  { why: 'anything else', code: 1, stderr: 'Error: Could not process rule: No such file or directory', fault: 'KernelRefused' },
])('nft fails: $why', ({ code, stderr, fault }) => expect(faultOf(stderr, code).code).toBe(fault));

describe('ports that are held', () => {
  const table = `  sl  local_address rem_address   st
   0: 0100007F:1F90 00000000:0000 0A 0
   1: 00000000:0016 00000000:0000 0A 0
   2: 0500000A:0050 0600000A:1234 01 0
   3: 000000FD000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 0`;
  const held = new Set(heldIn(table, 'tcp').map((place) => `tcp ${place}`));
  test.each([
    { address: '127.0.0.1', port: 8080, is: true },
    { address: '10.0.0.5', port: 22, is: true },
    { address: '10.0.0.5', port: 80, is: false },
    { address: '127.0.0.2', port: 8080, is: false },
    { address: 'fd00::1', port: 443, is: true },
    { address: 'fd00::1:0:0', port: 443, is: false },
  ])('$address $port: $is', ({ address, port, is }) => expect(isHeld(held, 'tcp', address, port)).toBe(is));
});

describe('what needs userspace', () => {
  test.each<{ why: string; rule?: Partial<RuleListener>; node?: RuleNode; need: RegExp | undefined }>([
    { why: 'nothing special', need: undefined },
    { why: 'PROXY protocol', rule: { proxyProtocol: 'v2' }, need: /PROXY/ },
    { why: 'another try', rule: { retry: true }, need: /another target is tried .* by userspace alone/ },
    { why: 'another try of SCTP, which userspace has not', rule: { retry: true, protocol: 'SCTP' }, need: undefined },
    { why: 'a chosen port', rule: { port: 0 }, need: /socket/ },
    { why: 'a loopback address', rule: { address: '127.0.0.1' }, need: /loopback/ },
    { why: 'all addresses', rule: { address: '::' }, need: /every address/ },
    { why: 'a link-local address', rule: { address: 'fe80::1%eth0' }, need: /one link/ },
    { why: 'targets of another family', node: { id: 'n', addresses: ['fd00::1'] }, need: /families/ },
    { why: 'loopback targets', node: { id: 'n', addresses: ['127.0.0.1'] }, need: /loopback/ },
    { why: 'only this machine’s NodePort', node: { id: 'n', addresses: ['10.0.0.9'] }, need: /this very machine/ },
    { why: 'a process of this machine', node: { id: 'n', addresses: ['10.0.0.9'], port: 80 }, need: undefined },
  ])('$why', ({ rule, node: other, need }) => {
    const found = needOfUserspace(web(rule), [other ? entry(other) : node], machine.own);
    if (need) expect(found).toMatch(need);
    else expect(found).toBeUndefined();
  });
});

describe('the data path', () => {
  const paths = { asked: 'auto', fault: undefined, table: 't', countBytes: true, keepRules: false } as const;
  const missing = { code: 'NftMissing', message: 'the command nft is not installed' } as const;
  test('is the kernel where it can be', () =>
    expect(choosePath(paths, web(), [node], machine)).toEqual({ datapath: 'nftables' }));
  test('is userspace without rights, and says why', () => {
    expect(choosePath({ ...paths, fault: missing }, web(), [node], machine)).toMatchObject({
      datapath: 'userspace',
      why: expect.stringContaining('nft'),
    });
  });
  test('is userspace where the machine does not forward', () => {
    expect(choosePath(paths, web(), [node], { ...machine, forwards: new Set() }).why).toContain('net.ipv4.ip_forward');
  });
  test('is userspace where a firewall drops what is forwarded, in that family alone', () => {
    const docker = 'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n';
    const walls = wallsIn(docker);
    expect(walls).toEqual({ 4: 'chain FORWARD in table ip filter' });
    expect(wallsIn(docker.replace('table ip ', 'table inet '))[6]).toBe('chain FORWARD in table inet filter');
    expect(wallsIn(docker.replace('policy drop', 'policy accept'))).toEqual({});
    expect(wallsIn(docker.replace('hook forward', 'hook input'))).toEqual({});
    expect(choosePath({ ...paths, walls }, web(), [node], machine)).toEqual({
      datapath: 'userspace',
      why: expect.stringContaining('chain FORWARD in table ip filter'),
    });
    expect(choosePath({ ...paths, walls: { 6: 'x' } }, web(), [node], machine)).toEqual({ datapath: 'nftables' });
  });
  test('is userspace where the older iptables drops what is forwarded; where that cannot be read somebody is told', () => {
    const saved = (policy: string) => `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ${policy} [7:420]\n:OUTPUT DROP [0:0]\nCOMMIT\n`;
    const walls = olderWallsIn({ 4: saved('DROP'), 6: saved('ACCEPT') });
    expect(walls).toEqual({ 4: 'chain FORWARD of iptables-legacy' });
    expect(choosePath({ ...paths, walls }, web(), [node], machine).why).toContain('policy of chain FORWARD of iptables-legacy');
    expect(unreadWalls({ 4: saved('DROP'), 6: '' })).toEqual([]);
    expect(olderWallsIn({ 4: '', 6: undefined })).toEqual({});
    expect(unreadWalls({ 4: '', 6: undefined })).toEqual([expect.stringContaining('ip6tables-legacy-save is not installed')]);
  });
  test('is userspace for session affinity where nft does not take the rules of it, and the kernel for all the rest', () => {
    const staying = { code: 'KernelRefused', message: 'nft did not take the rules' } as const;
    const found = choosePath({ ...paths, staying }, web({ affinitySeconds: 60 }), [node], machine);
    expect(found).toEqual({ datapath: 'userspace', why: expect.stringContaining('session affinity') });
    expect(choosePath({ ...paths, staying }, web(), [node], machine)).toEqual({ datapath: 'nftables' });
    expect(choosePath(paths, web({ affinitySeconds: 60 }), [node], machine)).toEqual({ datapath: 'nftables' });
  });
  test('is not changed when one was asked for', () => {
    const asked = { ...paths, asked: 'nftables' } as const;
    expect(choosePath(asked, web({ proxyProtocol: 'v1' }), [node], machine).fault?.code).toBe('NeedsUserspace');
    expect(choosePath({ ...asked, fault: missing }, web(), [node], machine).fault).toBe(missing);
  });
});

test('source ranges of one family; an interval of everything is none', () => {
  expect(sourcesOf(web({ sourceRanges: [' 10.0.0.0/8', 'fd00::/8'] }), 4)).toEqual(['10.0.0.0/8']);
  expect(sourcesOf(web({ sourceRanges: ['fd00::/8'] }), 4)).toEqual([]);
  expect(sourcesOf(web({ sourceRanges: ['10.0.0.0/8', '0.0.0.0/0'] }), 4)).toBeUndefined();
  expect(sourcesOf(web(), 4)).toBeUndefined();
});
