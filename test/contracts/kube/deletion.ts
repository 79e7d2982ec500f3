import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { until } from './client.ts';
import { fieldsOf, listIn, metaOf } from './read.ts';

/** Deleting, finalizers, preconditions, and what goes with what. */
export function deletionContract({ client, namespace }: Scene): void {
  describe('deletion', () => {
    let home: string;
    beforeAll(async () => {
      home = await namespace();
    });

    test('a deleted object is gone, and a second try finds nothing', async () => {
      const made = await client().post(`${home}/configmaps`, { metadata: { name: 'gone' } });
      const reply = await client().delete(`${home}/configmaps/gone`);
      const details = { name: 'gone', kind: 'configmaps', uid: metaOf(made).uid };
      expect(reply).toMatchObject({ status: 200, body: { kind: 'Status', status: 'Success', details } });
      expect(await client().delete(`${home}/configmaps/gone`)).toMatchObject({ status: 404, body: { reason: 'NotFound' } });
    });

    test('a Service answers with itself', async () => {
      await client().post(`${home}/services`, { metadata: { name: 'gone' }, spec: { ports: [{ port: 80 }] } });
      expect(await client().delete(`${home}/services/gone`)).toMatchObject({
        status: 200,
        body: { kind: 'Service', metadata: { name: 'gone' } },
      });
    });

    test('finalizers hold an object until the last one goes', async () => {
      const path = `${home}/services/held`;
      await client().post(`${home}/services`, {
        metadata: { name: 'held', finalizers: ['a.io/one', 'a.io/two'] },
        spec: { ports: [{ port: 80 }] },
      });
      const marked = await client().delete(path, { propagationPolicy: 'Background' });
      expect(marked.status).toBe(200);
      expect(metaOf(marked)).toMatchObject({ deletionGracePeriodSeconds: 0, finalizers: ['a.io/one', 'a.io/two'] });
      const { deletionTimestamp, resourceVersion } = metaOf(marked);
      expect(Date.now() - Date.parse(deletionTimestamp ?? '')).toBeLessThan(60_000);
      expect(metaOf(await client().delete(path))).toMatchObject({ deletionTimestamp, resourceVersion });
      const refused = await client().patch(path, 'strategic', { metadata: { finalizers: ['a.io/three'] } });
      expect(refused).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
      expect(fieldsOf(refused)).toContain('metadata.finalizers');
      expect((await client().patch(path, 'merge', { metadata: { finalizers: ['a.io/two'] } })).status).toBe(200);
      expect((await client().patch(path, 'merge', { metadata: { labels: { still: 'here' } } })).status).toBe(200);
      expect((await client().patch(`${path}/status`, 'merge', { metadata: { finalizers: null } })).status).toBe(200);
      expect((await client().get(path)).status).toBe(404);
    });

    test('a watcher sees the mark as a change and the end as a deletion', async () => {
      const made = await client().post(`${home}/configmaps`, { metadata: { name: 'seen', finalizers: ['a.io/one'] } });
      const watch = await client().watch(`${home}/configmaps`, {
        resourceVersion: metaOf(made).resourceVersion,
        fieldSelector: 'metadata.name=seen',
      });
      await client().delete(`${home}/configmaps/seen`);
      await client().patch(`${home}/configmaps/seen`, 'json', [{ op: 'remove', path: '/metadata/finalizers' }]);
      await watch.count(2);
      expect(watch.told.at(0)).toBe('MODIFIED seen');
      expect(watch.told.at(-1)).toBe('DELETED seen');
    });

    test('deletionTimestamp is the server’s own', async () => {
      await client().post(`${home}/configmaps`, { metadata: { name: 'marked', deletionTimestamp: '2001-01-01T00:00:00Z' } });
      expect(metaOf(await client().get(`${home}/configmaps/marked`))).not.toHaveProperty('deletionTimestamp');
    });

    test.each([{ preconditions: { uid: 'another' } }, { preconditions: { resourceVersion: '1' } }])(
      '%j that fails is a conflict',
      async (options) => {
        await client().post(`${home}/configmaps`, { metadata: { name: 'precious' } });
        expect(await client().delete(`${home}/configmaps/precious`, options)).toMatchObject({
          status: 409,
          body: { reason: 'Conflict' },
        });
        const { uid } = metaOf(await client().get(`${home}/configmaps/precious`));
        expect((await client().delete(`${home}/configmaps/precious`, { preconditions: { uid } })).status).toBe(200);
      },
    );

    test('dryRun deletes nothing', async () => {
      await client().post(`${home}/configmaps`, { metadata: { name: 'dry' } });
      expect((await client().delete(`${home}/configmaps/dry?dryRun=All`)).status).toBe(200);
      expect((await client().get(`${home}/configmaps/dry`)).status).toBe(200);
    });

    test('a collection goes by selector', async () => {
      for (const name of ['x1', 'x2', 'y1'])
        await client().post(`${home}/secrets`, { metadata: { name, labels: { letter: name[0] } } });
      const reply = await client().delete(`${home}/secrets?labelSelector=letter%3Dx`);
      expect(reply).toMatchObject({ status: 200, body: { kind: 'SecretList' } });
      expect(listIn(await client().get(`${home}/secrets`)).items.map((item) => item.metadata.name)).toEqual(['y1']);
      expect(await client().delete('/api/v1/configmaps')).toMatchObject({ status: 405, body: { reason: 'MethodNotAllowed' } });
    });

    test('what has an owner goes with it', async () => {
      const owner = metaOf(await client().post(`${home}/configmaps`, { metadata: { name: 'owner' } }));
      const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.uid }];
      await client().post(`${home}/configmaps`, { metadata: { name: 'owned', ownerReferences } });
      await client().delete(`${home}/configmaps/owner`, { propagationPolicy: 'Background' });
      await until('the owned object to go', async () => (await client().get(`${home}/configmaps/owned`)).status === 404);
    });

    test('a namespace goes with everything in it, and takes nothing new meanwhile', async () => {
      const going = await namespace();
      await client().post(`${going}/configmaps`, { metadata: { name: 'inside', finalizers: ['a.io/hold'] } });
      const reply = await client().delete(going);
      expect(reply).toMatchObject({ status: 200, body: { kind: 'Namespace', status: { phase: 'Terminating' } } });
      const refused = await client().post(`${going}/configmaps`, { metadata: { name: 'late' } });
      expect(refused).toMatchObject({
        status: 403,
        body: { reason: 'Forbidden', details: { causes: [{ reason: 'NamespaceTerminating' }] } },
      });
      await until(
        'the object to be marked',
        async () => metaOf(await client().get(`${going}/configmaps/inside`)).deletionTimestamp,
      );
      expect((await client().get(going)).status).toBe(200);
      await client().patch(`${going}/configmaps/inside`, 'merge', { metadata: { finalizers: null } });
      await until('the namespace to go', async () => (await client().get(going)).status === 404);
    }, 120_000);

    test('a pod on a node is marked with its grace period, and goes when its node says so', async () => {
      const spec = { nodeName: 'some-node', terminationGracePeriodSeconds: 20, containers: [{ name: 'c', image: 'i' }] };
      await client().post(`${home}/pods`, { metadata: { name: 'p' }, spec });
      const reply = await client().delete(`${home}/pods/p`);
      expect(metaOf(reply)).toMatchObject({ deletionGracePeriodSeconds: 20 });
      expect(Date.parse(metaOf(reply).deletionTimestamp ?? '') - Date.now()).toBeGreaterThan(10_000);
      expect((await client().get(`${home}/pods/p`)).status).toBe(200);
      await client().delete(`${home}/pods/p`, { gracePeriodSeconds: 0 });
      expect((await client().get(`${home}/pods/p`)).status).toBe(404);
    });
  });
}
