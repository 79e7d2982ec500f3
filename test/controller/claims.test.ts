import { expect, test } from '@jest/globals';
import { toConfig } from '../../src/config/read.ts';
import { decideClaims } from '../../src/controller/claims.ts';
import { KubeError } from '../../src/kube/api.ts';
import { MemoryApi } from '../kube/memory-api.ts';
import { quiet } from '../providers/builders.ts';

test('an API server that does not answer for a moment changes nothing about what is claimed', async () => {
  const api = new MemoryApi();
  const claims = await decideClaims(api, toConfig({}), quiet);
  expect(claims.unset()).toBe(true);
  api.refuse = () => new KubeError(0, 'Unreachable', 'it restarts');
  expect([await claims.refresh(), claims.unset()]).toEqual([false, true]);
});

test('without the right to look, Services without a class are not claimed', async () => {
  const api = new MemoryApi();
  api.refuse = () => new KubeError(403, 'Forbidden', 'daemonsets is forbidden');
  expect((await decideClaims(api, toConfig({}), quiet)).unset()).toBe(false);
});
