import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { tryRun } from './lab/command.ts';
import { API_SERVER, kubeconfigText } from './lab/control-plane.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { HUB_ADDRESS } from './lab/network.ts';
import type { Process } from './lab/process.ts';
import { enteredBy, FINALIZER, type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';

const GATE_PORT = 16_443;
const HELD = 'nodeport-lb.io/held-addresses';
const DRAIN_SECONDS = 6;

/** The controller dies at the worst moment, and ends well when it is asked to. */
describe('crash', () => {
  let lab: Lab;
  let kubeconfig: string;
  const namespace = 'crash';

  beforeAll(async () => {
    lab = await startLab({ nodes: 2 });
    await lab.namespace(namespace);
    const ports = [{ name: 'http', port: 8080 }];
    await lab.deployment({ namespace, name: 'web', labels: { app: 'web' }, nodes: lab.nodes, ports });
    const { certificate, directory, users } = lab.plane;
    const keyFile = join(directory, 'pki', 'apiserver.key');
    await lab.client.gateOpen({ host: HUB_ADDRESS, port: GATE_PORT, target: API_SERVER, keyFile, certificateFile: certificate });
    kubeconfig = join(directory, 'gated.kubeconfig');
    const server = `https://${HUB_ADDRESS}:${GATE_PORT}`;
    writeFileSync(kubeconfig, kubeconfigText({ server, certificate, token: users.product.token, context: 'gated' }));
  });

  afterAll(async () => {
    await lab?.close();
  });

  const started: Process[] = [];

  function start(): Process {
    const controller = startController(lab, { kubeconfig });
    started.push(controller);
    return controller;
  }

  /** A failed test must not leave a second controller to the next one. */
  afterEach(async () => {
    for (const controller of started.splice(0)) if (controller.alive) await controller.kill();
  });

  /** Kills the controller when the API server has acted on a patch of the Service, and it does not know; or before it has heard of it. */
  async function killUnaware(controller: Process, service: string, act: () => Promise<unknown>, unheard = false): Promise<void> {
    await lab.client.gateKeep({ method: 'PATCH', path: `/services/${service}(/status)?(\\?|$)`, unheard });
    await act();
    await until(async () => (await lab.client.gateKept()) > 0, { withinMs: 60_000, what: 'an answer is kept back' });
    await controller.kill();
    await lab.client.gateKeep();
  }

  /** The whole pool: only these addresses may listen. */
  async function listening(): Promise<readonly string[]> {
    const pool = Array.from({ length: 32 }, (_, i) => `127.0.0.${32 + i}`);
    const words = await Promise.all(pool.map((ip) => lab.client.knock(ip, 80)));
    return pool.filter((_, i) => words[i] === 'open');
  }

  async function heldBy(service: LabService): Promise<string | undefined> {
    return (await service.read()).metadata.annotations?.[HELD];
  }

  test('killed when it listened, and before the API server heard of it: nothing is left, and it gets one address', async () => {
    const controller = start();
    let service: LabService | undefined;
    const create = async () => {
      await controller.logged(/./, 60_000);
      service = await makeService(lab, namespace, 'unheard');
    };
    await killUnaware(controller, 'unheard', create, true);
    if (!service) throw new Error('no Service');
    const { metadata, status } = await service.read();
    expect([metadata.finalizers, metadata.annotations?.[HELD], status.loadBalancer.ingress]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await until(async () => (await listening()).length === 0, { withinMs: 60_000, what: 'nobody listens any more' });
    const next = start();
    const ip = await service.address();
    await service.answers(ip, 80);
    expect(await heldBy(service)).toBe(ip);
    expect(await listening()).toEqual([ip]);
    await next.kill();
    await lab.api.patch(service.path, { spec: { type: 'ClusterIP' } });
  });

  test('killed after the address was written and before it knew: same address, no second allocation, others keep theirs', async () => {
    const controller = start();
    const other = await makeService(lab, namespace, 'neighbour');
    const otherIp = await other.address();
    let service: LabService | undefined;
    const create = async () => {
      service = await makeService(lab, namespace, 'only-write');
    };
    await killUnaware(controller, 'only-write', create);
    if (!service) throw new Error('no Service');
    const held = await heldBy(service);
    expect(held).toMatch(/^127\.0\.0\.\d+$/);
    const { metadata, status } = await service.read();
    expect([metadata.finalizers, status.loadBalancer.ingress?.[0]?.ip]).toEqual([[FINALIZER], held]);
    start();
    await service.answers(held ?? '', 80);
    await other.answers(otherIp, 80);
    expect(await service.address()).toBe(held);
    expect(await other.address()).toBe(otherIp);
    expect([...(await listening())].sort()).toEqual([held, otherIp].sort());
  });

  test('an answer is lost on the way: it asks again, and the address is the same', async () => {
    start();
    await lab.client.gateKeep({ method: 'PATCH', path: '/services/lost-answer/status' });
    const service = await makeService(lab, namespace, 'lost-answer');
    await until(async () => (await lab.client.gateKept()) > 0, { withinMs: 60_000, what: 'an answer is kept back' });
    const held = await heldBy(service);
    await lab.client.gateKeep();
    expect(await service.address(60_000)).toBe(held);
    await service.answers(held ?? '', 80);
  });

  test('killed after the finalizer was taken off and before it knew: the Service is gone and its address free', async () => {
    const controller = start();
    const service = await makeService(lab, namespace, 'last-write', { spec: { loadBalancerIP: '127.0.0.50' } });
    await service.address();
    await killUnaware(controller, 'last-write', () => lab.api.delete(service.path));
    const next = start();
    await service.deleted();
    await service.closed('127.0.0.50', 80);
    const again = await makeService(lab, namespace, 'last-write', { spec: { loadBalancerIP: '127.0.0.50' } });
    expect(await again.address()).toBe('127.0.0.50');
    await next.kill();
  });

  test('killed again and again while many Services come: everyone has one address, and nobody shares', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `many-${i}`);
    const services: LabService[] = [];
    for (const [i, name] of names.entries()) {
      const controller = i % 4 === 0 ? start() : undefined;
      services.push(await makeService(lab, namespace, name));
      if (!controller) continue;
      await until(() => heldBy(services[0] as LabService), { withinMs: 60_000, what: 'the first is held' });
      await controller.kill();
    }
    const before = await Promise.all(services.map(heldBy));
    const last = start();
    const addresses = await Promise.all(services.map((service) => service.address()));
    expect(new Set(addresses).size).toBe(names.length);
    for (const [i, held] of before.entries()) if (held !== undefined) expect(addresses[i]).toBe(held);
    await last.kill();
  });

  test('SIGTERM: nothing new is let in, established connections get the drain time, exit 0', async () => {
    const controller = start();
    const annotations = { 'nodeport-lb.io/drain-seconds': String(DRAIN_SECONDS) };
    const service = await makeService(lab, namespace, 'drained', { annotations });
    const ip = await service.address();
    await enteredBy(lab, service, ip, ['n1', 'n2']);
    const held = await lab.client.hold(ip, 80);
    await until(async () => (await held.read()).ticks > 0, { withinMs: 20_000, what: 'the connection ticks' });
    const since = Date.now();
    controller.signal('SIGTERM');
    await service.closed(ip, 80, 5_000);
    expect((await held.read()).open).toBe(true);
    expect(await controller.exited).toEqual({ code: 0, signal: null });
    const state = await until(async () => ((await held.read()).open ? undefined : held.read()), {
      withinMs: 5_000,
      what: 'it is closed',
    });
    expect((state.closedAt ?? 0) - since).toBeGreaterThan((DRAIN_SECONDS - 2) * 1_000);
    expect((state.closedAt ?? 0) - since).toBeLessThan((DRAIN_SECONDS + 15) * 1_000);
    expect(state.ticks).toBeGreaterThan((DRAIN_SECONDS - 2) * 5); // it was really served until then
    expect((await service.read()).status.loadBalancer.ingress?.[0]?.ip).toBe(ip); // a restart is not a goodbye
  });

  test('SIGTERM with nobody connected: it does not wait, exit 0', async () => {
    const controller = start();
    const service = await makeService(lab, namespace, 'quick');
    await service.address();
    const since = Date.now();
    expect(await controller.stop(25_000)).toEqual({ code: 0, signal: null });
    expect(Date.now() - since).toBeLessThan(20_000); // the drain time is 30 s
  });

  test('its forwarder is killed: it comes back by itself with the same listeners', async () => {
    const controller = start();
    const service = await makeService(lab, namespace, 'revived');
    const ip = await service.address();
    await service.answers(ip, 80);
    const children = await childrenOf(controller.pid);
    expect(children.length).toBeGreaterThan(0);
    for (const pid of children) process.kill(pid, 'SIGKILL');
    await until(async () => (await childrenOf(controller.pid)).some((pid) => !children.includes(pid)), {
      withinMs: 30_000,
      what: 'there is a new forwarder',
    });
    await service.answers(ip, 80);
    expect(await service.address()).toBe(ip);
    await controller.stop(60_000);
  });
});

/** Process ids that the controller has started. */
async function childrenOf(pid: number): Promise<readonly number[]> {
  const { stdout } = await tryRun('pgrep', ['-P', String(pid)]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}
