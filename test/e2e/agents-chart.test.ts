import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CHART, Helm, prepareHelm } from './chart-helm.ts';
import { ChartPod, layOutProgram, type PodTemplate } from './chart-pod.ts';
import type { AuditEntry } from './lab/audit.ts';
import { run } from './lab/command.ts';
import { API_SERVER, kubeconfigText } from './lab/control-plane.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { LabNode } from './lab/node.ts';
import { Process } from './lab/process.ts';
import { LabService, makeService } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const PROGRAM = join(import.meta.dirname, '../../src/bin.js');

/** The chart's controller and agents with the rights, arguments and capabilities that the chart gives them; there is no kubelet here. */
describe('the chart with provider local', () => {
  const [namespace, agents, name] = ['lb-system', 'lb-agents', 'lb-nodeport-lb'];
  const account = `${name}-forwarder`;
  const user = `system:serviceaccount:${agents}:${account}`;
  let lab: Lab;
  let helm: Helm;
  let pod: ChartPod;
  let template: PodTemplate & { readonly spec: object };
  let web: LabService;

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    helm = new Helm(await prepareHelm(), lab.plane.directory);
    const program = await layOutProgram(lab.plane.directory);
    const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const privileged = { 'pod-security.kubernetes.io/enforce': 'privileged' };
    await lab.api.create('/api/v1/namespaces', { metadata: { name: namespace, labels: restricted } });
    await lab.api.create('/api/v1/namespaces', { metadata: { name: agents, labels: privileged } });
    await lab.namespace('shop'); // has Roles for both, instead of ClusterRoles
    const values = { provider: 'local', namespaces: ['shop'], forwarder: { namespace: agents } };
    await helm.inLab(lab, ['install', 'lb', CHART, '--namespace', namespace], values);
    const path = `/apis/apps/v1/namespaces/${agents}/daemonsets/${account}`;
    ({ template } = (await lab.api.get<{ spec: { template: typeof template } }>(path)).spec);
    pod = await ChartPod.from(lab, program, namespace, name);
    pod.start();
    for (const node of lab.nodes) await startAgentPod(node, program);
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace: 'shop', name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    web = await makeService(lab, 'shop', 'web', { ports: [{ port: 8000, targetPort: 'http' }] });
    await sliced(lab.api, web, pods.pods);
  }, 30 * 60_000);

  afterAll(async () => {
    await lab?.close();
  });

  /** What the kubelet would start of the DaemonSet on a node: its arguments, its account's token, root with its capabilities alone. */
  async function startAgentPod(node: LabNode, program: string): Promise<void> {
    const [container] = template.spec.containers;
    const state = join(lab.plane.directory, `agent-${node.name}`);
    mkdirSync(state, { recursive: true });
    const path = `/api/v1/namespaces/${agents}/serviceaccounts/${account}/token`;
    const { status } = await lab.api.create<{ status: { token: string } }>(path, { spec: {} });
    const kubeconfig = join(lab.plane.directory, `agent-${node.name}.kubeconfig`);
    const { certificate } = lab.plane;
    writeFileSync(kubeconfig, kubeconfigText({ server: API_SERVER, certificate, token: status.token, context: 'agent' }));
    const asked = (container?.args ?? []).filter((arg) => !/^--(state-dir|started-file)=/.test(arg));
    const args = [
      ...asked,
      '--state-dir',
      state,
      '--started-file',
      join(state, 'started'),
      '--kubeconfig',
      kubeconfig,
      '--local-agents-namespace',
      agents,
    ];
    const { add = [] } =
      (container as { securityContext?: { capabilities?: { add?: string[] } } }).securityContext?.capabilities ?? {};
    const kept = add.map((capability) => `+${capability.toLowerCase()}`).join();
    new Process({
      name: `agent-${node.name}`,
      namespace: node.net.namespace,
      command: 'setpriv',
      args: [
        '--inh-caps=-all',
        `--bounding-set=-all,${kept}`,
        '--no-new-privs',
        process.execPath,
        join(program, 'src/bin.js'),
        ...args,
      ],
      env: { PATH: process.env['PATH'], HOME: '/', NODE_NAME: node.name },
      logFile: join(lab.plane.directory, `agent-${node.name}.log`),
    });
  }

  function callOf({ verb, resource, subresource }: AuditEntry): string {
    return `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
  }

  function forbiddenTo(who: string): readonly string[] {
    const refused = lab.audit({ user: who }).filter(({ code }) => code === 401 || code === 403);
    return refused.map((entry) => `${callOf(entry)} in ${entry.namespace}`);
  }

  test('agents run where the host network is admitted, and would not beside the controller', async () => {
    const would = { ...template, metadata: { name: 'would-be' } };
    await lab.api.create(`/api/v1/namespaces/${agents}/pods?dryRun=All`, would);
    await expect(lab.api.create(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, would)).rejects.toThrow(/restricted/);
  });

  test('a Service has the addresses of both nodes, and answers there', async () => {
    const wanted = lab.nodes.map(({ address }) => address).sort();
    await until(
      async () => {
        const { status } = await web.read();
        const found = (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip).sort();
        if (found.join() !== wanted.join()) throw new Error(`published are ${found.join()}; ${(await web.condition())?.message}`);
        return true;
      },
      { withinMs: 60_000, what: 'it is published at both' },
    );
    for (const address of wanted) expect(await web.answers(address, 8000)).toMatch(/^web-/);
    for (const { name } of lab.nodes) expect(existsSync(join(lab.plane.directory, `agent-${name}`, 'started'))).toBe(true);
  });

  test('it is taken down again', async () => {
    const brief = await makeService(lab, 'shop', 'brief', { ports: [{ port: 8001, targetPort: 'http' }] });
    await brief.address(60_000);
    await lab.api.delete(brief.path);
    await brief.deleted(60_000);
  });

  test('a Service of k3s ServiceLB is taken over by the commands that plan prints, and keeps the addresses of the nodes', async () => {
    const addresses = lab.nodes.map(({ address }) => address).sort();
    const finalizers = ['svccontroller.k3s.cattle.io/daemonset'];
    const spec = { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 8002, targetPort: 'http' }] };
    await lab.apply(
      JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'of-k3s', namespace: 'shop', finalizers }, spec }),
    );
    const service = new LabService(lab, 'shop', 'of-k3s');
    const rival = lab.apiAs('rival');
    const ingress = addresses.map((ip) => ({ ip, ipMode: 'VIP' }));
    await rival.patch(`${service.path}/status`, { status: { loadBalancer: { ingress } } });
    const program = [process.execPath, PROGRAM, 'plan', '--kubeconfig', lab.plane.users.admin.kubeconfig];
    const flags = ['--local-agents-namespace', agents, '--adopt-from', 'klipper', 'shop/of-k3s'];
    const { stdout } = await run('nsenter', [`--net=/run/netns/${lab.plane.hub}`, ...program, ...flags]);
    expect(stdout).toContain('localForwarder: agents');
    expect(stdout).toMatch(/^= keep shop\/of-k3s at /m);
    for (const [, command = ''] of stdout.matchAll(/^ {2}\$ kubectl (.*)$/gm)) {
      await lab.kubectl(command.split(' ').map((word) => word.replaceAll("'", '')));
      if (command.includes('"NodePort"')) await rival.patch(service.path, { metadata: { finalizers: null } }); // ServiceLB lets go
    }
    await until(
      async () => {
        const { status } = await service.read();
        const found = (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip).sort();
        if (found.join() !== addresses.join())
          throw new Error(`published are ${found.join()}; ${(await service.condition())?.message}`);
        return true;
      },
      { withinMs: 60_000, what: 'it has the addresses that it had' },
    );
    for (const address of addresses) expect(await service.answers(address, 8002)).toMatch(/^web-/);
    await lab.api.delete(service.path);
    await service.deleted(60_000);
  });

  test('nothing was forbidden to either, and no right of an agent is idle', async () => {
    expect(forbiddenTo(pod.user)).toEqual([]);
    expect(forbiddenTo(user)).toEqual([]);
    for (const who of [user, pod.user])
      expect(new Set(lab.audit({ user: who, resource: 'services' }).map((entry) => entry.namespace))).toEqual(new Set(['shop']));
    const wanted = ['create', 'get', 'list', 'update', 'watch'].map((verb) => `${verb} configmaps`);
    wanted.push('create leases', 'get leases', 'update leases');
    wanted.push('list nodes', 'list services', 'watch nodes', 'watch services');
    await until(
      async () => {
        const used = [...new Set(lab.audit({ user }).map(callOf))].sort();
        if (used.join() !== wanted.sort().join()) throw new Error(used.join());
        return true;
      },
      { withinMs: 30_000, what: 'every right has been used' }, // a Lease is renewed after five seconds
    );
  });
});
