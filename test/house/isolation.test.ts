import { expect, test } from '@jest/globals';
import { readTests } from './sources.ts';

const usesNock = readTests().filter(({ text }) => /^import nock\b/m.test(text));

test('nock is used at all', () => expect(usesNock.length).toBeGreaterThan(0));

test.each(usesNock)('$path takes its patches off the sockets again', ({ text }) => {
  // nock patches Node's own net and http, which all test files of one worker share: sockets of the next file would not be real.
  expect(text).toMatch(/^afterAll\(\(\) => nock\.restore\(\)\);$/m);
});
