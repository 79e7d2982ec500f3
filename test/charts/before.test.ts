import { expect, test } from '@jest/globals';
import { chooseBefore } from '../e2e/cluster/before.ts';

/** Which chart `npm run test:install` upgrades from. */
test.each<{ why: string; merged: readonly string[]; here?: readonly string[]; before: string | undefined }>([
  { why: 'nothing was released yet', merged: [], before: undefined },
  { why: 'the only one there is', merged: ['v0.1.0'], before: 'v0.1.0' },
  { why: 'the commit of a release is not before itself', merged: ['v0.1.0'], here: ['v0.1.0'], before: undefined },
  { why: 'at a release, the one before', merged: ['v0.1.0', 'v0.2.0'], here: ['v0.2.0'], before: 'v0.1.0' },
  { why: 'numbers, not letters', merged: ['v0.9.2', 'v0.10.0', 'v0.9.10'], before: 'v0.10.0' },
  { why: 'a patch counts', merged: ['v1.2.3', 'v1.2.11', 'v1.1.99'], before: 'v1.2.11' },
  {
    why: 'candidates and other tags are no releases',
    merged: ['v0.1.0', 'v0.2.0-rc.1', 'v1', 'vnext', 'chart-9.9.9'],
    before: 'v0.1.0',
  },
])('$why', ({ merged, here = [], before }) => {
  expect(chooseBefore(merged, here)).toBe(before);
});
