import { setImmediate as turnEnd } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { BATCH, Outbox } from '../../src/forwarder/udp-outbox.ts';

/** Keeps what has left. */
function outbox() {
  const left: string[] = [];
  const made = new Outbox<string>();
  const deliver = (flow: string, datagram: Uint8Array): void => void left.push(`${flow} ${datagram[0]}`);
  const post = (flow: string, from: number, count: number): void => {
    for (let i = from; i < from + count; i++) made.post(deliver, flow, new Uint8Array([i]));
  };
  return { made, deliver, post, left };
}

const sent = (flow: string, count: number) => Array.from({ length: count }, (_, i) => `${flow} ${i}`);

test('what is posted leaves at the end of the turn, in its order, and so in the next turn', async () => {
  const { post, left } = outbox();
  post('a', 0, 3);
  expect(left).toEqual([]);
  await turnEnd();
  expect(left).toEqual(sent('a', 3));
  post('a', 3, 2);
  await turnEnd();
  expect(left).toEqual(sent('a', 5));
});

test('a full batch does not wait for the end of the turn', async () => {
  const { post, left } = outbox();
  post('a', 0, 2 * BATCH + 1);
  expect(left).toEqual(sent('a', 2 * BATCH));
  await turnEnd();
  expect(left).toEqual(sent('a', 2 * BATCH + 1));
});

test('whatever is posted or flushed while it is delivering, each leaves once and in order', async () => {
  const { made, deliver, left } = outbox();
  made.post(
    (flow, datagram) => {
      deliver(flow, datagram);
      made.post(deliver, 'a', new Uint8Array([2]));
      made.flush();
    },
    'a',
    new Uint8Array([0]),
  );
  made.post(deliver, 'a', new Uint8Array([1]));
  made.flush();
  await turnEnd();
  expect(left).toEqual(sent('a', 3));
});

test('one that cannot be delivered does not keep the others, nor is it sent twice', () => {
  const { made, deliver, left } = outbox();
  made.post(deliver, 'a', new Uint8Array([0]));
  made.post(
    () => {
      throw new Error('no way');
    },
    'a',
    new Uint8Array([9]),
  );
  made.post(deliver, 'a', new Uint8Array([1]));
  expect(() => made.flush()).toThrow('no way');
  made.flush();
  expect(left).toEqual(sent('a', 2));
});
