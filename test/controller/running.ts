import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.ts';
import { toConfig } from '../../src/config/read.ts';
import { type RunningController, startController } from '../../src/controller/start.ts';
import type { KubeApi } from '../../src/kube/api.ts';
import { connectKube } from '../../src/kube/client.ts';
import { readService, type Service } from '../../src/kube/objects.ts';
import { type Metrics, noMetrics } from '../../src/ops/metrics.ts';
import type { Provider } from '../../src/providers/provider.ts';
import type { KubeObject } from '../../src/sandbox/kube/json.ts';
import { type SandboxKube, startKube } from '../../src/sandbox/kube/kube.ts';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
/** No state of a test takes this long, also on a busy machine; when one does, the test fails. */
const DEADLINE_MS = 60_000;

/** An in-memory cluster with a controller, and ways to wait for what it says. */
export interface Running {
  readonly kube: SandboxKube;
  readonly api: KubeApi;
  /** What was logged, for a dry run. */
  readonly lines: readonly string[];
  start(provider: Provider, config?: Partial<Config>, metrics?: Metrics): Promise<RunningController>;
  addNode(name: string, address: string): void;
  /** @returns the Service as the controller reads it; undefined when it is gone */
  service(name: string): Service | undefined;
  create(name: string, spec?: object, metadata?: object): Service;
  patch(name: string, patch: object, subresource?: 'status'): void;
  remove(name: string): void;
  /** Resolves when the condition holds after a change of the Services or events, or holds already. */
  until(what: string, condition: () => boolean): Promise<void>;
  events(name: string): readonly { readonly reason: string; readonly message: string; readonly type: string }[];
  /** Requests of the controller's that would change something, from the `from`th request on. */
  writes(from?: number): readonly string[];
  close(): Promise<void>;
}

export async function runSandbox(): Promise<Running> {
  const kube = await startKube();
  const folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-test-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await kube.writeKubeconfig(kubeconfig);
  const api = await connectKube({ kubeconfig });
  const lines: string[] = [];
  const started: RunningController[] = [];
  const ref = (name: string) => ({ resource: 'services', namespace: 'default', name });
  const running: Running = {
    kube,
    api,
    lines,
    async start(provider, config = {}, metrics = noMetrics) {
      const log = {
        ...quiet,
        info: (_fields: object, message: string) => void lines.push(message),
        warn: (fields: object, message: string) => void lines.push(`WARN ${JSON.stringify(fields)} ${message}`),
      };
      const controller = await startController({
        api,
        provider,
        config: { ...toConfig({}), ...config },
        log,
        metrics,
        inCluster: false,
      });
      started.push(controller);
      await controller.synced;
      return controller;
    },
    addNode(name, address) {
      kube.objects.create(
        { resource: 'nodes' },
        { metadata: { name }, status: { addresses: [{ type: 'InternalIP', address }] } },
      );
    },
    service: (name) => readService(kube.objects.get(ref(name))),
    create(name, spec = {}, metadata = {}) {
      const body = { metadata: { name, ...metadata }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec } };
      return readService(kube.objects.create({ resource: 'services', namespace: 'default' }, body))!;
    },
    patch: (name, patch, subresource) =>
      void kube.objects.patch({ ...ref(name), ...(subresource ? { subresource } : {}) }, patch),
    remove: (name) => kube.objects.delete(ref(name)),
    until: (what, condition) => waitFor(kube, what, condition),
    events: (name) =>
      kube.objects
        .list({ resource: 'events', namespace: 'default' })
        .filter((e) => subjectOf(e) === name)
        .map(eventOf),
    writes: (from = 0) =>
      kube.audit
        .slice(from)
        .filter((entry) => ['create', 'update', 'patch', 'delete'].includes(entry.verb))
        .map((entry) => `${entry.verb} ${entry.resource}${entry.subresource ? `/${entry.subresource}` : ''}`),
    async close() {
      await Promise.all(started.map((controller) => controller.stop(0)));
      await api.close();
      await kube.close();
      await rm(folder, { recursive: true });
    },
  };
  return running;
}

/** Looks again after every change of a Service or an event, so that nothing is ever slept for. */
async function waitFor(kube: SandboxKube, what: string, condition: () => boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    if (condition()) resolve();
  };
  const unwatch = ['services', 'events'].map((resource) => kube.objects.watch({ resource }, () => setImmediate(look)));
  const timer = setTimeout(() => reject(new Error(`not within ${DEADLINE_MS} ms: ${what}`)), DEADLINE_MS);
  try {
    look();
    await promise;
  } finally {
    clearTimeout(timer);
    for (const end of unwatch) end();
  }
}

function subjectOf(event: KubeObject): unknown {
  return (event['involvedObject'] as { name?: unknown } | undefined)?.name;
}

function eventOf(event: KubeObject): { reason: string; message: string; type: string } {
  return { reason: String(event['reason']), message: String(event['message']), type: String(event['type']) };
}
