import { expect, test } from '@jest/globals';
import { readSources, withoutStrings } from './sources.ts';

/** The house rule is 250 lines; beyond 400 a file answers more than one question. */
const MAX_LINES = 400;

test('no source file is longer than 400 lines', () => {
  const long = readSources().filter((source) => source.text.split('\n').length - 1 > MAX_LINES);
  expect(long.map((source) => source.path)).toEqual([]);
});

test('nothing is exported by default, and nothing is any', () => {
  const sources = readSources().filter((source) => source.path.endsWith('.ts'));
  const strays = sources.filter(
    ({ code }) => /^export default\b/m.test(code) || /\bas any\b|: any\b|<any>/.test(withoutStrings(code)),
  );
  expect(strays.map((source) => source.path)).toEqual([]);
});
