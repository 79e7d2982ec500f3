import { expect, test } from '@jest/globals';
import { goesOn, renderEnd } from '../../../src/forwarder/kernel/farewell.ts';
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

const chain = (rule: string) =>
  `table inet t {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat;\n${rule}\t}\n}\n`;

test.each([
  { found: chain('\t\tip daddr . tcp dport vmap @listeners4\n'), goes: true },
  { found: chain('\t\tmeta time >= "2023-11-14 22:13:21" accept\n\t\tip daddr . tcp dport vmap @listeners4\n'), goes: false },
  { found: undefined, goes: false },
])('whether a table goes on is seen at its first chain: $goes', async ({ found, goes }) => {
  const list = async (...what: readonly string[]) => (what.join(' ').endsWith('list chain inet t prerouting') ? found : 'else');
  expect(await goesOn({ list }, 't')).toBe(goes);
});
