import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { metaOf, nameIn } from './read.ts';

/** Creating, reading and replacing, and every refusal that comes before a kind has its say. */
export function objectContract({ client, namespace }: Scene): void {
  describe('objects', () => {
    let home: string;
    beforeAll(async () => {
      home = await namespace();
    });

    test('a new object gets identity, version and creation time, whatever its author wrote', async () => {
      const given = { name: 'new', uid: 'mine', creationTimestamp: '2001-01-01T00:00:00Z', labels: {} };
      const reply = await client().post(`${home}/configmaps`, { metadata: given, data: { a: 'b' } });
      expect(reply).toMatchObject({ status: 201, body: { kind: 'ConfigMap', apiVersion: 'v1', data: { a: 'b' } } });
      const meta = metaOf(reply);
      expect(meta.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(Number(meta.resourceVersion)).toBeGreaterThan(0);
      expect(Date.now() - Date.parse(meta.creationTimestamp)).toBeLessThan(60_000);
      expect(meta).not.toHaveProperty('labels');
      expect((await client().get(`${home}/configmaps/new`)).body).toEqual(reply.body);
    });

    test('generateName picks a name that is free', async () => {
      const one = await client().post(`${home}/configmaps`, { metadata: { generateName: 'some-' } });
      const two = await client().post(`${home}/configmaps`, { metadata: { generateName: 'some-' } });
      expect(metaOf(one).name).toMatch(/^some-[a-z0-9]{5}$/);
      expect(metaOf(two).name).not.toBe(metaOf(one).name);
      expect(metaOf(one)).toMatchObject({ generateName: 'some-' });
    });

    test.each<{ why: string; path: string; body: unknown; status: number; reason?: string }>([
      {
        why: 'a name that is taken',
        path: '/configmaps',
        body: { metadata: { name: 'kube-root' } },
        status: 409,
        reason: 'AlreadyExists',
      },
      {
        why: 'a resourceVersion on a new object',
        path: '/configmaps',
        body: { metadata: { name: 'x', resourceVersion: '5' } },
        status: 500,
      },
      {
        why: 'another namespace in the body',
        path: '/configmaps',
        body: { metadata: { name: 'x', namespace: 'other' } },
        status: 400,
        reason: 'BadRequest',
      },
      { why: 'no name at all', path: '/configmaps', body: { metadata: {} }, status: 422, reason: 'Invalid' },
      {
        why: 'a name with capitals',
        path: '/configmaps',
        body: { metadata: { name: 'Big_One' } },
        status: 422,
        reason: 'Invalid',
      },
      {
        why: 'a value of the wrong type',
        path: '/configmaps',
        body: { metadata: { name: 'x' }, data: { a: 1 } },
        status: 400,
        reason: 'BadRequest',
      },
      {
        why: 'another kind',
        path: '/configmaps',
        body: { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'x' } },
        status: 400,
        reason: 'BadRequest',
      },
      {
        why: 'another API version',
        path: '/configmaps',
        body: { kind: 'ConfigMap', apiVersion: 'v2', metadata: { name: 'x' } },
        status: 400,
        reason: 'BadRequest',
      },
      { why: 'a body that is no JSON', path: '/configmaps', body: '{bad', status: 400, reason: 'BadRequest' },
      {
        why: 'a bad label',
        path: '/configmaps',
        body: { metadata: { name: 'x', labels: { 'a b': 'c' } } },
        status: 422,
        reason: 'Invalid',
      },
      {
        why: 'a bad finalizer',
        path: '/configmaps',
        body: { metadata: { name: 'x', finalizers: ['plain'] } },
        status: 422,
        reason: 'Invalid',
      },
      { why: 'a resource that is unknown', path: '/gadgets', body: { metadata: { name: 'x' } }, status: 404, reason: 'NotFound' },
      { why: 'a method that makes no sense', path: '/services/x/status', body: {}, status: 405, reason: 'MethodNotAllowed' },
    ])('$why is refused with $status', async ({ path, body, status, reason }) => {
      await client().post(`${home}/configmaps`, { metadata: { name: 'kube-root' } });
      const reply = await client().post(home + path, body);
      expect(reply).toMatchObject({
        status,
        body: { kind: 'Status', status: 'Failure', code: status, ...(reason ? { reason } : {}) },
      });
    });

    test('a namespace that is not there is what was not found', async () => {
      const reply = await client().post('/api/v1/namespaces/nowhere/configmaps', { metadata: { name: 'x' } });
      expect(reply).toMatchObject({
        status: 404,
        body: { reason: 'NotFound', details: { name: 'nowhere', kind: 'namespaces' } },
      });
    });

    test('an object that is not there is named by resource and group', async () => {
      const group = home.replace('/api/v1', '/apis/coordination.k8s.io/v1');
      const reply = await client().get(`${group}/leases/nope`);
      const details = { name: 'nope', group: 'coordination.k8s.io', kind: 'leases' };
      expect(reply).toMatchObject({
        status: 404,
        body: { message: 'leases.coordination.k8s.io "nope" not found', reason: 'NotFound', details },
      });
    });

    test('PUT replaces, keeps identity and answers 409 to a stale version', async () => {
      const first = await client().post(`${home}/configmaps`, {
        metadata: { name: 'put', labels: { a: 'b' } },
        data: { a: '1' },
      });
      const next = await client().put(`${home}/configmaps/put`, {
        metadata: { name: 'put', resourceVersion: metaOf(first).resourceVersion },
        data: { a: '2' },
      });
      expect(next).toMatchObject({ status: 200, body: { data: { a: '2' }, metadata: { uid: metaOf(first).uid } } });
      expect(metaOf(next)).not.toHaveProperty('labels');
      const stale = await client().put(`${home}/configmaps/put`, {
        metadata: { name: 'put', resourceVersion: metaOf(first).resourceVersion },
        data: { a: '3' },
      });
      expect(stale).toMatchObject({ status: 409, body: { reason: 'Conflict', details: { name: 'put', kind: 'configmaps' } } });
      const unconditional = await client().put(`${home}/configmaps/put`, { metadata: { name: 'put' }, data: { a: '4' } });
      expect(unconditional.status).toBe(200);
    });

    test('PUT with the UID of another object is a conflict', async () => {
      await client().post(`${home}/configmaps`, { metadata: { name: 'uid' } });
      const reply = await client().put(`${home}/configmaps/uid`, {
        metadata: { name: 'uid', uid: '11111111-1111-1111-1111-111111111111' },
      });
      expect(reply).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
    });

    test('a write that changes nothing makes no new version', async () => {
      const first = await client().post(`${home}/configmaps`, { metadata: { name: 'same' }, data: { a: '1' } });
      const again = await client().put(`${home}/configmaps/same`, { metadata: { name: 'same' }, data: { a: '1' } });
      expect(metaOf(again).resourceVersion).toBe(metaOf(first).resourceVersion);
    });

    test('PUT of another name than the path says is refused', async () => {
      const reply = await client().put(`${home}/configmaps/put`, { metadata: { name: 'other' } });
      expect(reply).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    });

    test.each([
      { resource: 'configmaps', status: 404 },
      { resource: 'services', status: 201, spec: { ports: [{ port: 80 }] } },
      { resource: 'endpoints', status: 201 },
    ])('PUT of a missing one of $resource answers $status', async ({ resource, status, spec }) => {
      const reply = await client().put(`${home}/${resource}/from-put`, {
        metadata: { name: 'from-put' },
        ...(spec ? { spec } : {}),
      });
      expect(reply.status).toBe(status);
    });

    test('dryRun=All answers as if and stores nothing', async () => {
      const reply = await client().post(`${home}/configmaps?dryRun=All`, { metadata: { name: 'dry' } });
      expect(reply).toMatchObject({ status: 201, body: { metadata: { name: 'dry' } } });
      expect((await client().get(`${home}/configmaps/dry`)).status).toBe(404);
    });

    test('an unknown field is dropped with a warning, or refused on demand', async () => {
      const body = { metadata: { name: 'unknown' }, colour: 'red' };
      const strict = await client().post(`${home}/configmaps?fieldValidation=Strict`, body);
      expect(strict).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
      const warned = await client().post(`${home}/configmaps?fieldValidation=Warn`, body);
      expect(warned.warnings).toContain('unknown field \\"colour\\"');
      expect(nameIn(warned)).toBe('unknown');
      expect(warned.body).not.toHaveProperty('colour');
    });
  });
}
