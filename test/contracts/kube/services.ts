import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import type { Reply } from './client.ts';
import { fieldsOf, metaOf, serviceIn } from './read.ts';

/** What the API server fills in, refuses and clears in a Service, but for node ports. */
export function serviceContract({ client, namespace }: Scene): void {
  describe('services', () => {
    let home: string;
    let made = 0;
    beforeAll(async () => {
      home = await namespace();
    });

    function create(spec: object, metadata: object = {}): Promise<Reply> {
      made += 1;
      return client().post(`${home}/services`, { metadata: { name: `s${made}`, ...metadata }, spec });
    }

    async function path(spec: object): Promise<string> {
      const reply = await create(spec);
      expect(reply.status).toBe(201);
      return `${home}/services/${metaOf(reply).name}`;
    }

    const ports = [{ port: 80 }];

    test.each<{ why: string; spec: object; filled: object; absent: string[] }>([
      {
        why: 'ClusterIP',
        spec: { ports },
        filled: {
          type: 'ClusterIP',
          sessionAffinity: 'None',
          internalTrafficPolicy: 'Cluster',
          ipFamilies: ['IPv4'],
          ipFamilyPolicy: 'SingleStack',
          ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
        },
        absent: ['externalTrafficPolicy', 'allocateLoadBalancerNodePorts', 'ports.0.nodePort'],
      },
      {
        why: 'NodePort',
        spec: { type: 'NodePort', ports: [{ port: 80, targetPort: 'web' }] },
        filled: { externalTrafficPolicy: 'Cluster', ports: [{ targetPort: 'web' }] },
        absent: ['allocateLoadBalancerNodePorts'],
      },
      {
        why: 'LoadBalancer',
        spec: { type: 'LoadBalancer', ports },
        filled: { externalTrafficPolicy: 'Cluster', allocateLoadBalancerNodePorts: true },
        absent: ['healthCheckNodePort', 'loadBalancerClass'],
      },
      {
        why: 'session affinity',
        spec: { ports, sessionAffinity: 'ClientIP' },
        filled: { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } } },
        absent: [],
      },
      {
        why: 'headless',
        spec: { ports, clusterIP: 'None', selector: { a: 'b' } },
        filled: { clusterIP: 'None', clusterIPs: ['None'], ipFamilyPolicy: 'SingleStack' },
        absent: [],
      },
      {
        why: 'headless without selector',
        spec: { ports, clusterIP: 'None' },
        filled: { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
        absent: [],
      },
      {
        why: 'ExternalName',
        spec: { type: 'ExternalName', externalName: 'a.example.com' },
        filled: { externalName: 'a.example.com' },
        absent: ['clusterIP', 'clusterIPs', 'ipFamilies', 'internalTrafficPolicy'],
      },
      { why: 'an empty selector', spec: { ports, selector: {} }, filled: {}, absent: ['selector'] },
    ])('$why: what is filled in', async ({ spec, filled, absent }) => {
      const reply = await create(spec);
      expect(reply).toMatchObject({ status: 201, body: { spec: filled, status: { loadBalancer: {} } } });
      for (const field of absent) expect(serviceIn(reply).spec).not.toHaveProperty(field);
    });

    test.each<{ why: string; spec: object; fields: string[] }>([
      { why: 'no ports', spec: {}, fields: ['spec.ports'] },
      {
        why: 'two ports without names',
        spec: { ports: [{ port: 1 }, { port: 2 }] },
        fields: ['spec.ports[0].name', 'spec.ports[1].name'],
      },
      {
        why: 'two ports of one name',
        spec: {
          ports: [
            { name: 'a', port: 1 },
            { name: 'a', port: 2 },
          ],
        },
        fields: ['spec.ports[1].name'],
      },
      {
        why: 'one port twice',
        spec: {
          ports: [
            { name: 'a', port: 1 },
            { name: 'b', port: 1 },
          ],
        },
        fields: ['spec.ports[1]'],
      },
      { why: 'a port name with capitals', spec: { ports: [{ name: 'Web', port: 1 }] }, fields: ['spec.ports[0].name'] },
      { why: 'port 0', spec: { ports: [{ port: 0 }] }, fields: ['spec.ports[0].port', 'spec.ports[0].targetPort'] },
      { why: 'port 65536', spec: { ports: [{ port: 65536 }] }, fields: ['spec.ports[0].port', 'spec.ports[0].targetPort'] },
      { why: 'an unknown protocol', spec: { ports: [{ port: 1, protocol: 'ICMP' }] }, fields: ['spec.ports[0].protocol'] },
      {
        why: 'a target port that is no name',
        spec: { ports: [{ port: 1, targetPort: 'a--b' }] },
        fields: ['spec.ports[0].targetPort'],
      },
      { why: 'an unknown type', spec: { type: 'Magic', ports }, fields: ['spec.type'] },
      { why: 'an unknown affinity', spec: { ports, sessionAffinity: 'Sticky' }, fields: ['spec.sessionAffinity'] },
      {
        why: 'an affinity of more than a day',
        spec: { ports, sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
        fields: ['spec.sessionAffinityConfig.clientIP.timeoutSeconds'],
      },
      {
        why: 'a headless LoadBalancer',
        spec: { type: 'LoadBalancer', clusterIP: 'None', ports },
        fields: ['spec.clusterIPs[0]'],
      },
      { why: 'a headless NodePort', spec: { type: 'NodePort', clusterIP: 'None', ports }, fields: ['spec.clusterIPs[0]'] },
      {
        why: 'a class on a NodePort',
        spec: { type: 'NodePort', loadBalancerClass: 'a.io/b', ports },
        fields: ['spec.loadBalancerClass'],
      },
      {
        why: 'a malformed class',
        spec: { type: 'LoadBalancer', loadBalancerClass: 'a/b/c', ports },
        fields: ['spec.loadBalancerClass'],
      },
      {
        why: 'allocateLoadBalancerNodePorts on a NodePort',
        spec: { type: 'NodePort', allocateLoadBalancerNodePorts: false, ports },
        fields: ['spec.allocateLoadBalancerNodePorts'],
      },
      {
        why: 'an external policy on a ClusterIP',
        spec: { externalTrafficPolicy: 'Local', ports },
        fields: ['spec.externalTrafficPolicy'],
      },
      {
        why: 'an unknown external policy',
        spec: { type: 'NodePort', externalTrafficPolicy: 'Near', ports },
        fields: ['spec.externalTrafficPolicy'],
      },
      {
        why: 'source ranges on a NodePort',
        spec: { type: 'NodePort', loadBalancerSourceRanges: ['10.0.0.0/8'], ports },
        fields: ['spec.LoadBalancerSourceRanges'],
      },
      {
        why: 'a source range that is none',
        spec: { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0'], ports },
        fields: ['spec.LoadBalancerSourceRanges[0]'],
      },
      { why: 'an external IP on loopback', spec: { externalIPs: ['127.0.0.1'], ports }, fields: ['spec.externalIPs[0]'] },
      { why: 'an external IP that is none', spec: { externalIPs: ['1.2.3'], ports }, fields: ['spec.externalIPs[0]'] },
      { why: 'a cluster IP that is none', spec: { clusterIP: 'here', ports }, fields: ['spec.clusterIPs[0]'] },
      { why: 'a cluster IP out of range', spec: { clusterIP: '192.0.2.1', ports }, fields: ['spec.clusterIPs'] },
      { why: 'two stacks on one', spec: { ipFamilyPolicy: 'RequireDualStack', ports }, fields: ['spec.ipFamilyPolicy'] },
      { why: 'a family that the cluster has not', spec: { ipFamilies: ['IPv6'], ports }, fields: ['spec.ipFamilies[0]'] },
      { why: 'ExternalName without a name', spec: { type: 'ExternalName' }, fields: ['spec.externalName'] },
      { why: 'ExternalName that is no name', spec: { type: 'ExternalName', externalName: 'a_b' }, fields: ['spec.externalName'] },
      {
        why: 'ExternalName with a cluster IP',
        spec: { type: 'ExternalName', externalName: 'a.b', clusterIP: '10.0.0.1' },
        fields: ['spec.clusterIPs'],
      },
      { why: 'a bad selector', spec: { ports, selector: { 'a b': 'c' } }, fields: ['spec.selector'] },
    ])('$why is refused', async ({ spec, fields }) => {
      const reply = await create(spec);
      expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid', details: { kind: 'Service' } } });
      expect(fieldsOf(reply)).toEqual(fields);
    });

    test.each([{ name: 'a.b' }, { name: 'Upper' }, { name: 'x'.repeat(64) }])(
      '$name is no name for a Service',
      async ({ name }) => {
        const reply = await create({ ports }, { name });
        expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
        expect(fieldsOf(reply)).toEqual(['metadata.name']);
      },
    );

    test('a name may begin with a digit', async () => {
      expect((await create({ ports }, { name: '2048-game' })).status).toBe(201);
    });

    test.each<{ why: string; spec: object; warning: string }>([
      { why: 'externalIPs', spec: { externalIPs: ['192.0.2.8'] }, warning: 'spec.externalIPs is deprecated' },
      { why: 'a name that is not used', spec: { externalName: 'a.example.com' }, warning: 'spec.externalName is ignored' },
    ])('$why: taken with a warning', async ({ spec, warning }) => {
      const reply = await create({ ports, ...spec });
      expect(reply.status).toBe(201);
      expect(reply.warnings).toContain(warning);
    });

    test('a string where a number belongs is a bad request', async () => {
      expect(await create({ ports: [{ port: '80' }] })).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    });

    test('a cluster IP is given once, kept, and cannot be changed', async () => {
      const first = await path({ ports });
      const second = await path({ ports });
      const [ip, other] = [
        serviceIn(await client().get(first)).spec.clusterIP,
        serviceIn(await client().get(second)).spec.clusterIP,
      ];
      expect(ip).not.toBe(other);
      expect(fieldsOf(await create({ ports, clusterIP: ip }))).toEqual(['spec.clusterIPs']);
      const changed = await client().patch(first, 'merge', {
        spec: { clusterIP: '10.96.250.250', clusterIPs: ['10.96.250.250'] },
      });
      expect(changed.status).toBe(422);
      expect(fieldsOf(changed)).toEqual(['spec.clusterIPs[0]']);
      const put = await client().put(first, { metadata: { name: first.split('/').at(-1) }, spec: { ports: [{ port: 81 }] } });
      expect(serviceIn(put).spec).toMatchObject({ clusterIP: ip, clusterIPs: [ip], ports: [{ port: 81 }] });
      await client().delete(first);
      expect((await create({ ports, clusterIP: ip })).status).toBe(201);
    });

    test('the class cannot change while the type stays, and goes with the type', async () => {
      const service = await path({ type: 'LoadBalancer', loadBalancerClass: 'a.io/one', ports });
      for (const loadBalancerClass of ['a.io/two', null]) {
        const reply = await client().patch(service, 'merge', { spec: { loadBalancerClass } });
        expect(reply.status).toBe(422);
        expect(fieldsOf(reply)).toEqual(['spec.loadBalancerClass']);
      }
      const away = await client().patch(service, 'merge', { spec: { type: 'ClusterIP' } });
      expect(away.status).toBe(200);
      expect(serviceIn(away).spec).not.toHaveProperty('loadBalancerClass');
      expect(serviceIn(away).spec).not.toHaveProperty('allocateLoadBalancerNodePorts');
      const back = await client().patch(service, 'merge', { spec: { type: 'LoadBalancer', loadBalancerClass: 'a.io/two' } });
      expect(back).toMatchObject({ status: 200, body: { spec: { loadBalancerClass: 'a.io/two' } } });
    });

    test('a class can be set when the type becomes LoadBalancer, and not added later', async () => {
      const service = await path({ type: 'LoadBalancer', ports });
      const reply = await client().patch(service, 'merge', { spec: { loadBalancerClass: 'a.io/one' } });
      expect(reply.status).toBe(422);
    });

    test('to ExternalName and back: cluster IP, families and node ports go and come', async () => {
      const service = await path({ type: 'LoadBalancer', ports });
      const named = await client().patch(service, 'merge', { spec: { type: 'ExternalName', externalName: 'a.example.com' } });
      expect(named.status).toBe(200);
      for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'externalTrafficPolicy', 'ports.0.nodePort'])
        expect(serviceIn(named).spec).not.toHaveProperty(field);
      const back = serviceIn(await client().patch(service, 'merge', { spec: { type: 'NodePort', externalName: null } }));
      expect(back.spec.clusterIP).toMatch(/^10\./);
      expect(back.spec.ports[0]?.nodePort).toBeGreaterThan(0);
    });

    test('a Service has no generation', async () => {
      const service = await path({ ports });
      await client().patch(service, 'merge', { spec: { sessionAffinity: 'ClientIP' } });
      expect(metaOf(await client().get(service))).not.toHaveProperty('generation');
    });

    test('external IPs make a ClusterIP reachable from outside, with a policy', async () => {
      const reply = await create({ ports, externalIPs: ['192.0.2.7'] });
      expect(reply).toMatchObject({
        status: 201,
        body: { spec: { externalIPs: ['192.0.2.7'], externalTrafficPolicy: 'Cluster' } },
      });
    });

    test('the Service `kubernetes` is there', async () => {
      const reply = await client().get('/api/v1/namespaces/default/services/kubernetes');
      expect(reply).toMatchObject({ status: 200, body: { spec: { type: 'ClusterIP', ports: [{ name: 'https', port: 443 }] } } });
    });
  });
}
