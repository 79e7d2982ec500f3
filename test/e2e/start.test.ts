import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './lab/command.ts';
import { kubeconfigText } from './lab/control-plane.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS } from './lab/network.ts';
import { Process } from './lab/process.ts';
import { LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

/** How the controller is started: what it says first, what it may do, and whom it believes. */
describe('start', () => {
  let lab: Lab;
  const [mine, other] = ['mine', 'other'];

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    const ports = [{ name: 'http', port: 8080 }];
    for (const namespace of [mine, other]) {
      await lab.namespace(namespace);
      await lab.deployment({ namespace, name: `web-${namespace}`, labels: { app: 'web' }, nodes: [lab.node('n1')], ports });
      await makeService(lab, namespace, 'web');
    }
  });

  afterAll(async () => {
    await lab?.close();
  });

  test('it says first which cluster it is and what it will claim', async () => {
    const controller = startController(lab, { args: ['--dry-run'] });
    await controller.logged(/mine\/web/, 20_000);
    const log = controller.log();
    expect(log).toContain('context lab');
    expect(log).toContain(`https://${HUB_ADDRESS}:6443`);
    expect(log).toContain('other/web');
    await controller.stop(20_000);
  });

  test('--dry-run tells what would be done and writes nothing', async () => {
    const since = Date.now();
    const controller = startController(lab, { args: ['--dry-run', 'true'] });
    await controller.logged(/listen on TCP 127\.0\.0\.\d+:80/, 20_000);
    await lab.kubectl(['-n', mine, 'annotate', 'service', 'web', 'example.org/x=1']);
    await lab.kubectl(['-n', other, 'create', 'service', 'loadbalancer', 'extra', '--tcp=81:8080']);
    await controller.logged(/listen on TCP 127\.0\.0\.\d+:81/, 20_000);
    expect(await controller.stop(20_000)).toEqual({ code: 0, signal: null });
    await lab.kubectl(['-n', other, 'delete', 'service', 'extra']);
    expect(lab.productWrites({ since })).toEqual([]);
    expect(await lab.client.knock('127.0.0.32', 80)).toBe('refused');
  });

  test('--namespaces: only Services of these are served, and the rights of a namespace are enough', async () => {
    const controller = startController(lab, { args: ['--namespaces', mine] });
    const served = new LabService(lab, mine, 'web');
    const ip = await served.address();
    await served.answers(ip, 80);
    expect(lab.productWrites({ namespace: other })).toEqual([]);
    await controller.stop(20_000);
  });

  test('by variables and a file as by flags', async () => {
    const file = join(lab.plane.directory, 'options.yaml');
    writeFileSync(file, `provider: local\nnamespaces: [${other}]\nlocalPools: [127.0.4.0/28]\n`);
    const env = { NODEPORT_LB_KUBECONFIG: lab.plane.users.product.kubeconfig, NODEPORT_LB_CONFIG: file };
    const controller = lab.program('controller', ['controller'], env);
    const service = new LabService(lab, other, 'web');
    expect(await service.address()).toMatch(/^127\.0\.4\./);
    await controller.stop(20_000);
  });

  test('credentials of a pod: token and certificate where Kubernetes mounts them, and a Lease', async () => {
    const controller = await startInPod(lab, [
      '--provider',
      'local',
      '--local-forwarder',
      'embedded',
      '--local-pool',
      '127.0.5.0/28',
    ]);
    await until(
      async () => {
        const path = '/apis/coordination.k8s.io/v1/namespaces/nodeport-lb/leases';
        const { items } = await lab.api.get<{ items: { spec: { holderIdentity?: string } }[] }>(path);
        return items.some((lease) => lease.spec.holderIdentity);
      },
      { withinMs: 30_000, what: 'a Lease is held in the namespace of the pod' },
    );
    const service = await makeService(lab, mine, 'from-a-pod');
    expect(await service.address()).toMatch(/^127\.0\.5\./);
    const context = controller.log();
    expect(context).not.toContain('context lab');
    await controller.stop(30_000);
  });

  test('an API server far away is refused unless it was named, and nothing is sent there', async () => {
    const file = join(lab.plane.directory, 'far.kubeconfig');
    const { certificate } = lab.plane;
    writeFileSync(file, kubeconfigText({ server: 'https://192.0.2.1:6443', certificate, token: 'x', context: 'far' }));
    const controller = lab.program('far', ['controller', '--provider', 'local'], { KUBECONFIG: file });
    expect(await controller.exited).toEqual({ code: 2, signal: null });
    expect(controller.log()).toMatch(/https:\/\/192\.0\.2\.1:6443/);
    expect(controller.log()).toMatch(/--context far/);
  });
});

/** In a mount namespace with a service account's files at the place where a kubelet puts them. */
async function startInPod(lab: Lab, args: readonly string[]): Promise<Process> {
  const { hub, users, certificate, directory } = lab.plane;
  const files = join(directory, 'serviceaccount');
  mkdirSync(files, { recursive: true });
  writeFileSync(join(files, 'token'), users.product.token);
  writeFileSync(join(files, 'namespace'), 'nodeport-lb');
  await run('cp', [certificate, join(files, 'ca.crt')]);
  await lab.namespace('nodeport-lb');
  const place = '/var/run/secrets/kubernetes.io/serviceaccount';
  const script = `mount -t tmpfs none /run && mkdir -p ${place} && mount --bind ${files} ${place} && exec "$@"`;
  return new Process({
    name: 'controller-in-pod',
    namespace: hub,
    command: 'unshare',
    args: [
      '--mount',
      'sh',
      '-ec',
      script,
      'sh',
      process.execPath,
      join(import.meta.dirname, '../../src/bin.js'),
      'controller',
      ...args,
    ],
    env: {
      PATH: process.env['PATH'],
      KUBERNETES_SERVICE_HOST: HUB_ADDRESS,
      KUBERNETES_SERVICE_PORT: '6443',
      POD_NAME: 'nodeport-lb-0',
    },
    logFile: join(directory, 'controller-in-pod.log'),
  });
}
