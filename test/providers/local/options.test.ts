import { expect, test } from '@jest/globals';
import type { LocalConfig } from '../../../src/config/config.ts';
import { UsageError } from '../../../src/errors.ts';
import { readOptions } from '../../../src/providers/local/options.ts';
import { pool } from '../builders.ts';

test('outside a cluster nothing need be said', () => {
  expect(readOptions({}, false)).toMatchObject({
    pools: [{ name: 'default', addresses: ['127.0.0.32/27'] }],
    portFallback: false,
  });
});

test('in a cluster an embedded forwarder with a pool is enough', () => {
  const options: Partial<LocalConfig> = { forwarder: 'embedded', pools: [pool('p', ['10.0.0.1'])] };
  expect(readOptions(options, true).pools).toEqual(options.pools);
});

test.each<{ why: string; options: Partial<LocalConfig>; inCluster: boolean; says: RegExp }>([
  { why: 'nftables', options: { datapath: 'nftables' }, inCluster: false, says: /--local-datapath "nftables": .*userspace only/ },
  { why: 'kube-proxy', options: { datapath: 'kube-proxy' }, inCluster: false, says: /userspace only/ },
  {
    why: 'agents',
    options: { forwarder: 'agents' },
    inCluster: false,
    says: /--local-forwarder "agents": .*no forwarder agents yet.*embedded/,
  },
  {
    why: 'in a cluster, nothing said',
    options: {},
    inCluster: true,
    says: /--local-forwarder: In a cluster the default is agents/,
  },
  {
    why: 'in a cluster, no pool',
    options: { forwarder: 'embedded' },
    inCluster: true,
    says: /--local-pool: .*no pool by default/,
  },
  {
    why: 'both wrong at once',
    options: { datapath: 'nftables', forwarder: 'agents' },
    inCluster: false,
    says: /datapath.*\n.*forwarder/,
  },
])('$why is a usage error', ({ options, inCluster, says }) => {
  expect(() => readOptions(options, inCluster)).toThrow(UsageError);
  expect(() => readOptions(options, inCluster)).toThrow(says);
});
