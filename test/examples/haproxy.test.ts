import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Provider } from '../../src/providers/provider.ts';
import { createProvider } from '../../src/providers/registry.ts';
import { providerContract } from '../contracts/provider.ts';
import { balancer, node, nothingReserved, quiet } from '../providers/builders.ts';
import { drop, pass, reportOf, want } from '../providers/drive.ts';
import { freePorts, greetingAt, startGreeter } from '../providers/local/sockets.ts';

const modulePath = fileURLToPath(new URL('./haproxy-provider/provider.js', import.meta.url));

function load(options: object): Promise<Provider> {
  return createProvider(modulePath, { clusterName: 'c1', log: quiet, options: { addresses: ['127.0.0.1'], ...options } });
}

/** The old HAProxy closes its socket shortly after the new one has started: connections are tried until one is refused. */
async function refusedAt(port: number): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (let last = ''; !last.includes('ECONNREFUSED'); ) {
    if (performance.now() > deadline) throw new Error(`port ${port} is still open: ${last}`);
    last = await greetingAt('127.0.0.1', port).catch(String);
  }
}

providerContract('the HAProxy example', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
  return {
    create: () => load({ file: join(directory, 'lb.cfg'), check: 'true', reload: 'true' }),
    kill: async () => {},
    ports: [8_080, 8_081, 8_082, 8_083],
    impossible: { requested: ['192.0.2.1'] },
    end: () => rm(directory, { recursive: true }),
  };
});

describe('the HAProxy example', () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
    file = join(directory, 'lb.cfg');
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function open(options: object): Promise<Provider> {
    const provider = await load({ file, check: 'true', reload: 'true', ...options });
    await provider.open({ balancers: [], surroundings: nothingReserved, changed: () => {} });
    return provider;
  }

  test('writes what a Service asks for', async () => {
    const provider = await open({});
    const group = {
      nodePort: 30_080,
      affinitySeconds: 60,
      sourceRanges: ['10.0.0.0/8'],
      healthCheck: { protocol: 'http', port: 31_000, path: '/healthz' },
    } as const;
    const wish = balancer({
      ports: [{ port: 80, ...group }],
      nodes: [node('n1', '10.0.0.1'), node('n2', 'fd00::2')],
      settings: { proxyProtocol: 'v2', idleTimeoutSeconds: 90 },
    });
    await want(provider, wish);
    const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim());
    expect(lines).toEqual(
      expect.arrayContaining([
        'listen c1_default_web_80',
        'bind 127.0.0.1:80',
        'timeout client 90s',
        'tcp-request connection reject unless { src 10.0.0.0/8 }',
        'stick-table type ipv6 size 100k expire 60s',
        'option httpchk GET /healthz',
        'server n1 10.0.0.1:30080 check port 31000 send-proxy-v2',
        'server n2 [fd00::2]:30080 check port 31000 send-proxy-v2',
      ]),
    );
    await drop(provider, 'default/web');
    expect(await readFile(file, 'utf8')).not.toContain('listen');
  });

  test('what HAProxy does not accept is not put in force, and is tried again', async () => {
    const provider = await open({ check: `grep -q 'server n2' "$FILE"` });
    const wish = balancer({ nodes: [node('n1', '10.0.0.1')] });
    await expect(want(provider, wish)).rejects.toThrow('grep');
    await expect(readFile(file)).rejects.toThrow('ENOENT');
    expect((await reportOf(provider, 'default/web')).settled).toBe(false);
    await want(provider, { ...wish, nodes: [node('n2', '10.0.0.2')] });
    expect(await readFile(file, 'utf8')).toContain('server n2 10.0.0.2');
  });

  test('many steps at once need few reloads', async () => {
    const provider = await open({ reload: `echo >> '${file}.reloads'` });
    const all = Array.from({ length: 50 }, (_, i) =>
      provider.adjust(balancer({ name: `s${i}`, ports: [{ port: 1_000 + i }] }), nothingReserved),
    );
    await Promise.all(all.map((wanted) => pass(provider, wanted.key, wanted)));
    expect((await readFile(file, 'utf8')).match(/^listen/gm)).toHaveLength(50);
    expect((await readFile(`${file}.reloads`, 'utf8')).length).toBeLessThan(10);
  });

  if (spawnSync('haproxy', ['-v']).status === 0) {
    test('a real HAProxy carries real connections', async () => {
      const [port] = await freePorts(1);
      const greeters = await Promise.all(['n1', 'n2'].map((name) => startGreeter(name, [30_080])));
      const [base, pid] = [join(directory, 'base.cfg'), join(directory, 'pid')];
      await writeFile(
        base,
        `global\n  stats socket ${join(directory, 'stats')}\nfrontend idle\n  mode tcp\n  timeout client 1s\n  bind unix@${join(directory, 'idle')}\n`,
      );
      const provider = await open({
        check: `haproxy -q -c -f '${base}' -f "$FILE"`,
        reload: `haproxy -q -D -p '${pid}' -f '${base}' -f "$FILE" -sf $(cat '${pid}' 2>/dev/null)`,
      });
      try {
        await want(
          provider,
          balancer({ ports: [{ port: port!, nodePort: 30_080 }], nodes: greeters.map((greeter) => greeter.node) }),
        );
        const heard = [await greetingAt('127.0.0.1', port!), await greetingAt('127.0.0.1', port!)];
        expect(heard.sort()).toEqual(['n1', 'n2']);
        await drop(provider, 'default/web');
        await refusedAt(port!);
      } finally {
        execFileSync('sh', ['-c', `kill $(cat '${pid}')`]);
        for (const greeter of greeters) await greeter.stop();
      }
    });
  }
});
