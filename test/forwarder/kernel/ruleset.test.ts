import { describe, expect, test } from '@jest/globals';
import { type Aim, emptyPlan, type KernelRule, planChanges } from '../../../src/forwarder/kernel/plan.ts';
import { renderChange, renderRuleset } from '../../../src/forwarder/kernel/ruleset.ts';
import { aim, changesTo, kernelRule } from './builders.ts';

const options = { table: 'test', countBytes: true };
const to = aim(['10.0.0.1']);
const plan = (rules: readonly KernelRule[], exclusive: readonly string[] = [], aims: readonly Aim[] = [to]) => ({
  ...planChanges(emptyPlan, changesTo(rules, aims)),
  exclusive: new Set(exclusive),
});
const ruleOf = (of: Aim, address = '192.0.2.1') =>
  renderRuleset(plan([kernelRule(80, of, { address })], [], [of]), options)
    .split('\n')
    .find((line) => /^add rule inet test (t1|rest[46])/.test(line));

test('the whole takes the place of what the table held, in one text', () => {
  const lines = renderRuleset(plan([]), options).split('\n');
  expect(lines.slice(0, 3)).toEqual(['table inet test {}', 'delete table inet test', 'table inet test {']);
});

test('a listener is an element of each map; of those with the most frequent targets none says so', () => {
  const few = aim(['10.0.0.9']);
  const text = renderRuleset(plan([kernelRule(79, few), kernelRule(80, to), kernelRule(81, to)], [], [few, to]), options);
  expect(text).toContain('add element inet test targets4 { 192.0.2.1 . tcp . 79 : goto t1 }');
  const all = [79, 80, 81].map((port) => `192.0.2.1 . tcp . ${port}`);
  expect(text).toContain(`add element inet test ports4 { ${all.map((key, i) => `${key} : ${30_079 + i}`).join(', ')} }`);
  expect(text).toContain(`add element inet test via4 { ${all.join(', ')} }`);
});

describe('targets', () => {
  test('take their turn', () => {
    expect(ruleOf(aim(['10.0.0.1', '10.0.0.2']))).toContain(
      'dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 } : ip daddr . meta l4proto . th dport map @ports4',
    );
  });
  test('of IPv6', () => {
    expect(ruleOf(aim(['fd00::1']), 'fd00::9')).toContain(
      'dnat ip6 to fd00::1 : ip6 daddr . meta l4proto . th dport map @ports6',
    );
  });
  test('with ports of their own', () => {
    const own = { ...aim(['10.0.0.1', '10.0.0.2']), ports: [81, 82] };
    expect(ruleOf(own)).toMatch(/map \{ 0 : 10\.0\.0\.1 \. 81, 1 : 10\.0\.0\.2 \. 82 \}$/);
  });
  test('by the hash of the client', () => {
    expect(ruleOf(aim(['10.0.0.1', '10.0.0.2'], { staySeconds: 0 }))).toMatch(/jhash ip saddr mod 1024 seed 0x\w+ map \{ 0 : 10/);
  });
  test('none at all: what userspace serves on addresses that are ours alone is let through', () => {
    expect(ruleOf(aim([]))).toBe(
      'add rule inet test rest4 meta l4proto { tcp, udp, sctp } ip daddr . meta l4proto . th dport != @open4 goto none',
    );
  });
});

test('source ranges are a chain before the targets, shared by listeners with the same ranges', () => {
  const sources = ['10.0.0.0/8'];
  const rules = [80, 81].map((port) => kernelRule(port, to, { sources }));
  const text = renderRuleset(plan(rules), options);
  expect(text).toContain('add element inet test guards4 { 192.0.2.1 . tcp . 80 : jump g1, 192.0.2.1 . tcp . 81 : jump g1 }');
  expect(text.match(/add chain inet test g/g)).toHaveLength(1);
});

test('ranges of another family alone let nobody in', () => {
  const text = renderRuleset(plan([kernelRule(80, to, { sources: [] })]), options);
  expect(text).toContain('add set inet test g1s');
  expect(text).not.toContain('add element inet test g1s');
});

test('addresses that are ours alone need no entry to be masqueraded', () => {
  const text = renderRuleset(plan([kernelRule(80, to)], ['192.0.2.1']), options);
  expect(text).toContain('add element inet test own4 { 192.0.2.1 }');
  expect(text).not.toContain('test via4 {');
});

test('counters that packets made go with their listener', () => {
  const before = plan([kernelRule(80, to)]);
  const after = planChanges(before, changesTo([], [], before));
  expect(renderChange(before, after, options)).toContain('delete element inet test up4 { 192.0.2.1 . tcp . 80 }');
});
