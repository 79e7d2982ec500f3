import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Output, tryRun } from './lab/command.ts';
import { type Lab, startLab } from './lab/lab.ts';
import type { Process } from './lab/process.ts';
import { CLASS, LabService, makeService, startController } from './lab/product.ts';

interface Plan {
  readonly balancers: readonly {
    readonly key: string;
    readonly change: string;
    readonly addresses: { readonly now: readonly string[]; readonly planned: readonly string[] };
    readonly steps: readonly { readonly kind: string; readonly summary: string; readonly disrupts: boolean }[];
    readonly refused: readonly { readonly reason: string }[];
    readonly notes: readonly string[];
  }[];
}

/** What `plan` says beside a controller that runs is what that controller then does; plan itself writes nothing. */
describe('plan', () => {
  let lab: Lab;
  let web: LabService;
  let controller: Process;
  const namespace = 'shop';

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    controller = startController(lab);
    web = await makeService(lab, namespace, 'web');
    await web.address();
  });

  afterAll(async () => {
    await lab?.close();
  });

  /** As a person calls it, with a kubeconfig of his own. */
  async function plan(args: readonly string[], input = ''): Promise<Output> {
    const since = Date.now();
    const { user, kubeconfig } = lab.plane.users.admin;
    const program = [
      process.execPath,
      join(import.meta.dirname, '../../src/bin.js'),
      'plan',
      '--kubeconfig',
      kubeconfig,
      '--provider',
      'local',
    ];
    const inside = [`--net=/run/netns/${lab.plane.hub}`, ...program, ...args];
    const output = await tryRun('nsenter', inside, { input, env: { ...process.env, KUBECONFIG: '' } });
    expect(lab.audit({ since, user, writes: true })).toEqual([]);
    return output;
  }

  async function planJson(args: readonly string[], input = ''): Promise<Plan['balancers']> {
    return (JSON.parse((await plan(['-o', 'json', ...args], input)).stdout) as Plan).balancers;
  }

  test('what is served needs nothing, and says so to scripts, too', async () => {
    const { code, stdout } = await plan(['shop/web', '--exit-code']);
    expect(stdout).toMatch(/^= leave shop\/web at 127\.0\.0\.\d+\n {2}nothing to do/);
    expect(code).toBe(0);
  });

  test('a manifest that is not applied yet: what it will get is what it gets', async () => {
    const manifest = `apiVersion: v1
kind: Service
metadata: { name: new, namespace: shop }
spec:
  type: LoadBalancer
  selector: { app: web }
  ports: [{ port: 80, targetPort: http }]
`;
    const [found] = await planJson(['-f', '-', 'shop/new'], manifest);
    expect(found).toMatchObject({ key: 'shop/new', change: 'create', steps: [{ kind: 'open-listener', disrupts: false }] });
    expect(found?.steps[0]?.summary).toContain('<nodePort-80> of 2 nodes');
    expect((await plan(['-f', '-', '--exit-code'], manifest)).code).toBe(1);
    const made = await makeService(lab, namespace, 'new');
    expect([await made.address()]).toEqual(found?.addresses.planned);
  });

  test('an applied manifest that is changed', async () => {
    const manifest = (port: number): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'applied', namespace },
        spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ name: 'http', port, targetPort: 'http' }] },
      });
    await lab.apply(manifest(80));
    const service = new LabService(lab, namespace, 'applied');
    const address = await service.address();
    const nodePort = (await service.read()).spec.ports?.[0]?.nodePort;
    const [found] = await planJson(['-f', '-', 'shop/applied'], manifest(81));
    expect(found).toMatchObject({
      change: 'change',
      steps: [
        { kind: 'open-listener', summary: `listen on TCP ${address}:81 and forward to port ${nodePort} of 2 nodes` },
        { kind: 'close-listener', disrupts: true },
      ],
    });
    await lab.apply(manifest(81));
    await service.answers(address, 81);
    await service.closed(address, 80);
    expect((await service.read()).spec.ports?.map((port) => port.nodePort)).toEqual([nodePort]);
  });

  test('pools that do not have what is held: nobody moves, and who would with consent', async () => {
    const pool = ['--local-pool', '127.0.0.96-127.0.0.127'];
    const found = (await planJson([...pool, 'shop/web']))[0];
    expect(found).toMatchObject({
      change: 'none',
      steps: [],
      withConsent: [{ disrupts: false }, { kind: 'close-listener', disrupts: true }],
    });
    expect(found?.notes.join()).toMatch(/with consent it moves from 127\.0\.0\.\d+ to 127\.0\.0\.\d+: it is in no pool/);
  });

  test('a Service that would be refused', async () => {
    await makeService(lab, namespace, 'odd', { annotations: { 'nodeport-lb.io/addresses': '203.0.113.7' } });
    const { stdout } = await plan(['shop/odd']);
    expect(stdout).toMatch(/^! refuse shop\/odd\n {2}AddressNotInPool: .*203\.0\.113\.7/);
  });

  test('--adopt-from metallb: its pools become ours, and the printed commands bring a Service over with its address', async () => {
    const crd = (plural: string, kind: string) => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.metallb.io` },
      spec: {
        group: 'metallb.io',
        scope: 'Namespaced',
        names: { plural, kind },
        versions: [
          {
            name: 'v1beta1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    });
    await lab.apply(JSON.stringify(crd('ipaddresspools', 'IPAddressPool')));
    await lab.kubectl(['wait', '--for=condition=Established', 'crd/ipaddresspools.metallb.io', '--timeout=30s']);
    const metadata = { name: 'lan', namespace };
    const pool = { apiVersion: 'metallb.io/v1beta1', kind: 'IPAddressPool', metadata, spec: { addresses: ['127.0.0.96/28'] } };
    await lab.apply(JSON.stringify(pool));
    const theirs = await makeService(lab, namespace, 'theirs', { spec: { loadBalancerClass: 'metallb.example/lb' } });
    await publishAsRival(theirs, '127.0.0.96');
    await takeOver('metallb', theirs, '127.0.0.96');
  });

  test('--adopt-from kube-vip: the same for a Service without a class, which cannot be given one in place', async () => {
    const data = { 'range-global': '127.0.0.112-127.0.0.119' };
    const metadata = { name: 'kubevip', namespace: 'kube-system' };
    await lab.apply(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }));
    await controller.stop(20_000); // kube-vip was there first
    const theirs = await makeService(lab, namespace, 'of-kube-vip');
    await theirs.patch({ metadata: { labels: { implementation: 'kube-vip' } } });
    await publishAsRival(theirs, '127.0.0.115');
    const inPlace = theirs.patch({ spec: { loadBalancerClass: CLASS } });
    await expect(inPlace).rejects.toMatchObject({ status: 422 });
    await takeOver('kube-vip', theirs, '127.0.0.115');
  });

  /** What another controller would write. */
  async function publishAsRival(service: LabService, ip: string): Promise<void> {
    await lab.apiAs('rival').patch(`${service.path}/status`, { status: { loadBalancer: { ingress: [{ ip }] } } });
  }

  /** Does what `plan` says: a controller with the configuration that it prints, and its commands. */
  async function takeOver(from: string, service: LabService, ip: string): Promise<void> {
    const { stdout } = await plan(['--adopt-from', from]);
    expect(stdout).toContain(`\n= keep ${service.namespace}/${service.name} at ${ip}\n`);
    const file = join(lab.plane.directory, `${from}.yaml`);
    writeFileSync(file, stdout.slice(0, stdout.indexOf('\n\n')));
    if (controller.alive) await controller.stop(20_000);
    controller = startController(lab, { args: ['--config', file] });
    for (const [, command = ''] of stdout.matchAll(/^ {2}\$ kubectl (.*)$/gm)) {
      await lab.kubectl(command.split(' ').map((word) => word.replaceAll("'", '')));
    }
    expect(await service.address()).toBe(ip);
    await service.answers(ip, 80);
  }
});
