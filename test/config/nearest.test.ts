import { expect, test } from '@jest/globals';
import { nearestName, suggest } from '../../src/config/nearest.ts';

test.each([
  { typed: 'pol', among: ['pool', 'share'], meant: 'pool' },
  { typed: 'pooo', among: ['pool', 'share'], meant: 'pool' },
  { typed: 'opol', among: ['pool', 'share'], meant: 'pool' },
  { typed: 'foo', among: ['pool', 'share'], meant: undefined },
  { typed: 'xml', among: ['text', 'wide', 'json', 'yaml', 'name'], meant: undefined },
  { typed: 'yml', among: ['text', 'wide', 'json', 'yaml', 'name'], meant: 'yaml' },
  { typed: 'watch', among: ['wacht'], meant: 'wacht' },
  { typed: 'flase', among: ['auto', 'true', 'false'], meant: 'false' },
  { typed: 'loadbalancerclas', among: ['loadBalancerClass'], meant: 'loadBalancerClass' },
  { typed: 'x'.repeat(121), among: ['x'.repeat(120)], meant: undefined },
])('$typed means $meant', ({ typed, among, meant }) => {
  expect(nearestName(typed, among)).toBe(meant);
  expect(suggest(typed, among)).toBe(meant === undefined ? '' : `; did you mean ${meant}?`);
});
