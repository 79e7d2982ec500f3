import { expect, test } from '@jest/globals';
import { takeVitals } from '../../src/cli/vitals.ts';
import { KubeError } from '../../src/kube/api.ts';
import { MemoryApi } from '../kube/memory-api.ts';

const MINUTE_MS = 60_000;

function vitals(watches: { connected: boolean; sinceMs: number }, api = new MemoryApi()) {
  return takeVitals(api, { watches: () => watches, unready: () => undefined });
}

const away = (): MemoryApi => {
  const api = new MemoryApi();
  api.refuse = () => new KubeError(0, 'Unreachable', 'away');
  return api;
};

test('watches that stand, or have not been down for long, are healthy', async () => {
  expect(await vitals({ connected: true, sinceMs: 60 * MINUTE_MS }).unhealthy()).toBeUndefined();
  expect(await vitals({ connected: false, sinceMs: MINUTE_MS }).unhealthy()).toBeUndefined();
});

test('watches that stay down though the API server answers call for a restart', async () => {
  const told = await vitals({ connected: false, sinceMs: 4 * MINUTE_MS }).unhealthy();
  expect(told).toBe('the watches have been down for 240 s, though the API server answers');
});

test('an API server that is away, or says nothing, calls for none', async () => {
  expect(await vitals({ connected: false, sinceMs: 60 * MINUTE_MS }, away()).unhealthy()).toBeUndefined();
  const silent = new MemoryApi();
  silent.pace = () => new Promise(() => {});
  expect(await vitals({ connected: false, sinceMs: 60 * MINUTE_MS }, silent).unhealthy()).toBeUndefined();
});
