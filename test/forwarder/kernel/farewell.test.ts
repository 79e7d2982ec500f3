import { expect, test } from '@jest/globals';
import { renderEnd } from '../../../src/forwarder/kernel/farewell.ts';
import { emptyPlan } from '../../../src/forwarder/kernel/plan.ts';
import { renderRuleset } from '../../../src/forwarder/kernel/ruleset.ts';

test('the end stands at the head of every chain that takes or refuses new connections, in whole seconds', () => {
  const text = renderRuleset(emptyPlan, { table: 't', countBytes: true });
  const chains = [...text.matchAll(/chain (\S+) \{\n\s+type (\S+) hook (\S+) priority/g)];
  const doors = chains.filter(([, name, type, hook]) => hook !== 'postrouting' && (type === 'nat' || !name?.startsWith('count')));
  expect(doors.length).toBeGreaterThan(0);
  expect(renderEnd('t', 1_700_000_000_001).split('\n').sort()).toEqual(
    doors.map(([, name]) => `insert rule inet t ${name} meta time >= 1700000001 accept`).sort(),
  );
});
