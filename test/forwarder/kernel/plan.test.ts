import { describe, expect, test } from '@jest/globals';
import { canonical, emptyPlan, keyOf, type Plan, planChanges } from '../../../src/forwarder/kernel/plan.ts';
import { countingMap, movedKeys, renderChange } from '../../../src/forwarder/kernel/ruleset.ts';
import { aim, changesTo, kernelRule } from './builders.ts';

const options = { table: 'test', countBytes: false };
const [two, three, other] = [aim(['10.0.0.1', '10.0.0.2']), aim(['10.0.0.1', '10.0.0.2', '10.0.0.3']), aim(['10.0.0.9'])];
const many = (of = two, from = 1, count = 100) => Array.from({ length: count }, (_, i) => kernelRule(from + i, of));
const plan = (rules = many(), aims = [two, three, other], before: Plan = emptyPlan) =>
  planChanges(before, changesTo(rules, aims, before));

describe('chains', () => {
  test('listeners with the same targets share one', () => {
    const { chains, entries } = plan([...many(), kernelRule(999, other)]);
    expect(chains.size).toBe(2);
    expect(entries.size).toBe(101);
  });

  test('a node that comes rewrites one chain and touches no listener', () => {
    const before = plan();
    const after = planChanges(before, { rules: new Map(), aims: new Map([[two.content, three]]) });
    expect(movedKeys(before, after)).toEqual([]);
    expect(
      renderChange(before, after, options)
        .split('\n')
        .map((line) => line.split(' ').slice(0, 2).join(' ')),
    ).toEqual(['flush chain', 'add rule']);
  });

  test('listeners that differ leave the chain, the others keep it', () => {
    const before = plan();
    const few = many(other, 1, 3);
    const after = planChanges(before, { ...changesTo(few, [other]) });
    expect(movedKeys(before, after)).toEqual(few.map(({ key }) => key));
    expect(after.chains.size).toBe(2);
  });

  describe('of listeners that have their targets for themselves, among many others', () => {
    const [a, b] = [500, 501];
    const before = plan([...many(), kernelRule(a, other), kernelRule(b, other)]);
    const get = (to: typeof two, ...ports: number[]) =>
      planChanges(before, {
        ...changesTo(
          ports.map((port) => kernelRule(port, to)),
          [to],
        ),
      });

    test('is theirs still when all of them get others together: no element is touched, so that counters go on', () => {
      const after = get(three, a, b);
      expect(movedKeys(before, after)).toEqual([]);
      expect(after.chains.get(three.content)?.name).toBe(before.chains.get(other.content)?.name);
      expect(renderChange(before, after, options).split('\n')).toEqual([
        'flush chain inet test t1',
        expect.stringMatching(/^add rule inet test t1 .*10\.0\.0\.3/),
      ]);
      expect(after.sizes.get('t1')).toBe(2);
      const back = planChanges(after, changesTo([kernelRule(a, other)], [other]));
      expect(movedKeys(after, back)).toEqual([kernelRule(a, other).key]);
    });

    test('stays with those that keep their targets', () => {
      const after = get(three, a);
      expect(movedKeys(before, after)).toEqual([kernelRule(a, three).key]);
      expect(after.chains.get(other.content)?.name).toBe('t1');
      expect(after.chains.get(three.content)?.name).toBe('t2');
    });

    test('goes when they join the others', () => {
      const after = get(two, a, b);
      expect(after.chains.size).toBe(1);
      expect(renderChange(before, after, options)).toContain('delete chain inet test t1');
    });

    test('is not for clients that are remembered by it', () => {
      const after = get(aim(['10.0.0.1', '10.0.0.9'], { staySeconds: 60 }), a, b);
      expect([...after.chains.values()].map(({ name }) => name)).toEqual(['rest4', 't2']);
    });
  });

  test('one that nobody has any more is deleted after the last element that points to it', () => {
    const before = plan([kernelRule(1, two), kernelRule(3, two), kernelRule(2, other)]);
    const after = plan([kernelRule(1, two)], [two], before);
    const text = renderChange(before, after, options);
    expect(text.indexOf('delete chain')).toBeGreaterThan(text.indexOf('delete element inet test targets4'));
  });

  test('names are never used twice', () => {
    const rules = [kernelRule(1, two), kernelRule(2, two), kernelRule(3, other)];
    const first = plan(rules);
    const second = plan(rules, [two, other], plan(rules.slice(0, 2), [two], first));
    expect(first.chains.get(other.content)?.name).toBe('t1');
    expect(second.chains.get(other.content)?.name).toBe('t2');
  });
});

describe('the chain for the rest', () => {
  const listeners = [...many(two), ...many(other, 200, 3)];
  const nameOf = (of: Plan, { content } = two) => of.chains.get(content)?.name;
  const elements = (text: string, map: string) => text.split('\n').filter((line) => line.includes(` element inet test ${map} `));

  test('is that of the largest group, whose listeners are no elements of the map of targets', () => {
    const after = plan(listeners);
    expect([nameOf(after), nameOf(after, other)]).toEqual(['rest4', 't1']);
    expect(
      elements(renderChange(emptyPlan, after, options), 'targets4')
        .join()
        .match(/goto/g),
    ).toHaveLength(3);
  });

  test('stays with it when another becomes larger', () => {
    const after = planChanges(plan(listeners), changesTo(many(other, 300, 500), [other]));
    expect(nameOf(after)).toBe('rest4');
  });

  test('is for each family', () => {
    const six = aim(['fd00::1']);
    const after = plan([...listeners, kernelRule(1, six, { address: 'fd00::9' })], [two, other, six]);
    expect(nameOf(after, six)).toBe('rest6');
  });

  test('is not for targets with ports of their own: whatever came there would be sent on', () => {
    const own = { ...two, ports: [81, 82] };
    expect(nameOf(plan(many(), [own]), own)).toBe('t1');
  });

  test('is emptied when the last of the group goes, and given to the next new group', () => {
    const before = plan(listeners);
    const gone = planChanges(before, { rules: new Map(many(two).map(({ key }) => [key, undefined])), aims: new Map() });
    expect(renderChange(before, gone, options)).toMatch(/flush chain inet test rest4$/);
    const next = planChanges(gone, changesTo(many(three), [three]));
    expect(nameOf(next, three)).toBe('rest4');
  });

  test('a listener that comes to it is counted by another element, which begins at nothing', () => {
    const before = plan(listeners);
    const moved = kernelRule(200, two);
    const after = planChanges(before, changesTo([moved], [two]));
    expect(movedKeys(before, after)).toEqual([moved.key]);
    expect([before, after].map((of) => countingMap(of.entries.get(moved.key)!))).toEqual(['targets4', 'ports4']);
    expect(elements(renderChange(before, after, options), 'ports4')).toEqual([
      `delete element inet test ports4 { ${moved.key} }`,
      `add element inet test ports4 { ${moved.key} : 30200 }`,
    ]);
  });

  test('another nodePort is another element, whose count begins anew', () => {
    const before = plan(listeners);
    const changed = { ...kernelRule(1, two), nodePort: 32_000 };
    expect(movedKeys(before, planChanges(before, changesTo([changed], [two])))).toEqual([changed.key]);
  });
});

test('the same wants are no change', () => {
  const before = plan();
  expect(renderChange(before, planChanges(before, { rules: new Map(), aims: new Map([[two.content, two]]) }), options)).toBe('');
});

test('a thousand changes one after the other lead to the same as all at once', () => {
  let step = emptyPlan;
  for (let i = 0; i < 1_000; i++) {
    const rule = kernelRule((i * 7) % 50, i % 3 === 0 ? two : other);
    step = planChanges(step, {
      rules: new Map([[rule.key, i % 5 === 0 ? undefined : rule]]),
      aims: changesTo([], [two, other]).aims,
    });
  }
  const rules = [...step.entries.values()].map(({ rule }) => rule);
  const whole = plan(rules);
  const groups = (of: Plan) => [...of.chains].map(([group, { name }]) => [group, of.sizes.get(name)]).sort();
  expect(groups(step)).toEqual(groups(whole));
  expect(step.sizes.size).toBe(step.chains.size);
});

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['FD00:0:0::1', 'fd00::1'],
  ['fd00:0000:0000:0001:0000:0000:0000:0001', 'fd00:0:0:1::1'],
])('%s is written %s', (given, written) => {
  expect(canonical(given)).toBe(written);
  expect(keyOf(canonical(given), 'UDP', 53)).toBe(`${written} . udp . 53`);
});
