import { expect, test } from '@jest/globals';
import type { LocalConfig } from '../../../src/config/config.ts';
import { UsageError } from '../../../src/errors.ts';
import { readOptions } from '../../../src/providers/local/options.ts';
import { pool } from '../builders.ts';

test.each<{ platform: NodeJS.Platform; addresses: string[]; sharePorts: boolean }>([
  { platform: 'linux', addresses: ['127.0.0.32/27'], sharePorts: false },
  { platform: 'win32', addresses: ['127.0.0.32/27'], sharePorts: false },
  { platform: 'darwin', addresses: ['127.0.0.1'], sharePorts: true },
])('outside a cluster nothing need be said: on $platform', ({ platform, addresses, sharePorts }) => {
  const { pools, portFallback } = readOptions({}, false, platform);
  expect(pools).toMatchObject([{ name: 'default', addresses, sharePorts, autoAssign: true }]);
  expect(portFallback).toBe(false);
});

test.each<{ datapath: LocalConfig['datapath'] }>([{ datapath: 'auto' }, { datapath: 'userspace' }, { datapath: 'nftables' }])(
  'an embedded forwarder has the data path $datapath',
  ({ datapath }) => expect(readOptions({ datapath }, false).datapath).toBe(datapath),
);

test('in a cluster an embedded forwarder with a pool is enough', () => {
  const options: Partial<LocalConfig> = { forwarder: 'embedded', pools: [pool('p', ['10.0.0.1'])] };
  expect(readOptions(options, true).pools).toEqual(options.pools);
});

test.each<{ why: string; options: Partial<LocalConfig>; inCluster: boolean }>([
  { why: 'in a cluster, nothing said', options: {}, inCluster: true },
  { why: 'agents asked for outside', options: { forwarder: 'agents', datapath: 'nftables' }, inCluster: false },
])('agents, without a pool at the addresses of the nodes: $why', ({ options, inCluster }) =>
  expect(readOptions(options, inCluster)).toEqual({ forwarder: 'agents', pools: [], portFallback: false }),
);

test.each<{ why: string; options: Partial<LocalConfig>; inCluster: boolean; says: RegExp }>([
  {
    why: 'kube-proxy',
    options: { datapath: 'kube-proxy' },
    inCluster: false,
    says: /--local-datapath "kube-proxy": is for agents on nodes/,
  },
  {
    why: 'in a cluster, no pool',
    options: { forwarder: 'embedded' },
    inCluster: true,
    says: /--local-pool: .*no pool by default/,
  },
])('$why is a usage error', ({ options, inCluster, says }) => {
  expect(() => readOptions(options, inCluster)).toThrow(UsageError);
  expect(() => readOptions(options, inCluster)).toThrow(says);
});
