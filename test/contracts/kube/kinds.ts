import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import type { Reply } from './client.ts';
import { fieldsOf, listIn, metaOf } from './read.ts';

/** Nodes, Events, Leases and the other kinds that this project reads or writes. */
export function kindsContract({ client, namespace }: Scene): void {
  describe('kinds', () => {
    let home: string;
    let group: (name: string) => string;
    beforeAll(async () => {
      home = await namespace();
      group = (name) => home.replace('/api/v1', `/apis/${name}/v1`);
    });

    test('a Node keeps the status that it is created with, and is tainted until it is ready', async () => {
      const name = `${home.split('/').at(-1)}-n1`;
      const addresses = [
        { type: 'InternalIP', address: '10.0.0.1' },
        { type: 'ExternalIP', address: '192.0.2.1' },
      ];
      const reply = await client().post('/api/v1/nodes', {
        metadata: { name },
        status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] },
      });
      const taints = [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }];
      expect(reply).toMatchObject({
        status: 201,
        body: { spec: { taints }, status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] } },
      });
      const ignored = await client().patch(`/api/v1/nodes/${name}`, 'merge', {
        spec: { unschedulable: true },
        status: { addresses: [] },
      });
      expect(ignored).toMatchObject({ status: 200, body: { spec: { unschedulable: true }, status: { addresses } } });
      const merged = await client().patch(`/api/v1/nodes/${name}/status`, 'strategic', {
        status: { addresses: [{ type: 'ExternalIP', address: '192.0.2.2' }] },
      });
      expect(merged.body).toMatchObject({
        status: {
          addresses: expect.arrayContaining([
            { type: 'InternalIP', address: '10.0.0.1' },
            { type: 'ExternalIP', address: '192.0.2.2' },
          ]),
        },
      });
      const found = await client().get(`/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue,metadata.name%3D${name}`);
      expect(listIn(found).items).toHaveLength(1);
      expect(await client().delete(`/api/v1/nodes/${name}`)).toMatchObject({
        status: 200,
        body: { kind: 'Status', status: 'Success' },
      });
    });

    test('the provider id of a Node is set once', async () => {
      const name = `${home.split('/').at(-1)}-n2`;
      await client().post('/api/v1/nodes', { metadata: { name } });
      expect((await client().patch(`/api/v1/nodes/${name}`, 'merge', { spec: { providerID: 'a://1' } })).status).toBe(200);
      expect((await client().patch(`/api/v1/nodes/${name}`, 'merge', { spec: { providerID: 'a://2' } })).status).toBe(422);
      await client().delete(`/api/v1/nodes/${name}`);
    });

    const involvedObject = (name: string): object => ({
      kind: 'Service',
      apiVersion: 'v1',
      namespace: home.split('/').at(-1),
      name,
      uid: `uid-${name}`,
    });

    test('Events are found by what they are about, and are the same in both versions', async () => {
      for (const name of ['a', 'b']) {
        const body = {
          metadata: { generateName: `${name}.` },
          involvedObject: involvedObject(name),
          reason: 'Because',
          message: 'said',
          type: 'Normal',
          count: 1,
          source: { component: 'me' },
          firstTimestamp: '2024-01-01T00:00:00Z',
          lastTimestamp: '2024-01-01T00:00:00Z',
        };
        expect((await client().post(`${home}/events`, body)).status).toBe(201);
      }
      const selector = encodeURIComponent('involvedObject.kind=Service,involvedObject.name=b,involvedObject.uid=uid-b');
      const core = listIn(await client().get(`${home}/events?fieldSelector=${selector}`));
      expect(core.items).toMatchObject([
        { involvedObject: { name: 'b' }, reason: 'Because', message: 'said', source: { component: 'me' }, count: 1 },
      ]);
      const name = core.items[0]?.metadata.name;
      const other = await client().get(`${group('events.k8s.io')}/events/${name}`);
      const wanted = {
        regarding: { name: 'b' },
        note: 'said',
        deprecatedSource: { component: 'me' },
        deprecatedCount: 1,
        deprecatedFirstTimestamp: '2024-01-01T00:00:00Z',
      };
      expect(other).toMatchObject({ status: 200, body: { kind: 'Event', apiVersion: 'events.k8s.io/v1', ...wanted } });
      const patched = await client().patch(`${home}/events/${name}`, 'strategic', {
        count: 2,
        lastTimestamp: '2024-01-01T00:10:00Z',
      });
      expect(patched).toMatchObject({ status: 200, body: { count: 2, lastTimestamp: '2024-01-01T00:10:00Z' } });
    });

    function newerEvent(name: string): Promise<Reply> {
      return client().post(`${group('events.k8s.io')}/events`, {
        metadata: { name },
        regarding: involvedObject('c'),
        reason: 'Because',
        note: 'said',
        type: 'Normal',
        action: 'Do',
        reportingController: 'a.io/me',
        reportingInstance: 'me-1',
        eventTime: '2024-01-01T00:00:00.000000Z',
      });
    }

    test('an Event of the newer version', async () => {
      const reply = await newerEvent('newer');
      expect(reply).toMatchObject({ status: 201, body: { eventTime: '2024-01-01T00:00:00.000000Z', note: 'said' } });
      expect((await client().get(`${home}/events/newer`)).body).toMatchObject({
        involvedObject: { name: 'c' },
        message: 'said',
        reportingComponent: 'a.io/me',
        firstTimestamp: null,
        action: 'Do',
      });
    });

    test('the newer version of an Event is strict', async () => {
      const reply = await client().post(`${group('events.k8s.io')}/events`, {
        metadata: { name: 'bare' },
        regarding: involvedObject('d'),
      });
      expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
      expect(fieldsOf(reply)).toEqual(['eventTime', 'type']);
      await newerEvent('fixed');
      const changed = await client().patch(`${group('events.k8s.io')}/events/fixed`, 'merge', { note: 'other' });
      expect(changed.status).toBe(422);
    });

    test('an Event about another namespace is refused', async () => {
      const reply = await client().post(`${home}/events`, {
        metadata: { name: 'far' },
        involvedObject: { kind: 'Service', namespace: 'default', name: 'x' },
      });
      expect(reply.status).toBe(422);
      expect(fieldsOf(reply)).toEqual(['involvedObject.namespace']);
    });

    test('a Lease: microseconds, a version for every PUT, numbers that make sense', async () => {
      const leases = `${group('coordination.k8s.io')}/leases`;
      const spec = {
        holderIdentity: 'me',
        leaseDurationSeconds: 15,
        acquireTime: '2024-01-01T00:00:00.000000Z',
        renewTime: '2024-01-01T00:00:00.123456Z',
        leaseTransitions: 0,
      };
      const made = await client().post(leases, { metadata: { name: 'l' }, spec });
      expect(made).toMatchObject({ status: 201, body: { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', spec } });
      const blind = await client().put(`${leases}/l`, { metadata: { name: 'l' }, spec });
      expect(blind.status).toBe(422);
      expect(fieldsOf(blind)).toEqual(['metadata.resourceVersion']);
      const renewed = await client().put(`${leases}/l`, {
        metadata: { name: 'l', resourceVersion: metaOf(made).resourceVersion },
        spec: { ...spec, holderIdentity: 'you' },
      });
      expect(renewed).toMatchObject({ status: 200, body: { spec: { holderIdentity: 'you' } } });
      const late = await client().put(`${leases}/l`, {
        metadata: { name: 'l', resourceVersion: metaOf(made).resourceVersion },
        spec,
      });
      expect(late).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
      const coarse = await client().post(leases, {
        metadata: { name: 'm' },
        spec: { ...spec, renewTime: '2024-01-01T00:00:00Z' },
      });
      expect(coarse).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
      const never = await client().post(leases, { metadata: { name: 'm' }, spec: { ...spec, leaseDurationSeconds: 0 } });
      expect(never.status).toBe(422);
    });

    test('a Pod: what is filled in, its status, and the field selector of its node', async () => {
      const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 80 }] }] };
      const reply = await client().post(`${home}/pods`, { metadata: { name: 'p', labels: { a: 'b' } }, spec });
      const container = { imagePullPolicy: 'Always', ports: [{ containerPort: 80, protocol: 'TCP' }], resources: {} };
      expect(reply).toMatchObject({
        status: 201,
        body: {
          spec: {
            restartPolicy: 'Always',
            dnsPolicy: 'ClusterFirst',
            terminationGracePeriodSeconds: 30,
            containers: [container],
          },
          status: { phase: 'Pending' },
        },
      });
      const status = {
        phase: 'Running',
        podIP: '10.244.9.9',
        podIPs: [{ ip: '10.244.9.9' }],
        conditions: [{ type: 'Ready', status: 'True' }],
      };
      expect(await client().patch(`${home}/pods/p/status`, 'strategic', { status })).toMatchObject({
        status: 200,
        body: { status: { podIP: '10.244.9.9' } },
      });
      expect(listIn(await client().get(`${home}/pods?fieldSelector=spec.nodeName%3Dn`)).items).toHaveLength(1);
      expect(listIn(await client().get(`${home}/pods?fieldSelector=spec.nodeName%3Dm`)).items).toHaveLength(0);
      expect((await client().post(`${home}/pods`, { metadata: { name: 'q' }, spec: {} })).status).toBe(422);
    });

    test('a Deployment: defaults, generation, and its scale', async () => {
      const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } };
      const deployments = `${group('apps')}/deployments`;
      const reply = await client().post(deployments, {
        metadata: { name: 'd' },
        spec: { selector: { matchLabels: { app: 'x' } }, template },
      });
      expect(reply).toMatchObject({
        status: 201,
        body: {
          metadata: { generation: 1 },
          spec: { replicas: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } } },
          status: {},
        },
      });
      const scaled = await client().patch(`${deployments}/d/scale`, 'merge', { spec: { replicas: 3 } });
      expect(scaled).toMatchObject({ status: 200, body: { kind: 'Scale', apiVersion: 'autoscaling/v1', spec: { replicas: 3 } } });
      expect((await client().get(`${deployments}/d`)).body).toMatchObject({ metadata: { generation: 2 }, spec: { replicas: 3 } });
      const wrong = await client().post(deployments, {
        metadata: { name: 'e' },
        spec: { selector: { matchLabels: { app: 'y' } }, template },
      });
      expect(wrong.status).toBe(422);
      expect(fieldsOf(wrong)).toEqual(['spec.template.metadata.labels']);
    });

    test('a Secret: stringData becomes data', async () => {
      const reply = await client().post(`${home}/secrets`, { metadata: { name: 's' }, stringData: { a: 'b' } });
      expect(reply).toMatchObject({ status: 201, body: { type: 'Opaque', data: { a: 'Yg==' } } });
      expect(reply.body).not.toHaveProperty('stringData');
    });

    test('a Namespace has its own name as a label, a finalizer and a phase', async () => {
      const name = home.split('/').at(-1);
      const wanted = {
        metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      };
      expect(await client().get(home)).toMatchObject({ status: 200, body: wanted });
      for (const each of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
        expect((await client().get(`/api/v1/namespaces/${each}`)).status).toBe(200);
    });
  });
}
