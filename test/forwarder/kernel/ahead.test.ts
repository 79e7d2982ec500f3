import { beforeEach, describe, expect, test } from '@jest/globals';
import { Ahead } from '../../../src/forwarder/kernel/ahead.ts';
import { emptyPlan, type KernelRule, type Plan, planChanges } from '../../../src/forwarder/kernel/plan.ts';
import { renderRuleset } from '../../../src/forwarder/kernel/ruleset.ts';
import { aim, changesTo, kernelRule } from './builders.ts';

const options = { table: 'test', countBytes: true };
const to = aim(['10.0.0.1']);
const others = aim(['10.0.0.2']);
const rules = Array.from({ length: 1_200 }, (_, i) =>
  kernelRule(1 + i, i % 100 === 0 ? others : to, i % 3 === 0 ? { address: 'fd00::1' } : {}),
);
const planOf = (some: readonly KernelRule[]): Plan => ({
  ...planChanges(emptyPlan, changesTo(some, [to, others])),
  exclusive: new Set(['192.0.2.1']),
});

/** What nft was given: texts that are ended, and those that are given up. */
let whole: string[] = [];
let loaded: string[] = [];
let givenUp = 0;
let answer: string | undefined = '';

const nft = {
  apply: async (commands: string) => {
    whole.push(commands);
    return undefined;
  },
  begin: () => {
    const lines: string[] = [];
    return {
      write: (line: string) => void lines.push(line),
      end: async () => {
        loaded.push(lines.join('\n'));
        return answer;
      },
      giveUp: () => void givenUp++,
    };
  },
};
const makeAhead = (some: readonly KernelRule[]) => {
  const ahead = new Ahead(nft, options);
  for (const rule of some) ahead.add(rule);
  return ahead;
};
/** Every element by its map, and every other line. */
const meaning = (text: string) =>
  text
    .split('\n')
    .flatMap((line) => {
      const [, map, elements = ''] = /^add element inet test (\w+) \{ (.*) \}$/.exec(line) ?? [];
      return map === undefined ? line : elements.split(', ').map((element) => `${map} ${element}`);
    })
    .sort();

beforeEach(() => {
  whole = [];
  loaded = [];
  givenUp = 0;
  answer = '';
});

describe('a whole ruleset', () => {
  test('of many listeners is written ahead, and says what its text says', async () => {
    let calls = 0;
    expect(await makeAhead(rules).load(planOf(rules), () => calls++)).toBeUndefined();
    expect(loaded.map(meaning)).toEqual([meaning(renderRuleset(planOf(rules), options))]);
    expect({ whole, givenUp, calls }).toEqual({ whole: [], givenUp: 0, calls: 1 });
  });

  test('of few is given as one text', async () => {
    const few = rules.slice(0, 10);
    expect(await makeAhead(few).load(planOf(few), () => {})).toBeUndefined();
    expect({ whole, loaded }).toEqual({ whole: [renderRuleset(planOf(few), options)], loaded: [] });
  });

  const changed = [{ ...rules[0]!, nodePort: 1 }, ...rules.slice(1)];
  test.each([
    ['one listener is not to be had', rules.slice(1)],
    ['one has come to have another nodePort', changed],
    ['one has come without having been told', [...rules, kernelRule(9_999, to)]],
  ])('is written anew when %s', async (_, now) => {
    expect(await makeAhead(rules).load(planOf(now), () => {})).toBeUndefined();
    expect({ whole, loaded, givenUp }).toEqual({ whole: [renderRuleset(planOf(now), options)], loaded: [], givenUp: 1 });
  });

  test('is given as one text where nft does not answer', async () => {
    answer = undefined;
    expect(await makeAhead(rules).load(planOf(rules), () => {})).toBeUndefined();
    expect(whole).toEqual([renderRuleset(planOf(rules), options)]);
  });

  test('that nft does not take is a fault', async () => {
    answer = 'Error: Operation not permitted';
    expect(await makeAhead(rules).load(planOf(rules), () => {})).toMatchObject({ code: 'NetAdminMissing' });
    expect(whole).toEqual([]);
  });

  test('is written ahead for the first time alone', async () => {
    const ahead = makeAhead(rules);
    await ahead.load(planOf(rules), () => {});
    await ahead.load(planOf(rules), () => {});
    expect({ loaded: loaded.length, whole: whole.length }).toEqual({ loaded: 1, whole: 1 });
  });
});
