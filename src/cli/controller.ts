import type { Config } from '../config/config.ts';
import { toConfig } from '../config/read.ts';
import { explain, UsageError } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { connectKube, describeKube, type KubeDescription } from '../kube/client.ts';
import { serveHttp } from '../ops/http.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import { createMetrics } from '../ops/metrics.ts';
import type { Log } from '../providers/provider.ts';
import { announceClaims } from './claims.ts';
import type { Call, Terminal } from './command.ts';
import { kubeChoice } from './connect.ts';
import { describeContext } from './provider-context.ts';
import { followConfig } from './reload.ts';
import { takeVitals, type Vitals } from './vitals.ts';

/** Runs the controller until SIGTERM or SIGINT. @returns 0 after a clean stop */
export async function runController(call: Call): Promise<number> {
  const config = toConfig(call.values);
  const cluster = await describeKube(kubeChoice(config));
  refuseFarServer(cluster, config);
  const log = await createLog(logOptionsFor(config.logLevel, cluster.inCluster));
  const stop = call.interrupted();
  const metrics = await createMetrics(config.http !== undefined, { version: call.version, node: process.version });
  if (forwardsItself(config, cluster.inCluster)) {
    const { readConntrackFill } = await import('../forwarder/kernel/conntrack.ts');
    metrics.beforeRender(() => metrics.setTracked(readConntrackFill()));
  }
  const state: State = { unready: 'the cluster has not been read yet' };
  const http =
    config.http &&
    (await serveHttp({
      ...config.http,
      metrics,
      unhealthy: () => state.vitals?.unhealthy(),
      unready: () => state.unready ?? state.vitals?.unready(),
    }));
  if (http) log.info({ host: http.host, port: http.port }, 'serving /healthz, /readyz and /metrics');
  const api = await connectKube(kubeChoice(config));
  try {
    if (!cluster.inCluster && !(await introduce(call.err, api, cluster, config, log, stop))) return 0;
    const { inCluster, namespace } = cluster;
    return await reconcileUntil(stop, {
      api,
      call,
      config,
      log,
      metrics,
      state,
      inCluster,
      ...(inCluster && namespace !== '' ? { namespace } : {}),
    });
  } finally {
    await http?.close();
    await api.close();
  }
}

/** Inside a cluster agents do it, unless asked otherwise. */
function forwardsItself({ provider, local }: Config, inCluster: boolean): boolean {
  return provider === 'local' && (local.forwarder ?? (inCluster ? 'agents' : 'embedded')) === 'embedded';
}

/** What /healthz and /readyz say. */
interface State {
  /** While the controller starts and stops. */
  unready?: string | undefined;
  vitals?: Vitals;
}

interface Parts {
  readonly api: KubeApi;
  readonly call: Call;
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Awaited<ReturnType<typeof createMetrics>>;
  readonly state: State;
  readonly inCluster: boolean;
  /** Of the pod. */
  readonly namespace?: string;
}

async function reconcileUntil(stop: AbortSignal, parts: Parts): Promise<number> {
  const { config, log, state } = parts;
  const [{ createProvider }, { startController }] = await Promise.all([
    import('../providers/registry.ts'),
    import('../controller/start.ts'),
  ]);
  const provider = await createProvider(config.provider, await describeContext(parts));
  const unfollow = followConfig(parts.call, provider, log);
  const stopped = whenAborted(stop).finally(unfollow);
  const starting = startController({ ...parts, provider });
  const controller = await Promise.race([starting, stopped]);
  if (!controller) {
    starting.catch(() => {}); // it was waiting for the API server; nothing has been begun
    return 0;
  }
  state.vitals = takeVitals(parts.api, controller);
  state.unready = undefined;
  try {
    await Promise.race([stopped, controller.done]);
    if (!stop.aborted) throw new Error('the controller has ended by itself');
  } finally {
    state.unready = 'stopping';
    log.info({}, 'stopping');
    await controller.stop();
  }
  const isSilent = forwardsItself(config, parts.inCluster) && !config.dryRun;
  log.info({}, isSilent ? 'stopped; the addresses that it served answer no more until a controller runs again' : 'stopped');
  return 0;
}

function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Nobody shall find his company's cluster reconciled because it was the kubeconfig's current context. */
function refuseFarServer({ inCluster, server, context, nearness }: KubeDescription, config: Config): void {
  if (inCluster || nearness.near || config.kubeconfig !== undefined || config.context !== undefined) return;
  throw new UsageError([
    {
      where: 'kubeconfig',
      value: server,
      message: `context ${context} was not named, and its API server is not on this machine or in a private network (${nearness.reason}); if it is the one that you mean, say --context ${context}`,
    },
  ]);
}

/** How long to wait before an API server that does not answer is asked again. */
const ASK_AGAIN_MS = 2_000;

/** Says which cluster it is and what will be claimed there. @returns false when it was interrupted while waiting */
async function introduce(
  err: Terminal,
  api: KubeApi,
  { context, server }: KubeDescription,
  config: Config,
  log: Log,
  stop: AbortSignal,
): Promise<boolean> {
  err.write(`context ${context}, server ${server}\n`);
  for (let said = ''; !stop.aborted; ) {
    try {
      err.write(await announceClaims(api, config));
      return true;
    } catch (thrown) {
      if (!(thrown instanceof KubeError) || thrown.status !== 0) throw thrown;
      const why = explain(thrown);
      if (why !== said) log.warn({ server, error: why }, 'the API server does not answer; waiting for it');
      said = why;
      await pause(ASK_AGAIN_MS, stop);
    }
  }
  return false;
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', done);
      resolve();
    }
    stop.addEventListener('abort', done);
  });
}
