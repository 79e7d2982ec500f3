import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from '@jest/globals';
import type { Attempt } from '../../src/forwarder/dial.ts';
import { Flow, type FlowHost } from '../../src/forwarder/udp-flow.ts';
import type { Mouth } from '../../src/forwarder/udp-mouth.ts';
import { Cleanup, until } from './builders.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A target that keeps what it hears. */
async function target(address: string): Promise<{ attempt: Attempt; heard: string[] }> {
  const heard: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (datagram) => heard.push(datagram.toString()));
  socket.bind(0, address);
  await once(socket, 'listening');
  cleanup.add(() => socket.close());
  const id = `node at ${address}`;
  const node = { id, slot: 0, rule: { id, addresses: [address] }, addresses: [address] };
  return { attempt: { node, endpoint: { address, port: socket.address().port } }, heard };
}

function flowTo(attempt: Attempt, part: Partial<FlowHost> = {}): Flow {
  const host: FlowHost = {
    idleMs: 60_000,
    nowMs: () => 0,
    answered: () => {},
    refused: () => undefined,
    dropped: () => {},
    ended: () => {},
    ...part,
  };
  const flow = new Flow({ address: '127.0.0.1', port: 5_353 }, {} as Mouth, attempt, host);
  cleanup.add(() => flow.close());
  return flow;
}

test('what was sent before the socket was open goes to the target that the flow has moved to meanwhile, once each', async () => {
  const [before, after] = [await target('127.0.0.1'), await target('127.0.0.2')];
  const flow = flowTo(before.attempt);
  const said = ['one', 'two', 'three'];
  for (const text of said) flow.send(Buffer.from(text), 0);
  flow.moveTo(after.attempt);
  flow.send(Buffer.from('four'), 0);
  await until('all four', () => after.heard.length >= 4);
  expect([before.heard, after.heard]).toEqual([[], [...said, 'four']]);
});

test('no more than 64 datagrams wait, also over moves; what is beyond is counted', async () => {
  const [before, after] = [await target('127.0.0.1'), await target('127.0.0.2')];
  let dropped = 0;
  const flow = flowTo(before.attempt, { dropped: () => void dropped++ });
  for (let i = 0; i < 60; i++) flow.send(Buffer.from(String(i)), 0);
  flow.moveTo(after.attempt);
  for (let i = 60; i < 100; i++) flow.send(Buffer.from(String(i)), 0);
  await until('them to arrive', () => after.heard.length >= 64);
  expect([after.heard, dropped]).toEqual([Array.from({ length: 64 }, (_, i) => String(i)), 36]);
});
