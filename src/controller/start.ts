import type { Config } from '../config/config.ts';
import { FIELD_MANAGER, type KubeApi, type Services } from '../kube/api.ts';
import { type EventRecorder, recordEvents } from '../kube/events.ts';
import type { Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import type { Log, Provider } from '../providers/provider.ts';
import { makeCarriers } from './carriers.ts';
import { claim, heldByClass, nameHolder } from './claim.ts';
import { decideClaims } from './claims.ts';
import type { Cluster } from './cluster.ts';
import { tellFailure } from './failures.ts';
import { followCluster, type Health } from './follow.ts';
import { claimOptions, describeInput, wantedBalancers } from './input.ts';
import { holds } from './intent.ts';
import { chooseLeadership } from './leadership.ts';
import { makeQueue, type Next } from './queue.ts';
import { type Desk, reconcile } from './reconcile.ts';
import { makeRetirement } from './retire.ts';
import { startRounds } from './rounds.ts';
import { isKeyIn } from './share.ts';
import { type Meter, makeTally, type Tally } from './tally.ts';
import { makeTerms } from './terms.ts';
import { makeTruce } from './truce.ts';
import { type EventSink, makeWriter, NotLeader, Stale } from './writer.ts';

export interface ControllerOptions {
  readonly api: KubeApi;
  readonly provider: Provider;
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Meter;
  readonly inCluster: boolean;
  /** Of the pod, in a cluster: where the leader's Lease is. */
  readonly namespace?: string;
}

export interface RunningController {
  /** Resolves when every Service that was there at the start has been looked at once. */
  readonly synced: Promise<void>;
  /** Never resolves while all is well; rejects when the controller cannot go on. */
  readonly done: Promise<void>;
  /** Why no work can be expected of it; undefined: it works, or stands by for the leader. */
  unready(): string | undefined;
  /** Whether every watch stands, and for how long that has been so. */
  watches(): Health;
  /** Ends writes, then the provider's forwarding: established connections may live on for `drainMs` (30 s). */
  stop(drainMs?: number): Promise<void>;
}

/** Balancers worked on at one time; the API server is asked for about as much at once. */
const WORKERS = 16;
const DRAIN_MS = 30_000;
/** The Lease was lost in the middle of a pass: time for the queue to be paused, which keeps the key until the Lease is held again. */
const LOST_MS = 1_000;
/** A write met a newer object: time for the watch to bring it, if it has not yet. */
const STALE_MS = 50;

/** Runs the controller: watches, and while it leads rebuilds what is held, opens the provider, and works off balancer keys. */
export async function startController(options: ControllerOptions): Promise<RunningController> {
  const { api, config, log, provider } = options;
  const followed = await followCluster(api, config, log);
  const { cluster, services } = followed;
  tellHeldElsewhere(services, config, log);
  const retirement = makeRetirement(log);
  const claims = { ...(await decideClaims(api, config, log)), retired: retirement.retired };
  const carriers = makeCarriers({ find: services.get, freed: (key) => queue.add(key) });
  const endpoints = provider.followsEndpoints ? followed.endpoints : undefined;
  const sources = { provider: provider.name, config, cluster, claims, carriers };
  const inputFor = describeInput(endpoints === undefined ? sources : { ...sources, endpoints });
  const leadership = chooseLeadership(options);
  const mayWrite = (): boolean => !config.dryRun && leadership.holds();
  const recorder = config.dryRun ? undefined : recordFor(options, () => queue.calm(), mayWrite);
  const events = recorder ? whileLeading(logWarnings(recorder, log), mayWrite) : logEvents(log);
  const isOurs = (service: Service): boolean => claim(service, claimOptions(config, claims)).kind === 'ours';
  if ([...services.all()].some((service) => service.externalTrafficPolicy === 'Local' && isOurs(service))) {
    await endpoints?.begin(); // lest every node becomes a target first
  }
  const tally = makeTally(options.metrics, services, provider, isOurs);
  const writer = makeWriter({ api, services, events, now: Date.now, mayWrite });
  const desk = layDesk(options, {
    ...tally,
    writer,
    mayWrite,
    inputFor,
    surroundings: cluster.surroundings,
    carriers,
    truce: makeTruce(Date.now),
  });
  const queue = makeQueue({
    workers: WORKERS,
    work: async (key) => (isKeyIn(key, config.namespaces) ? await pass(key, desk, tally) : {}),
    failed: (key, thrown, attempt, retryMs) =>
      tellFailure({ key, waiting: carriers.waitingFor(key), thrown, attempt, retryMs }, desk, log),
    meter: options.metrics.queue,
  });
  const addKeys = (keys: readonly string[]): void => keys.forEach(queue.add);
  const nodes = (): void => {
    tellNodes(cluster, events, log);
    addKeys(cluster.keys());
  };
  const terms = makeTerms({
    provider,
    describeStart: () => ({
      balancers: wantedBalancers(cluster, inputFor),
      surroundings: {
        ...cluster.surroundings,
        leaves: (uid: string) => leaves(cluster.serviceOf(uid), isOurs),
        wants: (uid: string) => wants(cluster.serviceOf(uid), isOurs),
        retired: retirement.retired,
      },
      changed: queue.add,
      mayWrite,
    }),
    carriers,
    queue,
    addAll: nodes,
    log,
  });
  const reservations = (): void => addKeys(cluster.keysTouched(services.all()));
  followed.tell({ keys: addKeys, nodes, reservations, gone: writer.forget });
  const rounds = startRounds({
    claims,
    cluster,
    services,
    writer,
    provider: () => (terms.opened() ? provider : undefined),
    add: addKeys,
    log,
  });
  const renewed = (lease: unknown): void => {
    if (retirement.seen(lease)) addKeys(cluster.keys());
  };
  const done = Promise.race([leadership.run({ ...terms, renewed }), terms.begun.then(() => new Promise<void>(() => {}))]);
  done.catch(() => {}); // whoever holds the controller awaits `done`; an early failure must not be unhandled
  const synced = terms.begun.then(() => queue.idle());
  synced.catch(() => {});
  return {
    synced,
    done,
    unready: () => sayUnready(followed.healthy(), terms.beginning()),
    watches: followed.healthy,
    async stop(drainMs = DRAIN_MS) {
      rounds.stop();
      await terms.end();
      await Promise.all([followed.stop(), queue.pause()]);
      await recorder?.flush();
      await leadership.release();
      await provider.close(drainMs);
    },
  };
}

/** Whether a Service that we hold wants nothing any more. */
function leaves(service: Service | undefined, isOurs: (service: Service) => boolean): boolean {
  return service !== undefined && holds(service) && !isOurs(service);
}

/** Whether the Service shall have a balancer of ours, whichever. */
function wants(service: Service | undefined, isOurs: (service: Service) => boolean): boolean {
  return service !== undefined && isOurs(service);
}

function layDesk(
  { provider, config, log }: ControllerOptions,
  parts: Omit<Desk<unknown>, 'provider' | 'holder' | 'dryRun' | 'now' | 'stepping'>,
): Desk<unknown> {
  return {
    ...parts,
    provider,
    holder: nameHolder(provider.name, config.clusterName, config.loadBalancerClass),
    dryRun: config.dryRun,
    now: Date.now,
    stepping: (key, step) =>
      log.info({ balancer: key, step: step.kind, reason: step.reason }, config.dryRun ? `would: ${step.summary}` : step.summary),
  };
}

/** A watch that the server has ended, or that a rolling API server has cut, stands again in seconds. */
const APART_MS = 15_000;

function sayUnready({ connected, sinceMs }: Health, beginning: boolean): string | undefined {
  if (beginning) return 'it leads, and has not read yet what the provider has';
  if (connected || sinceMs < APART_MS) return undefined;
  return `nothing has been heard from the API server for ${Math.round(sinceMs / 1000)} s`;
}

async function pass(key: string, desk: Desk<unknown>, tally: Tally): Promise<Next> {
  const began = performance.now();
  try {
    return await reconcile(key, desk);
  } catch (thrown) {
    if (thrown instanceof Stale) return { afterMs: STALE_MS };
    if (thrown instanceof NotLeader || !(desk.dryRun || desk.mayWrite())) return { afterMs: LOST_MS };
    throw thrown;
  } finally {
    tally.reconciled((performance.now() - began) / 1000);
  }
}

/** Statuses go before events: a burst of them, too. */
function recordFor({ api, log }: ControllerOptions, turn: () => Promise<void>, may: () => boolean): EventRecorder {
  return recordEvents({ api, component: FIELD_MANAGER, now: Date.now, log, turn, may });
}

/** Who does not lead writes no events either: another tells the same. */
function whileLeading(events: EventSink, mayWrite: () => boolean): EventSink {
  return {
    tell: (...told) => {
      if (mayWrite()) events.tell(...told);
    },
  };
}

/** Who reads the log and not the events shall see there, too, what is wrong with which Service. */
function logWarnings(events: EventSink, log: Log): EventSink {
  return {
    tell(about, type, reason, message) {
      if (type === 'Warning') log.warn({ [about.kind]: about.namespace === '' ? about.name : nameOf(about), reason }, message);
      events.tell(about, type, reason, message);
    },
  };
}

/** In a dry run nothing is written, so what would be events is logged. */
function logEvents(log: Log): EventSink {
  return { tell: (about, _type, reason, message) => log.info({ [about.kind]: about.name, reason }, message) };
}

/** Normal where controllers of several classes run; what is left of one that ran under another class must not hang unexplained. */
function tellHeldElsewhere(services: Services, { loadBalancerClass }: Config, log: Log): void {
  const names = [...services.all()].filter((s) => (heldByClass(s) ?? loadBalancerClass) !== loadBalancerClass).map(nameOf);
  if (names.length === 0) return;
  const cure =
    'if none runs, start one with that --load-balancer-class, or let go with `nodeport-lb gc --release NAMESPACE/NAME`';
  log.info(
    { services: names.slice(0, 10), count: names.length },
    `held by a controller of another class, and left alone; ${cure}`,
  );
}

/** Says what is odd about the nodes: an event about each that is of no use, and one line when control-plane nodes are used. */
function tellNodes(cluster: Cluster, events: EventSink, log: Log): void {
  const { nodes, skipped, misread, controlPlaneOnly } = cluster.targets();
  for (const [name, bad] of misread) {
    const uid = cluster.nodeNamed(name)?.uid;
    if (uid === undefined) continue;
    const message = `nodeport-lb.io/node-port-map: ${bad} is neither NODEPORT=ADDRESS:PORT nor *=ADDRESS, and is passed over`;
    events.tell({ kind: 'Node', namespace: '', name, uid }, 'Warning', 'AnnotationIgnored', message);
  }
  for (const { node, uid, why } of skipped.filter((s) => s.faulty)) {
    events.tell({ kind: 'Node', namespace: '', name: node, uid }, 'Warning', 'NodeSkipped', `Not a load balancer target: ${why}`);
  }
  const left = skipped.map((s) => `${s.node}: ${s.why}`);
  log.info({ targets: nodes.length, ...(left.length > 0 ? { skipped: left.slice(0, 10) } : {}) }, 'nodes');
  if (!controlPlaneOnly) return;
  const why = 'Every node is a control-plane node that its label excludes from load balancers; they are used nevertheless';
  log.warn({}, why);
  for (const node of cluster.targetNodes()) {
    events.tell({ kind: 'Node', namespace: '', name: node.name, uid: node.uid }, 'Normal', 'ControlPlaneNodesUsed', why);
  }
}
