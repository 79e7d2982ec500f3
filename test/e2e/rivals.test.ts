import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { CLASS, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const workload = (kind: string, name: string, namespace: string, image: string) => `
apiVersion: apps/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: main, image: "${image}" }] }
`;

const lease = (renewed: Date) => `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: { name: cloud-controller-manager, namespace: kube-system }
spec: { holderIdentity: somebody, leaseDurationSeconds: 15, renewTime: "${renewed.toISOString().replace('Z', '000Z')}" }
`;

const rivals = [
  {
    rival: 'k3s',
    manifest: () => workload('DaemonSet', 'svclb-traefik-1a2b', 'kube-system', 'rancher/klipper-lb:v0.4.13'),
    says: /k3s/i,
  },
  {
    rival: 'MetalLB',
    manifest: () => workload('Deployment', 'metallb-controller', 'default', 'quay.io/metallb/controller:v0.15.2'),
    says: /MetalLB/,
  },
  {
    rival: 'kube-vip',
    manifest: () => workload('DaemonSet', 'kube-vip-ds', 'kube-system', 'ghcr.io/kube-vip/kube-vip:v1.0.0'),
    says: /kube-vip/,
  },
  { rival: 'a cloud controller manager', manifest: () => lease(new Date()), says: /cloud.controller.manager/ },
];

/** `--claim-unset-class auto`: Services without a class are left to whoever else gives out addresses in the cluster. */
describe('rivals', () => {
  let lab: Lab;
  const namespace = 'rivals';
  let made = 0;

  beforeAll(async () => {
    lab = await startLab({ nodes: 1 });
    await lab.namespace(namespace);
  });

  afterAll(async () => {
    await lab?.close();
  });

  /** Starts a controller over one Service without a class and one with ours, and says whether it claimed the first. */
  async function claimsUnset(args: readonly string[], says: RegExp): Promise<boolean> {
    const number = ++made;
    const unset = await makeService(lab, namespace, `unset-${number}`);
    const controller = startController(lab, { args });
    await controller.logged(says, 20_000);
    const ours = await makeService(lab, namespace, `ours-${number}`, { spec: { loadBalancerClass: CLASS } });
    const late = await makeService(lab, namespace, `late-${number}`);
    const last = await makeService(lab, namespace, `last-${number}`, { spec: { loadBalancerClass: CLASS } });
    const published = (service: LabService) => service.condition().then((condition) => condition !== undefined);
    await Promise.all([listens(ours), listens(last)]); // `late` came in between
    const claimed = await Promise.all([published(unset), published(late)]);
    expect(claimed[0]).toBe(claimed[1]);
    if (!claimed[0])
      for (const service of [unset, late]) expect(lab.productWrites({ namespace, name: service.name })).toEqual([]);
    for (const service of [unset, ours, late, last]) await lab.api.delete(service.path);
    for (const service of [unset, ours, late, last]) await service.deleted();
    await controller.stop(20_000);
    return claimed[0] ?? false;
  }

  /** There are no pods here, so that it never becomes Ready; a published address is enough. */
  async function listens(service: LabService): Promise<void> {
    await until(async () => (await service.read()).status.loadBalancer.ingress?.[0]?.ip !== undefined, {
      withinMs: 20_000,
      what: `${service.name} has an address`,
    });
  }

  test('auto, with nobody else: they are claimed', async () => {
    expect(await claimsUnset([], /no other balancer controller/)).toBe(true);
  });

  test.each(rivals)('auto, with $rival: they are not, and the start says whom it saw', async ({ manifest, says }) => {
    const text = manifest();
    await lab.apply(text);
    expect(await claimsUnset([], says)).toBe(false);
    await lab.kubectl(['delete', '-f', '-', '--wait=false', '--grace-period=0'], { input: text });
  });

  test('auto, with a Lease that nobody has renewed for an hour: they are claimed', async () => {
    const text = lease(new Date(Date.now() - 3_600_000));
    await lab.apply(text);
    expect(await claimsUnset([], /no other balancer controller/)).toBe(true);
    await lab.kubectl(['delete', '-f', '-'], { input: text });
  });

  test('true claims them beside a rival, false does not without one', async () => {
    expect(await claimsUnset(['--claim-unset-class', 'false'], /--claim-unset-class false/)).toBe(false);
    const text = rivals[1]?.manifest() ?? '';
    await lab.apply(text);
    expect(await claimsUnset(['--claim-unset-class', 'true'], /--claim-unset-class true/)).toBe(true);
  });
});
