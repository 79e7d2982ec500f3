import { beforeAll, describe, expect, test } from '@jest/globals';
import { sameJson } from '../../../src/sandbox/kube/json.ts';
import type { Scene } from '../kube-api.ts';

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

interface ColumnSeen {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly priority: number;
}

interface TableSeen {
  readonly columnDefinitions: readonly ColumnSeen[];
  readonly rows: readonly {
    readonly cells: readonly (string | number)[];
    readonly object: { readonly kind: string; readonly metadata: { readonly name: string } };
  }[];
}

/** What kubectl asks before and beside the objects themselves. */
export function discoveryContract({ client, namespace }: Scene): void {
  describe('discovery', () => {
    test.each(['/healthz', '/livez', '/readyz'])('%s says ok', async (path) => {
      expect(await client().get(path, { accept: '*/*' })).toMatchObject({ status: 200, body: 'ok' });
    });

    test('versions and groups', async () => {
      expect((await client().get('/version')).body).toMatchObject({ major: '1', gitVersion: expect.stringMatching(/^v1\.\d+/) });
      expect((await client().get('/api')).body).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
      const { groups } = (await client().get('/apis')).body as { groups: { name: string }[] };
      const names = groups.map((group) => group.name);
      expect(names).toEqual(
        expect.arrayContaining(['apps', 'coordination.k8s.io', 'discovery.k8s.io', 'events.k8s.io', 'authorization.k8s.io']),
      );
      expect(await client().get('/apis/apps')).toMatchObject({ status: 200, body: { kind: 'APIGroup', name: 'apps' } });
      expect((await client().get('/apis/nothing.example.com/v1')).status).toBe(404);
    });

    test.each<{ path: string; entries: object[] }>([
      {
        path: '/api/v1',
        entries: [
          { name: 'services', singularName: 'service', namespaced: true, kind: 'Service', shortNames: ['svc'] },
          { name: 'services/status', singularName: '', namespaced: true, kind: 'Service', verbs: ['get', 'patch', 'update'] },
          { name: 'nodes', singularName: 'node', namespaced: false, kind: 'Node', shortNames: ['no'] },
          { name: 'endpoints', singularName: 'endpoints', namespaced: true, kind: 'Endpoints', shortNames: ['ep'] },
          { name: 'events', singularName: 'event', namespaced: true, kind: 'Event', shortNames: ['ev'] },
        ],
      },
      {
        path: '/apis/discovery.k8s.io/v1',
        entries: [{ name: 'endpointslices', singularName: 'endpointslice', namespaced: true, kind: 'EndpointSlice' }],
      },
      {
        path: '/apis/coordination.k8s.io/v1',
        entries: [{ name: 'leases', singularName: 'lease', namespaced: true, kind: 'Lease' }],
      },
      { path: '/apis/apps/v1', entries: [{ name: 'deployments/scale', group: 'autoscaling', version: 'v1', kind: 'Scale' }] },
    ])('$path lists its resources', async ({ path, entries }) => {
      const { kind, resources } = (await client().get(path)).body as { kind: string; resources: object[] };
      expect(kind).toBe('APIResourceList');
      for (const entry of entries) expect(resources).toEqual(expect.arrayContaining([expect.objectContaining(entry)]));
    });

    test('the aggregated form', async () => {
      const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
      const { kind, items } = (await client().get('/api', { accept })).body as {
        kind: string;
        items: { versions: { resources: object[] }[] }[];
      };
      expect(kind).toBe('APIGroupDiscoveryList');
      const service = {
        resource: 'services',
        scope: 'Namespaced',
        singularResource: 'service',
        responseKind: expect.objectContaining({ kind: 'Service' }),
      };
      expect(items[0]?.versions[0]?.resources).toEqual(expect.arrayContaining([expect.objectContaining(service)]));
    });

    test('OpenAPI v3 has the kinds, their merge keys, and that fields are validated on demand', async () => {
      const { paths } = (await client().get('/openapi/v3')).body as { paths: Record<string, { serverRelativeURL: string }> };
      const url = paths['api/v1']?.serverRelativeURL ?? '';
      const document = (await client().get(url)).body as {
        paths: Record<string, Record<string, unknown>>;
        components: { schemas: Record<string, Record<string, unknown>> };
      };
      const kind = { group: '', version: 'v1', kind: 'Service' };
      const service = Object.values(document.components.schemas).find((schema) =>
        sameJson(schema['x-kubernetes-group-version-kind'], [kind]),
      );
      expect(service?.['properties']).toMatchObject({ spec: {}, status: {} });
      const post = document.paths['/api/v1/namespaces/{namespace}/services']?.['post'] as { parameters: { name: string }[] };
      expect(post.parameters.map((parameter) => parameter.name)).toContain('fieldValidation');
      expect(document.paths['/api/v1/namespaces/{namespace}/services/{name}']?.['patch']).toMatchObject({
        'x-kubernetes-group-version-kind': kind,
      });
      const spec = Object.entries(document.components.schemas).find(([name]) => name.endsWith('.ServiceSpec'))?.[1];
      expect(spec?.['properties']).toMatchObject({
        ports: { type: 'array', 'x-kubernetes-patch-merge-key': 'port', 'x-kubernetes-patch-strategy': 'merge' },
      });
    });

    test('may I?', async () => {
      const body = {
        kind: 'SelfSubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        spec: { resourceAttributes: { verb: 'get', resource: 'services' } },
      };
      expect(await client().post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', body)).toMatchObject({
        status: 201,
        body: { status: { allowed: true } },
      });
    });

    describe('tables', () => {
      let home: string;
      beforeAll(async () => {
        home = await namespace();
      });

      async function table(path: string, query = ''): Promise<TableSeen> {
        const reply = await client().get(`${path}${query}`, { accept: TABLE });
        expect(reply).toMatchObject({ status: 200, body: { kind: 'Table', apiVersion: 'meta.k8s.io/v1' } });
        return reply.body as TableSeen;
      }

      test.each<{ path: string; columns: string }>([
        { path: '/api/v1/services', columns: 'Name! Type Cluster-IP External-IP Port(s) Age Selector*' },
        {
          path: '/api/v1/nodes',
          columns: 'Name! Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*',
        },
        { path: '/api/v1/pods', columns: 'Name! Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*' },
        { path: '/api/v1/endpoints', columns: 'Name! Endpoints Age' },
        { path: '/apis/discovery.k8s.io/v1/endpointslices', columns: 'Name! AddressType Ports Endpoints Age' },
        { path: '/api/v1/events', columns: 'Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name!*' },
        {
          path: '/apis/events.k8s.io/v1/events',
          columns: 'Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name!*',
        },
        { path: '/api/v1/namespaces', columns: 'Name! Status Age' },
        { path: '/apis/coordination.k8s.io/v1/leases', columns: 'Name! Holder Age' },
        { path: '/apis/apps/v1/deployments', columns: 'Name! Ready Up-to-date Available Age Containers* Images* Selector*' },
        {
          path: '/apis/apps/v1/daemonsets',
          columns: 'Name! Desired# Current# Ready# Up-to-date# Available# Node_Selector Age Containers* Images* Selector*',
        },
        { path: '/apis/apps/v1/replicasets', columns: 'Name! Desired# Current# Ready# Age Containers* Images* Selector*' },
        { path: '/api/v1/configmaps', columns: 'Name! Data Age' },
        { path: '/api/v1/secrets', columns: 'Name! Type Data Age' },
        { path: '/api/v1/serviceaccounts', columns: 'Name! Age' },
      ])('$path', async ({ path, columns }) => {
        const { columnDefinitions } = await table(path, '?limit=1');
        const shown = columnDefinitions.map(
          ({ name, type, format, priority }) =>
            `${name.replaceAll(' ', '_')}${format === 'name' ? '!' : ''}${type === 'integer' ? '#' : ''}${priority > 0 ? '*' : ''}`,
        );
        expect(shown.join(' ')).toBe(columns);
      });

      async function row(name: string): Promise<readonly (string | number)[]> {
        const { rows } = await table(`${home}/services`);
        return rows.find((each) => each.cells[0] === name)?.cells ?? [];
      }

      test('a Service: pending, then its address; ports with their node ports', async () => {
        const spec = {
          type: 'LoadBalancer',
          selector: { app: 'x' },
          ports: [
            { name: 'a', port: 80, nodePort: 30_031 },
            { name: 'b', port: 53, protocol: 'UDP', nodePort: 30_032 },
          ],
        };
        await client().post(`${home}/services`, { metadata: { name: 'lb' }, spec });
        const pending = await row('lb');
        expect(pending).toEqual([
          'lb',
          'LoadBalancer',
          expect.stringMatching(/^10\./),
          '<pending>',
          '80:30031/TCP,53:30032/UDP',
          expect.stringMatching(/^\d+s$/),
          'app=x',
        ]);
        await client().patch(`${home}/services/lb/status`, 'merge', {
          status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }, { ip: '192.0.2.1' }, { hostname: 'a.example.com' }] } },
        });
        expect((await row('lb'))[3]).toBe('192.0.2.1,192.0.2.2,a.example.com');
      });

      test.each<{ name: string; spec: object; cells: unknown[] }>([
        {
          name: 'plain',
          spec: { ports: [{ port: 80 }] },
          cells: ['plain', 'ClusterIP', expect.any(String), '<none>', '80/TCP', expect.any(String), '<none>'],
        },
        {
          name: 'headless',
          spec: { clusterIP: 'None', selector: { a: 'b' } },
          cells: ['headless', 'ClusterIP', 'None', '<none>', '<none>', expect.any(String), 'a=b'],
        },
        {
          name: 'external',
          spec: { ports: [{ port: 80 }], externalIPs: ['192.0.2.7'] },
          cells: ['external', 'ClusterIP', expect.any(String), '192.0.2.7', '80/TCP', expect.any(String), '<none>'],
        },
        {
          name: 'named',
          spec: { type: 'ExternalName', externalName: 'a.example.com' },
          cells: ['named', 'ExternalName', '<none>', 'a.example.com', '<none>', expect.any(String), '<none>'],
        },
      ])('a Service: $name', async ({ name, spec, cells }) => {
        await client().post(`${home}/services`, { metadata: { name }, spec });
        expect(await row(name)).toEqual(cells);
      });

      test('a Node: ready, roles, addresses', async () => {
        const name = `${home.split('/').at(-1)}-t`;
        const nodeInfo = {
          kubeletVersion: 'v1.2.3',
          osImage: 'Os',
          kernelVersion: '6.1',
          containerRuntimeVersion: 'c://1',
          architecture: 'amd64',
        };
        const status = {
          nodeInfo,
          addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
          conditions: [{ type: 'Ready', status: 'False' }],
        };
        await client().post('/api/v1/nodes', {
          metadata: { name, labels: { 'node-role.kubernetes.io/control-plane': '' } },
          spec: { unschedulable: true },
          status,
        });
        const { rows } = await table(`/api/v1/nodes/${name}`);
        expect(rows[0]?.cells).toEqual([
          name,
          'NotReady,SchedulingDisabled',
          'control-plane',
          expect.any(String),
          'v1.2.3',
          '10.0.0.1',
          '<none>',
          'Os',
          '6.1 (amd64)',
          'c://1',
        ]);
        await client().delete(`/api/v1/nodes/${name}`);
      });

      test('Endpoints, an Event and a Lease', async () => {
        const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'].map((ip) => ({ ip }));
        await client().post(`${home}/endpoints`, { metadata: { name: 'hand' }, subsets: [{ addresses, ports: [{ port: 80 }] }] });
        const endpoints = await table(`${home}/endpoints/hand`);
        expect(endpoints.rows[0]?.cells[1]).toBe('192.0.2.1:80,192.0.2.2:80,192.0.2.3:80 + 1 more...');
        const involvedObject = { kind: 'Service', namespace: home.split('/').at(-1), name: 'lb' };
        await client().post(`${home}/events`, {
          metadata: { name: 'e' },
          involvedObject,
          reason: 'Because',
          message: 'said',
          type: 'Warning',
          source: { component: 'me' },
        });
        const events = await table(`${home}/events/e`);
        expect(events.rows[0]?.cells).toEqual([
          '<unknown>',
          'Warning',
          'Because',
          'service/lb',
          '',
          'me',
          'said',
          '<unknown>',
          1,
          'e',
        ]);
        const leases = `${home.replace('/api/v1', '/apis/coordination.k8s.io/v1')}/leases`;
        await client().post(leases, { metadata: { name: 'l' }, spec: { holderIdentity: 'me' } });
        expect((await table(`${leases}/l`)).rows[0]?.cells[1]).toBe('me');
      });

      test('a row carries metadata, the whole object or nothing', async () => {
        await client().post(`${home}/services`, {
          metadata: { name: 'whole' },
          spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
        });
        const withMetadata = await table(`${home}/services`, '?fieldSelector=metadata.name%3Dwhole');
        expect(withMetadata.rows[0]?.object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'whole' } });
        const whole = await table(`${home}/services`, '?fieldSelector=metadata.name%3Dwhole&includeObject=Object');
        expect(whole.rows[0]?.object).toMatchObject({ kind: 'Service', spec: { type: 'LoadBalancer' } });
        const none = await table(`${home}/services`, '?fieldSelector=metadata.name%3Dwhole&includeObject=None');
        expect(none.rows[0]?.object ?? null).toBeNull();
      });
    });
  });
}
