import { expect, test } from '@jest/globals';
import { createLocalProvider } from '../../../src/providers/local/provider.ts';
import { balancer, holding, nothingReserved, pool, quiet } from '../builders.ts';

test('who only looks starts no forwarder, and sees what the cluster says is open', async () => {
  const started: string[] = [];
  const parts = {
    now: Date.now,
    inCluster: false,
    startForwarder: () => {
      started.push('a forwarder');
      throw new Error('not when somebody only looks');
    },
  };
  const provider = createLocalProvider(
    { clusterName: 'c', log: quiet, options: { pools: [pool('new', ['127.0.0.64-127.0.0.67'])] } },
    parts,
  );
  const stays = holding(balancer({ name: 'stays' }), ['127.0.0.64']);
  const moves = holding(balancer({ name: 'moves', ports: [{ port: 81 }] }), ['127.0.0.33']);
  const balancers = [stays, moves];
  await provider.open({
    balancers,
    surroundings: nothingReserved,
    changed: () => {},
    lookOnly: { standing: balancers },
  });
  const planFor = async (wanted: typeof stays) =>
    provider
      .plan(provider.adjust(wanted, nothingReserved), await provider.observe(wanted.key), 0)
      .map(({ kind, disrupts, summary }) => `${kind}${disrupts ? '!' : ''} ${/[\d.]+:\d+/.exec(summary)?.[0]}`);
  expect(await planFor(stays)).toEqual([]);
  expect(await planFor(moves)).toEqual([]);
  const allowed = { ...moves, settings: { ...moves.settings, allowDisruption: true } };
  expect(await planFor(allowed)).toEqual(['open-listener 127.0.0.65:81', 'close-listener! 127.0.0.33:81']);
  const gone = provider.plan(undefined, await provider.observe(stays.key), 0).map(({ kind }) => kind);
  expect(gone).toEqual(['close-listener', 'release-addresses']);
  await provider.close(0);
  expect(started).toEqual([]);
});
