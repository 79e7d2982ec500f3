import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS } from './lab/network.ts';
import { enteredBy, entriesDuring, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { type LabDeployment, sliced } from './lab/workload.ts';

const POLICIES = ['Cluster', 'Local'] as const;
type Policy = (typeof POLICIES)[number];
/** Longer than it takes to see at the node's health check that its last pod is on its way out. */
const GRACE_MS = 12_000;

/** A Deployment's pods are replaced while people use the external IP. */
describe('roll-out under load', () => {
  let lab: Lab;
  const setups = new Map<Policy, { web: LabDeployment; service: LabService; ip: string }>();

  beforeAll(async () => {
    lab = await startLab({ nodes: 3 });
    startController(lab);
    for (const policy of POLICIES) {
      const namespace = `rollout-${policy.toLowerCase()}`;
      await lab.namespace(namespace);
      const nodes = [lab.node('n1'), lab.node('n2')];
      const ports = [{ name: 'http', port: 8080 }];
      const web = await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes, ports, graceMs: GRACE_MS });
      const service = await makeService(lab, namespace, 'web', { spec: { externalTrafficPolicy: policy } });
      await sliced(lab.api, service, web.pods);
      setups.set(policy, { web, service, ip: await service.address() });
    }
  });

  afterAll(async () => {
    await lab?.close();
  });

  function setup(policy: Policy): { web: LabDeployment; service: LabService; ip: string } {
    const found = setups.get(policy);
    if (!found) throw new Error(`no Service with policy ${policy}`);
    return found;
  }

  /** New connections, kept ones and slow answers at once, until `change` is done: not one request may fail. */
  async function noneFails(ip: string, change: () => Promise<void>): Promise<void> {
    const loads = [
      await lab.client.load({ url: `http://${ip}/`, connections: 'new', perSecond: 30 }),
      await lab.client.load({ url: `http://${ip}/`, connections: 'kept', perSecond: 20 }),
      await lab.client.load({ url: `http://${ip}/?slowMs=700`, connections: 'new', perSecond: 5 }),
    ];
    await change();
    for (const load of loads) {
      await until(async () => (await load.read()).sent >= 20, { withinMs: 20_000, what: '20 requests are sent' });
      const result = await load.stop();
      expect(result.failures).toEqual([]);
    }
  }

  test('policy Cluster enters every node, policy Local only those whose healthCheckNodePort says that they have a pod', async () => {
    const cluster = setup('Cluster');
    await enteredBy(lab, cluster.service, cluster.ip, ['n1', 'n2', 'n3']);
    const local = setup('Local');
    await enteredBy(lab, local.service, local.ip, ['n1', 'n2']);
    const healthPort = (await local.service.read()).spec.healthCheckNodePort ?? 0;
    expect((await lab.client.request({ url: `http://${lab.node('n3').address}:${healthPort}/healthz` })).status).toBe(503);
  });

  test('policy Local: 600 requests, none on the node without a pod, and pods see who sent them', async () => {
    const { service, ip } = setup('Local');
    const nodePort = (await service.read()).spec.ports?.[0]?.nodePort ?? 0;
    const entries = await entriesDuring(lab, nodePort, async () => {
      const result = await lab.client.burst(`http://${ip}/`, 600);
      expect(result.failures).toEqual([]);
      expect(Object.keys(result.byEntry)).toEqual([HUB_ADDRESS]);
    });
    expect(entries[2]).toBe(0);
    for (const count of entries.slice(0, 2)) expect(count).toBeGreaterThan(240);
  });

  /** Both policies at once: most of the time is the grace that pods are given to end. */
  async function underBoth(change: (policy: Policy) => Promise<void>): Promise<void> {
    const ends = await Promise.allSettled(POLICIES.map((policy) => noneFails(setup(policy).ip, () => change(policy))));
    const faults = ends.flatMap((end, i) =>
      end.status === 'rejected' ? [new Error(`policy ${POLICIES[i]}`, { cause: end.reason })] : [],
    );
    if (faults.length > 0) throw new AggregateError(faults, faults.map((fault) => `${fault.message}: ${fault.cause}`).join('\n'));
  }

  test('pods are replaced one by one on their nodes, and not one request fails', async () => {
    await underBoth(async (policy) => {
      const { web, service } = setup(policy);
      await web.replaceOneByOne();
      await sliced(lab.api, service, web.pods);
    });
  });

  test('pods move to other nodes one by one, and not one request fails', async () => {
    const next = new Map([
      ['n1', 'n3'],
      ['n2', 'n1'],
    ]);
    await underBoth(async (policy) => {
      const { web, service, ip } = setup(policy);
      await web.replaceOneByOne((old) => lab.node(next.get(old.options.node.name) ?? 'n1'));
      await sliced(lab.api, service, web.pods);
      if (policy === 'Local') await enteredBy(lab, service, ip, ['n1', 'n3']);
    });
  });

  test.each(POLICIES)(
    'policy %s: a pod that is not ready for a while gets nothing, and not one request fails',
    async (policy) => {
      const { web, service, ip } = setup(policy);
      const [first, second] = web.pods;
      await noneFails(ip, async () => {
        await first?.setReady('False');
        await until(
          async () => {
            const { byPod } = await lab.client.burst(`http://${ip}/`, 30);
            return Object.keys(byPod).join() === second?.name;
          },
          { withinMs: 30_000, what: `only ${second?.name} answers` },
        );
        await first?.setReady('True');
        await sliced(lab.api, service, web.pods);
        await until(async () => Object.keys((await lab.client.burst(`http://${ip}/`, 30)).byPod).length === 2, {
          withinMs: 30_000,
          what: 'both pods answer again',
        });
      });
    },
  );

  test('policy Local without a single pod: nobody is let in to where nobody would answer', async () => {
    const { web, service, ip } = setup('Local');
    for (const pod of web.pods) await pod.setReady('False');
    await sliced(lab.api, service, []);
    const message = await service.refused('NoHealthyTargets');
    expect(message).toContain(ip);
    for (const pod of web.pods) await pod.setReady('True');
    expect(await service.address()).toBe(ip);
    await service.answers(ip, 80);
  });
});
