import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CONDITION, FINALIZER, HELD_ADDRESSES, HELD_BY } from '../../src/controller/claim.ts';
import { KubeError } from '../../src/kube/api.ts';
import { createLocalProvider } from '../../src/providers/local/provider.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { pool, quiet } from '../providers/builders.ts';
import { FakeForwarder } from '../providers/local/fake-forwarder.ts';
import { type Running, runSandbox } from './running.ts';

/** Nothing of the provider outlives the process: marks and address are one write, after the listener is open. */
let cluster: Running;
let forwarder: FakeForwarder;

beforeEach(async () => {
  cluster = await runSandbox();
  cluster.addNode('a', '10.0.0.1');
});
afterEach(() => cluster.close());

function local(...addresses: string[]): Provider {
  const context = { clusterName: 'c', log: quiet, options: { pools: [pool('p', addresses)] } };
  return createLocalProvider(context, {
    startForwarder: ({ onReport }) => {
      forwarder = new FakeForwarder(onReport);
      return forwarder;
    },
    now: Date.now,
    inCluster: false,
  });
}

const open = () => [...forwarder.table.listeners.values()].map(({ address, port }) => `${address}:${port}`).sort();
const reasonOf = (name: string) => cluster.service(name)?.conditions.find((c) => c.type === CONDITION)?.reason;
const addressOf = (name: string) => cluster.service(name)?.ingress[0]?.ip;
const ready = (name: string) => cluster.until(`${name} is ready`, () => reasonOf(name) === 'Ready');
const member = (group: string) => ({ annotations: { 'nodeport-lb.io/share': group } });

type Patch = typeof cluster.api.patch;

/** Each patch of the Service goes through `act`, which may let it pass. @returns gives the patches free again */
function tamper(name: string, act: (pass: () => Promise<unknown>) => Promise<unknown>): () => void {
  const { patch } = cluster.api;
  Object.assign(cluster.api, {
    patch: (...call: Parameters<Patch>) => {
      const pass = () => patch.apply(cluster.api, call);
      return call[2] === name ? act(pass) : pass();
    },
  });
  return () => void Object.assign(cluster.api, { patch });
}

/** Between the opening of the listener and the writing of its address something happens, once. */
function between(name: string, happens: () => void): { readonly seen: string[] } {
  const seen: string[] = [];
  const end = tamper(name, (pass) => {
    end();
    seen.push(...open());
    happens();
    return pass();
  });
  return { seen };
}

test('finalizer, holder, addresses, condition and address are one patch, and the listener is open by then', async () => {
  await cluster.start(local('192.0.2.1-192.0.2.9'));
  const from = cluster.kube.audit.length;
  const { seen } = between('web', () => {});
  cluster.create('web');
  await cluster.until('an event', () => cluster.events('web').length > 0);
  expect(seen).toEqual(['192.0.2.1:80']);
  expect(cluster.writes(from)).toEqual(['patch services/status', 'create events']);
  const { finalizers, annotations, ingress } = cluster.service('web')!;
  expect({ finalizers, annotations, ingress }).toMatchObject({
    finalizers: [FINALIZER],
    annotations: { [HELD_BY]: 'local/kubernetes', [HELD_ADDRESSES]: '192.0.2.1' },
    ingress: [{ ip: '192.0.2.1', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'TCP' }] }],
  });
  expect(reasonOf('web')).toBe('Ready');
});

describe('between the listener and its record', () => {
  test('the Service is edited into nonsense: nothing stays open, and its address is free', async () => {
    await cluster.start(local('192.0.2.1'));
    const { seen } = between('web', () =>
      cluster.patch('web', { metadata: { annotations: { 'nodeport-lb.io/drain-seconds': 'soon' } } }),
    );
    cluster.create('web');
    await cluster.until('refused', () => reasonOf('web') === 'AnnotationInvalid');
    cluster.create('other');
    await ready('other');
    expect([seen, open(), addressOf('other')]).toEqual([['192.0.2.1:80'], ['192.0.2.1:80'], '192.0.2.1']);
    expect(cluster.service('web')).toMatchObject({ finalizers: [], ingress: [] });
    expect(cluster.service('web')!.annotations).not.toHaveProperty([HELD_ADDRESSES]);
  });

  test('it asks for an address that somebody has: what it had is free, and it gets the other one when that is', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.2'));
    cluster.create('first', { loadBalancerIP: '192.0.2.2' });
    await ready('first');
    between('web', () => cluster.patch('web', { spec: { loadBalancerIP: '192.0.2.2' } }));
    cluster.create('web');
    await cluster.until('refused', () => reasonOf('web') === 'AddressInUse');
    await waitUntil(() => open().join() === '192.0.2.2:80');
    cluster.remove('first');
    await ready('web');
    expect([open(), addressOf('web')]).toEqual([['192.0.2.2:80'], '192.0.2.2']);
  });

  test('it becomes a ClusterIP, or goes: nothing stays open, and nothing is written on it', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    between('web', () => cluster.patch('web', { spec: { type: 'ClusterIP' } }));
    cluster.create('web');
    await waitUntil(() => cluster.service('web')?.type === 'ClusterIP' && forwarder.taken.length > 1 && open().length === 0);
    expect(cluster.service('web')).toMatchObject({ finalizers: [], conditions: [] });
    between('gone', () => cluster.remove('gone'));
    cluster.create('gone');
    await waitUntil(() => cluster.service('gone') === undefined && open().length === 0);
  });

  test('it is being deleted, and held by a finalizer of somebody else: no finalizer of ours is asked for', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    const { seen } = between('web', () => cluster.remove('web'));
    cluster.create('web', {}, { finalizers: ['example.com/backup'] });
    await waitUntil(() => seen.length > 0 && open().length === 0);
    expect(cluster.service('web')).toMatchObject({ finalizers: ['example.com/backup'], ingress: [], conditions: [] });
  });

  test('another controller publishes: the Service is left to it', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'), { claimUnsetClass: 'true' });
    const theirs = { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } } };
    const { seen } = between('web', () => {
      const web = { resource: 'services', namespace: 'default', name: 'web', subresource: 'status' } as const;
      cluster.kube.objects.as('metallb').patch(web, theirs);
    });
    cluster.create('web');
    await waitUntil(() => seen.length > 0 && open().length === 0);
    expect(cluster.service('web')).toMatchObject({ finalizers: [], conditions: [], ingress: [{ ip: '203.0.113.1' }] });
  });

  test('it is replaced by a namesake: that one is served', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    between('web', () => {
      cluster.remove('web');
      cluster.create('web', { ports: [{ port: 81 }] });
    });
    cluster.create('web');
    await ready('web');
    await waitUntil(() => open().length === 1);
    expect(open()).toEqual([`${addressOf('web')}:81`]);
  });

  test('it is put into a share group: it is served there, and once', async () => {
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    between('web', () => cluster.patch('web', { metadata: member('edge') }));
    cluster.create('web');
    await ready('web');
    await waitUntil(() => open().length === 1);
    expect(open()).toEqual([`${addressOf('web')}:80`]);
    expect([...forwarder.table.listeners.keys()].every((id) => id.startsWith('default/share:edge '))).toBe(true);
  });

  test('the process dies: what it gave was told to nobody, and the next one gives it to whom it comes', async () => {
    const refusing = tamper('web', async () => {
      throw new KubeError(0, 'Unreachable', 'no answer');
    });
    const controller = await cluster.start(local('192.0.2.1-192.0.2.2'));
    cluster.create('web');
    await waitUntil(() => open().length === 1);
    await controller.stop(0);
    refusing();
    cluster.create('other', { loadBalancerIP: '192.0.2.1' });
    await cluster.start(local('192.0.2.1-192.0.2.2'));
    await ready('web');
    await ready('other');
    expect([addressOf('web'), addressOf('other')]).toEqual(['192.0.2.2', '192.0.2.1']);
    expect(open()).toEqual(['192.0.2.1:80', '192.0.2.2:80']);
  });
});

describe('the API server does not take it', () => {
  test('because it is away: the listener stays, and the same address is published when it is back', async () => {
    let tries = 0;
    const seen: string[] = [];
    const end = tamper('web', async (pass) => {
      tries += 1;
      seen.push(...open());
      if (tries > 2) return await pass();
      throw new KubeError(tries === 1 ? 503 : 0, 'Unreachable', 'no answer');
    });
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('web');
    await ready('web');
    end();
    expect(seen).toEqual(['192.0.2.1:80', '192.0.2.1:80', '192.0.2.1:80']);
    expect([open(), addressOf('web')]).toEqual([['192.0.2.1:80'], '192.0.2.1']);
  });

  test('though it did, and only the answer was lost: nothing is made twice', async () => {
    let lost = 0;
    tamper('web', async (pass) => {
      const answer = await pass();
      if (lost++ > 0) return answer;
      throw new KubeError(0, 'Timeout', 'no answer');
    });
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('web');
    await cluster.until('an address', () => addressOf('web') !== undefined);
    await waitUntil(() => lost > 0);
    cluster.create('next');
    await ready('next');
    expect(open()).toEqual(['192.0.2.1:80', '192.0.2.2:80']);
    expect(addressOf('web')).toBe('192.0.2.1');
  });

  test('because somebody forbids it: nothing stays open, and from then on the marks go first', async () => {
    const opened: string[][] = [];
    const allow = tamper('web', async () => {
      opened.push(open());
      throw new KubeError(403, 'Forbidden', 'a policy refuses it');
    });
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('web');
    await waitUntil(() => opened.length > 2);
    expect([opened[0], opened[2]]).toEqual([['192.0.2.1:80'], []]); // at the second it was asked first, and then closed
    expect(open()).toEqual([]);
    allow();
    await ready('web');
    expect(open()).toEqual([`${addressOf('web')}:80`]);
    expect(cluster.service('web')!.finalizers).toEqual([FINALIZER]);
  });

  test('of one member of a share group: the others are served', async () => {
    tamper('walled', async () => {
      throw new KubeError(403, 'Forbidden', 'a policy refuses it');
    });
    await cluster.start(local('192.0.2.1-192.0.2.9'));
    cluster.create('walled', { ports: [{ port: 81 }] }, member('g'));
    cluster.create('sound', { ports: [{ port: 80 }] }, member('g'));
    await ready('sound');
    await waitUntil(() => open().join() === `${addressOf('sound')}:80`);
  });
});

/** For what no Service or event tells. */
async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}
