import { expect, test } from '@jest/globals';
import { Crowd } from '../../../src/forwarder/kernel/crowd.ts';
import type { KernelListener } from '../../../src/forwarder/kernel/listener.ts';

const member = (key: string) => ({ key, peers: undefined }) as unknown as KernelListener;

test('one speaks for all that have their targets in common, whoever of them goes', () => {
  const crowd = new Crowd();
  const [a, b, c, alone] = ['a', 'b', 'c', 'alone'].map(member) as [
    KernelListener,
    KernelListener,
    KernelListener,
    KernelListener,
  ];
  for (const one of [a, b, c]) crowd.place(one, 'all');
  crowd.place(alone, undefined);
  expect(crowd.asked()).toEqual([a, alone]);
  crowd.drop(a);
  expect(crowd.asked()).toEqual([b, alone]);
  crowd.place(b, undefined);
  expect(crowd.asked()).toEqual([c, alone, b]);
  crowd.place(b, 'all');
  crowd.place(alone, 'others');
  expect(crowd.asked()).toEqual([c, alone]);
  for (const one of [b, c, alone]) crowd.drop(one);
  expect(crowd.asked()).toEqual([]);
});

test('whoever stays where it is keeps its peers, and who leaves them has others', () => {
  const crowd = new Crowd();
  const [a, b] = [member('a'), member('b')];
  crowd.place(a, 'all');
  crowd.place(b, 'all');
  const { peers } = a;
  crowd.place(a, 'all');
  expect(a.peers).toBe(peers);
  expect([...(peers ?? [])]).toEqual([a, b]);
  crowd.place(a, 'others');
  expect(a.peers).not.toBe(peers);
  expect([...(peers ?? [])]).toEqual([b]);
});
