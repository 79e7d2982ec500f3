import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { KEEPALIVE_IDLE_MS, type Wiring } from '../../src/forwarder/wire.ts';
import { netWiring } from '../../src/forwarder/wire-net.ts';
import { bestWiring } from '../../src/forwarder/wire-raw.ts';
import { backend, Cleanup, firstLine, Known, listener, nodes, open, quiet, rules, until } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** IPVS forgets a silent TCP connection after this long, and tells nobody. */
const IPVS_FORGETS_MS = 900_000;
/** The kernel's timers are told in hundredths of a second, whatever it is built with. */
const TICK_MS = 10;
const KEEPALIVE = '02';

/** When the kernel asks again whether the other end is there, in milliseconds; undefined: it never does. */
function nextProbeMs(localPort: number, remotePort: number): number | undefined {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, local = '', remote = '', , , timer = ''] = line.trim().split(/\s+/);
    if (!local.endsWith(hex(localPort)) || !remote.endsWith(hex(remotePort))) continue;
    const [kind, when = ''] = timer.split(':');
    return kind === KEEPALIVE ? Number.parseInt(when, 16) * TICK_MS : undefined;
  }
  return undefined;
}

test('a silent connection is asked after well before anything on the way forgets it', () =>
  expect(KEEPALIVE_IDLE_MS).toBeLessThan(IPVS_FORGETS_MS / 2));

test.each<{ name: string; wiring: Wiring }>([
  { name: 'public sockets', wiring: netWiring },
  { name: 'raw handles', wiring: bestWiring() },
])('the kernel does so on both sides of an idle connection, over $name', async ({ wiring }) => {
  if (process.platform !== 'linux') return; // only there the timers can be read
  const target = await backend(cleanup, '127.0.0.1');
  const known = new Known();
  const forwarder = cleanup.forwarder(startForwarder({ onReport: known.take, log: quiet, wiring }));
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort: target.port })] }));
  const port = await known.port();
  const client = await open(port);
  cleanup.add(() => client.destroy());
  await firstLine(client);
  const upstream = await until('the connection to the target', () => [...target.sockets].find((socket) => !socket.destroyed));
  for (const [local, remote] of [
    [port, client.localPort!],
    [upstream.remotePort!, target.port],
  ] as const) {
    const ms = await until('a timer', () => nextProbeMs(local, remote));
    expect(ms).toBeLessThanOrEqual(KEEPALIVE_IDLE_MS);
  }
});
