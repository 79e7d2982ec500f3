import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { listIn, metaOf } from './read.ts';

/** Watches: from now, from a version, with selectors, bookmarks, an end, and 410. */
export function watchContract({ client, server, namespace }: Scene): void {
  describe('watches', () => {
    let home: string;
    beforeEach(async () => {
      home = await namespace();
    });
    const own = { labelSelector: 'mine' };

    async function create(name: string, more: Record<string, string> = {}): Promise<string> {
      return metaOf(await client().post(`${home}/configmaps`, { metadata: { name, labels: { mine: '', ...more } } }))
        .resourceVersion;
    }

    test('from a listed version every change comes once and in order, with its version', async () => {
      const since = listIn(await client().get(`${home}/configmaps`)).metadata.resourceVersion;
      await create('one');
      const watch = await client().watch(`${home}/configmaps`, { ...own, resourceVersion: since });
      await client().patch(`${home}/configmaps/one`, 'merge', { data: { a: 'b' } });
      await create('two');
      await client().delete(`${home}/configmaps/one`);
      await watch.count(4);
      expect(watch.told).toEqual(['ADDED one', 'MODIFIED one', 'ADDED two', 'DELETED one']);
      const versions = watch.events.map((event) => Number(event.object.metadata.resourceVersion));
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
      expect(watch.events[1]?.object).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', data: { a: 'b' } });
    });

    test('without a version, and from 0, what is there comes first', async () => {
      await create('old');
      for (const query of [own, { ...own, resourceVersion: '0' }]) {
        const watch = await client().watch(`${home}/configmaps`, query);
        await watch.count(1);
        await client().patch(`${home}/configmaps/old`, 'merge', { data: { now: String(Math.random()) } });
        await watch.count(2);
        expect(watch.told).toEqual(['ADDED old', 'MODIFIED old']);
      }
    });

    test('a label selector turns changes into arrivals and departures', async () => {
      const watch = await client().watch(`${home}/configmaps`, {
        labelSelector: 'mine,colour=red',
        resourceVersion: await create('c'),
      });
      await client().patch(`${home}/configmaps/c`, 'merge', { metadata: { labels: { colour: 'red' } } });
      await client().patch(`${home}/configmaps/c`, 'merge', { metadata: { labels: { colour: 'blue' } } });
      await watch.count(2);
      expect(watch.told).toEqual(['ADDED c', 'DELETED c']);
      expect(watch.events[1]?.object.metadata['labels']).toEqual({ mine: '', colour: 'red' });
    });

    test('one object by its name', async () => {
      const since = await create('c');
      const watch = await client().watch(`${home}/configmaps`, { fieldSelector: 'metadata.name=c', resourceVersion: since });
      await create('d');
      await client().delete(`${home}/configmaps/c`);
      await watch.count(1);
      expect(watch.told).toEqual(['DELETED c']);
    });

    test('it ends when its time is up, with a bookmark before when one was asked for and there is news', async () => {
      const since = await create('c');
      const started = Date.now();
      const query = {
        fieldSelector: 'metadata.name=c',
        resourceVersion: since,
        timeoutSeconds: '5',
        allowWatchBookmarks: 'true',
      };
      const watch = await client().watch(`${home}/configmaps`, query);
      const news = await create('d');
      await watch.end();
      expect(Date.now() - started).toBeLessThan(10_000);
      expect([...new Set(watch.events.map((event) => event.type))]).toEqual(['BOOKMARK']);
      expect(watch.events[0]?.object).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1' });
      expect(Number(watch.events.at(-1)?.object.metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(news));
    }, 120_000);

    test('a version that was compacted away answers with an ERROR event of 410 and ends', async () => {
      const since = await create('c');
      await create('d');
      await server().compact();
      const watch = await client().watch(`${home}/configmaps`, { resourceVersion: since });
      expect(watch.status).toBe(200);
      await watch.count(1);
      expect(watch.events[0]).toMatchObject({
        type: 'ERROR',
        object: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 },
      });
      await watch.end();
    }, 120_000);

    test('initial events need to be asked for in full', async () => {
      const reply = await client().get(`${home}/configmaps?watch=1&sendInitialEvents=true`);
      expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
    });

    test('tables are watched too, with columns in the first event only', async () => {
      const watch = await client().watch(
        `${home}/configmaps`,
        { ...own, resourceVersion: await create('c') },
        'application/json;as=Table;v=v1;g=meta.k8s.io',
      );
      await create('d');
      await create('e');
      await watch.count(2);
      const [first, second] = watch.events.map(
        (event) => event.object as unknown as { kind: string; columnDefinitions: unknown[] | null; rows: { cells: unknown[] }[] },
      );
      expect(first).toMatchObject({ kind: 'Table', rows: [{ cells: ['d', 0, expect.any(String)] }] });
      expect(first?.columnDefinitions).toHaveLength(3);
      expect(second?.columnDefinitions ?? null).toBeNull();
    });
  });
}
