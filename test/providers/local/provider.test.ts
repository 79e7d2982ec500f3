import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Refusal } from '../../../src/errors.ts';
import { spawnForwarder } from '../../../src/forwarder/child.ts';
import { startForwarder } from '../../../src/forwarder/forwarder.ts';
import type { ListenerState } from '../../../src/forwarder/rules.ts';
import type { Balancer, Report } from '../../../src/model.ts';
import type { StartForwarder } from '../../../src/providers/local/link.ts';
import type { Observed } from '../../../src/providers/local/plan.ts';
import { createLocalProvider } from '../../../src/providers/local/provider.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { Cleanup } from '../../forwarder/builders.ts';
import { client as datagramClient, server as datagramServer } from '../../forwarder/datagrams.ts';
import { balancer, holding, node, nothingReserved, type PortWish, pool, quiet, refusalOf } from '../builders.ts';
import { drop, pass, reportOf, reportWhen, want } from '../drive.ts';
import { FakeForwarder } from './fake-forwarder.ts';
import { closeServer, freePorts, type Greeter, greetingAt, listenOn, startGreeter } from './sockets.ts';

const shared = [pool('loopback', ['127.0.0.1'], { sharePorts: true })];

/** A forwarder that is a process of its own may take its time to start on a busy machine. */
const PROCESS_MS = 25_000;

const toEnd: (() => Promise<void>)[] = [];
const cleanup = new Cleanup();
let greeters: readonly Greeter[];
let changed: string[];

beforeEach(async () => {
  changed = [];
  greeters = await Promise.all(['n1', 'n2', 'n3'].map((name) => startGreeter(name, [30_080, 30_081])));
  for (const greeter of greeters) toEnd.push(() => greeter.stop());
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
  await cleanup.run();
});

interface Opening {
  readonly start?: StartForwarder;
  readonly balancers?: readonly Balancer[];
  readonly answerMs?: number;
  readonly strangers?: Readonly<Record<string, string>>;
  readonly strangerMs?: number;
}

async function open(
  options: object = {},
  { start = startForwarder, balancers = [], answerMs = 5_000, strangers = {}, strangerMs = 60_000 }: Opening = {},
): Promise<Provider> {
  const context = { clusterName: 'c', log: quiet, options: { pools: shared, ...options } };
  const findStranger = async (address: string) => strangers[address];
  const parts = { startForwarder: start, now: Date.now, inCluster: false, answerMs, findStranger, strangerMs };
  const provider: Provider = createLocalProvider(context, parts);
  await provider.open({ balancers, surroundings: nothingReserved, changed: (key) => changed.push(key) });
  toEnd.push(() => provider.close(0));
  return provider;
}

function nodes(count = 3) {
  return greeters.slice(0, count).map((greeter) => greeter.node);
}

async function greetings(port: number, count: number): Promise<readonly string[]> {
  const all = await Promise.all(Array.from({ length: count }, () => greetingAt('127.0.0.1', port)));
  return [...new Set(all)].sort();
}

describe('traffic', () => {
  test('goes to every node, to a new one too, and to a removed one no more', async () => {
    const [port] = await freePorts(1);
    const provider = await open();
    const web = (count: number) => balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes(count) });
    await want(provider, web(2));
    expect(await greetings(port!, 12)).toEqual(['n1', 'n2']);
    await want(provider, web(3));
    expect(await greetings(port!, 12)).toEqual(['n1', 'n2', 'n3']);
    await want(provider, web(1));
    expect(await greetings(port!, 12)).toEqual(['n1']);
    await drop(provider, 'default/web');
    await expect(greetingAt('127.0.0.1', port!)).rejects.toThrow('ECONNREFUSED');
  });

  test('starts again by itself after the forwarder was killed, at the same addresses', async () => {
    const [port] = await freePorts(1);
    let pid: number | undefined;
    const start: StartForwarder = (options) => {
      const forwarder = spawnForwarder(options);
      pid = forwarder.pid;
      return forwarder;
    };
    const provider = await open({}, { start, answerMs: PROCESS_MS });
    const web = await want(provider, balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes() }));
    process.kill(pid!, 'SIGKILL');
    const deadline = Date.now() + 60_000;
    while ((await greetingAt('127.0.0.1', port!).catch(() => '')) === '' && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(await greetings(port!, 3)).not.toEqual([]);
    expect((await reportOf(provider, web.key)).addresses).toEqual([{ ip: '127.0.0.1', ipMode: 'Proxy' }]);
    await drop(provider, web.key);
    await expect(greetingAt('127.0.0.1', port!)).rejects.toThrow('ECONNREFUSED');
  });

  test('another balancer gets the address only when its listener has closed', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ pools: [pool('one', ['127.0.0.1'])] });
    await want(provider, balancer({ name: 'a', ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes(1) }));
    const b = balancer({ name: 'b', ports: [{ port: port!, nodePort: 30_081 }], nodes: nodes(2).slice(1) });
    expect(refusalOf(() => provider.adjust(b, nothingReserved)).code).toBe('PoolExhausted');
    await drop(provider, 'default/a');
    expect(changed).toContain('default/b');
    await want(provider, b);
    expect(await greetings(port!, 4)).toEqual(['n2']);
  });
});

describe('an address that another machine has', () => {
  const seen = '192.0.2.1 is answered for by 02:00:00:00:00:09 on eth0, which is none of ours'; // 192.0.2.0/24 is nobody's (RFC 5737)
  const pools = [pool('lan', ['192.0.2.1']), pool('here', ['127.0.0.1'], { priority: 1 })];

  test('is named, and given to nobody who did not ask for it: the balancer gets another one', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ pools }, { strangers: { '192.0.2.1': seen } });
    const wish = balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes() });
    const first = await want(provider, wish);
    expect(first.address.held).toEqual(['192.0.2.1']);
    const [listener] = (await reportOf(provider, first.key)).listeners;
    expect(listener?.error).toMatchObject({ code: 'AddressDuplicate', message: expect.stringContaining('02:00:00:00:00:09') });
    expect(changed).toContain(first.key);
    const second = await want(provider, wish);
    expect(second.address.held).toEqual(['127.0.0.1']);
    expect(await greetings(port!, 3)).not.toEqual([]);
    const other = balancer({ name: 'other', ports: [{ port: port!, nodePort: 30_081 }], nodes: nodes() });
    const refusal = refusalOf(() => provider.adjust(other, nothingReserved));
    expect(refusal).toMatchObject({ code: 'AddressDuplicate', message: expect.stringContaining('02:00:00:00:00:09') });
  });

  test('stays with a Service that asks for it, or is published with it, and is told', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ pools }, { strangers: { '192.0.2.1': seen } });
    const ports = [{ port: port!, nodePort: 30_080 }];
    for (const wish of [
      balancer({ ports, requested: ['192.0.2.1'], nodes: nodes() }),
      balancer({ ports, held: ['192.0.2.1'], published: ['192.0.2.1'], nodes: nodes() }),
    ]) {
      await want(provider, wish);
      expect((await want(provider, wish)).address.held).toEqual(['192.0.2.1']);
      const [listener] = (await reportOf(provider, wish.key)).listeners;
      expect(listener?.error?.code).toBe('AddressDuplicate');
      await drop(provider, wish.key);
    }
  });

  test('where one answers for every address a Service is told so after the third, and the pool is not gone through', async () => {
    const all = Array.from({ length: 254 }, (_, i) => `192.0.2.${i + 1}`);
    const strangers = Object.fromEntries(all.map((address) => [address, `${address} is answered for by 02:00:00:00:00:09`]));
    const provider = await open({ pools: [pool('lan', ['192.0.2.0/24'])] }, { start: startWithout, strangers });
    const given = new Set<string>();
    const refusals: Refusal[] = [];
    for (let passes = 0; passes < 10; passes += 1) {
      try {
        const { address } = await want(provider, balancer());
        for (const one of address.held) given.add(one);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
        refusals.push(thrown);
      }
    }
    expect(given.size).toBe(3);
    expect(refusals).toHaveLength(7);
    expect(refusals[0]).toMatchObject({
      code: 'AddressDuplicate',
      message: expect.stringMatching(/02:00:00:00:00:09.+proxy ARP/),
    });
  });

  test('and that has left it is named no more: the Services that ask for the address are told anew', async () => {
    const strangers: Record<string, string> = { '192.0.2.1': seen };
    const lan = [pool('lan', ['192.0.2.1'], { sharePorts: true })];
    const provider = await open({ pools: lan }, { start: startWithout, strangers, strangerMs: 200 });
    const told = new Map<string, string | undefined>();
    for (const port of [80, 443]) {
      const wish = balancer({ name: `on-${port}`, ports: [{ port, nodePort: 30_000 + port }], requested: ['192.0.2.1'] });
      const { key } = await want(provider, wish);
      await reportWhen(provider, key, (report) => codeOf(report) === 'AddressDuplicate');
      told.set(key, 'AddressDuplicate');
    }
    delete strangers['192.0.2.1'];
    const isSaid = () => [...told.values()].every((code) => code === 'AddressUnavailable');
    for (const deadline = Date.now() + 60_000; !isSaid() && Date.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      for (const key of changed.splice(0)) told.set(key, codeOf(await reportOf(provider, key))); // as the controller reads it
    }
    expect([...told.values()]).toEqual(['AddressUnavailable', 'AddressUnavailable']);
  });
});

/** A forwarder that has no address of those that it is given, and says so once. */
const startWithout: StartForwarder = ({ onReport }) =>
  new FakeForwarder((report) => {
    const failed: ListenerState = { state: 'failed', code: 'AddressUnavailable', message: 'no address of this machine' };
    const listeners = Object.entries(report.listeners).map(([id, state]) => [id, state && failed] as const);
    onReport({ ...report, listeners: Object.fromEntries(listeners) });
  });

function codeOf({ listeners }: Report): string | undefined {
  return listeners[0]?.error?.code;
}

test('on a loopback address the forwarder takes userspace by itself, also where the kernel could be asked', async () => {
  const [port] = await freePorts(1);
  const provider = await open({}, { start: spawnForwarder, answerMs: PROCESS_MS });
  const web = await want(provider, balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes() }));
  expect(await greetings(port!, 3)).not.toEqual([]);
  const [observed] = ((await provider.observe(web.key)) as Observed).listeners;
  expect(observed?.state).toMatchObject({ state: 'listening', datapath: 'userspace', why: expect.any(String) });
  expect((await reportOf(provider, web.key)).paths).toMatchObject([{ datapath: 'userspace' }]);
});

describe('with a forwarder that a test holds', () => {
  let forwarder: FakeForwarder;

  const start: StartForwarder = ({ onReport }) => {
    forwarder = new FakeForwarder(onReport);
    return forwarder;
  };

  test('a port that a balancer gives up is free for one that waits for it', async () => {
    const provider = await open({}, { start });
    const a = (...ports: number[]) => balancer({ name: 'a', ports: ports.map((port) => ({ port })) });
    await want(provider, a(80, 443));
    const b = balancer({ name: 'b', ports: [{ port: 443 }], requested: ['127.0.0.1'] });
    expect(refusalOf(() => provider.adjust(b, nothingReserved)).code).toBe('AddressInUse');
    await want(provider, a(80));
    expect(changed).toContain('default/b');
    await want(provider, b);
    expect([...forwarder.table.listeners.values()].map(({ port }) => port)).toEqual([80, 443]);
  });

  test('a listener whose end was not confirmed in time is closed again, and only then is anything gone', async () => {
    const provider = await open({}, { start, answerMs: 500 }); // a busy machine answers within that
    const web = await want(provider, balancer());
    forwarder.silent = true;
    await expect(drop(provider, web.key)).rejects.toThrow('has not answered');
    expect(await reportOf(provider, web.key)).toMatchObject({ settled: false, gone: false });
    expect(provider.plan(undefined, await provider.observe(web.key), 0).map(({ kind }) => kind)).toEqual([
      'close-listener',
      'release-addresses',
    ]);
    forwarder.report({});
    await drop(provider, web.key);
    expect(await provider.keys()).toEqual([]);
  });

  test('a forwarder that is down leaves the address published, says so, and its return is pushed', async () => {
    const provider = await open({}, { start });
    const web = await want(provider, balancer());
    const [id, rule] = [...forwarder.table.listeners][0]!;
    forwarder.report({ listeners: { [id]: { state: 'failed', code: 'ForwarderDown', message: 'it died' } } });
    expect(await reportOf(provider, web.key)).toMatchObject({
      addresses: [{ ip: '127.0.0.1' }],
      listeners: [
        { error: { code: 'ForwarderDown', message: expect.stringMatching(/^it died\. The forwarder is being restarted/) } },
      ],
      settled: false,
    });
    changed.length = 0;
    forwarder.report({ listeners: { [id]: { state: 'listening', address: rule.address, port: rule.port } } });
    expect(changed).toEqual([web.key]);
    expect((await reportOf(provider, web.key)).settled).toBe(true);
  });

  test('a node’s health is pushed to the balancers that use the node, once each', async () => {
    const provider = await open({}, { start });
    const [n1, n2] = [node('n1', '10.0.0.1'), node('n2', '10.0.0.2')];
    await want(provider, balancer({ name: 'a', ports: [{ port: 80 }, { port: 81 }], nodes: [n1, n2] }));
    await want(provider, balancer({ name: 'b', ports: [{ port: 82 }], nodes: [n2] }));
    changed.length = 0;
    forwarder.report({ targets: { n1: { health: 'unhealthy', asOf: 2, reason: 'refused' } } });
    expect(changed.splice(0)).toEqual(['default/a']);
    forwarder.report({ targets: { n2: { health: 'unhealthy', asOf: 2, reason: 'refused' } } });
    expect(changed.splice(0)).toEqual(['default/a', 'default/b']);
    const { targets } = await reportOf(provider, 'default/b');
    expect(targets).toEqual([{ node: 'n2', port: 30_082, health: 'unhealthy', reason: 'refused', asOf: 2 }]);
  });

  test.each<{ why: string; before: readonly PortWish[]; after: readonly PortWish[] }>([
    { why: 'its port was changed', before: [{ port: 80, nodePort: 30_080 }], after: [{ port: 8_080, nodePort: 30_080 }] },
    {
      why: 'its UDP twin has gone',
      before: [
        { port: 80, nodePort: 30_080 },
        { port: 80, nodePort: 30_080, protocol: 'UDP' },
      ],
      after: [{ port: 80, nodePort: 30_080 }],
    },
  ])('health at a node port is pushed also after $why', async ({ before, after }) => {
    const provider = await open({}, { start });
    await want(provider, balancer({ ports: before }));
    await want(provider, balancer({ ports: after }));
    changed.length = 0;
    forwarder.report({ targets: { 'n1:30080': { health: 'unhealthy', asOf: 2, reason: 'refused' } } });
    expect(changed).toEqual(['default/web']);
  });

  test('a thousand balancers on a hundred nodes: a node that joins is one small change, and quick', async () => {
    const provider = await open({ pools: [pool('wide', ['10.1.0.0/16'])] }, { start });
    const many = (count: number) => Array.from({ length: count }, (_, i) => node(`node-${i}`, `10.0.0.${i}`));
    const all = async (list: Balancer['nodes']) => {
      const begun = process.cpuUsage();
      await Promise.all(Array.from({ length: 1_000 }, (_, i) => want(provider, balancer({ name: `s${i}`, nodes: list }))));
      const { user, system } = process.cpuUsage(begun);
      return user + system;
    };
    const placed = await all(many(100));
    const before = forwarder.taken.length;
    // No absolute time: the machine may be busy. Work that grows with balancers times nodes would cost many times the placing.
    expect(await all(many(101))).toBeLessThan(3 * placed);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(forwarder.taken.length - before).toBeLessThan(10);
    expect([forwarder.table.nodeSets.size, forwarder.table.listeners.size]).toEqual([1, 1_000]);
    expect(JSON.stringify(forwarder.taken.slice(before)).length).toBeLessThan(400_000);
  });
});

describe('what cannot be served is told', () => {
  test('a port that another process has is named, and the other port served', async () => {
    const [taken, other] = await freePorts(2);
    const server = await listenOn('127.0.0.1', taken!);
    toEnd.push(() => closeServer(server));
    const provider = await open();
    const clash = await want(provider, balancer({ name: 'clash', ports: [{ port: taken!, nodePort: 30_080 }], nodes: nodes() }));
    const report = await reportOf(provider, clash.key);
    expect(report).toMatchObject({ settled: true, listeners: [{ port: taken, error: { code: 'PortInUse' } }] });
    expect(report.listeners[0]!.error!.message).toMatch(/this very process/);
    expect(provider.plan(clash, await provider.observe(clash.key), 0)).toEqual([]);
    const both = [{ port: taken!, nodePort: 30_080 }, { port: other!, nodePort: 30_081 }]; // biome-ignore format: a row
    await want(provider, balancer({ name: 'clash', ports: both, nodes: nodes() }));
    expect((await reportOf(provider, clash.key)).addresses).toEqual([{ ip: '127.0.0.1', ipMode: 'Proxy' }]);
    expect(await greetings(other!, 3)).not.toEqual([]);
  });

  test('with portFallback it is served elsewhere, and the report says where', async () => {
    const [taken] = await freePorts(1);
    const server = await listenOn('127.0.0.1', taken!);
    toEnd.push(() => closeServer(server));
    const provider = await open({ portFallback: true });
    const web = await want(provider, balancer({ ports: [{ port: taken!, nodePort: 30_080 }], nodes: nodes() }));
    const [listener] = (await reportOf(provider, web.key)).listeners;
    expect(listener).toMatchObject({ port: taken, servedPort: expect.any(Number) });
    expect(await greetings(listener!.servedPort!, 3)).not.toEqual([]);
  });

  test('with portFallback and one shared address two Services may have one port: the younger is served elsewhere', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ portFallback: true });
    const [n1, n2] = nodes(2);
    await want(provider, balancer({ name: 'old', ports: [{ port: port!, nodePort: 30_080 }], nodes: [n1!] }));
    await want(provider, balancer({ name: 'young', ports: [{ port: port!, nodePort: 30_081 }], nodes: [n2!] }));
    const { servedPort } = (await reportOf(provider, 'default/young')).listeners[0]!;
    expect(await greetings(port!, 3)).toEqual(['n1']);
    expect(await greetings(servedPort!, 3)).toEqual(['n2']);
  });

  test('an address that this machine has not got', async () => {
    const provider = await open({ pools: [pool('elsewhere', ['192.0.2.1'])] });
    const web = await want(provider, balancer({ ports: [{ port: 8_080, nodePort: 30_080 }], nodes: nodes() }));
    const report = await reportOf(provider, web.key);
    expect(report).toMatchObject({ settled: true, listeners: [{ error: { code: 'AddressUnavailable' } }] });
    expect(report.listeners[0]!.error!.message).toMatch(/192\.0\.2\.1 .*Add the address to an interface/);
  });

  test('TCP, UDP and SCTP on one port: the first two are served and the third says why not', async () => {
    const [port] = await freePorts(1);
    const provider = await open();
    const echo = await datagramServer(cleanup, '127.0.0.1');
    const target = { ...nodes(1)[0]!, portMap: { ...nodes(1)[0]!.portMap, 30090: `127.0.0.1:${echo.port}` } };
    const dns = balancer({
      ports: [
        { port: port!, nodePort: 30_080 },
        { port: port!, nodePort: 30_090, protocol: 'UDP', healthCheck: { protocol: 'tcp', port: 30_080 } },
        { port: port!, nodePort: 30_080, protocol: 'SCTP' },
      ],
      nodes: [target],
    });
    const wanted = await want(provider, dns);
    const report = await reportOf(provider, wanted.key);
    expect(report.settled).toBe(true);
    expect(report.listeners).toEqual([
      { uid: 'uid-default-web', protocol: 'TCP', port },
      { uid: 'uid-default-web', protocol: 'UDP', port },
      {
        uid: 'uid-default-web',
        protocol: 'SCTP',
        port,
        error: { code: 'ProtocolUnsupported', message: expect.stringContaining('only TCP and UDP') },
      },
    ]);
    expect(await greetings(port!, 3)).toEqual(['n1']);
    expect(await (await datagramClient(cleanup, port!)).ask('hello')).toBe('127.0.0.1 hello');
    const healthy = { health: 'healthy' };
    await reportWhen(provider, wanted.key, ({ targets }) => targets.every(({ health }) => health === 'healthy'));
    expect((await reportOf(provider, wanted.key)).targets).toMatchObject([
      { port: 30_080, ...healthy },
      { port: 30_090, ...healthy },
    ]);
    await drop(provider, wanted.key);
  });

  test('PROXY protocol over UDP: refused by name, and the TCP port is served', async () => {
    const [port] = await freePorts(1);
    const provider = await open();
    const ports = [{ port: port!, nodePort: 30_080 }, { port: port!, nodePort: 30_081, protocol: 'UDP' as const }]; // biome-ignore format: a row
    const web = await want(provider, balancer({ ports, nodes: nodes(), settings: { proxyProtocol: 'v2' } }));
    const { listeners, settled } = await reportOf(provider, web.key);
    expect(settled).toBe(true);
    expect(listeners.map(({ protocol, error }) => [protocol, error?.code])).toEqual([
      ['TCP', undefined],
      ['UDP', 'ProtocolUnsupported'],
    ]);
    expect(listeners[1]!.error!.message).toMatch(/PROXY protocol is for TCP/);
  });

  test.each([
    {
      why: 'SCTP alone, in userspace',
      wish: { ports: [{ port: 9, protocol: 'SCTP' as const }] },
      code: 'ProtocolUnsupported',
      says: /9\/SCTP/,
    },
    { why: 'a hostname', wish: { settings: { publish: 'hostname' as const } }, code: 'AnnotationInvalid', says: /publish/ },
  ])('$why is refused', async ({ wish, code, says }) => {
    const provider = await open({ datapath: 'userspace' });
    const refusal = refusalOf(() => provider.adjust(balancer(wish), nothingReserved));
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(says) });
    expect(await provider.keys()).toEqual([]);
  });
});

describe('health', () => {
  test('of each node is reported, and a change is pushed to the balancers that it concerns', async () => {
    const [a, b] = await freePorts(2);
    const provider = await open();
    const web = await want(
      provider,
      balancer({ name: 'web', ports: [{ port: a!, nodePort: 30_080, ...quickCheck(30_080) }], nodes: nodes(2) }),
    );
    await want(
      provider,
      balancer({ name: 'other', ports: [{ port: b!, nodePort: 30_081, ...quickCheck(30_081) }], nodes: [greeters[2]!.node] }),
    );
    for (const key of [web.key, 'default/other']) {
      await reportWhen(provider, key, ({ targets }) => targets.every(({ health }) => health === 'healthy'));
    }
    changed.length = 0;
    await greeters[0]!.stop();
    const report = await reportWhen(provider, web.key, ({ targets }) => targets.some(({ health }) => health === 'unhealthy'));
    expect(report.targets).toEqual([
      expect.objectContaining({ node: 'n1', port: 30_080, health: 'unhealthy' }),
      expect.objectContaining({ node: 'n2', port: 30_080, health: 'healthy' }),
    ]);
    expect(changed).toContain(web.key);
    expect(changed).not.toContain('default/other');
    expect(await greetings(a!, 6)).toEqual(['n2']);
  });

  function quickCheck(port: number) {
    return { healthCheck: { protocol: 'tcp' as const, port, intervalSeconds: 0.05, timeoutSeconds: 1, unhealthyThreshold: 1 } };
  }
});

describe('after a start', () => {
  test('a Service that was deleted meanwhile holds nothing, and its address is free', async () => {
    const [port] = await freePorts(1);
    const kept = balancer({ name: 'kept', ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes() });
    const provider = await open({ pools: [pool('two', ['127.0.0.1-127.0.0.2'])] }, { balancers: [holding(kept, ['127.0.0.2'])] });
    expect(await provider.keys()).toEqual(['default/kept']);
    expect((await reportOf(provider, 'default/deleted')).gone).toBe(true);
    expect(provider.adjust(balancer({ name: 'new' }), nothingReserved).address.held).toEqual(['127.0.0.1']);
    expect(provider.adjust(kept, nothingReserved).address.held).toEqual(['127.0.0.2']);
  });
});

describe('a standby that begins to lead', () => {
  test('gives nobody what another leader gave out meanwhile, and keeps what it has open itself', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ pools: [pool('three', ['127.0.0.1-127.0.0.3'])] });
    const own = balancer({ name: 'own', ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes(1) });
    expect((await want(provider, own)).address.held).toEqual(['127.0.0.1']);
    const theirs = holding(balancer({ name: 'theirs' }), ['127.0.0.2']);
    await provider.lead?.({ balancers: [holding(own, ['127.0.0.1']), theirs], surroundings: nothingReserved, changed: () => {} });
    expect(provider.adjust(balancer({ name: 'new' }), nothingReserved).address.held).toEqual(['127.0.0.3']);
    expect(provider.adjust(theirs, nothingReserved).address.held).toEqual(['127.0.0.2']);
    expect(provider.adjust(own, nothingReserved).address.held).toEqual(['127.0.0.1']);
    expect(await greetings(port!, 2)).toEqual(['n1']);
  });
});

describe('options that change while it runs', () => {
  test('other pools: a balancer keeps what it has, with a note, until it may move; a wrong pool changes nothing', async () => {
    const [port] = await freePorts(1);
    const provider = await open({ pools: [pool('one', ['127.0.0.1'])] });
    const web = balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes(1) });
    await want(provider, web);
    changed.length = 0;
    expect(provider.reload?.({ pools: [pool('two', ['127.0.0.2'])], portFallback: true })).toEqual(['--local-port-fallback']);
    expect(changed).toContain(web.key);
    expect((await want(provider, web)).address.held).toEqual(['127.0.0.1']);
    const { notes, settled } = await reportOf(provider, web.key);
    expect({ notes, settled }).toEqual({
      settled: true,
      notes: [
        { code: 'AddressNotInPool', message: expect.stringMatching(/127.0.0.1 is kept although no pool.*allow-disruption/) },
      ],
    });
    expect(() => provider.reload?.({ pools: [pool('bad', ['nowhere'])] })).toThrow('Not usable as a pool');
    const allowing = balancer({
      ports: [{ port: port!, nodePort: 30_080 }],
      nodes: nodes(1),
      settings: { allowDisruption: true },
    });
    expect((await want(provider, allowing)).address.held).toEqual(['127.0.0.2']);
    expect((await reportOf(provider, web.key)).notes).toBeUndefined();
  });
});

describe('plans for people', () => {
  test('say what opens, changes and closes, and what is cut', async () => {
    const [port, next] = await freePorts(2);
    const provider = await open();
    const at = (p: number, more: object) => balancer({ ports: [{ port: p, nodePort: 30_080 }], ...more });
    const first = provider.adjust(at(port!, { nodes: [node('n1', '127.0.0.1')] }), nothingReserved);
    const told = async (wanted: Balancer | undefined) =>
      provider
        .plan(wanted, await provider.observe(first.key), 0)
        .map(({ kind, summary, disrupts }) => ({ kind, summary, disrupts }));
    expect(await told(first)).toEqual([
      { kind: 'open-listener', summary: `listen on TCP 127.0.0.1:${port} and forward to port 30080 of 1 node`, disrupts: false },
    ]);
    await pass(provider, first.key, first);
    expect(await told({ ...first, nodes: [node('n1', '127.0.0.1'), node('n2', '127.0.0.2')] })).toEqual([
      { kind: 'update-listener', summary: `change TCP 127.0.0.1:${port}: nodes 1 -> 2 (+n2)`, disrupts: false },
    ]);
    expect(
      await told(provider.adjust(at(next!, { nodes: first.nodes, settings: { drainSeconds: 5 } }), nothingReserved)),
    ).toEqual([
      { kind: 'open-listener', summary: `listen on TCP 127.0.0.1:${next} and forward to port 30080 of 1 node`, disrupts: false },
      {
        kind: 'close-listener',
        summary: `stop listening on TCP 127.0.0.1:${port}; open connections have 30 s to finish`,
        disrupts: true,
      },
    ]);
    expect((await told(undefined)).map(({ kind }) => kind)).toEqual(['close-listener', 'release-addresses']);
  });
});
