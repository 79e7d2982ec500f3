import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { listIn, metaOf } from './read.ts';

/** Lists: order, selectors, pages and old versions. */
export function listContract({ client, server, namespace }: Scene): void {
  describe('lists', () => {
    let home: string;
    const names = ['a', 'b', 'c', 'd', 'e'];
    beforeAll(async () => {
      home = await namespace();
      for (const name of [...names].reverse()) {
        const labels = { place: name < 'c' ? 'front' : 'back', ...(name === 'e' ? { last: '' } : {}) };
        await client().post(`${home}/configmaps`, { metadata: { name, labels } });
      }
    });

    async function namesOf(query: string): Promise<string[]> {
      const reply = await client().get(`${home}/configmaps?${query}`);
      expect(reply.status).toBe(200);
      return listIn(reply)
        .items.map((item) => item.metadata.name)
        .filter((name) => name !== 'kube-root-ca.crt');
    }

    test('objects come by name, without kind and version of their own', async () => {
      const reply = await client().get(`${home}/configmaps`);
      expect(reply).toMatchObject({ status: 200, body: { kind: 'ConfigMapList', apiVersion: 'v1' } });
      expect(Number(listIn(reply).metadata.resourceVersion)).toBeGreaterThan(0);
      expect(listIn(reply).items[0]).not.toHaveProperty('kind');
      expect(await namesOf('')).toEqual(names);
    });

    test('an empty list is an empty array', async () => {
      expect((await client().get(`${home}/secrets`)).body).toMatchObject({ kind: 'SecretList', items: [] });
    });

    test.each<{ query: string; wanted: string[] }>([
      { query: 'labelSelector=place%3Dfront', wanted: ['a', 'b'] },
      { query: 'labelSelector=place%3D%3Dfront', wanted: ['a', 'b'] },
      { query: 'labelSelector=place!%3Dfront', wanted: ['c', 'd', 'e'] },
      { query: 'labelSelector=place%20in%20(front,back),!last', wanted: ['a', 'b', 'c', 'd'] },
      { query: 'labelSelector=place%20notin%20(front)', wanted: ['c', 'd', 'e'] },
      { query: 'labelSelector=last', wanted: ['e'] },
      { query: 'labelSelector=place%3Dback,last%3D', wanted: ['e'] },
      { query: 'fieldSelector=metadata.name%3Dd', wanted: ['d'] },
      { query: 'fieldSelector=metadata.name!%3Dd,metadata.name!%3Dkube-root-ca.crt', wanted: ['a', 'b', 'c', 'e'] },
    ])('$query', async ({ query, wanted }) => {
      expect(await namesOf(query)).toEqual(wanted);
    });

    test.each(['fieldSelector=colour%3Dred', 'labelSelector=a%3Db%3Dc', 'limit=1&continue=nonsense'])(
      '%s is a bad request',
      async (query) => {
        expect(await client().get(`${home}/configmaps?${query}`)).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
      },
    );

    test('pages show the list as it was when the first was read', async () => {
      const first = listIn(await client().get(`${home}/configmaps?limit=2&labelSelector=place`));
      expect(first.items.map((item) => item.metadata.name)).toEqual(['a', 'b']);
      await client().post(`${home}/configmaps`, { metadata: { name: 'cc', labels: { place: 'back' } } });
      await client().delete(`${home}/configmaps/d`);
      const token = encodeURIComponent(first.metadata.continue ?? '');
      const second = listIn(await client().get(`${home}/configmaps?limit=2&labelSelector=place&continue=${token}`));
      expect(second.items.map((item) => item.metadata.name)).toEqual(['c', 'd']);
      expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      const last = listIn(
        await client().get(
          `${home}/configmaps?limit=2&labelSelector=place&continue=${encodeURIComponent(second.metadata.continue ?? '')}`,
        ),
      );
      expect(last.items.map((item) => item.metadata.name)).toEqual(['e']);
      expect(last.metadata.continue ?? '').toBe('');
      await client().delete(`${home}/configmaps/cc`);
      await client().post(`${home}/configmaps`, { metadata: { name: 'd', labels: { place: 'back' } } });
    });

    test('remainingItemCount tells what is still to come', async () => {
      const whole = listIn(await client().get(`${home}/configmaps`)).items.length;
      const page = listIn(await client().get(`${home}/configmaps?limit=2`));
      expect(page.metadata.remainingItemCount).toBe(whole - 2);
    });

    test('a version that is yet to come times out', async () => {
      const reply = await client().get(`${home}/configmaps?resourceVersion=999999999`);
      expect(reply).toMatchObject({
        status: 504,
        body: { reason: 'Timeout', details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } },
      });
    });

    test('exactly as it was at a version', async () => {
      const before = listIn(await client().get(`${home}/configmaps`)).metadata.resourceVersion;
      await client().post(`${home}/configmaps`, { metadata: { name: 'later' } });
      expect(await namesOf(`resourceVersion=${before}&resourceVersionMatch=Exact`)).toEqual(names);
      expect(await namesOf('resourceVersion=0')).toContain('later');
      await client().delete(`${home}/configmaps/later`);
    });

    test('after compaction an old page token is gone, and a new one leads on', async () => {
      const first = listIn(await client().get(`${home}/configmaps?limit=2&labelSelector=place`));
      await client().post(`${home}/configmaps`, { metadata: { name: 'zz' } });
      await server().compact();
      const reply = await client().get(
        `${home}/configmaps?limit=2&labelSelector=place&continue=${encodeURIComponent(first.metadata.continue ?? '')}`,
      );
      expect(reply).toMatchObject({ status: 410, body: { reason: 'Expired', code: 410 } });
      const token = (reply.body as { metadata: { continue: string } }).metadata.continue;
      expect(await namesOf(`labelSelector=place&continue=${encodeURIComponent(token)}`)).toEqual(['c', 'd', 'e']);
      const exact = await client().get(
        `${home}/configmaps?resourceVersion=${first.metadata.resourceVersion}&resourceVersionMatch=Exact`,
      );
      expect(exact).toMatchObject({ status: 410, body: { reason: 'Expired' } });
      await client().delete(`${home}/configmaps/zz`);
    }, 120_000);

    test('all namespaces, and only the metadata when only that is asked for', async () => {
      const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
      const reply = await client().get('/api/v1/configmaps?labelSelector=last', { accept });
      expect(reply).toMatchObject({ status: 200, body: { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' } });
      const found = listIn(reply).items.find((item) => home.endsWith(`/${item.metadata.namespace}`));
      expect(found?.metadata).toMatchObject({ name: 'e', uid: metaOf(await client().get(`${home}/configmaps/e`)).uid });
    });
  });
}
