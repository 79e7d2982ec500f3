/** What the program counts. Every label's values come from fixed sets of ours or from the API, never from a client. */
export interface Metrics {
  /** Replaces `nodeport_lb_services`: how many Services are in each state (`ready`, `pending`) for each reason code. */
  setServices(counts: readonly { readonly state: 'ready' | 'pending'; readonly reason: string; readonly count: number }[]): void;
  /** One pass over one balancer. */
  reconciled(seconds: number): void;
  /** One call of the provider's `apply`. `action`: the step's kind; `code`: `ok` or an error code. */
  providerRequested(action: string, code: string): void;
  /** Replaces `nodeport_lb_targets`. */
  setTargets(counts: Readonly<Record<'healthy' | 'unhealthy' | 'unknown' | 'draining', number>>): void;
  /** Connections that the forwarder has accepted since the last call. */
  forwarderConnected(connections: number): void;
  /** Replaces `nodeport_lb_agent_listeners` and what else tells how a forwarder agent is. */
  setAgent(state: {
    readonly listeners: number;
    readonly failed: number;
    readonly isCurrent: boolean;
    readonly isPresent: boolean;
  }): void;
  /** Replaces the gauges of the connections that the kernel tracks; undefined: it tracks none. */
  setTracked(tracked: { readonly entries: number; readonly limit: number } | undefined): void;
  readonly queue: QueueMetrics;
  /** Calls `refresh` before each page, for what is dear to keep true all the time. */
  beforeRender(refresh: () => void | Promise<void>): void;
  /** The page for Prometheus, and its content type. */
  render(): Promise<{ readonly type: string; readonly text: string }>;
}

/** As client-go's workqueue names them. @see https://pkg.go.dev/k8s.io/component-base/metrics/prometheus/workqueue */
export interface QueueMetrics {
  depth(keys: number): void;
  added(): void;
  /** How long a key waited before a worker took it. */
  waited(seconds: number): void;
  /** How long a worker had the key. */
  worked(seconds: number): void;
  retried(): void;
}

/** Counts nothing: what runs without `--http`, where nobody could ask. */
export const noMetrics: Metrics = {
  setServices() {},
  reconciled() {},
  providerRequested() {},
  setTargets() {},
  forwarderConnected() {},
  setAgent() {},
  setTracked() {},
  queue: { depth() {}, added() {}, waited() {}, worked() {}, retried() {} },
  beforeRender() {},
  render: async () => ({ type: 'text/plain; charset=utf-8', text: '' }),
};

/**
 * Counts for Prometheus when `on`, else nothing. prom-client is loaded only then.
 * @param build shown by `nodeport_lb_build_info`
 */
export async function createMetrics(on: boolean, build: { readonly version: string; readonly node: string }): Promise<Metrics> {
  if (!on) return noMetrics;
  const { createPrometheus } = await import('./prometheus.ts');
  return createPrometheus(build);
}
