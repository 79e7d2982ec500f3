import { rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from '../agent/agent.ts';
import type { AgentOptions, AgentState } from '../agent/agent-options.ts';
import { chooseForwarder, cleanUpDatapath } from '../agent/datapath.ts';
import { leaveToKubeProxy } from '../agent/kube-proxy.ts';
import { readAddresses } from '../agent/machine.ts';
import { agentGroup, agentName, DEFAULT_NAMESPACE } from '../agent/names.ts';
import { chooseStateDir, forget, readIdentity, recall } from '../agent/state-file.ts';
import { meetingPlaces, type Predecessor, Succession, type Successor, succeed } from '../agent/succession.ts';
import type { StartVips } from '../agent/vip-duty.ts';
import { cleanUpVips } from '../agent/vips/leftovers.ts';
import { ALL_IDS, type IdRange } from '../agent/vips/plan.ts';
import { startVips } from '../agent/vips/vips.ts';
import { OUR_CLASS } from '../config/options.ts';
import { explain, UsageError } from '../errors.ts';
import { FORWARD_TABLES } from '../forwarder/datapath.ts';
import { cleanUpOrphans } from '../forwarder/kernel/cleanup.ts';
import { readConntrackFill } from '../forwarder/kernel/conntrack.ts';
import type { KubeApi } from '../kube/api.ts';
import { connectKube, describeKube, type KubeDescription } from '../kube/client.ts';
import { type LateHttp, serveHttpSoon } from '../ops/late-http.ts';
import { createLog, logOptionsFor } from '../ops/log.ts';
import { createMetrics, type Metrics } from '../ops/metrics.ts';
import { readDuplicates } from '../providers/local/strangers.ts';
import type { Log } from '../providers/provider.ts';
import type { Call } from './command.ts';
import { kubeChoice } from './connect.ts';

const DRAIN_SECONDS = 30;
/** The next agent's forwarder has taken the sockets by then, or does not; a stop that is asked for meanwhile waits for it. */
const PASS_MS = 15_000;
/** Sockets are closed as soon as it is asked for. */
const CLOSE_MS = 1_000;
/** Within the state directory. */
const VIPS_DIR = 'vips';

/** What stays the same for as long as the process lives. */
interface Run {
  readonly call: Call;
  readonly api: KubeApi;
  readonly cluster: KubeDescription;
  readonly node: string | undefined;
  readonly group: string;
  readonly name: string;
  readonly stateDir: string | undefined;
  readonly log: Log;
  readonly stop: AbortSignal;
  readonly drainMs: number;
}

/** `forwarder`: the agent, until SIGTERM or SIGINT, with a drain at the end; or with `--cleanup` what one has left. @returns 0 */
export async function runForwarder(call: Call): Promise<number> {
  const { values } = call;
  if (values.cleanup) return cleanUp(call);
  const cluster = await describeKube(kubeChoice(values));
  const log = await createLog(logOptionsFor(values.logLevel ?? 'info', cluster.inCluster));
  const node = nodeOf(call);
  const stop = call.interrupted();
  const group = groupOf(call);
  const stateDir = await chooseStateDir(values.stateDir, group, log);
  const api = await connectKube(kubeChoice(values));
  const drainMs = Number(values.drainSeconds ?? DRAIN_SECONDS) * 1_000;
  const run = { call, api, cluster, node, group, name: nameAgent(call, node), stateDir, log, stop, drainMs };
  if (values.startedFile !== undefined) await rm(values.startedFile, { force: true }); // of a container before this one
  try {
    while ((await serve(run)) === 'bereft') {
      log.warn({}, 'the agent that took the place of this one is gone; this one goes on');
    }
    log.info({}, 'stopped');
  } finally {
    await api.close();
  }
  return 0;
}

/** @returns `bereft`: another agent took the place of this one, and is gone */
async function serve(run: Run): Promise<'stopped' | 'bereft'> {
  const { call, cluster, name, node, stateDir, log, stop, drainMs } = run;
  const { http: asked } = call.values;
  const places = stateDir === undefined ? undefined : meetingPlaces(stateDir, name);
  const predecessor = places && (await succeed(places.agent, call.values.localDatapath !== 'kube-proxy', log));
  const passed = Promise.withResolvers<void>();
  const handover = places && { path: places.forwarder, onSucceeded: passed.resolve };
  const agent = await makeAgent(run, handover, predecessor);
  const metrics = await createMetrics(asked !== undefined && asked !== 'off', { version: call.version, node: process.version });
  measure(metrics, agent);
  const unready = () => sayUnready(agent.state(), stop);
  const http = serveHttpSoon(asked === 'off' ? undefined : asked, { metrics, unhealthy: () => undefined, unready }, log);
  const succession = places && (await Succession.open(places.agent, log));
  log.info({ agent: name, node, server: cluster.server, stateDir }, 'forwarder agent');
  try {
    await agent.start();
    await noteStarted(run);
    const end = await Promise.race([aborted(stop), http.failed, ...(succession ? [succession.asked] : [])]);
    if (end !== 'stopped') return await makeWay(agent, end, passed.promise, http, run);
    log.info({}, 'stopping');
    succession?.close();
    await agent.stop(drainMs);
    return 'stopped';
  } finally {
    succession?.close();
    await http.close();
  }
}

/** Who waits for the file waits in vain where it cannot be written, which is no reason not to serve. */
async function noteStarted({ call, log }: Run): Promise<void> {
  const { startedFile: path } = call.values;
  if (path === undefined) return;
  await writeFile(path, '').catch((thrown: unknown) => {
    log.warn({ path, error: explain(thrown) }, 'the file of --started-file cannot be written');
  });
}

async function makeAgent(
  { call, api, cluster, name, node, group, stateDir, log }: Run,
  handover: Parameters<typeof chooseForwarder>[2],
  predecessor: Predecessor | undefined,
): Promise<Agent> {
  const inCluster = cluster.inCluster && cluster.namespace !== '' ? cluster.namespace : undefined;
  const remembered = await recall(stateDir, log, deliveryOf(call));
  return new Agent({
    api,
    name,
    ...(node === undefined ? {} : { node }),
    namespace: call.values.localAgentsNamespace ?? inCluster ?? DEFAULT_NAMESPACE,
    group,
    identity: await readIdentity(stateDir),
    ...(stateDir === undefined ? {} : { stateDir }),
    ...(remembered === undefined ? {} : { remembered }),
    ...(predecessor === undefined ? {} : { free: predecessor.free }),
    ...forwarderOf(call, node, group, handover, log),
    ...vipsOf(call, stateDir, log),
    readAddresses,
    readDuplicates,
    log,
  });
}

/** Whoever runs both agents, such as a DaemonSet, ends this process; until then it is there in case the other one dies. */
async function makeWay(
  agent: Agent,
  successor: Successor,
  passed: Promise<void>,
  http: LateHttp,
  { stop, drainMs, log }: Run,
): Promise<'stopped' | 'bereft'> {
  log.info({}, 'another agent takes the place of this one');
  await Promise.all([agent.handOver(), http.close()]);
  successor.yield();
  const end = Promise.race([aborted(stop), successor.lost.then(() => 'bereft' as const)]);
  const letGo = async () => {
    const limit = sleep(successor.takes ? PASS_MS : 0, 'late' as const, { ref: false });
    const nobody = Promise.all([successor.lost, aborted(stop)]); // else this one may go on, and takes all back
    const isLate = (await Promise.race([passed, limit, nobody])) !== undefined;
    const closing = agent.stop(drainMs);
    if (isLate) await Promise.race([closing, sleep(CLOSE_MS, undefined, { ref: false })]);
    successor.free();
    await closing;
  };
  const gone = letGo();
  if ((await end) === 'bereft') return 'bereft';
  await gone;
  return 'stopped';
}

function aborted(stop: AbortSignal): Promise<'stopped'> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve('stopped');
    stop.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
}

function groupOf({ values }: Call): string {
  return agentGroup(values.loadBalancerClass ?? OUR_CLASS);
}

function deliveryOf({ values }: Call): AgentOptions['delivery'] {
  return values.localDatapath === 'kube-proxy' ? 'kube-proxy' : undefined;
}

/** @throws {UsageError} for kube-proxy where there is none */
function forwarderOf(
  { values }: Call,
  node: string | undefined,
  group: string,
  handover: Parameters<typeof chooseForwarder>[2],
  log: Log,
): Pick<AgentOptions, 'startForwarder' | 'delivery'> {
  const datapath = values.localDatapath ?? 'auto';
  if (datapath !== 'kube-proxy') return { startForwarder: chooseForwarder(datapath, group, handover) };
  if (node !== undefined) return { startForwarder: leaveToKubeProxy(group, log), delivery: datapath };
  const message =
    'is for agents on nodes, where kube-proxy runs: say which node with --node-name, or use another data path on an edge machine';
  throw new UsageError([{ where: '--local-datapath', value: datapath, message }]);
}

/** @throws {UsageError} for ids that are none, or nowhere to write down which addresses are ours */
function vipsOf({ values }: Call, stateDir: string | undefined, log: Log): { readonly startVips?: StartVips } {
  const ids = readIds(values.localVipIds ?? `${ALL_IDS.first}-${ALL_IDS.last}`);
  if (values.localVips !== true) return {};
  if (stateDir === undefined) {
    const message = 'needs a directory that can be written, for the record of which addresses on this machine are its own';
    throw new UsageError([{ where: '--state-dir', message }]);
  }
  const { localVipInterface: name, localVipHoldSeconds: seconds } = values;
  const own = {
    runDir: join(stateDir, VIPS_DIR),
    ids,
    ...(name === undefined ? {} : { interface: name }),
    ...(seconds === undefined ? {} : { holdMs: Number(seconds) * 1_000 }),
  };
  return { startVips: (options) => startVips({ ...options, ...own, log }) };
}

function readIds(text: string): IdRange {
  const [first = 0, last = 0] = text.split('-').map(Number);
  if (first >= 1 && first <= last && last <= ALL_IDS.last) return { first, last };
  throw new UsageError([
    { where: '--local-vip-ids', value: text, message: 'must be two numbers from 1 to 255, the lower one first' },
  ]);
}

/** A pod knows its node by the downward API, which charts put into NODE_NAME. */
function nodeOf({ values, env }: Call): string | undefined {
  if (values.edge && values.nodeName !== undefined) {
    throw new UsageError([{ where: '--edge', message: 'an edge machine is no node; leave out --node-name, or --edge' }]);
  }
  return values.edge ? undefined : (values.nodeName ?? (env['NODE_NAME'] || undefined));
}

function nameAgent({ values }: Call, node: string | undefined): string {
  const name = agentName(values.agentName ?? node ?? hostname());
  if (name !== '') return name;
  throw new UsageError([
    {
      where: '--agent-name',
      message: `the host name ${JSON.stringify(hostname())} cannot be a part of an object's name; give the agent a name`,
    },
  ]);
}

function sayUnready({ hasRules, problem }: AgentState, stop: AbortSignal): string | undefined {
  if (stop.aborted) return 'stopping';
  if (problem !== undefined) return problem;
  return hasRules ? undefined : 'the controller has not said yet what to serve';
}

function measure(metrics: Metrics, agent: Agent): void {
  let told = 0;
  metrics.beforeRender(async () => {
    const accepted = await agent.connections();
    metrics.forwarderConnected(Math.max(0, accepted - told)); // a forwarder that was started anew counts from 0
    told = accepted;
    metrics.setAgent(agent.state());
    metrics.setTracked(readConntrackFill());
  });
}

async function cleanUp(call: Call): Promise<number> {
  const log = await createLog(logOptionsFor(call.values.logLevel ?? 'info', false));
  const stateDir = await chooseStateDir(call.values.stateDir, groupOf(call), log);
  const vips = stateDir === undefined ? [] : await cleanUpVips({ runDir: join(stateDir, VIPS_DIR), log });
  const ofAgent = await cleanUpDatapath(groupOf(call));
  const ofForward = (await cleanUpOrphans(FORWARD_TABLES)).map(
    (table) => `the nftables table ${table} of a forward that was killed`,
  );
  const removed = [...vips, ...ofAgent, ...ofForward, ...(await forget(stateDir))];
  for (const line of removed) call.out.write(`removed ${line}\n`);
  if (removed.length === 0) call.err.write('nothing was left on this machine\n');
  return 0;
}
