import { beforeEach, expect, test } from '@jest/globals';
import { makeTruce, type Truce } from '../../src/controller/truce.ts';
import type { Service } from '../../src/kube/objects.ts';
import { service } from '../builders.ts';

const MINUTE_MS = 60_000;
const ours = { ingress: [{ ip: '192.0.2.1' }] };

let time = 1_000_000;
let truce: Truce;
beforeEach(() => {
  truce = makeTruce(() => time);
});

/** A Service whose status another manager has written over. */
function writtenOver(more: Partial<Service> = {}): Service {
  return { ...service(), uid: 'u1', ingress: [{ ip: '203.0.113.9' }], statusManagers: ['metallb'], ...more };
}

/** What comes of so many looks at a Service that was written over each time, `everyMs` apart. */
function looks(count: number, everyMs: number, seen = writtenOver()): readonly boolean[] {
  return Array.from({ length: count }, () => {
    time += everyMs;
    return truce.yieldTo(seen, ours) !== undefined;
  });
}

test('somebody who writes over our status again and again has its way, for ten minutes', () => {
  expect(looks(5, 1_000)).toEqual([false, false, false, true, true]);
  expect(truce.yieldTo(writtenOver(), ours)).toEqual({ manager: 'metallb', forMs: 10 * MINUTE_MS - 1_000 });
});

test('then ours is tried once more, and left alone as soon as it is written over again', () => {
  looks(4, 1_000);
  time += 10 * MINUTE_MS;
  expect(looks(3, 1_000)).toEqual([false, true, true]);
});

test('an edit by hand now and then is put right', () => {
  expect(looks(6, MINUTE_MS / 2)).not.toContain(true);
});

test('our own status, a cleared one and one that differs in nothing are no fight', () => {
  for (const seen of [
    writtenOver({ statusManagers: ['nodeport-lb'] }),
    writtenOver({ ingress: [] }),
    writtenOver({ ingress: ours.ingress }),
  ]) {
    expect(looks(6, 1_000, seen)).not.toContain(true);
  }
});

test('one Service that is fought over does not give up another', () => {
  looks(4, 1_000);
  expect(looks(1, 1_000, writtenOver({ uid: 'u2' }))).toEqual([false]);
});
