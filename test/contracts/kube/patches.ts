import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { patchTypes } from './client.ts';
import { metaOf } from './read.ts';

/** The four ways to change a part of an object. */
export function patchContract({ client, namespace }: Scene): void {
  describe('patches', () => {
    let home: string;
    let made = 0;
    beforeAll(async () => {
      home = await namespace();
    });

    async function service(spec: object = {}, metadata: object = {}): Promise<string> {
      made += 1;
      const ports = [
        { name: 'web', port: 80 },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ];
      const reply = await client().post(`${home}/services`, {
        metadata: { name: `s${made}`, ...metadata },
        spec: { ports, ...spec },
      });
      expect(reply.status).toBe(201);
      return `${home}/services/s${made}`;
    }

    test('merge: null removes, objects merge, lists are replaced', async () => {
      const path = await service({ selector: { app: 'x', tier: 'y' } }, { labels: { a: '1', b: '2' } });
      const patch = { metadata: { labels: { a: null, c: '3' } }, spec: { ports: [{ port: 81 }], selector: { app: 'z' } } };
      const reply = await client().patch(path, 'merge', patch);
      expect(reply).toMatchObject({
        status: 200,
        body: { metadata: { labels: { b: '2', c: '3' } }, spec: { selector: { app: 'z', tier: 'y' } } },
      });
      expect(reply.body).toMatchObject({ spec: { ports: [{ port: 81, protocol: 'TCP', targetPort: 81 }] } });
    });

    test('strategic: ports merge by their number, and $patch: delete takes one out', async () => {
      const path = await service();
      const added = await client().patch(path, 'strategic', { spec: { ports: [{ name: 'tls', port: 443 }] } });
      expect(added).toMatchObject({ status: 200 });
      const names = (body: unknown): string[] =>
        (body as { spec: { ports: { name: string }[] } }).spec.ports.map((port) => port.name).sort();
      expect(names(added.body)).toEqual(['dns', 'tls', 'web']);
      const changed = await client().patch(path, 'strategic', { spec: { ports: [{ port: 80, targetPort: 8080 }] } });
      expect(changed.body).toMatchObject({
        spec: { ports: expect.arrayContaining([expect.objectContaining({ name: 'web', targetPort: 8080 })]) },
      });
      const removed = await client().patch(path, 'strategic', { spec: { ports: [{ port: 53, $patch: 'delete' }] } });
      expect(names(removed.body)).toEqual(['tls', 'web']);
      const replaced = await client().patch(path, 'strategic', { spec: { ports: [{ $patch: 'replace' }, { port: 90 }] } });
      expect(replaced.body).toMatchObject({ spec: { ports: [{ port: 90 }] } });
    });

    test('strategic: finalizers join, and $deleteFromPrimitiveList takes one out', async () => {
      const path = await service({}, { finalizers: ['a.io/one'] });
      const joined = await client().patch(path, 'strategic', { metadata: { finalizers: ['b.io/two', 'a.io/one'] } });
      expect(metaOf(joined).finalizers).toEqual(['b.io/two', 'a.io/one']);
      const left = await client().patch(path, 'strategic', { metadata: { '$deleteFromPrimitiveList/finalizers': ['a.io/one'] } });
      expect(metaOf(left).finalizers).toEqual(['b.io/two']);
      await client().patch(path, 'merge', { metadata: { finalizers: null } });
    });

    test('strategic: $setElementOrder orders what it names', async () => {
      const path = await service();
      const order = [{ port: 443 }, { port: 53 }, { port: 80 }];
      const reply = await client().patch(path, 'strategic', {
        spec: { '$setElementOrder/ports': order, ports: [{ name: 'tls', port: 443 }] },
      });
      expect((reply.body as { spec: { ports: { port: number }[] } }).spec.ports.map((port) => port.port)).toEqual([443, 53, 80]);
    });

    test('strategic: $patch: replace and null', async () => {
      const path = await service({ selector: { app: 'x', tier: 'y' } }, { annotations: { a: '1', b: '2' } });
      const reply = await client().patch(path, 'strategic', {
        metadata: { annotations: { a: null } },
        spec: { selector: { $patch: 'replace', only: 'me' } },
      });
      expect(reply.body).toMatchObject({ metadata: { annotations: { b: '2' } }, spec: { selector: { only: 'me' } } });
      expect((reply.body as { spec: { selector: object } }).spec.selector).toEqual({ only: 'me' });
    });

    test('strategic: conditions merge by type, also in the status', async () => {
      const path = await service();
      const condition = {
        type: 'a.io/One',
        status: 'True',
        reason: 'R',
        message: '',
        lastTransitionTime: '2024-01-01T00:00:00Z',
      };
      await client().patch(`${path}/status`, 'strategic', { status: { conditions: [condition] } });
      const reply = await client().patch(`${path}/status`, 'strategic', {
        status: { conditions: [{ ...condition, type: 'a.io/Two' }] },
      });
      expect(reply.body).toMatchObject({ status: { conditions: [{ type: 'a.io/Two' }, { type: 'a.io/One' }] } });
      const changed = await client().patch(`${path}/status`, 'strategic', {
        status: { conditions: [{ type: 'a.io/One', status: 'False' }] },
      });
      expect(changed.body).toMatchObject({
        status: { conditions: [{ type: 'a.io/Two' }, { type: 'a.io/One', status: 'False', reason: 'R' }] },
      });
      const gone = await client().patch(`${path}/status`, 'strategic', {
        status: { conditions: [{ type: 'a.io/One', $patch: 'delete' }] },
      });
      expect((gone.body as { status: { conditions: unknown[] } }).status.conditions).toHaveLength(1);
    });

    test('strategic: an item without its key is a mistake', async () => {
      const reply = await client().patch(await service(), 'strategic', { spec: { ports: [{ targetPort: 1 }] } });
      expect(reply.status).toBeGreaterThanOrEqual(400);
    });

    test('json: the operations of RFC 6902', async () => {
      const path = await service({ selector: { app: 'x' } });
      const reply = await client().patch(path, 'json', [
        { op: 'test', path: '/spec/ports/0/name', value: 'web' },
        { op: 'add', path: '/metadata/annotations', value: { 'a.io/b': 'c' } },
        { op: 'replace', path: '/metadata/annotations/a.io~1b', value: 'd' },
        { op: 'add', path: '/spec/ports/-', value: { name: 'tls', port: 443 } },
        { op: 'remove', path: '/spec/ports/1' },
        { op: 'copy', from: '/metadata/annotations/a.io~1b', path: '/spec/selector/copied' },
        { op: 'move', from: '/spec/selector/app', path: '/spec/selector/moved' },
      ]);
      const wanted = {
        metadata: { annotations: { 'a.io/b': 'd' } },
        spec: { selector: { copied: 'd', moved: 'x' }, ports: [{ port: 80 }, { port: 443 }] },
      };
      expect(reply).toMatchObject({ status: 200, body: wanted });
    });

    test.each([
      { why: 'a test that fails', patch: [{ op: 'test', path: '/spec/type', value: 'NodePort' }] },
      { why: 'removing what is not there', patch: [{ op: 'remove', path: '/spec/nothing' }] },
      { why: 'replacing below what is not there', patch: [{ op: 'replace', path: '/spec/nothing/deep', value: 1 }] },
    ])('json: $why is refused', async ({ patch }) => {
      expect(await client().patch(await service(), 'json', patch)).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
    });

    test('a patch may insist on a version', async () => {
      const path = await service();
      const { resourceVersion } = metaOf(await client().get(path));
      expect((await client().patch(path, 'merge', { metadata: { resourceVersion, labels: { a: 'b' } } })).status).toBe(200);
      expect(await client().patch(path, 'merge', { metadata: { resourceVersion, labels: { a: 'c' } } })).toMatchObject({
        status: 409,
        body: { reason: 'Conflict' },
      });
    });

    test('identity cannot be patched', async () => {
      const path = await service();
      expect(await client().patch(path, 'merge', { metadata: { uid: 'other' } })).toMatchObject({
        status: 422,
        body: { reason: 'Invalid' },
      });
      expect((await client().patch(path, 'merge', { metadata: { name: 'other' } })).status).toBeGreaterThanOrEqual(400);
    });

    test.each<{ why: string; patch: object; status: number }>([
      { why: 'a value of the wrong type', patch: { spec: { ports: [{ port: '80' }] } }, status: 422 },
      { why: 'another kind', patch: { kind: 'Secret' }, status: 422 },
      { why: 'another name', patch: { metadata: { name: 'other' } }, status: 400 },
      { why: 'another namespace', patch: { metadata: { namespace: 'other' } }, status: 400 },
      { why: 'a deletionTimestamp', patch: { metadata: { deletionTimestamp: '2024-01-01T00:00:00Z' } }, status: 422 },
    ])('$why in a patch is refused with $status', async ({ patch, status }) => {
      expect(await client().patch(await service(), 'merge', patch)).toMatchObject({ status, body: { code: status } });
    });

    test('a patch that changes nothing makes no new version', async () => {
      const path = await service();
      const { resourceVersion } = metaOf(await client().get(path));
      expect(metaOf(await client().patch(path, 'merge', { spec: { type: 'ClusterIP' } })).resourceVersion).toBe(resourceVersion);
    });

    test('what is no patch type is told apart', async () => {
      const reply = await client().send('PATCH', await service(), { body: {}, type: 'application/unknown' });
      expect(reply).toMatchObject({ status: 415, body: { reason: 'UnsupportedMediaType' } });
      expect(await client().patch(`${home}/services/nope`, 'merge', {})).toMatchObject({
        status: 404,
        body: { reason: 'NotFound' },
      });
    });

    test('server-side apply creates, merges, takes back, and refuses what another holds', async () => {
      const path = `${home}/configmaps/applied`;
      const apply = (manager: string, data: object, more = ''): ReturnType<ReturnType<typeof client>['send']> =>
        client().send('PATCH', `${path}?fieldManager=${manager}${more}`, {
          type: patchTypes.apply,
          body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied' }, data },
        });
      expect(await apply('one', { a: '1', b: '1' })).toMatchObject({ status: 201, body: { data: { a: '1', b: '1' } } });
      expect(await apply('two', { c: '2' })).toMatchObject({ status: 200, body: { data: { a: '1', b: '1', c: '2' } } });
      expect((await apply('one', { a: '1' })).body).toMatchObject({ data: { a: '1', c: '2' } });
      expect((await client().get(path)).body).not.toHaveProperty('data.b');
      const refused = await apply('two', { c: '2', a: '2' });
      expect(refused).toMatchObject({
        status: 409,
        body: { reason: 'Conflict', details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.a' }] } },
      });
      expect(await apply('two', { c: '2', a: '2' }, '&force=true')).toMatchObject({
        status: 200,
        body: { data: { a: '2', c: '2' } },
      });
      const nobody = await client().send('PATCH', path, { type: patchTypes.apply, body: {} });
      expect(nobody.status).toBeGreaterThanOrEqual(400);
    });
  });
}
