import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CONDITION } from '../../src/controller/claim.ts';
import { MemoryCloud, MemoryProvider } from './memory-provider.ts';
import { type Running, runSandbox } from './running.ts';

let cluster: Running;
let cloud: MemoryCloud;
let provider: MemoryProvider;

beforeEach(async () => {
  cluster = await runSandbox();
  cloud = new MemoryCloud();
  provider = new MemoryProvider(cloud);
  cluster.addNode('a', '10.0.0.1');
  cluster.addNode('b', '10.0.0.2');
});
afterEach(() => cluster.close());

const message = () => cluster.service('web')?.conditions.find((c) => c.type === CONDITION)?.message;
const told = (reason: string) => cluster.events('web').flatMap((event) => (event.reason === reason ? event.message : []));
const full = { code: 'QuotaExceeded', message: 'Only 250 nodes of a zone are targets' };
const zone = { code: 'SubnetUnavailable', message: 'Nodes in b1 are not reached' };

test('what the provider notes is in the condition, and in one event whenever there is something new, also over a restart', async () => {
  cloud.notes = [full];
  const first = await cluster.start(provider);
  cluster.create('web');
  await cluster.until('an event', () => told('LoadBalancerNotes').length > 0);
  expect(message()).toBe('Serving on 192.0.2.1. Only 250 nodes of a zone are targets.');
  expect(told('LoadBalancerNotes')).toEqual([
    'Only 250 nodes of a zone are targets. Ask for less, or have the quota of the account raised.',
  ]);
  cloud.notes = [full, zone];
  provider.changed('default/web');
  await cluster.until('both', () => told('LoadBalancerNotes').length > 1);
  expect(told('LoadBalancerNotes')[1]).toMatch(/^Only 250 .* Nodes in b1 are not reached\. Name subnets/);
  await first.stop(0);
  provider = new MemoryProvider(cloud);
  await cluster.start(provider);
  cloud.notes = [zone];
  provider.changed('default/web');
  await cluster.until('one is over', () => message() === 'Serving on 192.0.2.1. Nodes in b1 are not reached.');
  cloud.notes = undefined;
  provider.changed('default/web');
  await cluster.until('all is well', () => message() === 'Serving on 192.0.2.1.');
  expect(told('LoadBalancerNotes')).toHaveLength(2);
});

test('targets that do not serve are told by one event when it begins, and then by the condition', async () => {
  await cluster.start(provider);
  cluster.create('web');
  await cluster.until('served', () => message() === 'Serving on 192.0.2.1.');
  cloud.unhealthy = ['a'];
  provider.changed('default/web');
  await cluster.until('an event', () => told('DegradedLoadBalancer').length > 0);
  expect(told('DegradedLoadBalancer')).toEqual(['Serving on 192.0.2.1; 1 of 2 targets is unhealthy: a.']);
  cloud.unhealthy = ['b'];
  provider.changed('default/web');
  await cluster.until('another one', () => message()?.endsWith('unhealthy: b.') ?? false);
  cloud.unhealthy = [];
  provider.changed('default/web');
  await cluster.until('well again', () => message() === 'Serving on 192.0.2.1.');
  expect(told('DegradedLoadBalancer')).toHaveLength(1);
});
