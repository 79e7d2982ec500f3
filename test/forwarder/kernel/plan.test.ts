import { describe, expect, test } from '@jest/globals';
import { canonical, emptyPlan, type KernelRule, keyOf, type Plan, planRuleset } from '../../../src/forwarder/kernel/plan.ts';
import { movedKeys, renderChange } from '../../../src/forwarder/kernel/ruleset.ts';
import { aim, kernelRule } from './builders.ts';

const options = { table: 'test', countBytes: false };
const plan = (rules: readonly KernelRule[], before: Plan = emptyPlan) =>
  planRuleset({ rules, exclusive: new Set(), open: new Set() }, before);
const many = (to: readonly string[], count = 100) => {
  const shared = aim(to);
  return Array.from({ length: count }, (_, i) => kernelRule(i + 1, shared));
};

describe('chains', () => {
  test('listeners with the same targets share one', () => {
    const { chains, entries } = plan([...many(['10.0.0.1', '10.0.0.2']), kernelRule(999, aim(['10.0.0.3']))]);
    expect(chains.size).toBe(2);
    expect(entries.size).toBe(101);
  });

  test('a node that comes rewrites one chain and touches no listener', () => {
    const before = plan(many(['10.0.0.1', '10.0.0.2']));
    const after = plan(many(['10.0.0.1', '10.0.0.2', '10.0.0.3']), before);
    expect([...after.chains.keys()]).toEqual([...before.chains.keys()]);
    expect(movedKeys(before, after)).toEqual([]);
    expect(renderChange(before, after, options).split('\n')).toHaveLength(2);
  });

  test('a few listeners that differ leave the chain, the many keep it', () => {
    const before = plan(many(['10.0.0.1', '10.0.0.2']));
    const few = many(['10.0.0.1']).slice(0, 3);
    const after = plan([...few, ...many(['10.0.0.1', '10.0.0.2']).slice(3)], before);
    expect(movedKeys(before, after)).toEqual(few.map(({ key }) => key));
  });

  test('when most listeners change, the chain goes with them', () => {
    const before = plan(many(['10.0.0.1', '10.0.0.2']));
    const few = many(['10.0.0.1', '10.0.0.2']).slice(0, 3);
    const after = plan([...few, ...many(['10.0.0.9']).slice(3)], before);
    expect(movedKeys(before, after)).toEqual(few.map(({ key }) => key));
    expect(after.chains.get([...before.chains.keys()][0]!)?.aim.addresses).toEqual(['10.0.0.9']);
  });

  test('one that nobody has any more is deleted after the last element that points to it', () => {
    const before = plan([kernelRule(1, aim(['10.0.0.1'])), kernelRule(2, aim(['10.0.0.2']))]);
    const after = plan([kernelRule(1, aim(['10.0.0.1']))], before);
    const text = renderChange(before, after, options);
    expect(text.indexOf('delete chain')).toBeGreaterThan(text.indexOf('delete element inet test targets4'));
  });

  test('names are never used twice', () => {
    const first = plan([kernelRule(1, aim(['10.0.0.1']))]);
    const none = plan([], first);
    const second = plan([kernelRule(1, aim(['10.0.0.1']))], none);
    expect([...second.chains.keys()]).not.toEqual([...first.chains.keys()]);
  });
});

test('the same wants are no change', () => {
  const before = plan(many(['10.0.0.1']));
  expect(renderChange(before, plan(many(['10.0.0.1']), before), options)).toBe('');
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['FD00:0:0::1', 'fd00::1'],
  ['fd00:0000:0000:0001:0000:0000:0000:0001', 'fd00:0:0:1::1'],
])('%s is written %s', (given, written) => {
  expect(canonical(given)).toBe(written);
  expect(keyOf(canonical(given), 'UDP', 53)).toBe(`${written} . udp . 53`);
});
