import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { fieldsOf, metaOf, serviceIn } from './read.ts';

/** The status subresource of a Service, in which a load balancer controller lives. */
export function statusContract({ client, namespace }: Scene): void {
  describe('status', () => {
    let home: string;
    let made = 0;
    beforeAll(async () => {
      home = await namespace();
    });

    async function service(type = 'LoadBalancer'): Promise<string> {
      made += 1;
      await client().post(`${home}/services`, { metadata: { name: `s${made}` }, spec: { type, ports: [{ port: 80 }] } });
      return `${home}/services/s${made}`;
    }

    const ingress = [{ ip: '192.0.2.1' }];

    test('what is given at creation is dropped', async () => {
      const body = {
        metadata: { name: 'given' },
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
        status: { loadBalancer: { ingress } },
      };
      expect(serviceIn(await client().post(`${home}/services`, body)).status).toEqual({ loadBalancer: {} });
    });

    test('the main resource ignores the status, /status ignores the spec', async () => {
      const path = await service();
      const main = await client().patch(path, 'merge', {
        spec: { sessionAffinity: 'ClientIP' },
        status: { loadBalancer: { ingress } },
      });
      expect(main).toMatchObject({ status: 200, body: { spec: { sessionAffinity: 'ClientIP' }, status: { loadBalancer: {} } } });
      const reply = await client().patch(`${path}/status`, 'merge', {
        spec: { sessionAffinity: 'None' },
        status: { loadBalancer: { ingress } },
      });
      expect(serviceIn(reply)).toMatchObject({
        spec: { sessionAffinity: 'ClientIP' },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }] } },
      });
    });

    test('metadata can be written through /status: finalizers, annotations and labels', async () => {
      const path = await service();
      const metadata = { finalizers: ['a.io/cleanup'], annotations: { 'a.io/b': 'c' }, labels: { d: 'e' } };
      const condition = {
        type: 'a.io/Ready',
        status: 'False',
        reason: 'R',
        message: 'm',
        lastTransitionTime: '2024-01-01T00:00:00Z',
      };
      const reply = await client().patch(`${path}/status`, 'strategic', { metadata, status: { conditions: [condition] } });
      expect(reply).toMatchObject({ status: 200, body: { metadata, status: { conditions: [condition] } } });
      await client().patch(`${path}/status`, 'strategic', {
        metadata: { '$deleteFromPrimitiveList/finalizers': ['a.io/cleanup'] },
      });
      expect(metaOf(await client().get(path))).not.toHaveProperty('finalizers');
    });

    describe('finalizer, annotations, condition and address in one patch', () => {
      const written = { finalizers: ['a.io/cleanup'], annotations: { 'a.io/held': '192.0.2.1' } };
      const condition = {
        type: 'a.io/Ready',
        status: 'True',
        reason: 'Ready',
        message: 'm',
        lastTransitionTime: '2024-01-01T00:00:00Z',
      };
      const status = { conditions: [condition], loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'Proxy' }] } };

      const patch = (path: string, precondition: object, wanted: object = status) =>
        client().patch(`${path}/status`, 'strategic', { metadata: { ...precondition, ...written }, status: wanted });

      async function preconditionOf(path: string): Promise<{ uid: string; resourceVersion: string }> {
        const { uid, resourceVersion } = metaOf(await client().get(path)) as { uid: string; resourceVersion: string };
        return { uid, resourceVersion };
      }

      async function nothingOf(path: string): Promise<void> {
        const reply = await client().get(path);
        expect(metaOf(reply).finalizers ?? []).not.toContain('a.io/cleanup');
        expect(metaOf(reply)).not.toHaveProperty('annotations');
        expect(serviceIn(reply).status).toEqual({ loadBalancer: {} });
      }

      test('all of it is written', async () => {
        const path = await service();
        const reply = await patch(path, await preconditionOf(path));
        expect(reply).toMatchObject({ status: 200, body: { metadata: written, status } });
        expect(serviceIn(await client().get(path))).toMatchObject({ metadata: written, status });
      });

      test('none of it on an object that is newer, or on a namesake', async () => {
        const path = await service();
        const before = await preconditionOf(path);
        await client().patch(path, 'merge', { metadata: { labels: { a: 'b' } } });
        expect(await patch(path, before)).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
        await nothingOf(path);
        await client().delete(path);
        const name = path.split('/').at(-1);
        const spec = { type: 'LoadBalancer', ports: [{ port: 80 }] };
        await client().post(path.replace(`/${name}`, ''), { metadata: { name }, spec });
        expect(await patch(path, before)).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
        await nothingOf(path);
      });

      test('none of it when a part is refused', async () => {
        const path = await service();
        const wrong = { ...status, loadBalancer: { ingress: [{ ip: '192.0.2' }] } };
        expect((await patch(path, await preconditionOf(path), wrong)).status).toBe(422);
        await nothingOf(path);
      });

      test('none of it on an object that is being deleted: a newer one is a conflict, else the finalizer is refused', async () => {
        const path = await service();
        await client().patch(path, 'merge', { metadata: { finalizers: ['a.io/other'] } });
        const before = await preconditionOf(path);
        await client().delete(path);
        expect((await patch(path, before)).status).toBe(409);
        const refused = await patch(path, await preconditionOf(path));
        expect([refused.status, fieldsOf(refused)]).toEqual([422, expect.arrayContaining(['metadata.finalizers'])]);
        await nothingOf(path);
        await client().patch(path, 'merge', { metadata: { finalizers: null } });
      });
    });

    test('a stale write of the status is a conflict', async () => {
      const path = await service();
      const old = await client().get(path);
      await client().patch(path, 'merge', { metadata: { labels: { a: 'b' } } });
      const reply = await client().put(`${path}/status`, {
        ...(old.body as object),
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } },
      });
      expect(reply).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
    });

    test.each<{ why: string; ingress: object[]; field: string }>([
      {
        why: 'ipMode without ip',
        ingress: [{ hostname: 'a.example', ipMode: 'VIP' }],
        field: 'status.loadBalancer.ingress[0].ipMode',
      },
      {
        why: 'an ipMode that is none',
        ingress: [{ ip: '192.0.2.1', ipMode: 'Magic' }],
        field: 'status.loadBalancer.ingress[0].ipMode',
      },
      { why: 'an ip that is none', ingress: [{ ip: '192.0.2' }], field: 'status.loadBalancer.ingress[0].ip' },
      { why: 'a hostname with capitals', ingress: [{ hostname: 'A.example' }], field: 'status.loadBalancer.ingress[0].hostname' },
      {
        why: 'a hostname that is an address',
        ingress: [{ hostname: '192.0.2.1' }],
        field: 'status.loadBalancer.ingress[0].hostname',
      },
    ])('$why is refused', async ({ ingress: entries, field }) => {
      const reply = await client().patch(`${await service()}/status`, 'merge', {
        status: { loadBalancer: { ingress: entries } },
      });
      expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid', details: { kind: 'Service' } } });
      expect(fieldsOf(reply)).toContain(field);
    });

    test.each<{ why: string; entry: object }>([
      { why: 'ip with Proxy', entry: { ip: '192.0.2.1', ipMode: 'Proxy' } },
      { why: 'an IPv6 address', entry: { ip: '2001:db8::1', ipMode: 'VIP' } },
      { why: 'a hostname', entry: { hostname: 'lb.example.com' } },
      {
        why: 'ports with an error',
        entry: { ip: '192.0.2.1', ipMode: 'VIP', ports: [{ port: 80, protocol: 'TCP', error: 'a.io/PortInUse' }] },
      },
    ])('$why is taken as it is', async ({ entry }) => {
      const reply = await client().patch(`${await service()}/status`, 'merge', {
        status: { loadBalancer: { ingress: [entry] } },
      });
      expect(serviceIn(reply).status.loadBalancer.ingress).toEqual([entry]);
    });

    test('only a LoadBalancer has ingress', async () => {
      const reply = await client().patch(`${await service('NodePort')}/status`, 'merge', {
        status: { loadBalancer: { ingress } },
      });
      expect(reply.status).toBe(422);
      expect(fieldsOf(reply)).toEqual(['status.loadBalancer.ingress']);
    });

    test('conditions are neither checked nor cleared with the type, ingress is', async () => {
      const path = await service();
      const condition = {
        type: 'a.io/Ready',
        status: 'Perhaps',
        reason: 'R',
        message: 'm',
        lastTransitionTime: '2024-01-01T00:00:00Z',
      };
      const written = await client().patch(`${path}/status`, 'merge', {
        status: { loadBalancer: { ingress }, conditions: [condition] },
      });
      expect(written.status).toBe(200);
      const changed = serviceIn(await client().patch(path, 'merge', { spec: { type: 'NodePort' } }));
      expect(changed.status).toEqual({ loadBalancer: {}, conditions: [condition] });
    });

    test('/status is read and answers with the whole object', async () => {
      const path = await service();
      expect((await client().get(`${path}/status`)).body).toEqual((await client().get(path)).body);
    });
  });
}
