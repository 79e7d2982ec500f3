import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type ForwarderOptions, startForwarder } from '../../src/forwarder/forwarder.ts';
import type { Forwarder, RuleListener, RuleNode } from '../../src/forwarder/rules.ts';
import { backends, Cleanup, Known, nodes, listener as ofTcp, open, quiet, rules, until, whoAnswers } from './builders.ts';
import { client, mute, named, same, server, servers } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** Datagrams that may wait unread: what the kernel keeps where nobody has raised its limits, with some to spare. */
const AT_ONCE = 100;

const three = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

function listener(part: Partial<RuleListener> & { nodePort: number }): RuleListener {
  return ofTcp({ id: 'dns', protocol: 'UDP', check: { kind: 'none' }, idleMs: 120_000, ...part });
}

function start(
  part: { nodes?: readonly RuleNode[]; listeners: readonly RuleListener[] },
  options: Partial<ForwarderOptions> = {},
) {
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet, ...options }));
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), ...part }));
  return { known, forwarder };
}

/** Changes listeners, nodes or the node set, from generation 1 to 2. */
function change(
  forwarder: Forwarder,
  part: {
    listeners?: Record<string, RuleListener | null>;
    all?: readonly string[];
    nodes?: Record<string, RuleNode | null>;
  },
): void {
  const nodeSets: Record<string, readonly string[]> = part.all ? { all: part.all } : {};
  forwarder.apply({
    version: 1,
    base: 1,
    generation: 2,
    nodes: part.nodes ?? {},
    nodeSets,
    listeners: part.listeners ?? {},
  });
}

async function sumOf(forwarder: Forwarder) {
  return (await forwarder.counters()).sum;
}

describe('flows', () => {
  test('clients go to the targets in turn, each stays with its own, and answers come from the address that was asked', async () => {
    const [one] = await servers(cleanup, three);
    const { known, forwarder } = start({ nodes: nodes(...three), listeners: [listener({ nodePort: one!.port })] });
    const port = await known.port('dns');
    const counts = new Map<string, number>();
    for (let i = 0; i < 9; i++) {
      const asking = await client(cleanup, port);
      const first = await asking.who();
      expect([await asking.who(), await asking.who()]).toEqual([first, first]);
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ '127.0.0.1': 3, '127.0.0.2': 3, '127.0.0.3': 3 });
    expect(await sumOf(forwarder)).toMatchObject({ connections: 9, active: 9, bytesFromClients: 81, bytesToClients: 351 });
  });

  test.each([0, 1, 1_472, 9_000, 65_507])('a datagram of %i bytes passes whole, both ways', async (size) => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1', 0, same);
    const { known } = start({ listeners: [listener({ nodePort })] });
    const asking = await client(cleanup, await known.port('dns'));
    const datagram = Buffer.alloc(size, 'abcdefg');
    await asking.ask(datagram);
    expect(asking.heard.map((heard) => heard.equals(datagram))).toEqual([true]);
  });

  test('a sender that is never answered is not held up: 2,000 datagrams arrive, in their order', async () => {
    const log = await server(cleanup, '127.0.0.1', 0, mute);
    const { known } = start({ listeners: [listener({ nodePort: log.port })] });
    const syslog = await client(cleanup, await known.port('dns'));
    const lines = Array.from({ length: 2_000 }, (_, i) => `line ${i}`);
    for (let sent = 0; sent < lines.length; sent += AT_ONCE) {
      for (const line of lines.slice(sent, sent + AT_ONCE)) syslog.send(line);
      await until('the lines', () => log.heard.length === sent + AT_ONCE);
    }
    expect(log.heard.map(({ text }) => text)).toEqual(lines);
    expect(log.flows).toBe(1);
  });

  test('a slow answer holds up nobody else', async () => {
    const waiting: (() => void)[] = [];
    const { port: nodePort } = await server(cleanup, '127.0.0.1', 0, (datagram, from, self) => {
      const answer = () => named(datagram, from, self);
      if (datagram.toString() === 'slow') waiting.push(answer);
      else answer();
    });
    const { known } = start({ listeners: [listener({ nodePort })] });
    const port = await known.port('dns');
    const [slow, quick] = [await client(cleanup, port), await client(cleanup, port)];
    slow.send('slow');
    await until('the slow question', () => waiting.length === 1);
    for (let i = 0; i < 20; i++) expect(await quick.ask(`${i}`)).toBe(`127.0.0.1 ${i}`);
    expect(slow.heard).toEqual([]);
    for (const answer of waiting) answer();
    await until('the slow answer', () => slow.texts[0] === '127.0.0.1 slow');
  });

  test('one question may have many answers, and none', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1', 0, (datagram, from, self) => {
      for (let i = 0; i < Number(datagram); i++) self.socket.send(`answer ${i}`, from.port, from.address);
    });
    const { known } = start({ listeners: [listener({ nodePort })] });
    const asking = await client(cleanup, await known.port('dns'));
    asking.send('0');
    asking.send('5');
    await until('five answers', () => asking.heard.length === 5);
    expect(asking.texts).toEqual(['answer 0', 'answer 1', 'answer 2', 'answer 3', 'answer 4']);
  });

  test('a thousand clients are all answered, each with its own', async () => {
    const [one] = await servers(cleanup, three);
    const { known, forwarder } = start({ nodes: nodes(...three), listeners: [listener({ nodePort: one!.port })] });
    const port = await known.port('dns');
    const clients = await Promise.all(Array.from({ length: 1_000 }, () => client(cleanup, port)));
    const answers: string[] = [];
    for (let i = 0; i < clients.length; i += AT_ONCE) {
      const some = clients.slice(i, i + AT_ONCE);
      answers.push(...(await Promise.all(some.map((each, j) => each.ask(`I am ${i + j}`)))));
    }
    expect(answers.map((answer) => answer.replace(/^\S+ /, ''))).toEqual(clients.map((_, i) => `I am ${i}`));
    expect(await sumOf(forwarder)).toMatchObject({ connections: 1_000, active: 1_000, dropped: 0, evicted: 0 });
  });

  test('sessionAffinity keeps all ports of a client on one target', async () => {
    const [one] = await servers(cleanup, three);
    const web = listener({ nodePort: one!.port, affinitySeconds: 60 });
    const { known } = start({ nodes: nodes(...three), listeners: [web] });
    const port = await known.port('dns');
    const names = new Set<string>();
    for (let i = 0; i < 6; i++) names.add(await (await client(cleanup, port)).who());
    expect(names.size).toBe(1);
  });

  test('who is not in sourceRanges is not served, and is cut off when the ranges change', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const ranges = ['127.0.1.0/24', 'fd00::/8'];
    const { known, forwarder } = start({ listeners: [listener({ nodePort, sourceRanges: ranges })] });
    const port = await known.port('dns');
    const inside = await client(cleanup, port, '127.0.0.1', '127.0.1.9');
    const outside = await client(cleanup, port, '127.0.0.1', '127.0.2.9');
    outside.send('hello');
    expect(await inside.who()).toBe('127.0.0.1');
    expect(await sumOf(forwarder)).toMatchObject({ refusedByRange: 1, connections: 1 });
    change(forwarder, { listeners: { dns: listener({ nodePort, sourceRanges: ['127.0.2.0/24'] }) } });
    expect(await outside.who()).toBe('127.0.0.1');
    expect(outside.heard).toHaveLength(1);
    inside.send('hello');
    await until('it to be refused', async () => (await sumOf(forwarder)).refusedByRange === 2);
  });

  test('IPv6 clients reach IPv4 targets and the other way round', async () => {
    const [four, six] = [await server(cleanup, '127.0.0.1'), await server(cleanup, '::1')];
    const { known } = start({
      nodes: [...nodes('127.0.0.1'), { id: 'six', addresses: ['::1'] }],
      listeners: [
        listener({ id: 'from-six', address: '::1', nodeSet: 'node-1', nodePort: four.port }),
        listener({ id: 'to-six', nodeSet: 'six', nodePort: six.port }),
      ],
    });
    expect(await (await client(cleanup, await known.port('from-six'), '::1')).who()).toBe('127.0.0.1');
    expect(await (await client(cleanup, await known.port('to-six'))).who()).toBe('::1');
  });

  test.each(['0.0.0.0', '::'])('at %s, each address of this machine answers as itself', async (address) => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const { known } = start({ listeners: [listener({ nodePort, address })] });
    const port = await known.port('dns');
    const all = Object.values(networkInterfaces()).flatMap((entries = []) => entries);
    const own = all.filter((entry) => (address === '::' || entry.family === 'IPv4') && !/^fe80:/.test(entry.address)).slice(0, 4);
    for (const { address: asked } of own) {
      // The Client tells answers from another address than the one that was asked.
      expect(await (await client(cleanup, port, asked, asked)).who()).toBe('127.0.0.1');
    }
    expect(own.length).toBeGreaterThan(0);
  });
});

describe('targets', () => {
  test('a flow whose target dies goes to another one, and the datagram that met it is not lost', async () => {
    const [one, two] = await servers(cleanup, ['127.0.0.1', '127.0.0.2']);
    const both = [one!, two!];
    const { known, forwarder } = start({
      nodes: nodes('127.0.0.1', '127.0.0.2'),
      listeners: [listener({ nodePort: one!.port })],
    });
    const asking = await client(cleanup, await known.port('dns'));
    const first = await asking.who();
    both.find(({ address }) => address === first)!.close();
    const other = both.find(({ address }) => address !== first)!.address;
    expect(await asking.ask('still there?')).toBe(`${other} still there?`);
    expect(await asking.who()).toBe(other);
    for (let i = 0; i < 4; i++) expect(await (await client(cleanup, asking.to.port)).who()).toBe(other);
    expect(await sumOf(forwarder)).toMatchObject({ failures: 0 });
  });

  test('with no target left datagrams are counted, and a target that comes is used', async () => {
    const gone = await server(cleanup, '127.0.0.1');
    const { port: nodePort } = gone;
    const { known, forwarder } = start({ listeners: [listener({ nodePort })] });
    const asking = await client(cleanup, await known.port('dns'));
    expect(await asking.who()).toBe('127.0.0.1');
    gone.close();
    asking.send('lost');
    await until('the failure', async () => (await sumOf(forwarder)).failures === 1);
    await server(cleanup, '127.0.0.1', nodePort);
    expect(await asking.who()).toBe('127.0.0.1');
  });

  test('a target that refused once is used again after a second', async () => {
    let now = 0;
    const [one] = await servers(cleanup, ['127.0.0.1']);
    const { known } = start(
      { nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort: one!.port })] },
      { nowMs: () => now },
    );
    const port = await known.port('dns');
    for (let i = 0; i < 4; i++) expect(await (await client(cleanup, port)).who()).toBe('127.0.0.1');
    await server(cleanup, '127.0.0.2', one!.port);
    expect(await (await client(cleanup, port)).who()).toBe('127.0.0.1');
    now += 1_001;
    const names = new Set([await (await client(cleanup, port)).who(), await (await client(cleanup, port)).who()]);
    expect(names).toEqual(new Set(three.slice(0, 2)));
  });

  test('a flow leaves a target that its check finds dead', async () => {
    const [one, two] = await servers(cleanup, ['127.0.0.1', '127.0.0.2'], named);
    const health = await backends(cleanup, ['127.0.0.1', '127.0.0.2'], (socket) => socket.end());
    const dns = listener({
      nodePort: one!.port,
      check: { kind: 'tcp', port: health[0]!.port, intervalMs: 50, rise: 1, fall: 1 },
    });
    const { known } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [dns] });
    await Promise.all(['node-1', 'node-2'].map((node) => known.health(node, 'healthy')));
    const asking = await client(cleanup, await known.port('dns'));
    const first = await asking.who();
    const index = first === one!.address ? 0 : 1;
    await health[index]!.close();
    await known.health(`node-${index + 1}:${one!.port}`, 'unhealthy');
    expect(await asking.who()).toBe([two!, one!][index]!.address);
  });

  test.each<{ why: string; answer: typeof named; drainMs: number; moves: boolean }>([
    { why: 'a one-way flow leaves at once', answer: mute, drainMs: 60_000, moves: true },
    { why: 'a dialogue has the drain time', answer: named, drainMs: 60_000, moves: false },
    { why: 'a dialogue without drain time leaves at once', answer: named, drainMs: 0, moves: true },
  ])('a target that was taken out: $why', async ({ answer, drainMs, moves }) => {
    const both = await servers(cleanup, ['127.0.0.1', '127.0.0.2'], answer);
    const { known, forwarder } = start({
      nodes: nodes('127.0.0.1', '127.0.0.2'),
      listeners: [listener({ nodePort: both[0]!.port, drainMs })],
    });
    const asking = await client(cleanup, await known.port('dns'));
    const heard = (index: number) => both[index]!.heard.length;
    asking.send('1');
    await until('the first', () => heard(0) + heard(1) === 1 && (answer === mute || asking.heard.length === 1));
    const index = heard(0) === 1 ? 0 : 1;
    change(forwarder, { all: [`node-${2 - index}`] });
    asking.send('2');
    await until('the second', () => heard(0) + heard(1) === 2);
    expect(heard(index)).toBe(moves ? 1 : 2);
  });

  test('a dialogue with a target that was taken out ends with the drain time, or when the target falls silent', async () => {
    let now = 0;
    let silent = false;
    const both = await servers(cleanup, ['127.0.0.1', '127.0.0.2'], (...said) => silent || named(...said));
    const { known, forwarder } = start(
      { nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort: both[0]!.port, drainMs: 30_000 })] },
      { nowMs: () => now },
    );
    const asking = await client(cleanup, await known.port('dns'));
    const first = await asking.who();
    const index = both.findIndex(({ address }) => address === first);
    change(forwarder, { all: [`node-${2 - index}`] });
    now = 10_000;
    expect(await asking.who()).toBe(first);
    silent = true;
    const before = both[index]!.heard.length;
    asking.send('unanswered');
    await until('it to be heard', () => both[index]!.heard.length === before + 1);
    now += 2_000;
    silent = false;
    expect(await asking.who()).not.toBe(first);
  });

  test('a flow goes to a new port of the forwarder with each move, so that nothing on the way remembers it', async () => {
    const one = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort: one.port, drainMs: 0 })] });
    const asking = await client(cleanup, await known.port('dns'));
    await asking.who();
    change(forwarder, { nodes: { again: { id: 'again', addresses: ['127.0.0.1'] } }, all: ['again'] });
    await asking.who();
    expect(one.flows).toBe(2);
  });
});

describe('the life of a listener', () => {
  test('a flow that began before its rule existed is served from the moment that it does', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const held = await server(cleanup, '127.0.0.1');
    const { port } = held;
    held.close();
    const asking = await client(cleanup, port);
    const sending = setInterval(() => asking.send('anybody?'), 5);
    cleanup.add(() => clearInterval(sending));
    const { known, forwarder } = start({ listeners: [] });
    await until('the rules', () => known.generation === 1);
    change(forwarder, { listeners: { dns: listener({ nodePort, port }) } });
    await until('an answer', () => asking.texts.includes('127.0.0.1 anybody?'));
  });

  test('TCP and UDP are served on one port, by one check', async () => {
    const tcp = await backends(cleanup, ['127.0.0.1']);
    const nodePort = tcp[0]!.port;
    const udp = await server(cleanup, '127.0.0.1', nodePort);
    const held = await server(cleanup, '127.0.0.7');
    const { port } = held;
    held.close();
    const at = { address: '127.0.0.7', port, nodePort };
    const { known } = start({
      listeners: [ofTcp({ ...at, id: 'tcp' }), listener({ ...at, id: 'udp', check: { kind: 'nodePort' } })],
    });
    expect([await known.port('tcp'), await known.port('udp')]).toEqual([port, port]);
    await known.health('node-1', 'healthy');
    expect(await whoAnswers(port, '127.0.0.7')).toBe('127.0.0.1');
    expect(await (await client(cleanup, port, '127.0.0.7')).who()).toBe('127.0.0.1');
    expect(udp.flows).toBe(1);
  });

  test('a change leaves the socket and the flows alone', async () => {
    const { port: nodePort, heard } = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort })] });
    const asking = await client(cleanup, await known.port('dns'));
    await asking.who();
    change(forwarder, { listeners: { dns: listener({ nodePort, idleMs: 60_000 }) } });
    await asking.who();
    expect(new Set(heard.map(({ from }) => from.port)).size).toBe(1);
    expect(await known.port('dns')).toBe(asking.to.port);
  });

  test('a listener that is removed serves the flows that it has, and no new ones', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort, drainMs: 1_000 })] });
    const asking = await client(cleanup, await known.port('dns'));
    const late = await client(cleanup, asking.to.port);
    await asking.who();
    change(forwarder, { listeners: { dns: null } });
    late.send('me too');
    expect(await asking.who()).toBe('127.0.0.1');
    expect(known.listeners.get('dns')).toEqual({ state: 'draining', connections: 1 });
    await until('it to be gone', () => !known.listeners.has('dns'));
    expect(late.heard).toEqual([]);
    expect(await sumOf(forwarder)).toMatchObject({ connections: 1, active: 0 });
    await server(cleanup, '127.0.0.1', asking.to.port); // the port is free
  });

  test('a port that is drained passes to another listener at once', async () => {
    const [one, two] = await servers(cleanup, ['127.0.0.1', '127.0.0.2']);
    const held = await server(cleanup, '127.0.0.1');
    const { port } = held;
    held.close();
    const before = listener({ nodePort: one!.port, port, drainMs: 60_000, nodeSet: 'node-1' });
    const { known, forwarder } = start({ nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [before] });
    const asking = await client(cleanup, await known.port('dns'));
    expect(await asking.who()).toBe('127.0.0.1');
    change(forwarder, { listeners: { dns: null, next: { ...before, id: 'next', nodeSet: 'node-2' } } });
    expect(await known.port('next')).toBe(port);
    expect(await asking.who()).toBe(two!.address);
  });

  test('a close waits for flows that still speak, at most for the drain time', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort, drainMs: 60_000 })] });
    const asking = await client(cleanup, await known.port('dns'));
    await asking.who();
    const speaking = setInterval(() => asking.send('still here'), 20);
    cleanup.add(() => clearInterval(speaking));
    const begun = performance.now();
    await forwarder.close(300);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(299);
    expect(asking.texts.filter((text) => text.endsWith('still here')).length).toBeGreaterThan(3);
  });

  test('a port that is held is told with its holder, and served when it is free', async () => {
    const holder = await server(cleanup, '127.0.0.1');
    const { port } = holder;
    const { known, forwarder } = start({ listeners: [listener({ nodePort: 1, port })] });
    const failure = await until('the failure', () => {
      const state = known.listeners.get('dns');
      return state?.state === 'failed' ? state : undefined;
    });
    expect(failure).toMatchObject({
      code: 'PortInUse',
      message: `127.0.0.1 port ${port}/UDP is held by ${process.platform === 'linux' ? 'this very process' : 'another process'}`,
    });
    holder.close();
    change(forwarder, {});
    expect(await known.port('dns')).toBe(port);
  });

  test.each<{ why: string; part: Partial<RuleListener>; code: string; says: RegExp }>([
    {
      why: 'another machine’s address',
      part: { address: '192.0.2.1' },
      code: 'AddressUnavailable',
      says: /no address of this machine/,
    },
    { why: 'the PROXY protocol', part: { proxyProtocol: 'v2' }, code: 'ProtocolUnsupported', says: /PROXY protocol is for TCP/ },
    { why: 'SCTP', part: { protocol: 'SCTP' as never }, code: 'ProtocolUnsupported', says: /only TCP and UDP/ },
  ])('$why is refused by name, and another listener is served', async ({ part, code, says }) => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const { known } = start({ listeners: [listener({ nodePort, id: 'bad', ...part }), listener({ nodePort })] });
    expect(await (await client(cleanup, await known.port('dns'))).who()).toBe('127.0.0.1');
    const state = await until('the refusal', () => known.listeners.get('bad'));
    expect(state).toMatchObject({ state: 'failed', code, message: expect.stringMatching(says) });
  });

  test('with portFallback a port that is held is served on another one', async () => {
    const holder = await server(cleanup, '127.0.0.1');
    const { known } = start({ listeners: [listener({ nodePort: holder.port, port: holder.port, portFallback: true })] });
    const port = await known.port('dns');
    expect(port).not.toBe(holder.port);
    expect(await (await client(cleanup, port)).who()).toBe('127.0.0.1');
  });
});

describe('bounds', () => {
  test('a flow that was silent for its time is forgotten, one that was not is kept', async () => {
    let now = 0;
    const one = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort: one.port, idleMs: 120_000 })] }, { nowMs: () => now });
    const [quietOne, busy] = [await client(cleanup, await known.port('dns')), await client(cleanup, await known.port('dns'))];
    await quietOne.who();
    await busy.who();
    now = 119_000;
    await busy.who();
    expect((await sumOf(forwarder)).active).toBe(2);
    now = 120_001;
    await until('one to go', async () => (await sumOf(forwarder)).active === 1);
    await busy.who();
    expect(one.flows).toBe(2);
    await quietOne.who();
    expect(one.flows).toBe(3);
  });

  test('when the table is full the one that was silent for longest goes, and is counted', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1');
    const { known, forwarder } = start({ listeners: [listener({ nodePort })] }, { maxFlows: 3 });
    const port = await known.port('dns');
    const clients = await Promise.all(Array.from({ length: 4 }, () => client(cleanup, port)));
    const [a, b, c, d] = clients;
    for (const each of [a, b, c, a, d]) await each!.who();
    expect(await sumOf(forwarder)).toMatchObject({ connections: 4, active: 3, evicted: 1 });
    await a!.who();
    expect(await sumOf(forwarder)).toMatchObject({ connections: 4 });
    await b!.who();
    expect(await sumOf(forwarder)).toMatchObject({ connections: 5, active: 3, evicted: 2 });
  });

  test('flows that come and go, move and are refused leave no socket behind', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length;
    const [one, two] = await servers(cleanup, ['127.0.0.1', '127.0.0.2']);
    const { known, forwarder } = start(
      { nodes: nodes('127.0.0.1', '127.0.0.2'), listeners: [listener({ nodePort: one!.port, drainMs: 0 })] },
      { maxFlows: 10 },
    );
    const port = await known.port('dns');
    const clients = await Promise.all(Array.from({ length: 50 }, () => client(cleanup, port)));
    const before = sockets();
    expect(before).toBeGreaterThanOrEqual(50 + 2 + 1); // clients, servers, the listener
    for (const each of clients) await each.who();
    one!.close();
    for (const each of clients) expect(await each.who()).toBe('127.0.0.2');
    change(forwarder, { all: ['node-2'] });
    for (const each of clients) await each.who();
    await until('the others to be closed', () => sockets() === before - 1 + 10);
    two!.close();
    await forwarder.close(0);
    await until('all to be closed', () => sockets() === before - 3);
  });

  test('connections of TCP and flows share the descriptors: without any place left a datagram is refused', async () => {
    const tcp = await backends(cleanup, ['127.0.0.1']);
    const { port: nodePort } = await server(cleanup, '127.0.0.1', tcp[0]!.port);
    const { known, forwarder } = start({ listeners: [ofTcp({ nodePort }), listener({ nodePort })] }, { maxConnections: 1 });
    const asking = await client(cleanup, await known.port('dns'));
    const connection = await open(await known.port());
    await until('the connection', async () => (await sumOf(forwarder)).active === 1);
    asking.send('no room');
    await until('the refusal', async () => (await sumOf(forwarder)).refusedByLimit === 1);
    connection.destroy();
    await until('it to be closed', async () => (await sumOf(forwarder)).active === 0);
    expect(await asking.who()).toBe('127.0.0.1');
  });

  test('a dialogue of 20,000 datagrams, many under way at once, loses none', async () => {
    const { port: nodePort } = await server(cleanup, '127.0.0.1', 0, same);
    const { known, forwarder } = start({ listeners: [listener({ nodePort })] });
    const asking = await client(cleanup, await known.port('dns'));
    const total = 20_000;
    let sent = 0;
    const more = (): void => {
      while (sent < total && sent - asking.heard.length < AT_ONCE) asking.send(`${sent++}`);
    };
    asking.socket.on('message', more);
    more();
    await until('all answers', () => asking.heard.length === total);
    expect(asking.texts).toEqual(Array.from({ length: total }, (_, i) => `${i}`));
    expect(await sumOf(forwarder)).toMatchObject({ connections: 1, dropped: 0 });
  }, 120_000);
});
