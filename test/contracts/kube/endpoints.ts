import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Scene } from '../kube-api.ts';
import { until } from './client.ts';
import { fieldsOf } from './read.ts';

interface SliceSeen {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly addressType: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[] | null;
  readonly endpoints:
    | readonly {
        readonly addresses: readonly string[];
        readonly conditions: Readonly<Record<string, boolean>>;
        readonly nodeName?: string;
      }[]
    | null;
}

/** Endpoints and EndpointSlices: what is refused, and what the controller manager makes of pods and of hand-made ones. */
export function endpointsContract({ client, namespace }: Scene): void {
  describe('endpoints', () => {
    let home: string;
    let slices: string;
    let node: string;
    beforeAll(async () => {
      home = await namespace();
      node = `${home.split('/').at(-1)}-node`;
      await client().post('/api/v1/nodes', { metadata: { name: node } });
      slices = `${home.replace('/api/v1', '/apis/discovery.k8s.io/v1')}/endpointslices`;
    });

    afterAll(() => client().delete(`/api/v1/nodes/${node}`));

    async function slicesOf(service: string): Promise<readonly SliceSeen[]> {
      const reply = await client().get(`${slices}?labelSelector=kubernetes.io/service-name%3D${service}`);
      return (reply.body as { items: readonly SliceSeen[] }).items;
    }

    const usual = [{ port: 80, targetPort: 'web' }];

    /** A Service that selects the pods of its own name; each test has its own. */
    async function service(name: string, ports: readonly object[] = usual): Promise<void> {
      const metadata = { name, labels: { own: 'label' } };
      await client().post(`${home}/services`, { metadata, spec: { selector: { app: name }, ports } });
    }

    async function pod(app: string, name: string, ip: string, ready: boolean, more: object = {}): Promise<void> {
      const ports = [{ name: 'web', containerPort: 8080 }];
      const spec = { nodeName: node, containers: [{ name: 'c', image: 'i', ports }], ...more };
      await client().post(`${home}/pods`, { metadata: { name, labels: { app } }, spec });
      await setReady(name, ready, { podIP: ip, podIPs: [{ ip }], phase: 'Running' });
    }

    /** Until so many pods are in one slice of the Service. */
    function sliceOf(app: string, pods: number): Promise<SliceSeen> {
      return until(`${pods} pods in the slice`, async () =>
        (await slicesOf(app)).find((each) => each.endpoints?.length === pods),
      );
    }

    async function setReady(name: string, ready: boolean, more: object = {}): Promise<void> {
      const status = { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }], ...more };
      const reply = await client().patch(`${home}/pods/${name}/status`, 'strategic', { status });
      expect(reply.status).toBe(200);
    }

    test.each<{ ip: string }>([
      { ip: '127.0.0.1' },
      { ip: '169.254.1.1' },
      { ip: '224.0.0.1' },
      { ip: '0.0.0.0' },
      { ip: '::1' },
      { ip: 'fe80::1' },
      { ip: 'here' },
    ])('$ip is no endpoint', async ({ ip }) => {
      const reply = await client().post(`${home}/endpoints`, {
        metadata: { name: 'bad' },
        subsets: [{ addresses: [{ ip }], ports: [{ port: 1 }] }],
      });
      expect(reply).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
      expect(new Set(fieldsOf(reply))).toEqual(new Set(['subsets[0].addresses[0].ip']));
      const addressType = ip.includes(':') ? 'IPv6' : 'IPv4';
      const slice = await client().post(slices, {
        metadata: { name: 'bad' },
        addressType,
        endpoints: [{ addresses: [ip] }],
        ports: [{ port: 1 }],
      });
      expect(slice).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
    });

    test.each<{ why: string; body: object }>([
      { why: 'a slice without an address type', body: { endpoints: [] } },
      { why: 'a slice of an unknown type', body: { addressType: 'IPv5', endpoints: [] } },
      { why: 'an endpoint without addresses', body: { addressType: 'IPv4', endpoints: [{ addresses: [] }] } },
      { why: 'an IPv6 address in an IPv4 slice', body: { addressType: 'IPv4', endpoints: [{ addresses: ['2001:db8::1'] }] } },
    ])('$why is refused', async ({ body }) => {
      expect(await client().post(slices, { metadata: { name: 'bad' }, ...body })).toMatchObject({
        status: 422,
        body: { reason: 'Invalid' },
      });
    });

    test('a slice that was made by hand is kept, with a generation', async () => {
      const body = {
        metadata: { name: 'mine' },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'] }],
        ports: [{ port: 80 }],
      };
      const reply = await client().post(slices, body);
      const wanted = {
        addressType: 'IPv4',
        endpoints: [{ addresses: ['192.0.2.1'], conditions: {} }],
        ports: [{ name: '', port: 80, protocol: 'TCP' }],
      };
      expect(reply).toMatchObject({ status: 201, body: { metadata: { generation: 1 }, ...wanted } });
      const changed = await client().patch(`${slices}/mine`, 'merge', { endpoints: [] });
      expect(changed).toMatchObject({ status: 200, body: { metadata: { generation: 2 } } });
    });

    test('a Service with a selector has the ready pods, by number and by name of the port', async () => {
      const ports = [
        { name: 'a', port: 80, targetPort: 'web' },
        { name: 'b', port: 81, targetPort: 9090 },
      ];
      await service('selecting', ports);
      const [empty] = await until('an empty slice', async () => {
        const found = await slicesOf('selecting');
        return found.length > 0 && found;
      });
      expect(empty?.endpoints ?? []).toEqual([]);
      await pod('selecting', 'p1', '10.244.1.4', true);
      await pod('selecting', 'p2', '10.244.1.5', false);
      const slice = await sliceOf('selecting', 2);
      expect(slice.metadata.labels).toMatchObject({
        own: 'label',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      });
      const byPort = [...(slice.ports ?? [])].sort((a, b) => a.port - b.port);
      expect(byPort).toEqual([
        { name: 'a', port: 8080, protocol: 'TCP' },
        { name: 'b', port: 9090, protocol: 'TCP' },
      ]);
      const ofPod = (ip: string): object | undefined => slice.endpoints?.find((each) => each.addresses[0] === ip);
      expect(ofPod('10.244.1.4')).toMatchObject({
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: node,
        targetRef: { kind: 'Pod', name: 'p1' },
      });
      expect(ofPod('10.244.1.5')).toMatchObject({ conditions: { ready: false, serving: false, terminating: false } });
    }, 120_000);

    test('a pod that stops is terminating but serving, and gone when its node says so', async () => {
      await service('stopping');
      await pod('stopping', 'p3', '10.244.1.6', true);
      await pod('stopping', 'p4', '10.244.1.7', false);
      await sliceOf('stopping', 2);
      await client().delete(`${home}/pods/p3`);
      await until('a terminating endpoint', async () =>
        (await slicesOf('stopping')).some((slice) =>
          slice.endpoints?.some(
            (each) => each.conditions['terminating'] && each.conditions['serving'] && !each.conditions['ready'],
          ),
        ),
      );
      await client().delete(`${home}/pods/p3`, { gracePeriodSeconds: 0 });
      await setReady('p4', true);
      await until('the other pod alone', async () => {
        const all = (await slicesOf('stopping')).flatMap((slice) => slice.endpoints ?? []);
        return all.length === 1 && all[0]?.addresses[0] === '10.244.1.7' && all[0].conditions['ready'];
      });
    }, 120_000);

    test('hand-made Endpoints of a Service without a selector are mirrored, followed and taken away', async () => {
      await client().post(`${home}/services`, {
        metadata: { name: 'my-service' },
        spec: { ports: [{ port: 80, targetPort: 9376 }] },
      });
      const made = await client().post(`${home}/endpoints`, {
        metadata: { name: 'my-service' },
        subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 9376 }] }],
      });
      expect(made.warnings).toContain('v1 Endpoints is deprecated');
      const slice = await until('the mirror', async () => (await slicesOf('my-service'))[0]);
      expect(slice).toMatchObject({
        addressType: 'IPv4',
        metadata: { labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' } },
        endpoints: [{ addresses: ['1.2.3.4'], conditions: { ready: true } }],
        ports: [{ name: '', port: 9376, protocol: 'TCP' }],
      });
      await client().patch(`${home}/endpoints/my-service`, 'merge', {
        subsets: [{ addresses: [{ ip: '1.2.3.5' }], ports: [{ port: 9376 }] }],
      });
      await until(
        'the change in the mirror',
        async () => (await slicesOf('my-service'))[0]?.endpoints?.[0]?.addresses[0] === '1.2.3.5',
      );
      await client().delete(`${home}/services/my-service`);
      expect((await client().get(`${home}/endpoints/my-service`)).status).toBe(404);
      await until('the mirror to go', async () => (await slicesOf('my-service')).length === 0);
    }, 120_000);

    test('a pod is left out while its node is unknown', async () => {
      await service('apart');
      await pod('apart', 'p5', '10.244.1.8', true, { nodeName: `${node}-to-come` });
      const addresses = async (): Promise<(string | undefined)[]> =>
        (await slicesOf('apart')).flatMap((slice) => slice.endpoints ?? []).map((each) => each.addresses[0]);
      await pod('apart', 'p6', '10.244.1.9', true);
      await until('the pod after it', async () => (await addresses()).includes('10.244.1.9'));
      expect(await addresses()).not.toContain('10.244.1.8');
    }, 120_000);

    test('the slices of a Service go with it', async () => {
      await service('going');
      await pod('going', 'p7', '10.244.1.10', true);
      await sliceOf('going', 1);
      await client().delete(`${home}/services/going`);
      await until('the slices to go', async () => (await slicesOf('going')).length === 0);
    }, 120_000);
  });
}
