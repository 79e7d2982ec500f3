import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import type { Reply } from './client.ts';
import { fieldsOf, metaOf, serviceIn } from './read.ts';

/**
 * Node ports: taken from the range, kept, shared between protocols, given back. Those that the tests ask for are from the first 86,
 * which the real server does not pick by itself.
 */
export function nodePortContract({ client, namespace }: Scene): void {
  describe('node ports', () => {
    let home: string;
    let made = 0;
    beforeAll(async () => {
      home = await namespace();
    });

    async function create(spec: object): Promise<Reply> {
      made += 1;
      return client().post(`${home}/services`, { metadata: { name: `s${made}` }, spec });
    }

    async function path(spec: object): Promise<string> {
      const reply = await create(spec);
      expect(reply.status).toBe(201);
      return `${home}/services/${metaOf(reply).name}`;
    }

    const portsOf = (reply: Reply): number[] => serviceIn(reply).spec.ports.map((port) => port.nodePort);
    const messageOf = (reply: Reply): string => (reply.body as { message: string }).message;

    test.each(['NodePort', 'LoadBalancer'])('%s: one for each port, within the range', async (type) => {
      const reply = await create({
        type,
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 81 },
        ],
      });
      const [a, b] = portsOf(reply);
      expect(a).not.toBe(b);
      for (const port of [a, b]) {
        expect(port).toBeGreaterThanOrEqual(30_000);
        expect(port).toBeLessThanOrEqual(32_767);
      }
    });

    test('TCP and UDP of one port share one', async () => {
      const reply = await create({
        type: 'LoadBalancer',
        ports: [
          { name: 'tcp', port: 53 },
          { name: 'udp', port: 53, protocol: 'UDP' },
        ],
      });
      const [tcp, udp] = portsOf(reply);
      expect(tcp).toBe(udp);
      const asked = await create({
        type: 'NodePort',
        ports: [
          { name: 'tcp', port: 53 },
          { name: 'udp', port: 53, protocol: 'UDP', nodePort: 30_053 },
        ],
      });
      expect(portsOf(asked)).toEqual([30_053, 30_053]);
    });

    test('one that was asked for is given, once', async () => {
      await path({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_011 }] });
      const clash = await create({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_011 }] });
      expect(clash).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
      expect(fieldsOf(clash)).toEqual(['spec.ports[0].nodePort']);
      expect(messageOf(clash)).toContain('spec.ports[0].nodePort: Invalid value: 30011: provided port is already allocated');
    });

    test('one out of range is refused, with the range', async () => {
      const reply = await create({ type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] });
      expect(reply.status).toBe(422);
      expect(messageOf(reply)).toContain('provided port is not in the valid range. The range of valid ports is 30000-32767');
    });

    test('a ClusterIP has none, and one port cannot have the same twice', async () => {
      expect(fieldsOf(await create({ ports: [{ port: 80, nodePort: 30_012 }] }))).toEqual(['spec.ports[0].nodePort']);
      const twice = await create({
        type: 'NodePort',
        ports: [
          { name: 'a', port: 80, nodePort: 30_013 },
          { name: 'b', port: 81, nodePort: 30_013 },
        ],
      });
      expect(twice.status).toBe(422);
    });

    test('it is kept through PUT and through a change between NodePort and LoadBalancer', async () => {
      const service = await path({ type: 'NodePort', ports: [{ port: 80 }] });
      const [nodePort] = portsOf(await client().get(service));
      const put = await client().put(service, {
        metadata: { name: service.split('/').at(-1) },
        spec: { type: 'LoadBalancer', ports: [{ port: 81 }] },
      });
      expect(portsOf(put)).toEqual([nodePort]);
      const patched = await client().patch(service, 'merge', { spec: { type: 'NodePort' } });
      expect(portsOf(patched)).toEqual([nodePort]);
    });

    test('a port that is added gets one, one that goes gives it back', async () => {
      const service = await path({ type: 'NodePort', ports: [{ name: 'a', port: 80, nodePort: 30_014 }] });
      const more = await client().patch(service, 'strategic', { spec: { ports: [{ name: 'b', port: 81, nodePort: 30_015 }] } });
      expect(portsOf(more).sort()).toEqual([30_014, 30_015]);
      await client().patch(service, 'strategic', { spec: { ports: [{ port: 80, $patch: 'delete' }] } });
      expect((await create({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_014 }] })).status).toBe(201);
    });

    test('it may be changed, and the old one is free again', async () => {
      const service = await path({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_016 }] });
      expect(portsOf(await client().patch(service, 'strategic', { spec: { ports: [{ port: 80, nodePort: 30_017 }] } }))).toEqual([
        30_017,
      ]);
      expect((await create({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_016 }] })).status).toBe(201);
    });

    test.each<{ why: string; end: (service: string) => Promise<Reply> }>([
      { why: 'the type becomes ClusterIP', end: (service) => client().patch(service, 'merge', { spec: { type: 'ClusterIP' } }) },
      { why: 'the Service is deleted', end: (service) => client().delete(service) },
    ])('it is free again when $why', async ({ end }) => {
      const nodePort = 30_020;
      const service = await path({ type: 'LoadBalancer', ports: [{ port: 80, nodePort }] });
      const reply = await end(service);
      expect(reply.status).toBe(200);
      const again = await path({ type: 'NodePort', ports: [{ port: 80, nodePort }] });
      await client().delete(again);
    });

    test('allocateLoadBalancerNodePorts: false gives none, but honours those that are asked for', async () => {
      const ports = [
        { name: 'a', port: 80 },
        { name: 'b', port: 81, nodePort: 30_021 },
      ];
      const reply = await create({ type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports });
      expect(reply.status).toBe(201);
      expect(serviceIn(reply).spec.ports[0]).not.toHaveProperty('nodePort');
      expect(serviceIn(reply).spec.ports[1]).toMatchObject({ nodePort: 30_021 });
    });

    test('policy Local has a health check port, which stays until the policy goes', async () => {
      const service = await path({
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 30_022,
        ports: [{ port: 80 }],
      });
      expect(serviceIn(await client().get(service)).spec.healthCheckNodePort).toBe(30_022);
      const changed = await client().patch(service, 'merge', { spec: { healthCheckNodePort: 30_023 } });
      expect(fieldsOf(changed)).toEqual(['spec.healthCheckNodePort']);
      const away = await client().patch(service, 'merge', { spec: { externalTrafficPolicy: 'Cluster' } });
      expect(serviceIn(away).spec).not.toHaveProperty('healthCheckNodePort');
      const back = await client().patch(service, 'merge', { spec: { externalTrafficPolicy: 'Local' } });
      expect(serviceIn(back).spec.healthCheckNodePort).toBeGreaterThanOrEqual(30_000);
    });

    test('a health check port belongs to policy Local only', async () => {
      const reply = await create({ type: 'LoadBalancer', healthCheckNodePort: 30_024, ports: [{ port: 80 }] });
      expect(reply.status).toBe(422);
      expect(fieldsOf(reply)).toEqual(['spec.healthCheckNodePort']);
    });

    test('a dry run takes nothing', async () => {
      made += 1;
      const body = { metadata: { name: `s${made}` }, spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30_025 }] } };
      expect((await client().post(`${home}/services?dryRun=All`, body)).status).toBe(201);
      expect((await client().post(`${home}/services`, body)).status).toBe(201);
    });

    test('a refused Service takes nothing', async () => {
      const refused = await create({ type: 'NodePort', sessionAffinity: 'Sticky', ports: [{ port: 80, nodePort: 30_026 }] });
      expect(refused.status).toBe(422);
      expect((await create({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_026 }] })).status).toBe(201);
    });
  });
}
