import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnForwarder } from '../../../src/forwarder/child.ts';
import { startForwarder } from '../../../src/forwarder/forwarder.ts';
import type { Balancer } from '../../../src/model.ts';
import type { StartForwarder } from '../../../src/providers/local/link.ts';
import { createLocalProvider } from '../../../src/providers/local/provider.ts';
import type { Provider } from '../../../src/providers/provider.ts';
import { balancer, holding, node, nothingReserved, pool, quiet, refusalOf } from '../builders.ts';
import { drop, pass, reportOf, reportWhen, want } from '../drive.ts';
import { closeServer, freePorts, type Greeter, greetingAt, listenOn, startGreeter } from './sockets.ts';

const shared = [pool('loopback', ['127.0.0.1'], { sharePorts: true })];

const toEnd: (() => Promise<void>)[] = [];
let greeters: readonly Greeter[];
let changed: string[];

beforeEach(async () => {
  changed = [];
  greeters = await Promise.all(['n1', 'n2', 'n3'].map((name) => startGreeter(name, [30_080, 30_081])));
  for (const greeter of greeters) toEnd.push(() => greeter.stop());
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
});

async function open(
  options: object = {},
  start: StartForwarder = startForwarder,
  balancers: readonly Balancer[] = [],
): Promise<Provider> {
  const context = { clusterName: 'c', log: quiet, options: { pools: shared, ...options } };
  const provider: Provider = createLocalProvider(context, { startForwarder: start, now: Date.now, inCluster: false });
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
    const provider = await open({}, (options) => {
      const forwarder = spawnForwarder(options);
      pid = forwarder.pid;
      return forwarder;
    });
    const web = await want(provider, balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: nodes() }));
    process.kill(pid!, 'SIGKILL');
    const deadline = Date.now() + 5_000;
    while ((await greetingAt('127.0.0.1', port!).catch(() => '')) === '' && Date.now() < deadline);
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

describe('what cannot be served is told', () => {
  test('a port that another process has: named, not published, the other port served', async () => {
    const [taken, other] = await freePorts(2);
    const server = await listenOn('127.0.0.1', taken!);
    toEnd.push(() => closeServer(server));
    const provider = await open();
    const clash = await want(provider, balancer({ name: 'clash', ports: [{ port: taken!, nodePort: 30_080 }], nodes: nodes() }));
    const report = await reportOf(provider, clash.key);
    expect(report).toMatchObject({ addresses: [], settled: true, listeners: [{ port: taken, error: { code: 'PortInUse' } }] });
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

  test('an address that this machine has not got', async () => {
    const provider = await open({ pools: [pool('elsewhere', ['192.0.2.1'])] });
    const web = await want(provider, balancer({ ports: [{ port: 8_080, nodePort: 30_080 }], nodes: nodes() }));
    const report = await reportOf(provider, web.key);
    expect(report).toMatchObject({ addresses: [], listeners: [{ error: { code: 'AddressUnavailable' } }] });
  });

  test('UDP beside TCP: the TCP port is served and the UDP port says why not', async () => {
    const [port] = await freePorts(1);
    const provider = await open();
    const dns = balancer({
      ports: [
        { port: port!, nodePort: 30_080 },
        { port: port!, nodePort: 30_080, protocol: 'UDP' },
      ],
      nodes: nodes(),
    });
    const wanted = await want(provider, dns);
    const report = await reportOf(provider, wanted.key);
    expect(report.settled).toBe(true);
    expect(report.listeners).toEqual([
      { uid: 'uid-default-web', protocol: 'TCP', port },
      {
        uid: 'uid-default-web',
        protocol: 'UDP',
        port,
        error: { code: 'ProtocolUnsupported', message: expect.stringContaining(`${port}/UDP`) },
      },
    ]);
    expect(await greetings(port!, 3)).not.toEqual([]);
    await drop(provider, wanted.key);
  });

  test.each([
    { why: 'UDP alone', wish: { ports: [{ port: 53, protocol: 'UDP' as const }] }, code: 'ProtocolUnsupported', says: /53\/UDP/ },
    {
      why: 'SCTP alone',
      wish: { ports: [{ port: 9, protocol: 'SCTP' as const }] },
      code: 'ProtocolUnsupported',
      says: /9\/SCTP/,
    },
    { why: 'a hostname', wish: { settings: { publish: 'hostname' as const } }, code: 'AnnotationInvalid', says: /publish/ },
  ])('$why is refused', async ({ wish, code, says }) => {
    const provider = await open();
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
    const provider = await open({ pools: [pool('two', ['127.0.0.1-127.0.0.2'])] }, startForwarder, [
      holding(kept, ['127.0.0.2']),
    ]);
    expect(await provider.keys()).toEqual(['default/kept']);
    expect((await reportOf(provider, 'default/deleted')).gone).toBe(true);
    expect(provider.adjust(balancer({ name: 'new' }), nothingReserved).address.held).toEqual(['127.0.0.1']);
    expect(provider.adjust(kept, nothingReserved).address.held).toEqual(['127.0.0.2']);
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
