import { expect, test } from '@jest/globals';
import { UsageError } from '../../../src/errors.ts';
import { readOptions } from '../../../src/providers/local/options.ts';
import { pool } from '../builders.ts';

test('outside a cluster nothing need be said', () => {
  expect(readOptions({}, false)).toMatchObject({
    pools: [{ name: 'default', addresses: ['127.0.0.32/27'] }],
    portFallback: false,
  });
});

test('a pool may leave out all but its name and addresses', () => {
  const { pools } = readOptions({ pools: [{ name: 'p', addresses: ['10.0.0.1'] }] }, false);
  expect(pools).toEqual([pool('p', ['10.0.0.1'])]);
});

test('in a cluster an embedded forwarder with a pool is enough', () => {
  const options = { forwarder: 'embedded', pools: [pool('p', ['10.0.0.1'])] };
  expect(readOptions(options, true).pools).toEqual(options.pools);
});

test.each([
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
  {
    why: 'a pool of the wrong shape',
    options: { pools: [{ name: 'p', addresses: '10.0.0.1' }] },
    inCluster: false,
    says: /local\.pools\.0\.addresses/,
  },
])('$why is a usage error', ({ options, inCluster, says }) => {
  expect(() => readOptions(options, inCluster)).toThrow(UsageError);
  expect(() => readOptions(options, inCluster)).toThrow(says);
});
