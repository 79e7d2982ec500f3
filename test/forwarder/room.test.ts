import { afterEach, expect, test } from '@jest/globals';
import { startForwarder } from '../../src/forwarder/forwarder.ts';
import { Room } from '../../src/forwarder/room.ts';
import type { ForwarderLog } from '../../src/forwarder/rules.ts';
import {
  backend,
  Cleanup,
  closed,
  firstLine,
  Known,
  listener,
  nodes,
  open,
  quiet,
  rules,
  until,
  whoAnswers,
} from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let aheadMs = 0;

function start(nodePort: number, maxConnections: number) {
  const known = new Known();
  const told: { level: string; fields: object; message: string }[] = [];
  const tell = (level: string) => (fields: object, message: string) => void told.push({ level, fields, message });
  const log: ForwarderLog = { ...quiet, info: tell('info'), warn: tell('warn') };
  const forwarder = cleanup.forwarder(
    startForwarder({ onReport: known.take, log, maxConnections, nowMs: () => performance.now() + aheadMs }),
  );
  forwarder.apply(rules({ nodes: nodes('127.0.0.1'), listeners: [listener({ nodePort, idleMs: 0 })] }));
  const warning = () =>
    known.history.reduce<string | null | undefined>(
      (last, { warnings }) => (warnings && 'ConnectionsFull' in warnings ? warnings['ConnectionsFull'] : last),
      undefined,
    );
  return { known, forwarder, told, warning };
}

test.each([
  { maxConnections: 100, level: 'warn' },
  { maxConnections: 9_250, level: 'info' },
])('how many clients there may be is told at the start: $maxConnections', ({ maxConnections, level }) => {
  const { told } = start(1, maxConnections);
  expect(told[0]).toMatchObject({ level, fields: { connections: maxConnections, flows: maxConnections } });
  expect(told[0]?.message).toContain('at most');
});

test('idle connections up to the limit are kept, one more is turned away and that is told, until there is room', async () => {
  const server = await backend(cleanup, '127.0.0.1');
  const limit = 40;
  const { known, forwarder, warning } = start(server.port, limit);
  const port = await known.port();
  const idle = await Promise.all(Array.from({ length: limit }, () => open(port)));
  cleanup.add(() => idle.forEach((client) => void client.destroy()));
  await Promise.all(idle.map(firstLine));
  expect(warning()).toBeUndefined();
  await expect(whoAnswers(port)).rejects.toThrow();
  await until('the warning', () => typeof warning() === 'string');
  expect(warning()).toContain(`all of ${limit} places`);
  const first = idle[0]!;
  first.write('still here\n');
  expect(await firstLine(first)).toBe('still here');
  for (const client of idle.slice(0, limit / 2)) client.destroy();
  await Promise.all(idle.slice(0, limit / 2).map(closed));
  aheadMs += 60_000;
  await until('the end of the warning', () => warning() === null);
  expect(await whoAnswers(port)).toBe('127.0.0.1');
  expect((await forwarder.counters()).sum.refusedByLimit).toBe(1);
});

function roomOf() {
  const warnings = new Map<string, string | null>();
  const ground = {
    maxConnections: 100,
    active: 0,
    turnedAway: 0,
    flowsTooFast: 0,
    flows: { limit: 100, size: 0 },
    reports: { warning: (code: string, message: string | null) => void warnings.set(code, message) },
    log: quiet,
    nowMs: () => machine.nowMs,
  };
  const machine = { nowMs: 1_000, overflows: 0 };
  return { room: new Room(ground, () => machine.overflows), ground, machine, warnings };
}

test('a queue that another program had full while there were no clients is no news with the next client', () => {
  const { room, machine, warnings } = roomOf();
  machine.overflows = 7;
  machine.nowMs += 3_600_000;
  room.begin();
  machine.nowMs += 1_000;
  room.look();
  expect(warnings.get('BacklogFull')).toBeUndefined();
  expect(room.isTold).toBe(false);
});

test('a queue that was full is told until a minute without has passed, with clients or without', () => {
  const { room, machine, warnings } = roomOf();
  room.begin();
  machine.overflows = 1;
  machine.nowMs += 1_000;
  room.look();
  expect(warnings.get('BacklogFull')).toContain("ours or another program's");
  machine.nowMs += 59_000;
  room.look();
  expect(room.isTold).toBe(true); // looks go on
  machine.nowMs += 1_000;
  room.look();
  expect(warnings.get('BacklogFull')).toBeNull();
  expect(room.isTold).toBe(false);
});

test('flows that begin too fast are told by their own limit, not by that of open files', () => {
  const { room, ground, machine, warnings } = roomOf();
  room.begin();
  ground.flowsTooFast = 3;
  room.look();
  expect(warnings.get('FlowsTooFast')).toMatch(/^more than 10000 flows of UDP begin in a second/);
  expect(warnings.get('ConnectionsFull')).toBeUndefined();
  expect(room.isTold).toBe(true);
  machine.nowMs += 10_000;
  room.look();
  expect(warnings.get('FlowsTooFast')).toBeNull();
  expect(room.isTold).toBe(false);
});
