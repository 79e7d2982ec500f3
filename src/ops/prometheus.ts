import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics, QueueMetrics } from './metrics.ts';

/** 1 ms to 32 s, doubling: a pass takes milliseconds, one that waits for a cloud takes seconds. */
const PASS_SECONDS = Array.from({ length: 16 }, (_, i) => 0.001 * 2 ** i);
/** client-go's: 10 ns to 10 s, times ten. @see https://pkg.go.dev/k8s.io/component-base/metrics/prometheus/workqueue */
const QUEUE_SECONDS = Array.from({ length: 10 }, (_, i) => 10 ** (i - 8));
const HEALTH = ['healthy', 'unhealthy', 'unknown', 'draining'] as const;

/** Counts for Prometheus, in a registry of its own. */
export function createPrometheus(build: { readonly version: string; readonly node: string }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const refreshers: (() => void | Promise<void>)[] = [];
  const services = new Gauge({
    name: 'nodeport_lb_services',
    help: 'Services that are ours, by state and reason code.',
    labelNames: ['state', 'reason'],
    registers,
  });
  const passes = new Histogram({
    name: 'nodeport_lb_reconcile_duration_seconds',
    help: 'Duration of one pass over one balancer.',
    buckets: PASS_SECONDS,
    registers,
  });
  const requests = new Counter({
    name: 'nodeport_lb_provider_requests_total',
    help: 'Steps that the provider applied, by kind and outcome.',
    labelNames: ['action', 'code'],
    registers,
  });
  const targets = new Gauge({
    name: 'nodeport_lb_targets',
    help: 'Targets of all balancers, by health.',
    labelNames: ['health'],
    registers,
  });
  const connections = new Counter({
    name: 'nodeport_lb_forwarder_connections_total',
    help: 'Connections that the forwarder has accepted.',
    registers,
  });
  const setAgent = createAgentMetrics(registers);
  const setTracked = createTrackedMetrics(registers);
  new Gauge({ name: 'nodeport_lb_build_info', help: 'Always 1.', labelNames: ['version', 'node'], registers }).set(build, 1);
  return {
    setServices(counts) {
      services.reset();
      for (const { state, reason, count } of counts) services.inc({ state, reason }, count);
    },
    reconciled: (seconds) => passes.observe(seconds),
    providerRequested: (action, code) => requests.inc({ action, code }),
    setTargets(counts) {
      for (const health of HEALTH) targets.set({ health }, counts[health]);
    },
    forwarderConnected: (count) => connections.inc(count),
    setAgent,
    setTracked,
    queue: createQueueMetrics(registers),
    beforeRender: (refresh) => void refreshers.push(refresh),
    async render() {
      await Promise.all(refreshers.map((refresh) => refresh()));
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** One queue only, so the `name` that client-go's dashboards group by is fixed. */
function createQueueMetrics(registers: Registry[]): QueueMetrics {
  const labelNames = ['name'];
  const name = 'balancers';
  const depth = new Gauge({ name: 'workqueue_depth', help: 'Keys that wait.', labelNames, registers }).labels({ name });
  const adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys added.', labelNames, registers }).labels({ name });
  const retries = new Counter({
    name: 'workqueue_retries_total',
    help: 'Keys tried again after a failure.',
    labelNames,
    registers,
  }).labels({ name });
  const waits = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'How long a key waited for a worker.',
    labelNames,
    buckets: QUEUE_SECONDS,
    registers,
  }).labels({ name });
  const work = new Histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'How long a worker had a key.',
    labelNames,
    buckets: QUEUE_SECONDS,
    registers,
  }).labels({ name });
  return {
    depth: (keys) => depth.set(keys),
    added: () => adds.inc(),
    waited: (seconds) => waits.observe(seconds),
    worked: (seconds) => work.observe(seconds),
    retried: () => retries.inc(),
  };
}

/** Made when an agent first tells of itself: a controller has none of them. */
function createAgentMetrics(registers: Registry[]): Metrics['setAgent'] {
  const make = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers });
  let gauges: Record<'listeners' | 'current' | 'present', Gauge> | undefined;
  return ({ listeners, failed, isCurrent, isPresent }) => {
    gauges ??= {
      listeners: make('nodeport_lb_agent_listeners', 'Listeners of this forwarder agent, by state.', ['state']),
      current: make(
        'nodeport_lb_agent_current',
        '1 while the rules are those of the cluster, 0 while they are those of the last run.',
      ),
      present: make('nodeport_lb_agent_present', '1 while the Lease of this forwarder agent is renewed.'),
    };
    gauges.listeners.set({ state: 'served' }, listeners - failed);
    gauges.listeners.set({ state: 'failed' }, failed);
    gauges.current.set(isCurrent ? 1 : 0);
    gauges.present.set(isPresent ? 1 : 0);
  };
}

/** Made when a machine first tracks connections. When the table is full the kernel drops new ones. */
function createTrackedMetrics(registers: Registry[]): Metrics['setTracked'] {
  let gauges: Record<'entries' | 'limit', Gauge> | undefined;
  return (tracked) => {
    if (!tracked) return;
    gauges ??= {
      entries: new Gauge({
        name: 'nodeport_lb_conntrack_entries',
        help: 'Connections that the kernel of this machine tracks, ours and others.',
        registers,
      }),
      limit: new Gauge({
        name: 'nodeport_lb_conntrack_limit',
        help: 'Connections that the kernel has room for; beyond that it drops new ones.',
        registers,
      }),
    };
    gauges.entries.set(tracked.entries);
    gauges.limit.set(tracked.limit);
  };
}
