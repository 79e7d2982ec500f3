import { expect, test } from '@jest/globals';
import { FillWatch, sayFull } from '../../../src/forwarder/kernel/fill.ts';

test.each([
  { fill: undefined, says: null },
  { fill: { entries: 899, limit: 1_000 }, says: null },
  { fill: { entries: 900, limit: 1_000 }, says: 'the kernel has room for 1000 tracked connections, nearly all of it is taken' },
  { fill: { entries: 1_000, limit: 1_000 }, says: 'beyond it new ones are dropped' },
])('a table of tracked connections that is nearly full is told: $fill', ({ fill, says }) => {
  if (says === null) expect(sayFull(fill)).toBeNull();
  else expect(sayFull(fill)).toContain(says);
});

test('it is told from 90 % on, in the same words while it lasts, and taken back below 80 %', () => {
  const warnings = new Map<string, string | null>();
  const watch = new FillWatch();
  const said = [10, 899, 900, 850, 999, 800, 799, 899, 901].map((entries) => {
    watch.look({ warning: (code, message) => void warnings.set(code, message) }, false, { entries, limit: 1_000 });
    return warnings.get('ConntrackFull');
  });
  expect(said.map((text) => text !== null)).toEqual([false, false, true, true, true, true, false, false, true]);
  expect(new Set(said).size).toBe(2);
  expect(warnings.get('ConntrackMissing')).toBeNull();
});

test('where the kernel does not say there is nothing to tell', () => {
  const warnings: unknown[] = [];
  new FillWatch().look({ warning: (...all) => void warnings.push(all) }, true, undefined);
  expect(warnings).toContainEqual(['ConntrackMissing', expect.stringContaining('conntrack is missing')]);
});
