import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './lab/command.ts';
import { API_SERVER, kubeconfigText } from './lab/control-plane.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS, inside } from './lab/network.ts';
import type { Process } from './lab/process.ts';
import { DEFAULT_POOL, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

/** Each bad thing: a clear error in the right place, the others unaffected, the process alive. */
describe('bad input', () => {
  let lab: Lab;
  let controller: Process;
  let healthy: LabService;
  const namespace = 'bad';

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: [lab.node('n1')], ports });
    controller = startController(lab);
    healthy = await makeService(lab, namespace, 'healthy');
    await healthy.address();
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function expectUnaffected(): Promise<void> {
    expect(controller.alive).toBe(true);
    await healthy.answers(await healthy.address(), 80);
  }

  /** Runs it to its end. */
  async function refusal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number | null; text: string }> {
    const process = lab.program('refused', ['controller', ...args], env);
    const { code } = await process.exited;
    return { code, text: process.log() };
  }

  function kubeconfigFile(name: string, text: string): string {
    const file = join(lab.plane.directory, name);
    writeFileSync(file, text);
    return file;
  }

  test('a kubeconfig that is missing', async () => {
    const { code, text } = await refusal(['--kubeconfig', '/nowhere/kubeconfig']);
    expect(code).toBe(2);
    expect(text).toContain('/nowhere/kubeconfig');
  });

  test.each([
    { what: 'that is not YAML', text: 'a: [1,\nb: }' },
    { what: 'that is something else', text: 'just words' },
    { what: 'without a cluster', text: 'apiVersion: v1\nkind: Config\ncurrent-context: gone\n' },
  ])('a kubeconfig $what', async ({ text }) => {
    const file = kubeconfigFile('odd.kubeconfig', text);
    const result = await refusal(['--kubeconfig', file]);
    expect(result.code).toBe(2);
    expect(result.text).toContain('odd.kubeconfig');
    expect(result.text).not.toMatch(/ {4}at /); // no stack
  });

  test('a context that there is not: it names those that there are', async () => {
    const { code, text } = await refusal(['--kubeconfig', lab.plane.users.product.kubeconfig, '--context', 'production']);
    expect(code).toBe(2);
    expect(text).toContain('production');
    expect(text).toMatch(/\blab\b/);
  });

  test('a token that the API server does not know: it says so, with what to do', async () => {
    const { certificate } = lab.plane;
    const server = `https://${HUB_ADDRESS}:6443`;
    const file = kubeconfigFile(
      'expired.kubeconfig',
      kubeconfigText({ server, certificate, token: 'expired', context: 'expired' }),
    );
    const process = lab.program('expired', ['controller', '--kubeconfig', file, '--provider', 'local']);
    const [said] = await process.logged(/.*(401|Unauthorized).*/, 20_000);
    expect(said).toContain(HUB_ADDRESS);
    await process.kill();
  });

  test('an API server that is not there: it says which, waits, and works when it comes', async () => {
    const { certificate, users } = lab.plane;
    const text = kubeconfigText({
      server: `https://${HUB_ADDRESS}:7443`,
      certificate,
      token: users.product.token,
      context: 'nobody',
    });
    const process = lab.program('nobody', [
      'controller',
      '--kubeconfig',
      kubeconfigFile('nobody.kubeconfig', text),
      '--provider',
      'none',
    ]);
    const [said] = await process.logged(/.*(refused|ECONNREFUSED).*/, 20_000);
    expect(said).toContain(`${HUB_ADDRESS}:7443`);
    expect(process.alive).toBe(true);
    expect(await process.stop(15_000)).toMatchObject({ code: 0 });
  });

  test('wrong flags, variables and keys: every problem at once, each with its place and what is allowed, exit 2', async () => {
    const file = kubeconfigFile('wrong.yaml', 'provider: local\nlocalPool: 10.0.0.0/28\nclaimUnsetClass: perhaps\n');
    const { kubeconfig } = lab.plane.users.product;
    const args = ['--kubeconfig', kubeconfig, '--config', file, '--local-pool', 'ten', '--leader-elekt', 'true'];
    const { code, text } = await refusal(args, { NODEPORT_LB_NODE_ADDRESS_TYPES: 'Hostname' });
    expect(code).toBe(2);
    for (const part of [
      '--local-pool',
      'ten',
      '--leader-elekt',
      'leader-elect',
      'NODEPORT_LB_NODE_ADDRESS_TYPES',
      'InternalIP',
      'wrong.yaml',
      'perhaps',
    ]) {
      expect(text).toContain(part);
    }
  });

  test.each(['', 'ten', '10.0.0.0/99', '10.0.0.9-10.0.0.5'])('the pool %j is refused with its place', async (pool) => {
    const { kubeconfig } = lab.plane.users.product;
    const { code, text } = await refusal(['--kubeconfig', kubeconfig, '--provider', 'local', '--local-pool', pool]);
    expect(code).toBe(2);
    expect(text).toContain('--local-pool');
  });

  test('a pool that is exhausted, or lies over the nodes: the one that has an address keeps it, the next is told', async () => {
    await healthy.annotate({ 'nodeport-lb.io/allow-disruption': 'true' }); // else it stays where no pool has it any more
    await controller.stop(20_000);
    const pools = ['127.0.7.1', `${lab.node('n1').address}-${lab.node('n2').address}`, '10.96.0.0/30'];
    controller = startController(lab, { args: pools.flatMap((pool) => ['--local-pool', pool]) });
    await until(async () => (await healthy.address()) === '127.0.7.1', {
      withinMs: 20_000,
      what: 'it gets the one address there is',
    });
    const late = await makeService(lab, namespace, 'late');
    const condition = await until(
      async () => {
        const found = await late.condition();
        return found?.status === 'False' && found.reason !== 'Provisioning' ? found : undefined;
      },
      { withinMs: 20_000, what: 'the second one is told why not' },
    );
    expect(['PoolExhausted', 'AddressUnavailable', 'AddressReserved']).toContain(condition.reason);
    expect(JSON.stringify((await late.read()).status.loadBalancer)).not.toMatch(/172\.31|10\.96/);
    await expectUnaffected();
    await lab.api.delete(late.path);
    await late.deleted();
    await controller.stop(20_000);
    controller = startController(lab);
    await until(async () => DEFAULT_POOL.test(await healthy.address()), { withinMs: 20_000, what: 'it is back in the pool' });
  });

  test('a port that another process has: named, the other Services unaffected, and served when it is free', async () => {
    const busy = await lab.client.occupy('127.0.0.55', 8_055);
    const service = await makeService(lab, namespace, 'occupied', {
      spec: { loadBalancerIP: '127.0.0.55' },
      ports: [{ port: 8_055, targetPort: 'http' }],
    });
    const message = await service.refused('PortInUse');
    expect(message).toContain('8055');
    expect(message).toContain(String(lab.client.process.pid));
    await expectUnaffected();
    await busy.free();
    await service.answers('127.0.0.55', 8_055, 60_000);
    expect(await service.address()).toBe('127.0.0.55');
  });

  test('a Service without nodePorts', async () => {
    const service = await makeService(lab, namespace, 'no-node-port', { spec: { allocateLoadBalancerNodePorts: false } });
    expect(await service.refused('NoNodePort')).toContain('allocateLoadBalancerNodePorts');
    await expectUnaffected();
  });

  test('explicit nodePorts without allocation are fine', async () => {
    const service = await makeService(lab, namespace, 'own-node-port', {
      spec: { allocateLoadBalancerNodePorts: false },
      ports: [{ port: 80, targetPort: 'http', nodePort: 32_222 }],
    });
    await service.answers(await service.address(), 80);
  });

  test('nodes without addresses and with garbage in them are skipped and named', async () => {
    await lab.api.create('/api/v1/nodes', { metadata: { name: 'empty' } });
    await lab.api.create('/api/v1/nodes', { metadata: { name: 'garbage' }, spec: { providerID: 'no://such\u0000thing' } });
    const addresses = [
      { type: 'InternalIP', address: 'not-an-address' },
      { type: 'Moon', address: '999.1.1.1' },
    ];
    await lab.api.patch('/api/v1/nodes/garbage/status', { status: { addresses, conditions: [] } });
    const service = await makeService(lab, namespace, 'beside-garbage');
    await service.answers(await service.address(), 80);
    for (const name of ['empty', 'garbage']) {
      await until(
        async () => {
          const { items } = await lab.api.get<{ items: { involvedObject: { name: string }; reason: string }[] }>(
            '/api/v1/events',
          );
          return items.some((event) => event.involvedObject.name === name && event.reason === 'NodeSkipped');
        },
        { withinMs: 20_000, what: `an event names node ${name}` },
      );
      await lab.api.delete(`/api/v1/nodes/${name}`);
    }
    await expectUnaffected();
  });

  test('an annotation that is misspelt is named with the nearest valid name, a wrong value refused', async () => {
    const service = await makeService(lab, namespace, 'misspelt', { annotations: { 'nodeport-lb.io/drain-second': '5' } });
    await service.address();
    await service.event('AnnotationIgnored', /drain-second.*drain-seconds/);
    await service.annotate({ 'nodeport-lb.io/drain-seconds': 'soon' });
    expect(await service.refused('AnnotationInvalid')).toMatch(/drain-seconds.*soon/);
    await service.annotate({ 'nodeport-lb.io/drain-seconds': '5', 'nodeport-lb.io/drain-second': null });
    await service.address();
    await expectUnaffected();
  });

  test('a user who may not bind low ports is told the cure in one line, and with the fallback gets another port', async () => {
    await controller.stop(20_000);
    await inside(lab.plane.hub, ['echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start']);
    const { certificate, users, directory } = lab.plane;
    await run('chmod', ['a+x', directory, dirname(certificate)]);
    const text = kubeconfigText({ server: API_SERVER, certificate, token: users.product.token, context: 'nobody' });
    const args = ['controller', '--kubeconfig', kubeconfigFile('nobody.kubeconfig', text), '--provider', 'local'];
    const low = await makeService(lab, namespace, 'low');
    const high = await makeService(lab, namespace, 'high', { ports: [{ port: 8088, targetPort: 'http' }] });
    controller = lab.program('nobody', args, { HOME: '/nonexistent' }, 'nobody');
    expect(await low.refused('PortNotPermitted')).toContain('net.ipv4.ip_unprivileged_port_start');
    await high.answers(await high.address(), 8088);
    await controller.stop(20_000);
    controller = lab.program('nobody', [...args, '--local-port-fallback', 'true'], { HOME: '/nonexistent' }, 'nobody');
    const ip = await low.address();
    const moved = await until(async () => /port 80\/TCP on port (\d+)/.exec((await low.condition())?.message ?? '')?.[1], {
      withinMs: 20_000,
      what: 'the condition names the other port',
    });
    await low.answers(ip, Number(moved));
    await high.answers(await high.address(), 8088);
  });
});
