import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { calls } from '../../src/kube/api.ts';
import { CHART, Helm, prepareHelm } from './chart-helm.ts';
import { ChartPod, layOutProgram, type PodTemplate } from './chart-pod.ts';
import type { AuditEntry } from './lab/audit.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS } from './lab/network.ts';
import type { Process } from './lab/process.ts';
import { LabService, makeService } from './lab/product.ts';
import { until } from './lab/until.ts';

/** The chart in a real API server with the rights that it gives, by the real Helm; there is no kubelet, so the pod is a process. */

let lab: Lab;
let helm: Helm;
let program = '';

beforeAll(async () => {
  lab = await startLab({ nodes: 2 });
  helm = new Helm(await prepareHelm(), lab.plane.directory);
  program = await layOutProgram(lab.plane.directory);
}, 30 * 60_000);

afterAll(async () => {
  await lab?.close();
});

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' };
const LEASES = '/apis/coordination.k8s.io/v1/namespaces';

async function holderOf(namespace: string, name: string): Promise<string> {
  const lease = await lab.api.find<{ spec?: { holderIdentity?: string } }>(`${LEASES}/${namespace}/leases/${name}`);
  return lease?.spec?.holderIdentity ?? '';
}

function callOf({ verb, resource, subresource }: AuditEntry): string {
  return `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
}

function forbiddenTo(user: string): readonly string[] {
  return lab
    .audit({ user })
    .filter((entry) => entry.code === 401 || entry.code === 403)
    .map((entry) => `${callOf(entry)} in ${entry.namespace}`);
}

/** Objects of a release, of every kind there is, Helm's own record, and every Lease but the API server's. */
async function leftOf(release: string): Promise<readonly string[]> {
  const kinds = (await lab.kubectl(['api-resources', '--verbs=list', '-o', 'name'])).trim().split('\n');
  const told = ['get', kinds.join(','), '-A', '-o', 'name'];
  const [labelled, secrets] = await Promise.all([
    lab.kubectl([...told, '-l', `app.kubernetes.io/instance=${release}`]),
    lab.kubectl(['get', 'secrets,leases', '-A', '-o', 'name']),
  ]);
  return `${labelled}${secrets}`.split('\n').filter((line) => line !== '' && !/\/apiserver-|secret\/token-/.test(line));
}

describe('no values', () => {
  const [namespace, name] = ['lb-system', 'lb-nodeport-lb'];
  let pod: ChartPod;
  let controller: Process;

  test('it installs where only restricted pods may run', async () => {
    await lab.api.create('/api/v1/namespaces', { metadata: { name: namespace, labels: RESTRICTED } });
    const said = await helm.inLab(lab, ['install', 'lb', CHART, '--namespace', namespace]);
    expect(said).toMatch(/`helm install --wait` of a chart with such a Service does not end/);
    expect(said).toContain(`kubectl -n ${namespace} exec deploy/${name} -- nodeport-lb status`);
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    const { template } = (await lab.api.get<{ spec: { template: PodTemplate } }>(path)).spec;
    await lab.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, { ...template, metadata: { name: 'would-be' } });
    const test = (await helm.inLab(lab, ['get', 'hooks', 'lb', '--namespace', namespace])).trim();
    await lab.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], { input: test });
  });

  test('so is the Job that helm uninstall waits for', async () => {
    const { stdout } = await helm.template({ provider: 'aws', cleanupOnUninstall: true });
    const objects = parseAllDocuments(stdout).map((document) => document.toJS() as { kind?: string; spec?: unknown } | null);
    const job = objects.find((object) => object?.kind === 'Job') as { spec: { template: PodTemplate } } | undefined;
    expect(job).toBeDefined();
    await lab.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
      ...job?.spec.template,
      metadata: { name: 'would-be' },
    });
  });

  test('the controller works off Services with the rights that it was given', async () => {
    pod = await ChartPod.from(lab, program, namespace, name);
    controller = pod.start();
    await until(async () => (await lab.client.request({ url: `http://${HUB_ADDRESS}:8080/readyz` })).status === 200, {
      withinMs: 30_000,
      what: 'the controller is ready',
    });
    await lab.namespace('shop');
    const service = await makeService(lab, 'shop', 'web');
    expect(await service.refused('NodePortOnly')).toContain(lab.node('n1').address);
    await service.event('NodePortOnly', /--provider/);
    expect(await holderOf(namespace, name)).not.toBe('');
    expect((await lab.client.request({ url: `http://${HUB_ADDRESS}:8080/metrics` })).body).toContain('nodeport_lb_services');
  });

  test('who is on call may look from inside', async () => {
    const all = await pod.exec(['status']);
    expect(all).toMatchObject({ code: 0, stderr: '' });
    expect(all.stdout).toMatch(/^shop +web .*NodePortOnly/m);
    expect(await pod.exec(['status', 'shop/web'])).toMatchObject({ code: 0, stderr: '' });
    expect(await pod.exec(['url', 'shop/web'])).toMatchObject({ code: 0 });
  });

  test('an event that comes again is counted, not repeated', async () => {
    const web = new LabService(lab, 'shop', 'web');
    await web.patch({ spec: { type: 'NodePort' } });
    await web.clean();
    await web.patch({ spec: { type: 'LoadBalancer' } });
    await web.refused('NodePortOnly');
    await until(async () => (await web.events()).some(({ reason, count = 1 }) => reason === 'NodePortOnly' && count > 1), {
      withinMs: 60_000, // it is told again after ten seconds
      what: 'its event has a count',
    });
  });

  test('nothing was forbidden, and no right is idle', async () => {
    expect(forbiddenTo(pod.user)).toEqual([]);
    const used = new Set(lab.audit({ user: pod.user }).map(callOf));
    const ofOthers = ['configmaps']; // of agents and who has them: test/e2e/agents-chart
    const own = Object.values(calls).filter(({ resource }) => !ofOthers.includes(resource));
    const known = own.map((call) => `${call.verb} ${call.resource}${'subresource' in call ? `/${call.subresource}` : ''}`);
    // a Lease that somebody has deleted; what a standby does; and what provider local alone asks for, and alone is granted
    const rare = ['create leases', 'watch leases', 'watch endpointslices'];
    expect(known.filter((call) => !used.has(call) && !rare.includes(call))).toEqual([]);
  });

  test('its token is exchanged, as a kubelet does, and the old one is void: it goes on as the leader', async () => {
    const holder = await holderOf(namespace, name);
    const isRefused = ({ code, resource }: AuditEntry) => code === 401 && resource === 'leases';
    const since = Date.now();
    await pod.exchangeToken(controller);
    await until(() => lab.audit({ since }).some(isRefused), { withinMs: 30_000, what: 'the old token has been refused' });
    const later = await makeService(lab, 'shop', 'later');
    await later.refused('NodePortOnly');
    await later.event('NodePortOnly', /--provider/);
    expect(await holderOf(namespace, name)).toBe(holder);
    expect(controller.log()).not.toMatch(/no longer leading/);
    expect(controller.alive).toBe(true);
  });

  test('an upgrade and a rollback leave the Lease with its holder', async () => {
    const holder = await holderOf(namespace, name);
    const budget = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets/${name}`;
    await helm.inLab(lab, ['upgrade', 'lb', CHART, '--namespace', namespace], { replicaCount: 2, logLevel: 'debug' });
    expect(await lab.api.find(budget)).toBeDefined();
    expect(await holderOf(namespace, name)).toBe(holder);
    await helm.inLab(lab, ['rollback', 'lb', '1', '--namespace', namespace]);
    expect(await lab.api.find(budget)).toBeUndefined();
    expect(await holderOf(namespace, name)).toBe(holder);
    expect(controller.alive).toBe(true);
  });

  test('SIGTERM ends it cleanly, and the Lease is free at once', async () => {
    expect(await controller.stop(20_000)).toEqual({ code: 0, signal: null });
    expect(await holderOf(namespace, name)).toBe('');
  });

  test('uninstalled under a running controller, it leaves nothing', async () => {
    controller = pod.start();
    await until(async () => (await holderOf(namespace, name)) !== '', { withinMs: 30_000, what: 'it leads' });
    const from = controller.log().length;
    await helm.inLab(lab, ['uninstall', 'lb', '--namespace', namespace]);
    await controller.logged(/lease.*(Unauthorized|401|403|forbidden)/i, 30_000, from); // it has tried to renew, and to make anew
    expect(await leftOf('lb')).toEqual([]);
    expect(await controller.stop(40_000)).toEqual({ code: 0, signal: null });
    expect(await leftOf('lb')).toEqual([]);
  });
});

describe('namespaces', () => {
  const [namespace, name] = ['narrow', 'nodeport-lb'];

  test('Services there are worked off with Roles alone; the others are not even read', async () => {
    for (const each of [namespace, 'mine', 'theirs']) await lab.namespace(each);
    const values = { namespaces: ['mine'], loadBalancerClass: 'example.com/Narrow_LB', claimUnsetClass: false, http: ':8081' };
    await helm.inLab(lab, ['install', name, CHART, '--namespace', namespace], values);
    const pod = await ChartPod.from(lab, program, namespace, name);
    const controller = pod.start();
    const spec = { loadBalancerClass: 'example.com/Narrow_LB' };
    const [mine, theirs] = [await makeService(lab, 'mine', 'web', { spec }), await makeService(lab, 'theirs', 'web', { spec })];
    await mine.refused('NodePortOnly');
    await mine.event('NodePortOnly', /--provider/);
    expect(await holderOf(namespace, name)).not.toBe('');
    expect(await theirs.condition()).toBeUndefined();
    expect(await pod.exec(['status', '--namespace', 'mine'])).toMatchObject({ code: 0, stderr: '' });
    expect(forbiddenTo(pod.user)).toEqual([]);
    expect(await controller.stop(20_000)).toEqual({ code: 0, signal: null });
    await helm.inLab(lab, ['uninstall', name, '--namespace', namespace]);
    expect(await leftOf(name)).toEqual([]);
  });
});

test.each([
  {
    why: 'everything that the API server knows',
    values: { replicaCount: 3, networkPolicy: { enabled: true }, priorityClassName: 'system-cluster-critical' },
  },
  {
    why: 'what is handed through',
    values: {
      tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }],
      extraEnv: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
      extraVolumes: [{ name: 'providers', configMap: { name: 'providers' } }],
      extraVolumeMounts: [{ name: 'providers', mountPath: '/providers', readOnly: true }],
      extraArgs: ['--log-level=debug'],
      podLabels: { team: 'net' },
      podAnnotations: { 'example.com/note': 'yes' },
      networkPolicy: {
        enabled: true,
        ingressFrom: [{ namespaceSelector: {} }],
        extraEgress: [{ ports: [{ port: 9000, protocol: 'TCP' }] }],
      },
    },
  },
])('the API server takes every field of it: $why', async ({ values }) => {
  const { stdout } = await helm.template(values);
  await lab.api.find('/api/v1/namespaces/lb-system').then((found) => found ?? lab.namespace('lb-system'));
  await lab.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], { input: stdout });
});
