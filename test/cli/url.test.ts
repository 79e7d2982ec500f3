import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { commandFor, listWays, type Way } from '../../src/cli/ways.ts';
import { readNode, readService } from '../../src/kube/objects.ts';
import { call } from './call.ts';
import { rawNode, rawService } from './objects.ts';
import { type SmallKube, startSmallKube } from './small-kube.ts';

jest.setTimeout(120_000); // on a machine that may be busy

describe('ways in', () => {
  const withUid = (raw: { metadata: object }) => ({ ...raw, metadata: { uid: 'u', ...raw.metadata } });
  const node = readNode(
    withUid(
      rawNode('n1', '10.0.0.1', {
        external: '2001:db8::1',
        annotations: { 'nodeport-lb.io/node-port-map': '30123=127.0.0.1:49200' },
      }),
    ),
  )!;
  const waysOf = (...wish: Parameters<typeof rawService>) =>
    listWays(readService(withUid(rawService(...wish)))!, [node]).map(
      (way) => `${way.kind} ${way.addressType ?? ''} ${way.host}:${way.port}`,
    );

  test('the best come first', () => {
    const wish = {
      spec: { externalIPs: ['192.0.2.9'] },
      annotations: { 'nodeport-lb.io/served-ports': '80/TCP=49153' },
      ingress: [{ ip: '127.0.0.32' }, { hostname: 'lb.example.com' }],
    };
    expect(waysOf('shop', 'web', wish)).toEqual([
      'balancer  127.0.0.32:49153',
      'balancer  lb.example.com:49153',
      'externalIP  192.0.2.9:80',
      'node published 127.0.0.1:49200',
      'node InternalIP 10.0.0.1:30123',
      'node ExternalIP 2001:db8::1:30123',
      'clusterIP  10.96.0.10:80',
      'dns  web.shop.svc.cluster.local:80',
    ]);
  });
  test('headless has its name only', () => {
    const ports = [{ port: 80, protocol: 'TCP' }];
    expect(waysOf('shop', 'web', { type: 'ClusterIP', spec: { clusterIP: 'None', clusterIPs: ['None'], ports } })).toEqual([
      'dns  web.shop.svc.cluster.local:80',
    ]);
  });
  test.each<[Partial<Way>, string, string]>([
    [{}, '', 'curl http://127.0.0.1:8080/'],
    [{ host: '::1' }, '', 'curl http://[::1]:8080/'],
    [{ servicePort: 443 }, '', 'curl -k https://127.0.0.1:8080/'],
    [{}, 'https-web', 'curl -k https://127.0.0.1:8080/'],
    [{ protocol: 'UDP' }, 'dns', 'nc -u 127.0.0.1 8080'],
  ])('%j %s: %s', (more, name, command) => {
    const way: Way = { kind: 'node', from: 'outside', host: '127.0.0.1', port: 8080, protocol: 'TCP', servicePort: 80, ...more };
    expect(commandFor(way, name)).toBe(command);
  });
});

describe('url', () => {
  let kube: SmallKube;
  let server: Server;
  let port = 0;
  beforeAll(async () => {
    kube = await startSmallKube();
    server = createServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
    kube.put('nodes', rawNode('n1', '127.0.0.1'));
    for (let i = 2; i <= 12; i++) kube.put('nodes', rawNode(`n${i}`, `127.0.0.${i}`));
    const ports = [{ port: 80, nodePort: port, protocol: 'TCP', name: 'http' }];
    kube.put('services', rawService('shop', 'web', { spec: { clusterIP: '', clusterIPs: [], ports } }));
  });
  afterAll(async () => {
    await Promise.all([kube.close(), new Promise((resolve) => server.close(resolve))]);
  });

  test('--probe tells which ways answer, and gives the command that works', async () => {
    const called = call(['url', 'shop/web', '--probe', '--kubeconfig', kube.kubeconfig]);
    const code = await called.ended;
    const stdout = called.stdout();
    expect({ code, stderr: called.stderr() }).toEqual({
      code: 0,
      stderr: 'It has no external address yet; nodeport-lb status shop/web says why.\n',
    });
    expect(stdout).toMatch(new RegExp(`node n1 \\(internal\\) +outside +127\\.0\\.0\\.1:${port} +TCP +ok, [\\d.]+ ms\\n`));
    expect(stdout).toMatch(
      new RegExp(`node n2 \\(internal\\) +outside +127\\.0\\.0\\.2:${port} +TCP +refused: nothing listens there\\n`),
    );
    expect(stdout).not.toMatch(/node n11 /);
    expect(stdout).toMatch(/and more nodes; -o json has them all\n/);
    const command = stdout.trimEnd().split('\n').at(-1)!;
    expect(command).toBe(`curl http://127.0.0.1:${port}/`);
    expect(await (await fetch(command.split(' ')[1]!)).text()).toBe('hello');
  });

  test('--probe fits a terminal of 80 columns, and cuts no answer', async () => {
    kube.put('nodes', rawNode('a-node-with-quite-a-long-name.example.com', '2001:db8:1111:2222:3333:4444:5555:6666'));
    const called = call(['url', 'shop/web', '--probe', '--kubeconfig', kube.kubeconfig], 80);
    expect(await called.ended).toBe(0);
    const lines = called.stdout().split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.join('\n')).toMatch(new RegExp(` 127\\.0\\.0\\.1:${port} +TCP +ok, [\\d.]+ ms\\n`));
    kube.remove('nodes', '', 'a-node-with-quite-a-long-name.example.com');
  });

  test('-o json has every way', async () => {
    const called = call(['url', 'shop/web', '-o', 'json', '--kubeconfig', kube.kubeconfig]);
    await called.ended;
    const { version, service, ways, command } = JSON.parse(called.stdout());
    expect({ version, service, command, count: ways.length }).toEqual({
      version: 1,
      service: 'shop/web',
      command: `curl http://127.0.0.1:${port}/`,
      count: 13,
    });
    expect(ways[0]).toEqual({
      kind: 'node',
      from: 'outside',
      node: 'n1',
      addressType: 'InternalIP',
      host: '127.0.0.1',
      port,
      protocol: 'TCP',
      servicePort: 80,
    });
  });

  test('needs a Service', () => expect(() => call(['url'])).toThrow('NAMESPACE/NAME is missing'));
});
