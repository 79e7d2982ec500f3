import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type SandboxAws, startAws } from '../../src/sandbox/aws/aws.ts';
import { typicalAccount, typicalInstance } from '../../src/sandbox/aws/seed.ts';
import { until } from '../e2e/lab/until.ts';
import { AddressWatch, BenchApi, inParallel } from './api.ts';
import { AwsController, type AwsControllerOptions } from './aws-controller.ts';
import { quantile } from './figures.ts';
import { writeKubeconfig } from './ground.ts';
import type { ProgramForm, Usage } from './product.ts';
import { startSandboxApi } from './sandbox.ts';

export interface AwsRunOptions {
  readonly services: number;
  readonly nodes: number;
  readonly program: ProgramForm;
  readonly limits: AwsControllerOptions['limits'];
  /** How long nothing happens while calls are counted. */
  readonly quietMs: number;
  /** Polls begin 3 s apart, and what they bring is done at once: after so long without a call nothing is under way. */
  readonly stillMs: number;
}

/** Calls of one phase, as they came over the wire; polls (until AWS is done, for many Services at once) are counted apart. */
export interface Phase {
  readonly calls: number;
  readonly reads: number;
  readonly polls: number;
  readonly seconds: number;
  /** Calls by action, polls included. */
  readonly actions: Readonly<Record<string, number>>;
}

export interface AwsRun {
  readonly options: AwsRunOptions;
  readonly phases: Readonly<Record<PhaseName, Phase>>;
  /** From the first creation to the Service's hostname, in ms: the median Service, and the last. */
  readonly hostnameMs: { readonly median: number; readonly last: number };
  readonly memory: { readonly made: Usage; readonly restarted: Usage };
  /** Of the in-memory AWS in the end, without the account's own; must be 0. */
  readonly leftovers: number;
  readonly complaints: readonly string[];
}

export type PhaseName = 'start' | 'create' | 'quiet' | 'label' | 'node' | 'restart' | 'delete';

const NAMESPACE = 'bench';
const PHASE_MS = 30 * 60_000;

/** One controller, so many Services, from the first call to the last. */
export async function runAws(options: AwsRunOptions): Promise<AwsRun> {
  const directory = mkdtempSync(join(tmpdir(), 'nplb-bench-aws-'));
  const sandbox = await startSandboxApi();
  const aws = await startAws({
    seed: typicalAccount({ instances: options.nodes + 1 }),
    limits: { loadBalancers: 10_000, interfacesPerVpc: 100_000 },
  });
  const api = new BenchApi({ url: sandbox.url, kubeconfig: writeKubeconfig(directory, sandbox.url) });
  const start = () => {
    const { program, limits } = options;
    const kubeconfig = writeKubeconfig(directory, sandbox.url);
    return new AwsController({ program, limits, kubeconfig, directory, endpoint: aws.url, region: aws.region });
  };
  let controller = start();
  const count = (work: () => Promise<unknown>) => countCalls(aws, options.stillMs, work);
  try {
    await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    await inParallel(options.nodes, (at) => addNode(api, at + 1));
    const first = await count(() => controller.ready());
    const watch = await AddressWatch.open(api, NAMESPACE);
    const path = `/api/v1/namespaces/${NAMESPACE}/services`;
    const began = performance.now();
    const create = await count(async () => {
      await inParallel(options.services, (at) => api.create(path, describeService(at)));
      await watch.all(options.services, PHASE_MS);
    });
    const waits = [...watch.seenAt.values()].map((at) => at - began);
    const made = controller.usage();
    const quiet = await count(() => pause(options.quietMs));
    const label = await count(() => api.patch(`${path}/web-0`, { metadata: { labels: { tier: 'web' } } }));
    const node = await count(async () => {
      await addNode(api, options.nodes + 1);
      const hasAll = () => aws.targetGroups().every(({ arn }) => aws.targetsOf(arn).length === options.nodes + 1);
      await until(hasAll, { withinMs: PHASE_MS, what: 'every target group has the node' });
    });
    const complaints = [...controller.complaints()];
    await controller.stop();
    controller = start();
    const restart = await count(() => controller.ready());
    const restarted = controller.usage();
    const remove = await count(async () => {
      await inParallel(options.services, (at) => api.delete(`${path}/web-${at}`));
      await watch.gone(PHASE_MS);
    });
    watch.close();
    return {
      options,
      phases: { start: first, create, quiet, label, node, restart, delete: remove },
      hostnameMs: { median: quantile(waits, 0.5), last: Math.max(...waits) },
      memory: { made, restarted },
      leftovers: Object.values(aws.leftovers()).flat().length,
      complaints: [...complaints, ...controller.complaints()],
    };
  } finally {
    await controller.stop();
    await api.close();
    sandbox.close();
    await aws.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Counts what the work causes, also what comes after it. `seconds` is the work alone. */
async function countCalls(aws: SandboxAws, stillMs: number, work: () => Promise<unknown>): Promise<Phase> {
  aws.calls.reset();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1_000;
  for (let had = -1; had !== aws.calls.total(); ) {
    had = aws.calls.total();
    await pause(stillMs);
  }
  const log = aws.calls.log();
  const isPoll = ({ action, parameters }: (typeof log)[number]) =>
    action === 'DescribeTargetHealth' || (action === 'DescribeLoadBalancers' && 'LoadBalancerArns.member.1' in parameters);
  const polls = log.filter(isPoll).length;
  const reads = log.filter((call) => call.action.startsWith('Describe') && !isPoll(call)).length;
  return { calls: log.length - polls, reads, polls, seconds, actions: aws.calls.counts() };
}

function addNode(api: BenchApi, number: number): Promise<string> {
  const { id, subnetId, privateIp } = typicalInstance(number);
  return api.create('/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: `worker-${number}` },
    spec: { providerID: `aws:///eu-west-1${subnetId.at(-1)}/${id}` },
    status: { addresses: [{ type: 'InternalIP', address: privateIp }] },
  });
}

function describeService(at: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `web-${at}`, namespace: NAMESPACE },
    spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
}
