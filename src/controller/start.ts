import type { Config } from '../config/config.ts';
import { explain } from '../errors.ts';
import { FIELD_MANAGER, type KubeApi } from '../kube/api.ts';
import { recordEvents } from '../kube/events.ts';
import { type Node, readNode, readService, type Service } from '../kube/objects.ts';
import { watchObjects } from '../kube/watch.ts';
import type { Balancer } from '../model.ts';
import type { Log, Provider } from '../providers/provider.ts';
import { decideClaims } from './claims.ts';
import { type Cluster, makeCluster } from './cluster.ts';
import { decideIntent, type IntentInput } from './intent.ts';
import { chooseLeadership } from './leadership.ts';
import { makeQueue, type Next, type Queue } from './queue.ts';
import { type Desk, reconcile } from './reconcile.ts';
import { type Meter, makeTally } from './tally.ts';
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
  /** Ends writes, then the provider's forwarding: established connections may live on for `drainMs` (30 s). */
  stop(drainMs?: number): Promise<void>;
}

/** Balancers worked on at one time; the API server is asked for about as much at once. */
const WORKERS = 16;
/** How often provider and cluster are compared as a whole, with up to a fifth more by chance. */
const SWEEP_MS = 600_000;
const DRAIN_MS = 30_000;
/** A write met a newer object: time for the watch to bring it, if it has not yet. */
const STALE_MS = 50;

/** Runs the controller: watches, rebuilds what is held, opens the provider, and works off balancer keys while it leads. */
export async function startController(options: ControllerOptions): Promise<RunningController> {
  const { api, config, log, provider } = options;
  let opened = false;
  let addKeys: (keys: readonly string[]) => void = () => {};
  const cluster: Cluster = makeCluster({
    shareAcrossNamespaces: config.shareAcrossNamespaces,
    addressTypes: config.nodeAddressTypes,
    find: (name) => services.get(name),
  });
  const services = watchObjects<Service>({
    api,
    list: 'listServices',
    watch: 'watchServices',
    namespaces: config.namespaces,
    read: readService,
    changed: (before, after) => addKeys(cluster.serviceChanged(before, after)),
    log,
  });
  const nodes = watchObjects<Node>({
    api,
    list: 'listNodes',
    watch: 'watchNodes',
    namespaces: [],
    read: readNode,
    changed: () => opened && nodesChanged(),
    log,
  });
  await Promise.all([services.synced, nodes.synced]);
  cluster.refreshNodes(nodes.all());
  const claims = await decideClaims(api, config, log);

  const inputFor = (key: string): IntentInput => ({
    key,
    members: cluster.membersOf(key),
    provider: provider.name,
    claims: { loadBalancerClass: config.loadBalancerClass, claimUnset: claims.unset() },
    nodesFor: cluster.nodesFor,
  });
  const recorder = config.dryRun ? undefined : recordEvents({ api, component: FIELD_MANAGER, now: Date.now, log });
  const events: EventSink = recorder ?? {
    tell: (about, _type, reason, message) => log.info({ about: about.name, reason }, message),
  };
  const leadership = chooseLeadership(options);
  const tally = makeTally(options.metrics, services);
  const desk: Desk<unknown> = {
    provider,
    writer: makeWriter({ api, services, events, now: Date.now, mayWrite: () => !config.dryRun && leadership.holds() }),
    surroundings: cluster.surroundings,
    holder: `${provider.name}/${config.clusterName}`,
    dryRun: config.dryRun,
    inputFor,
    now: Date.now,
    stepping: (key, step) => log.info({ balancer: key, step: step.kind, reason: step.reason }, step.summary),
    passed: tally.passed,
  };
  const queue: Queue = makeQueue({
    workers: WORKERS,
    work: (key) => pass(key, desk, tally.reconciled),
    failed: (key, thrown, attempt, retryMs) => reportFailure(key, thrown, attempt, retryMs),
    meter: options.metrics.queue,
  });

  function reportFailure(key: string, thrown: unknown, attempt: number, retryMs: number): void {
    log.warn(
      { balancer: key, attempt, retryMs: Math.round(retryMs), error: explain(thrown) },
      'a balancer could not be brought to what is wanted; it is tried again',
    );
    for (const service of cluster.membersOf(key)) {
      if (decideIntent(inputFor(key)).served.includes(service))
        desk.writer.sayNotReady(service, { code: 'SyncFailed', message: explain(thrown) });
    }
  }

  function nodesChanged(): void {
    if (!cluster.refreshNodes(nodes.all())) return;
    tellNodes(cluster, events, log);
    addKeys(cluster.keys());
  }

  await provider.open({
    balancers: wantedBalancers(cluster, inputFor),
    surroundings: cluster.surroundings,
    changed: (key) => queue.add(key),
  });
  opened = true;
  addKeys = (keys) => keys.forEach(queue.add);
  tellNodes(cluster, events, log);
  const sweep = async (): Promise<void> => {
    if (await claims.refresh()) addKeys(cluster.keys());
    const known = new Set(cluster.keys());
    addKeys((await provider.keys()).filter((key) => !known.has(key)));
  };
  addKeys([...cluster.keys(), ...(await provider.keys())]);
  const sweeping = setInterval(
    () =>
      void sweep().catch((thrown) =>
        log.warn({ error: explain(thrown) }, 'provider and cluster could not be compared; tried again later'),
      ),
    SWEEP_MS * (1 + Math.random() / 5),
  );
  const done = leadership.run({ gained: () => queue.start(), lost: () => queue.pause() });
  done.catch(() => {}); // whoever holds the controller awaits `done`; an early failure must not be unhandled

  return {
    synced: leadership.first.then(() => queue.idle()),
    done,
    async stop(drainMs = DRAIN_MS) {
      clearInterval(sweeping);
      addKeys = () => {};
      await Promise.all([services.stop(), nodes.stop(), queue.pause()]);
      tally.stop();
      await recorder?.flush();
      await leadership.release();
      await provider.close(drainMs);
    },
  };
}

async function pass(key: string, desk: Desk<unknown>, reconciled: (seconds: number) => void): Promise<Next> {
  const began = performance.now();
  try {
    return await reconcile(key, desk);
  } catch (thrown) {
    if (thrown instanceof Stale) return { afterMs: STALE_MS };
    if (thrown instanceof NotLeader) return {}; // every key is looked at again once the Lease is held
    throw thrown;
  } finally {
    reconciled((performance.now() - began) / 1000);
  }
}

/** Oldest first, so that older Services keep what younger ones ask for too. */
function wantedBalancers(cluster: Cluster, inputFor: (key: string) => IntentInput): readonly Balancer[] {
  const wanted = cluster.keys().flatMap((key) => decideIntent(inputFor(key)).wanted ?? []);
  return wanted.sort((a, b) => (a.members[0]!.createdAt < b.members[0]!.createdAt ? -1 : 1));
}

/** Says once what is odd about the nodes: an event about each that is of no use, and one when control-plane nodes are used. */
function tellNodes(cluster: Cluster, events: EventSink, log: Log): void {
  const { nodes, skipped, controlPlaneOnly } = cluster.targets();
  for (const { node, uid, why } of skipped.filter((s) => s.faulty)) {
    events.tell({ kind: 'Node', namespace: '', name: node, uid }, 'Warning', 'NodeSkipped', `Not a load balancer target: ${why}`);
  }
  const left = skipped.map((s) => `${s.node}: ${s.why}`);
  log.info({ targets: nodes.length, ...(left.length > 0 ? { skipped: left.slice(0, 10) } : {}) }, 'nodes');
  if (controlPlaneOnly)
    log.warn({}, 'every node is a control-plane node excluded from load balancers by its label; they are used nevertheless');
}
