import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { emptyPlan, planChanges } from '../../../src/forwarder/kernel/plan.ts';
import { renderChange, renderRuleset } from '../../../src/forwarder/kernel/ruleset.ts';
import { SLOTS } from '../../../src/forwarder/kernel/slots.ts';
import { type Takes, tryRulesets } from '../../../src/forwarder/kernel/trial.ts';
import { aim, changesTo, kernelRule } from './builders.ts';

const options = { table: 'test', countBytes: false };
const staySeconds = 10_800;
const [two, three] = [aim(['10.0.0.1', '10.0.0.2'], { staySeconds }), aim(['10.0.0.1', '10.0.0.2', '10.0.0.3'], { staySeconds })];
const turn = aim(['10.0.0.1', '10.0.0.2']);
const plan = (to = [two], before = emptyPlan) =>
  planChanges(
    before,
    changesTo(
      to.map((one, i) => kernelRule(80 + i, one, one.family === 6 ? { address: 'fd00::9' } : {})),
      to,
      before,
    ),
  );
const about = (text: string, what: RegExp | string) => text.split('\n').filter((line) => line.match(what));
/** By slot: the number of its target; and the target of each number. */
function readChain(text: string) {
  const pairs = (rule: RegExp) => {
    const [, elements = ''] = rule.exec(text) ?? [];
    return new Map(elements.split(', ').map((pair) => pair.split(' : ') as [string, string]));
  };
  return { tags: pairs(/ set jhash [^{]* map \{ ([^}]*) \}/), places: pairs(/dnat ip to meta priority map \{ ([^}]*) \}/) };
}

describe('clients that stay with their targets for some time', () => {
  test('a slot has the target that the map says, if that is still one; else it gets the one with the highest score', () => {
    const rules = about(renderRuleset(plan(), options), / t1 (meta|update)/).map((line) =>
      line.replace(/^add rule inet test t1 /, ''),
    );
    const slot = 'ip daddr . meta l4proto . th dport . jhash ip saddr mod 1024 seed 0x6e706c62';
    expect(rules[0]).toBe(`meta priority set ${slot} map @held4`);
    expect(rules[1]).toMatch(/^meta priority != \{ \w+:\w+, \w+:\w+ \} delete @held4 \{ /);
    expect(rules[2]).toMatch(
      /^meta priority != \{ \w+:\w+, \w+:\w+ \} meta priority set jhash ip saddr mod 1024 seed \w+ map \{ 0 : /,
    );
    expect(rules[3]).toBe(`update @held4 { ${slot} timeout 10800000ms : meta priority }`);
    expect(rules[4]).toMatch(/dnat ip to meta priority map \{ .* \} : ip daddr \. meta l4proto \. th dport map @ports4$/);
    expect(rules).toHaveLength(5);
  });

  test('a target has the same number whoever else is there, and its own', () => {
    const many = fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(many, (addresses) => {
        const to = aim(addresses, { staySeconds });
        const { tags, places } = readChain(renderRuleset(plan([to]), options));
        expect(tags.size).toBe(SLOTS);
        expect([...places.values()].sort()).toEqual([...addresses].sort());
        for (const tag of tags.values()) expect(places.has(tag)).toBe(true);
        for (const tag of places.keys()) expect(Number.parseInt(tag.split(':')[1]!, 16) % 16).toBe(0);
      }),
      { numRuns: 20 },
    );
    const numbers = (text: string) => new Map([...readChain(text).places].map(([tag, place]) => [place, tag]));
    const [few, more] = [two, three].map((to) => numbers(renderRuleset(plan([to]), options)));
    for (const [place, tag] of few!) expect(more!.get(place)).toBe(tag);
  });

  test('the map is there as long as a listener of its family needs it, and no change of targets touches it', () => {
    const none = plan([turn]);
    const some = plan([turn, two], none);
    const other = planChanges(some, { rules: new Map(), aims: new Map([[two.content, three]]) });
    const held = (text: string) => about(text, /map inet test held/).map((line) => line.split(' {')[0]);
    expect(held(renderRuleset(none, options))).toEqual([]);
    expect(held(renderChange(none, some, options))).toEqual(['add map inet test held4']);
    expect(about(renderChange(some, other, options), /^(add|delete) (map|element)/)).toEqual([]);
    expect(held(renderChange(other, plan([turn], other), options))).toEqual(['delete map inet test held4']);
    expect(held(renderRuleset(plan([aim(['fd00::1'], { staySeconds })]), options))).toEqual(['add map inet test held6']);
  });

  test('listeners without it have the rules that they had', () => {
    expect(about(renderRuleset(plan([turn]), options), /held|priority (set|map)/)).toEqual([]);
    const none = aim(['10.0.0.1', '10.0.0.2'], { staySeconds: 0 });
    expect(about(renderRuleset(plan([none]), options), /held|priority (set|map)/)).toEqual([]);
  });

  test('of packets for no listener, on addresses that are ours alone, nothing is remembered', () => {
    const [chain] = plan([two]).chains.values();
    expect(chain?.name).toBe('t1');
  });
});

describe('what nft takes', () => {
  const refused = { code: 'KernelRefused', message: 'no' } as const;
  const missing = { code: 'NftMissing', message: 'no' } as const;
  test.each<{ what: string; says: (ruleset: string) => Takes['fault']; takes: Takes }>([
    { what: 'all of it', says: () => undefined, takes: { fault: undefined, staying: undefined } },
    { what: 'nothing', says: () => refused, takes: { fault: refused, staying: refused } },
    { what: 'nothing, because there is none', says: () => missing, takes: { fault: missing, staying: missing } },
    {
      what: 'all but clients that stay',
      says: (ruleset) => (ruleset.includes('held6') && ruleset.includes('held4') ? refused : undefined),
      takes: { fault: undefined, staying: refused },
    },
  ])('$what', ({ says, takes }) => {
    expect(tryRulesets(options, says)).toEqual(takes);
  });
});
