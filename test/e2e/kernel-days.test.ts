import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { takesMany } from '../../src/forwarder/kernel/conntrack.ts';
import { renderEnd } from '../../src/forwarder/kernel/farewell.ts';
import { RULES_VERSION, type RuleListener, type Rules } from '../../src/forwarder/rules.ts';
import { Hand } from '../contracts/forwarder/world.ts';
import { listener } from '../forwarder/builders.ts';
import { type BalancerNet, forward, makeBalancerNet } from './lab/balancer-net.ts';
import { run, tryRun } from './lab/command.ts';
import { Process } from './lab/process.ts';
import { sendSctpInit } from './lab/sctp.ts';
import { until } from './lab/until.ts';

const PORT = 18_080;
const PATIENCE = { withinMs: 30_000 };

/** Rights, machines and neighbours that are not as they should be. */
describe('bad days of the kernel path', () => {
  let net: BalancerNet;
  let nodePort: number;
  let generation = 0;

  beforeEach(async () => {
    net = await makeBalancerNet();
    nodePort = await net.nodes.do('serve', { addresses: [...net.ipv4.nodes, ...net.ipv6!.nodes], port: 0 });
    generation = 0;
  });
  afterEach(() => net?.end());

  const inside = (...command: readonly string[]) =>
    tryRun('nsenter', [`--net=/run/netns/${net.namespaces.balancer}`, ...command]);
  const web = (part: Partial<RuleListener> = {}) =>
    listener({ address: net.ipv4.listener, port: PORT, nodePort, check: { kind: 'nodePort', intervalMs: 300 }, ...part });
  const rules = (listeners: readonly RuleListener[], more: Partial<Rules> = {}): Rules => ({
    version: RULES_VERSION,
    generation: ++generation,
    nodes: net.ipv4.nodes.map((address) => ({ id: address, addresses: [address] })),
    nodeSets: { all: net.ipv4.nodes },
    listeners,
    ...more,
  });
  const open = (datapath: 'auto' | 'nftables', keepRules = false) =>
    net.balancer.do('open', { datapath, table: net.table, keepRules });
  const state = (id = 'web') => net.balancer.known.listeners.get(id);
  const news = (what: object, id = 'web') =>
    until(
      () => {
        expect(state(id)).toMatchObject(what);
        return true;
      },
      { ...PATIENCE, what: `${id} to be ${JSON.stringify(what)}` },
    );
  const who = (rule = web()) =>
    net.client.do('who', { protocol: rule.protocol as 'TCP' | 'UDP', address: rule.address, port: rule.port });
  const served = (rule = web()) =>
    until(async () => net.ipv4.nodes.includes(await who(rule)), { ...PATIENCE, what: `an answer of ${rule.id}` });
  const tables = async () => (await inside('nft', 'list', 'tables')).stdout;

  test('auto serves each rule where it can be served, and says why', async () => {
    await open('auto');
    const proxy = web({ id: 'proxy', port: PORT + 1, proxyProtocol: 'v1' });
    const here = web({ id: 'here', port: PORT + 2, address: '127.0.0.1' });
    await net.balancer.do('apply', rules([web(), proxy, here]));
    await news({ state: 'listening', datapath: 'nftables', why: 'rights, machine and rule allow it' });
    await news({ state: 'listening', datapath: 'userspace', why: expect.stringContaining('PROXY') }, 'proxy');
    await news({ state: 'listening', datapath: 'userspace', why: expect.stringContaining('loopback') }, 'here');
    await served();
    await served(proxy);
    await net.balancer.do('apply', rules([web({ proxyProtocol: 'v2' }), web({ id: 'proxy', port: PORT + 1 })]));
    await news({ state: 'listening', datapath: 'userspace' });
    await news({ state: 'listening', datapath: 'nftables' }, 'proxy');
    await served(web({ id: 'proxy', port: PORT + 1 }));
    await net.balancer.do('apply', rules([web({ retry: true })]));
    await news({ state: 'listening', datapath: 'userspace', why: expect.stringContaining('another target') });
  });

  test('a rule that asks for another try gets userspace, and a target that refuses costs no client', async () => {
    await open('auto');
    const retry = web({ retry: true });
    await net.balancer.do('apply', rules([retry]));
    await news({ state: 'listening', datapath: 'userspace', why: expect.stringContaining('another target is tried') });
    await served();
    const [gone = '', ...rest] = net.ipv4.nodes;
    await net.nodes.do('stop', { address: gone, port: nodePort });
    for (let i = 0; i < 20; i += 1) expect(rest).toContain(await who());
  });

  test('a rule that goes from one data path to the other and back costs no connection', async () => {
    await open('auto');
    const turn = (retry: boolean) => rules([web({ retry, drainMs: 10_000 })]);
    await net.balancer.do('apply', turn(false));
    await served();
    const answers: string[] = [];
    let isOver = false;
    // Ports of clients and of the forwarder itself are one host's at a target: a SYN that meets an old connection there is sent again.
    const place = { protocol: 'TCP', address: net.ipv4.listener, port: PORT, withinMs: 20_000 } as const;
    const client = async () => {
      while (!isOver) answers.push(await net.client.do('who', place));
    };
    const clients = Promise.all(Array.from({ length: 4 }, client));
    for (let i = 0; i < 20; i += 1) {
      const retry = i % 2 === 0;
      const before = answers.length;
      await net.balancer.do('apply', turn(retry));
      await news({ state: 'listening', datapath: retry ? 'userspace' : 'nftables' });
      await until(() => answers.length >= before + 20, { ...PATIENCE, what: 'clients to be served by the new path' });
    }
    isOver = true;
    await clients;
    expect(answers.filter((answer) => !net.ipv4.nodes.includes(answer))).toEqual([]);
    expect(Object.keys((await net.balancer.do('counters', null)).listeners)).toEqual(['web']);
  });

  test('without forwarding auto takes userspace, and nftables fails by name until it is on', async () => {
    await forward(net.namespaces.balancer, 0);
    await open('auto');
    await net.balancer.do('apply', rules([web()]));
    await news({ state: 'listening', datapath: 'userspace', why: expect.stringContaining('net.ipv4.ip_forward') });
    await served();
    await net.balancer.do('close', 0);
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await news({ state: 'failed', code: 'ForwardingOff', message: expect.stringContaining('net.ipv4.ip_forward') });
    const { stdout } = await inside('sysctl', '-n', 'net.ipv4.ip_forward');
    expect(stdout.trim()).toBe('0'); // never set in silence
    await forward(net.namespaces.balancer, 1);
    await news({ state: 'listening', datapath: 'nftables' });
    await served();
  });

  test('on an address that is ours alone userspace serves its rules, too', async () => {
    await open('auto');
    const { exclusive } = net.ipv4;
    const both = [web({ address: exclusive }), web({ id: 'proxy', address: exclusive, port: PORT + 1, proxyProtocol: 'v1' })];
    await net.balancer.do('apply', rules(both, { exclusive: [exclusive] }));
    for (const rule of both) await served(rule);
  });

  test('rules of an address that is ours alone are in place before the address is', async () => {
    await open('auto');
    const rule = web({ address: '10.91.1.200' });
    await net.balancer.do('apply', rules([rule, web({ id: 'other', address: '10.91.1.201' })], { exclusive: ['10.91.1.200'] }));
    await news({ state: 'listening', datapath: 'nftables' });
    await news({ state: 'failed', code: 'AddressUnavailable' }, 'other');
    for (const last of [200, 201]) await inside('ip', 'addr', 'add', `10.91.1.${last}/24`, 'dev', 'front');
    await served(rule);
    await news({ state: 'listening' }, 'other');
    await served(web({ address: '10.91.1.201' }));
  });

  test('who flushes all rules gets ours back', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served();
    await inside('nft', 'flush', 'ruleset');
    await until(async () => net.ipv4.nodes.includes(await who()), { ...PATIENCE, what: 'the rules to be back' });
    await net.balancer.do('apply', rules([web(), web({ id: 'more', port: PORT + 1 })]));
    await served(web({ port: PORT + 1 }));
  });

  test('what a killed forwarder left goes on until the next one takes over', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web(), web({ id: 'old', port: PORT + 1 })]));
    await served(web({ port: PORT + 1 }));
    const { id } = await net.client.do('hold', { protocol: 'TCP', address: net.ipv4.listener, port: PORT });
    await net.balancer.end();
    expect(net.ipv4.nodes).toContain(await who());
    const next = await Hand.in(net.namespaces.balancer);
    await next.do('open', { datapath: 'nftables', table: net.table });
    await next.do('apply', rules([web()]));
    await until(async () => !net.ipv4.nodes.includes(await who(web({ port: PORT + 1 }))), {
      ...PATIENCE,
      what: 'the old rule to go',
    });
    expect(net.ipv4.nodes).toContain(await who());
    expect(await net.client.do('say', { id, text: 'still there' })).toBe('still there');
    await next.do('close', 0);
    expect(await tables()).toBe('');
    await next.end();
  });

  test('what a killed forward left is removed by --cleanup, and the table of one that lives stays', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'nplb-left-'));
    const start = (name: string, ...args: readonly string[]) =>
      new Process({
        name,
        namespace: net.namespaces.balancer,
        command: process.execPath,
        args: [join(import.meta.dirname, '../../src/bin.js'), ...args],
        logFile: join(directory, `${name}.log`),
      });
    const startForward = (name: string, port: number) =>
      start(name, 'forward', `tcp://${net.ipv4.listener}:${port}`, `${net.ipv4.nodes[0]}:${nodePort}`);
    const [killed, alive] = [startForward('killed', PORT), startForward('alive', PORT + 1)];
    try {
      await served();
      await served(web({ port: PORT + 1 }));
      expect((await tables()).match(/nodeport-lb-forward-/g)).toHaveLength(2);
      await killed.kill();
      const cleaning = start('cleaning', 'forwarder', '--cleanup', '--state-dir', directory);
      expect((await cleaning.exited).code).toBe(0);
      expect(cleaning.log()).toMatch(/removed the nftables table nodeport-lb-forward-\S+ of a forward that was killed/);
      expect((await tables()).match(/nodeport-lb-forward-/g)).toHaveLength(1);
      expect(net.ipv4.nodes).toContain(await who(web({ port: PORT + 1 })));
    } finally {
      await alive.stop(60_000);
      await rm(directory, { recursive: true });
    }
    expect(await tables()).not.toContain('nodeport-lb-forward-');
  });

  test('rules that are kept outlive a forwarder that was stopped', async () => {
    await open('nftables', true);
    await net.balancer.do('apply', rules([web()]));
    await served();
    await net.balancer.do('close', 5_000);
    expect(net.ipv4.nodes).toContain(await who());
    await open('nftables', true);
    await net.balancer.do('apply', rules([]));
    await until(async () => !net.ipv4.nodes.includes(await who()), { ...PATIENCE, what: 'the rule to go' });
  });

  test('rules that are left for a time serve until it is over, and what is established goes on', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served();
    const { id } = await net.client.do('hold', { protocol: 'TCP', address: net.ipv4.listener, port: PORT });
    await net.balancer.do('part', { drainMs: 30_000, parting: { rulesMs: 5_000, servesOn: true } });
    expect(net.ipv4.nodes).toContain(await who());
    await until(async () => !net.ipv4.nodes.includes(await who()), { ...PATIENCE, what: 'the end of the rules' });
    expect(await net.client.do('say', { id, text: 'still there' })).toBe('still there');
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served(); // the next one has no end
    await net.balancer.do('part', { drainMs: 0, parting: { rulesMs: 0, servesOn: true } });
    expect(await tables()).toBe('');
  });

  test('an end that another forwarder has set to the rules of this one is taken away', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served();
    await inside('nft', renderEnd(net.table, Date.now() - 60_000));
    const ends = async () => (await inside('nft', 'list', 'table', 'inet', net.table)).stdout.includes('meta time');
    await until(async () => !(await ends()), { ...PATIENCE, what: 'the end to go' });
    await served();
  });

  test('of a forwarder that has nothing to serve nothing is left', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served();
    await net.balancer.do('apply', rules([]));
    await until(async () => !net.ipv4.nodes.includes(await who()), { ...PATIENCE, what: 'the rule to go' });
    await net.balancer.do('part', { drainMs: 0, parting: { rulesMs: 60_000, servesOn: true } });
    expect(await tables()).toBe('');
  });

  test('another table of the machine is left alone', async () => {
    await inside('nft', 'add table ip theirs { chain c { type filter hook forward priority 0; policy accept; counter; }; }');
    await open('nftables');
    await net.balancer.do('apply', rules([web()]));
    await served();
    await net.balancer.do('close', 0);
    expect((await tables()).trim()).toBe('table ip theirs');
  });

  test('a flow of UDP that began before its rule is sent by it, though it never pauses', async () => {
    await open('nftables');
    await net.balancer.do('apply', rules([web({ id: 'tcp' })]));
    await served(web());
    const dns = web({ id: 'dns', protocol: 'UDP', port: 5_300 });
    const id = await net.client.do('flow', { protocol: 'UDP', address: dns.address, port: dns.port });
    expect(await net.client.do('ask', id)).toBe('timeout');
    await net.balancer.do('apply', rules([web({ id: 'tcp' }), dns]));
    await until(async () => net.ipv4.nodes.includes(await net.client.do('ask', id)), { ...PATIENCE, what: 'an answer' });
  });

  test('many tracked flows are forgotten by one run of the command, and others stay', async () => {
    const ports = Array.from({ length: 30 }, (_, i) => 7_000 + i);
    for (const port of ports) await trackUdp(net.namespaces.balancer, port);
    const conntrack = new URL('../../src/forwarder/kernel/conntrack.ts', import.meta.url).href;
    const program = `
      import { Conntrack } from ${JSON.stringify(conntrack)};
      const conntrack = new Conntrack();
      const ports = ${JSON.stringify(ports.slice(1))};
      await conntrack.forget(ports.map((port) => ({ protocol: 'udp', address: '10.99.1.1', port })), () => true);
      console.log(conntrack.takesMany);`;
    const said = await inside(process.execPath, '--input-type=module', '-e', program);
    const version = await inside('conntrack', '--version');
    expect(said.stdout.trim()).toBe(String(takesMany(version.stdout)));
    const { stdout } = await inside('conntrack', '-L', '-p', 'udp', '--orig-dst', '10.99.1.1');
    expect([...stdout.matchAll(/dport=(7\d+) /g)].map(([, port]) => port)).toEqual(['7000']);
  });

  test('SCTP is translated: a crafted packet arrives at a node', async () => {
    await open('auto');
    const sctp = web({ id: 'sctp', protocol: 'SCTP', check: { kind: 'none' } });
    await net.balancer.do('apply', rules([sctp]));
    await news({ state: 'listening', datapath: 'nftables' }, 'sctp');
    const counting = 'table ip seen { chain c { type filter hook prerouting priority -300; sctp dport 1-65535 counter; }; }';
    await run('nsenter', [`--net=/run/netns/${net.namespaces.nodes}`, 'nft', counting]);
    await sendSctpInit(net.namespaces.client, net.ipv4.listener, PORT);
    const seen = async () => {
      const { stdout } = await run('nsenter', [`--net=/run/netns/${net.namespaces.nodes}`, 'nft', 'list', 'table', 'ip', 'seen']);
      return /packets [1-9]/.test(stdout);
    };
    await until(seen, { ...PATIENCE, what: 'the packet at a node' });
    const { stdout } = await inside('conntrack', '-L', '-p', 'sctp');
    expect(stdout).toContain(`sport=${nodePort}`);
  });

  test('without rights auto takes userspace, and nftables fails by name', async () => {
    const plain = await Hand.in(net.namespaces.balancer, { isNobody: true });
    const tells = (part: object) => {
      expect(plain.known.listeners.get('web')).toMatchObject(part);
      return true;
    };
    for (const [datapath, part] of [
      ['auto', { state: 'listening', datapath: 'userspace', why: expect.stringContaining('CAP_NET_ADMIN') }],
      ['nftables', { state: 'failed', code: 'NetAdminMissing' }],
    ] as const) {
      await plain.do('open', { datapath, table: net.table });
      await plain.do('apply', rules([web()]));
      await until(() => tells(part), { ...PATIENCE, what: `${datapath} to say so` });
      await plain.do('close', 0);
    }
    await plain.end();
  });
});

/** As if a client had sent a datagram to the port of 10.99.1.1. */
async function trackUdp(namespace: string, port: number): Promise<void> {
  const ways = ['-s', '10.99.0.1', '-d', '10.99.1.1', '--sport', '1', '--dport', String(port)];
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'conntrack', '-I', '-p', 'udp', ...ways, '-t', '600']);
}
