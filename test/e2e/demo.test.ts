import { chmodSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type DemoRun, type RunningDemo, startDemo } from '../sandbox/running-demo.ts';

/** Where it runs may be poor: no rights, no home, a checkout that cannot be written, one loopback address. */
const DEMO_MS = 60_000;
/** The demo takes 3 to 6 s on an idle machine and promises 15; a machine that runs everything else beside it may take longer. */
const PROMISED_MS = 45_000;
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const ONE_ADDRESS = [
  ...['unshare', '--net', 'sh', '-ec'],
  'ip link set lo up; ip address del 127.0.0.1/8 dev lo; ip address add 127.0.0.1/32 dev lo; exec "$@"',
  'sh',
];
/** Ports below 1024 are not for everybody, whatever this machine allows otherwise. */
const LOW_PORTS_KEPT = [
  ...['unshare', '--net', 'sh', '-ec'],
  'ip link set lo up; echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start; exec "$@"',
  'sh',
];
let demo: RunningDemo;

afterEach(async () => {
  await demo.end();
});

async function run(how: DemoRun, args: readonly string[] = []): Promise<{ told: string; elapsedMs: number }> {
  demo = startDemo(args, how);
  if (how.before?.includes('setpriv')) chmodSync(demo.folder, 0o777);
  const begun = performance.now();
  const { code, told } = await demo.exited;
  const elapsedMs = performance.now() - begun;
  expect({ code, told }).toEqual({ code: 0, told: expect.stringContaining('All of it was true') });
  expect(demo.leftovers).toEqual([]);
  return { told, elapsedMs };
}

describe('the demo', () => {
  test(
    'is true for a user without rights and without a home, and shows both ports where one cannot be bound',
    async () => {
      const { told, elapsedMs } = await run({ before: [...LOW_PORTS_KEPT, ...NOBODY], env: { HOME: '/proc/1' } });
      expect(told).toMatch(
        /^kubia-loadbalancer +LoadBalancer +\S+ +127\.0\.\d+\.\d+ +80:\d+\/TCP\n +port 80 .* 127\.0\.\d+\.\d+:\d+$/m,
      );
      expect(elapsedMs).toBeLessThan(PROMISED_MS);
    },
    DEMO_MS,
  );

  test(
    'is true where 127.0.0.1 is the only loopback address',
    async () => {
      const { told, elapsedMs } = await run({ before: ONE_ADDRESS });
      expect(told).toContain('127.0.0.1 is the only loopback address');
      expect(told).toMatch(/^service-python +LoadBalancer +\S+ +127\.0\.0\.1 +3000:30080\/TCP$/m);
      expect(told).toMatch(/^ +port 80 .* 127\.0\.0\.1:\d+$/m);
      expect(elapsedMs).toBeLessThan(PROMISED_MS);
    },
    DEMO_MS,
  );

  test(
    'is true with neither rights nor addresses',
    async () => {
      await run({ before: [...ONE_ADDRESS, ...NOBODY], env: { HOME: '/proc/1' } });
    },
    DEMO_MS,
  );

  test(
    'of AWS is true with neither rights nor addresses, whatever account the user has',
    async () => {
      const env = { HOME: '/proc/1', AWS_PROFILE: 'none', AWS_REGION: 'us-gov-west-1' };
      const { told } = await run({ before: [...ONE_ADDRESS, ...NOBODY], env }, ['--provider', 'aws']);
      expect(told).toContain('the account is as it was: nothing is left over');
    },
    2 * DEMO_MS,
  );
});
