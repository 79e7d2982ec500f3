import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { Check, specsOf } from '../../src/forwarder/checks.ts';
import { Nodes } from '../../src/forwarder/targets.ts';
import { listener } from './builders.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Has a check go through many lists of nodes. @returns what becomes of those before the last */
function goThroughLists(check: Check<string>): readonly WeakRef<object>[] {
  const nodes = new Nodes();
  return Array.from({ length: 20 }, (_, i) => {
    nodes.put('n1', { id: 'n1', addresses: ['127.0.0.2'] });
    nodes.put('guest', i % 2 === 0 ? undefined : { id: 'guest', addresses: ['127.0.0.3'] });
    nodes.resolveSets(new Map([['all', ['n1', 'guest']]]));
    const members = nodes.set('all');
    check.setMembers(members, nodes.slots);
    return new WeakRef(members);
  }).slice(0, -1);
}

test('nothing is kept of the nodes that a check had before', async () => {
  const check = new Check<string>(specsOf(listener({ nodePort: 30_080 })).nodePort);
  const before = goThroughLists(check);
  await turn(); // what a weak reference has shown lives until the end of the turn
  collectGarbage();
  expect(before.filter((list) => list.deref() !== undefined)).toHaveLength(0);
  expect(check.members).toHaveLength(2);
});
