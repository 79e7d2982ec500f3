import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { controllerOptions } from '../../src/config/options.ts';
import { readOptions } from '../../src/config/read.ts';
import { CHART, Helm, prepareHelm } from './chart-helm.ts';

/** The chart by the real Helm, without a cluster. */

let home = '';
let helm: Helm;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'nodeport-lb-'));
  helm = new Helm(await prepareHelm(), home);
}, 30 * 60_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly object[];
  readonly [field: string]: unknown;
}

async function render(values: object = {}): Promise<readonly Rendered[]> {
  const { stdout, stderr, code } = await helm.template(values);
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  return parseAllDocuments(stdout).flatMap((document) => (document.toJS() as Rendered | null) ?? []);
}

function names(objects: readonly Rendered[]): readonly string[] {
  return objects
    .map(({ kind, metadata }) => `${kind} ${metadata.namespace ? `${metadata.namespace}/` : ''}${metadata.name}`)
    .sort();
}

const MODULE = { provider: '/providers/lb.js', providerOptions: { socket: '/run/lb.sock', depth: { of: [1, true] } } };

test('helm lint --strict finds nothing', async () => {
  const { stdout, code } = await helm.attempt(['lint', '--strict', CHART]);
  expect(stdout).toContain('0 chart(s) failed');
  expect(code).toBe(0);
});

describe('what is installed', () => {
  test('with no values', async () =>
    expect(names(await render())).toEqual([
      'ClusterRole lb-system:lb-nodeport-lb',
      'ClusterRoleBinding lb-system:lb-nodeport-lb',
      'ConfigMap lb-system/lb-nodeport-lb',
      'Deployment lb-system/lb-nodeport-lb',
      'Lease lb-system/lb-nodeport-lb',
      'Pod lb-system/lb-nodeport-lb-test',
      'Role kube-system/lb-system:lb-nodeport-lb:rivals',
      'Role lb-system/lb-system:lb-nodeport-lb:lease',
      'RoleBinding kube-system/lb-system:lb-nodeport-lb:rivals',
      'RoleBinding lb-system/lb-system:lb-nodeport-lb:lease',
      'ServiceAccount lb-system/lb-nodeport-lb',
    ]));

  test.each<{ why: string; values: object; more: readonly string[]; less: readonly string[] }>([
    {
      why: 'namespaces: rights for Services there only, and for events about nodes',
      values: { namespaces: ['shop'], claimUnsetClass: false },
      more: ['Role shop/lb-system:lb-nodeport-lb', 'Role default/lb-system:lb-nodeport-lb'],
      less: ['Role kube-system/lb-system:lb-nodeport-lb:rivals'],
    },
    {
      why: 'a dry run stands for no Lease',
      values: { dryRun: true },
      more: [],
      less: ['Lease lb-system/lb-nodeport-lb', 'Role lb-system/lb-system:lb-nodeport-lb:lease'],
    },
    {
      why: 'three replicas',
      values: { replicaCount: 3 },
      more: ['PodDisruptionBudget lb-system/lb-nodeport-lb'],
      less: [],
    },
    {
      why: 'another class has a Lease of its own, where it was asked for',
      values: { loadBalancerClass: 'example.com/My_LB', leaderElectNamespace: 'leases' },
      more: ['Lease leases/lb-nodeport-lb', 'Role leases/lb-system:lb-nodeport-lb:lease'],
      less: ['Lease lb-system/lb-nodeport-lb'],
    },
    {
      why: 'metrics by a Service',
      values: { metrics: { serviceMonitor: { enabled: true, labels: { release: 'prometheus' }, interval: '30s' } } },
      more: ['Service lb-system/lb-nodeport-lb-metrics', 'ServiceMonitor lb-system/lb-nodeport-lb'],
      less: [],
    },
    {
      why: 'metrics by the pods, and a network policy',
      values: { metrics: { podMonitor: { enabled: true } }, networkPolicy: { enabled: true } },
      more: ['PodMonitor lb-system/lb-nodeport-lb', 'NetworkPolicy lb-system/lb-nodeport-lb'],
      less: [],
    },
    {
      why: 'provider local: agents on the nodes',
      values: { provider: 'local', forwarder: { namespace: 'lb-agents' } },
      more: [
        'DaemonSet lb-agents/lb-nodeport-lb-forwarder',
        'ServiceAccount lb-agents/lb-nodeport-lb-forwarder',
        'ClusterRole lb-system:lb-nodeport-lb:forwarder',
        'Role lb-agents/lb-system:lb-nodeport-lb:forwarder:own',
        'Role lb-agents/lb-system:lb-nodeport-lb:agents',
      ],
      less: [],
    },
    {
      why: 'no rights and no account of its own',
      values: { rbac: { create: false }, serviceAccount: { create: false, name: 'given' } },
      more: [],
      less: ['ServiceAccount lb-system/lb-nodeport-lb', 'ClusterRole lb-system:lb-nodeport-lb'],
    },
  ])('$why', async ({ values, more, less }) => {
    const [usual, found] = [names(await render()), names(await render(values))];
    expect(found).toEqual(expect.arrayContaining([...more]));
    for (const name of less) {
      expect(usual).toContain(name);
      expect(found).not.toContain(name);
    }
  });
});

describe('what a reviewer looks for', () => {
  interface Workload {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly containers: readonly Readonly<Record<string, unknown>>[];
        readonly [field: string]: unknown;
      };
    };
  }
  const workload = async (kind: string, values: object = {}) =>
    (await render(values)).find((object) => object.kind === kind)?.['spec'] as Workload;
  const probes = {
    livenessProbe: { httpGet: { path: '/healthz' } },
    readinessProbe: { httpGet: { path: '/readyz' } },
    resources: { requests: { cpu: expect.any(String), memory: expect.any(String) }, limits: { memory: expect.any(String) } },
  };
  const bare = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true };

  test('of the controller: no rights on its node, probes, resources, one pod', async () => {
    const { replicas, template } = await workload('Deployment');
    expect(replicas).toBe(1);
    expect(template.spec).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ ...probes, securityContext: { ...bare, capabilities: { drop: ['ALL'] } } }],
    });
    expect(template.spec.containers[0]?.['securityContext']).not.toHaveProperty('capabilities.add');
    for (const field of ['hostNetwork', 'topologySpreadConstraints', 'priorityClassName'])
      expect(template.spec).not.toHaveProperty(field);
  });

  test('of more controllers: spread over the nodes, of the class that was asked for', async () => {
    const { replicas, template } = await workload('Deployment', {
      replicaCount: 3,
      priorityClassName: 'system-cluster-critical',
    });
    expect(replicas).toBe(3);
    expect(template.spec).toMatchObject({
      priorityClassName: 'system-cluster-critical',
      topologySpreadConstraints: [{ topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }],
    });
  });

  test.each([
    { vips: false, add: ['NET_ADMIN', 'NET_BIND_SERVICE'] },
    { vips: true, add: ['NET_ADMIN', 'NET_BIND_SERVICE', 'NET_RAW', 'NET_BROADCAST'] },
  ])('of the agents, VIPs $vips: the host network, and just $add', async ({ vips, add }) => {
    const values = { provider: 'local', localPools: ['10.0.0.0/28'], forwarder: { vips } };
    const { template } = await workload('DaemonSet', values);
    expect(template.spec).toMatchObject({
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ ...probes, securityContext: { ...bare, capabilities: { drop: ['ALL'], add } } }],
    });
  });

  test('of the agents’ upgrade: the new one comes beside the old, and is asked itself whether it has taken its place', async () => {
    const { updateStrategy, template } = (await workload('DaemonSet', { provider: 'local' })) as Workload & {
      updateStrategy: object;
    };
    expect(updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } });
    const [container] = template.spec.containers;
    const file = '/run/nodeport-lb/started';
    expect(container).toMatchObject({ startupProbe: { exec: { command: ['test', '-e', file] } } });
    expect(container?.['args']).toContain(`--started-file=${file}`);
    expect(container?.['volumeMounts']).toContainEqual({ name: 'run', mountPath: '/run/nodeport-lb' });
    expect(template.spec['volumes']).toContainEqual({ name: 'run', emptyDir: {} }); // the pod's own
  });
});

test('with namespaces nobody has a right on Services, their status, events or slices everywhere', async () => {
  const everywhere = async (values: object) =>
    (await render({ provider: 'local', ...values }))
      .filter(({ kind }) => kind === 'ClusterRole')
      .flatMap(({ rules = [] }) => rules as readonly { readonly resources: readonly string[] }[])
      .flatMap(({ resources }) => resources);
  expect(new Set(await everywhere({}))).toEqual(
    new Set(['nodes', 'daemonsets', 'deployments', 'services', 'endpointslices', 'services/status', 'events']),
  );
  expect(new Set(await everywhere({ namespaces: ['shop', 'study'] }))).toEqual(new Set(['nodes', 'daemonsets', 'deployments']));
  expect(new Set(await everywhere({ namespaces: ['shop'], claimUnsetClass: false }))).toEqual(new Set(['nodes']));
});

describe('the notes', () => {
  const notesOf = async (values: object) => {
    const args = ['install', 'lb', CHART, '--namespace', 'lb-system', '--dry-run=client', '--values', '-'];
    const { stdout, code } = await helm.attempt(args, JSON.stringify(values));
    expect(code).toBe(0);
    return stdout.slice(stdout.indexOf('\nNOTES:'));
  };

  test.each<{ why: string; values: object; says: readonly string[]; not: readonly string[] }>([
    {
      why: 'no values: how to make the image, what comes next, and what helm --wait would wait for',
      values: {},
      says: [
        'docker build -t nodeport-lb:0.1.0 .',
        'kind load docker-image nodeport-lb:0.1.0',
        'docker push REGISTRY/nodeport-lb:0.1.0',
        'kubectl -n lb-system exec deploy/lb-nodeport-lb -- nodeport-lb status',
        'helm test lb -n lb-system',
        '`helm install --wait` of a chart with such a Service does not end before its timeout',
      ],
      not: ['nodeport-lb.io/cleanup'],
    },
    {
      why: 'an image of somebody’s own is there already',
      values: { image: { repository: 'r.example.com/lb' } },
      says: ['runs with provider none'],
      not: ['docker'],
    },
    {
      why: 'provider local: where agents may run, what an uninstall leaves, and how it leaves nothing',
      values: { provider: 'local', forwarder: { namespace: 'lb-agents' } },
      says: [
        'kubectl -n lb-agents rollout status daemonset/lb-nodeport-lb-forwarder',
        'finalizer nodeport-lb.io/cleanup',
        'kubectl -n lb-system exec deploy/lb-nodeport-lb -- nodeport-lb retire',
        '--set cleanupOnUninstall=true',
        'kubectl -n lb-agents delete configmap,lease -l nodeport-lb.io/agent',
      ],
      not: ['--wait'],
    },
    {
      why: 'cleanupOnUninstall: what an uninstall waits for',
      values: { provider: 'aws', cleanupOnUninstall: true },
      says: ['`helm uninstall` first takes every balancer down'],
      not: ['nodeport-lb retire'],
    },
  ])('$why', async ({ values, says, not }) => {
    const notes = await notesOf(values);
    for (const text of says) expect(notes).toContain(text);
    for (const text of not) expect(notes).not.toContain(text);
  });
});

test.each<{ why: string; values: object; says: object }>([
  { why: 'no values', values: {}, says: { provider: 'none', leaderElect: true, http: ':8080', claimUnsetClass: 'auto' } },
  { why: 'a module', values: MODULE, says: MODULE },
  {
    why: 'aws',
    values: { provider: 'aws', awsRegion: 'eu-west-1', awsVpcId: 'vpc-0a1b2c3d' },
    says: { provider: 'aws', awsRegion: 'eu-west-1', awsVpcId: 'vpc-0a1b2c3d' },
  },
  { why: 'off', values: { http: 'off', leaderElect: false }, says: { http: 'off', leaderElect: false } },
  { why: 'a boolean off', values: { http: false }, says: { http: false } },
  { why: 'namespaces', values: { namespaces: ['shop', 'study'] }, says: { namespaces: ['shop', 'study'] } },
  {
    why: 'pools in both forms',
    values: { localPools: ['10.0.0.0/28', { name: 'far', addresses: ['10.1.0.1-10.1.0.9'], priority: 5, autoAssign: false }] },
    says: { localPools: ['10.0.0.0/28', { name: 'far', addresses: ['10.1.0.1-10.1.0.9'], priority: 5, autoAssign: false }] },
  },
  { why: 'text that YAML would take for something else', values: { clusterName: '012' }, says: { clusterName: '012' } },
])('the program takes its configuration file: $why', async ({ values, says }) => {
  const config = (await render(values)).find((object) => object.kind === 'ConfigMap');
  const content: unknown = parse(config?.data?.['config.yaml'] ?? '');
  expect(content).toMatchObject(says);
  const read = readOptions(controllerOptions, { flags: {}, env: {}, file: { name: 'config.yaml', content } });
  expect(read.problems).toEqual([]);
});

test('a change of the configuration rolls the pods, a change of nothing does not', async () => {
  const sum = async (values: object) => JSON.stringify(await render(values)).match(/checksum\/config":"(\w+)/)?.[1];
  expect(await sum({})).toBe(await sum({ provider: 'none' }));
  expect(await sum({})).not.toBe(await sum({ logLevel: 'debug' }));
});

test('agents have the data path that the controller reckons with', async () => {
  const argsOf = async (values: object) => {
    const agents = (await render({ provider: 'local', ...values })).find(({ kind }) => kind === 'DaemonSet');
    return JSON.stringify(agents).match(/--local-datapath=[a-z-]+/g);
  };
  expect(await argsOf({})).toBeNull();
  expect(await argsOf({ localDatapath: 'kube-proxy', localPools: ['10.0.0.0/28'] })).toEqual(['--local-datapath=kube-proxy']);
});

test('an image by its digest', async () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const text = JSON.stringify(await render({ image: { repository: 'registry:5000/lb', tag: '1', digest } }));
  expect(text).toContain(`"registry:5000/lb@${digest}"`);
});

describe('refused, with what is wrong and what to do', () => {
  test.each<{ why: string; values: object; told: readonly RegExp[] }>([
    {
      why: 'a forwarder in the pod',
      values: { localForwarder: 'embedded' },
      told: [/\/localForwarder': value must be 'agents'/],
    },
    { why: 'a value that is none', values: { kubeconfig: 'x' }, told: [/additional properties 'kubeconfig' not allowed/] },
    { why: 'a misspelt part', values: { image: { tga: '1' } }, told: [/'\/image': additional properties 'tga' not allowed/] },
    { why: 'a wrong choice', values: { logLevel: 'loud' }, told: [/'\/logLevel': value must be one of 'debug', 'info'/] },
    { why: 'a wrong type', values: { replicaCount: 'two' }, told: [/'\/replicaCount': got string, want integer/] },
    { why: 'no port', values: { http: 'yes' }, told: [/'\/http': 'yes' does not match pattern '\^\(\?<colon_PORT_or_off>/] },
    {
      why: 'a time that is too long',
      values: { leaderElectLeaseDuration: '3m' },
      told: [/'\/leaderElectLeaseDuration': '3m' does not match pattern '\^\(\?<whole_seconds_from_2s_to_60s>/],
    },
    {
      why: 'addresses that fail over, and none are given',
      values: { provider: 'local', forwarder: { vips: true } },
      told: [/forwarder\.vips: .*localPools/],
    },
    {
      why: 'everything at once',
      values: { namespaces: 'shop', awsVpcId: '7', localPools: [{ adresses: ['10.0.0.1'] }] },
      told: [
        /'\/namespaces': got string, want array/,
        /'\/awsVpcId': '7' does not match/,
        /missing property 'addresses'/,
        /adresses/,
      ],
    },
    { why: 'agents for another provider', values: { forwarder: { enabled: true } }, told: [/provider is none.*auto/] },
    {
      why: 'kube-proxy at the addresses of the nodes',
      values: { provider: 'local', localDatapath: 'kube-proxy' },
      told: [/localDatapath: kube-proxy needs localPools/],
    },
    {
      why: 'writers without a Lease, and rights for everybody',
      values: { replicaCount: 2, leaderElect: false, serviceAccount: { create: false } },
      told: [/2 controllers need leaderElect/, /serviceAccount\.name: name the ServiceAccount/],
    },
    {
      why: 'metrics of what is off',
      values: { http: 'off', metrics: { podMonitor: { enabled: true } } },
      told: [/http: metrics are asked for, but it is off/],
    },
  ])('$why', async ({ values, told }) => {
    const { stderr, code } = await helm.template(values);
    expect(code).toBe(1);
    for (const pattern of told) expect(stderr).toMatch(pattern);
  });
});
