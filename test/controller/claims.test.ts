import { expect, test } from '@jest/globals';
import { toConfig } from '../../src/config/read.ts';
import { FINALIZER, HELD_BY } from '../../src/controller/claim.ts';
import { decideClaims } from '../../src/controller/claims.ts';
import { lookForRivals } from '../../src/controller/rounds.ts';
import type { Writer } from '../../src/controller/writer.ts';
import { KubeError } from '../../src/kube/api.ts';
import type { Service } from '../../src/kube/objects.ts';
import { service } from '../builders.ts';
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

const speaker = {
  metadata: { namespace: 'metallb-system', name: 'speaker' },
  spec: { template: { spec: { containers: [{ image: 'quay.io/metallb/speaker:v0.15.2' }] } } },
};

test('a rival that comes later is found, what we hold without a class says so, and no more is claimed', async () => {
  const api = new MemoryApi();
  const claims = await decideClaims(api, toConfig({}), quiet);
  api.set('daemonsets', speaker);
  const marks = { finalizers: [FINALIZER], annotations: { [HELD_BY]: 'local/kubernetes' } };
  const unset = { loadBalancerClass: undefined };
  const all = [
    service({ metadata: { name: 'held', ...marks }, spec: unset }),
    service({ metadata: { name: 'classy', ...marks } }),
    service({ metadata: { name: 'free' }, spec: unset }),
  ];
  const told: string[] = [];
  const writer = {
    eventOnce: (about: Service, _type: string, reason: string, text: string) => told.push(`${about.name} ${reason} ${text}`),
  };
  const options = {
    claims,
    cluster: { keys: () => ['default/held', 'default/free'] },
    services: { get: () => undefined, all: () => all, put: () => {} },
    writer: writer as unknown as Writer,
  };
  expect(await lookForRivals(options)).toEqual(['default/held', 'default/free']);
  expect(claims.unset()).toBe(false);
  expect(told).toEqual([
    expect.stringMatching(/^held RivalController Seen in the cluster: MetalLB \(DaemonSet metallb-system\/speaker\)\./),
  ]);
  expect(await lookForRivals(options)).toEqual([]);
});

test('a quick look leaves the Deployments alone, and remembers what they said', async () => {
  const api = new MemoryApi();
  const asked: string[] = [];
  api.refuse = (call) => {
    asked.push(call);
    return undefined;
  };
  api.set('deployments', { ...speaker, metadata: { namespace: 'metallb-system', name: 'controller' } });
  const claims = await decideClaims(api, toConfig({}), quiet);
  asked.length = 0;
  expect([await claims.refresh(true), claims.unset()]).toEqual([false, false]);
  expect(asked).not.toContain('listDeployments');
});
