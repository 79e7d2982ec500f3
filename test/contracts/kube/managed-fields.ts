import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import type { Reply } from './client.ts';
import { type Managed, metaOf } from './read.ts';

/** Who wrote what: the controller tells by it that another one writes a Service's status. */
export function managedFieldsContract({ client, namespace }: Scene): void {
  describe('managedFields', () => {
    let home: string;
    let made = 0;
    beforeAll(async () => {
      home = await namespace();
    });

    async function service(): Promise<string> {
      made += 1;
      const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
      await client().post(`${home}/services?fieldManager=author`, { metadata: { name: `s${made}`, labels: { a: 'b' } }, spec });
      return `${home}/services/s${made}`;
    }

    function entryOf(reply: Reply, manager: string): Managed | undefined {
      return metaOf(reply).managedFields?.find((entry) => entry.manager === manager);
    }

    const at = (path: string, manager: string): string => `${path}?fieldManager=${manager}`;

    test('the author owns what was written and what was filled in, not what was allocated', async () => {
      const entry = entryOf(await client().get(await service()), 'author');
      expect(entry).toMatchObject({ operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1' });
      expect(entry).not.toHaveProperty('subresource');
      const port = { '.': {}, 'f:port': {}, 'f:protocol': {}, 'f:targetPort': {} };
      expect(entry?.fieldsV1).toEqual({
        'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
        'f:spec': {
          'f:allocateLoadBalancerNodePorts': {},
          'f:externalTrafficPolicy': {},
          'f:internalTrafficPolicy': {},
          'f:ports': { '.': {}, 'k:{"port":80,"protocol":"TCP"}': port },
          'f:sessionAffinity': {},
          'f:type': {},
        },
      });
    });

    test('the writer of the status is seen, with its subresource', async () => {
      const path = await service();
      const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
      const reply = await client().patch(at(`${path}/status`, 'balancer'), 'merge', { status });
      expect(entryOf(reply, 'balancer')).toMatchObject({ operation: 'Update', subresource: 'status' });
      expect(entryOf(reply, 'balancer')?.fieldsV1).toEqual({ 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } });
      const other = await client().patch(at(`${path}/status`, 'rival'), 'merge', {
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } },
      });
      expect(entryOf(other, 'balancer')).toBeUndefined();
      expect(entryOf(other, 'rival')?.fieldsV1).toEqual({ 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } });
      const cleared = await client().patch(at(`${path}/status`, 'cleaner'), 'merge', { status: { loadBalancer: null } });
      expect(entryOf(cleared, 'rival')).toBeUndefined();
    });

    test('finalizers, annotations and conditions are owned one by one', async () => {
      const path = await service();
      const condition = {
        type: 'a.io/Ready',
        status: 'False',
        reason: 'R',
        message: 'm',
        lastTransitionTime: '2024-01-01T00:00:00Z',
      };
      const metadata = { finalizers: ['a.io/one'], annotations: { 'a.io/b': 'c' } };
      const reply = await client().patch(at(`${path}/status`, 'balancer'), 'strategic', {
        metadata,
        status: { conditions: [condition] },
      });
      const fields = { '.': {}, 'f:lastTransitionTime': {}, 'f:message': {}, 'f:reason': {}, 'f:status': {}, 'f:type': {} };
      expect(entryOf(reply, 'balancer')?.fieldsV1).toEqual({
        'f:metadata': { 'f:annotations': { '.': {}, 'f:a.io/b': {} }, 'f:finalizers': { '.': {}, 'v:"a.io/one"': {} } },
        'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"a.io/Ready"}': fields } },
      });
      await client().patch(path, 'merge', { metadata: { finalizers: null } });
    });

    test('without a name the first word of the User-Agent is taken', async () => {
      const path = await service();
      const reply = await client().send('PATCH', path, {
        body: { metadata: { labels: { c: 'd' } } },
        type: 'application/merge-patch+json',
        agent: 'some-tool/1.2 (x)',
      });
      expect(entryOf(reply, 'some-tool')?.fieldsV1).toEqual({ 'f:metadata': { 'f:labels': { 'f:c': {} } } });
    });

    test('an applier owns what it wrote: nothing that was filled in, and the items of a list but not the list', async () => {
      const path = `${home}/services/applied`;
      const spec = { type: 'LoadBalancer', ports: [{ name: 'web', port: 80 }] };
      const body = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'applied', annotations: { x: 'y' } }, spec };
      const reply = await client().send('PATCH', at(path, 'applier'), { body, type: 'application/apply-patch+yaml' });
      expect(reply.status).toBe(201);
      expect(entryOf(reply, 'applier')).toMatchObject({ operation: 'Apply' });
      expect(entryOf(reply, 'applier')?.fieldsV1).toEqual({
        'f:metadata': { 'f:annotations': { 'f:x': {} } },
        'f:spec': { 'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {} } }, 'f:type': {} },
      });
    });

    test('entries can be rewritten, but not forgotten by a client that knows nothing of them', async () => {
      const path = await service();
      const entry = metaOf(await client().get(path)).managedFields?.[0];
      const renamed = await client().patch(path, 'merge', { metadata: { managedFields: [{ ...entry, manager: 'heir' }] } });
      expect(metaOf(renamed).managedFields).toMatchObject([{ manager: 'heir', fieldsV1: entry?.fieldsV1 }]);
      const body = renamed.body as { metadata: object };
      const put = await client().put(path, { ...body, metadata: { ...body.metadata, managedFields: undefined } });
      expect(metaOf(put).managedFields).toMatchObject([{ manager: 'heir' }]);
    });
  });
}
