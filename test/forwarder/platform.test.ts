import { describe, expect, test } from '@jest/globals';
import { connectionsWith, MAX_CONNECTIONS } from '../../src/forwarder/limits.ts';
import {
  filesInReport,
  hasWholeLoopback,
  inheritsNoDelay,
  openFilesLimit,
  overflowsIn,
  passesSockets,
  queueOverflows,
  showsSockets,
} from '../../src/forwarder/platform.ts';
import { describePortHolder } from '../../src/forwarder/port-holder.ts';

test.each<{ platform: NodeJS.Platform; loopback: boolean; noDelay: boolean; passes: boolean; shows: boolean }>([
  { platform: 'linux', loopback: true, noDelay: true, passes: true, shows: true },
  { platform: 'darwin', loopback: false, noDelay: false, passes: true, shows: false },
  { platform: 'win32', loopback: true, noDelay: false, passes: false, shows: false },
  { platform: 'freebsd', loopback: false, noDelay: false, passes: true, shows: false },
])('what can be done on $platform', ({ platform, loopback, noDelay, passes, shows }) => {
  expect(hasWholeLoopback(platform)).toBe(loopback);
  expect(inheritsNoDelay(platform)).toBe(noDelay);
  expect(passesSockets(platform)).toBe(passes);
  expect(showsSockets(platform)).toBe(shows);
});

test.each<NodeJS.Platform>(['darwin', 'win32'])('on %s nobody looks into /proc for who has a port', async (platform) => {
  const place = { protocol: 'TCP', address: '127.0.0.1', port: 80 } as const;
  expect(await describePortHolder(place, platform)).toBe('another process (which one cannot be seen on this platform)');
});

describe('the limit of open files', () => {
  test('is read from Node’s report where there is no /proc, and is the same there', () => {
    expect(openFilesLimit('darwin')).toBe(openFilesLimit(process.platform === 'linux' ? 'linux' : 'darwin'));
  });

  test('is none on Windows, so that the number of connections is the highest', () => {
    expect(connectionsWith(openFilesLimit('win32'))).toBe(MAX_CONNECTIONS);
  });

  test.each<{ report: object; files: number }>([
    { report: { userLimits: { open_files: { soft: 10_240, hard: 'unlimited' } } }, files: 10_240 },
    { report: { userLimits: { open_files: { soft: 'unlimited', hard: 'unlimited' } } }, files: Number.POSITIVE_INFINITY },
    { report: { userLimits: {} }, files: Number.POSITIVE_INFINITY },
    { report: {}, files: Number.POSITIVE_INFINITY },
  ])('of $report is $files', ({ report, files }) => expect(filesInReport(report)).toBe(files));
});

describe('queues of new connections that were full', () => {
  test('are counted on Linux alone', () => {
    expect(queueOverflows('darwin')).toBeUndefined();
    expect(queueOverflows('win32')).toBeUndefined();
    expect(typeof queueOverflows()).toBe(process.platform === 'linux' ? 'number' : 'undefined');
  });

  test.each<{ netstat: string; count: number | undefined }>([
    { netstat: 'TcpExt: A ListenOverflows B\nTcpExt: 1 23 4\nIpExt: C\nIpExt: 5\n', count: 23 },
    { netstat: 'TcpExt: A B\nTcpExt: 1 2\n', count: undefined },
    { netstat: 'TcpExt: ListenOverflows\nTcpExt: many\n', count: undefined },
    { netstat: '', count: undefined },
  ])('$count in $netstat', ({ netstat, count }) => expect(overflowsIn(netstat)).toBe(count));
});
