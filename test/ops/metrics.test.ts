import { expect, test } from '@jest/globals';
import { createMetrics, noMetrics } from '../../src/ops/metrics.ts';

const build = { version: '1.2.3', node: 'v24.0.0' };

async function valuesOf(text: Promise<{ text: string }>): Promise<Record<string, number>> {
  const lines = (await text).text.split('\n').filter((line) => line !== '' && !line.startsWith('#') && !line.includes('_bucket'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('every metric of the contract, under its name', async () => {
  const metrics = await createMetrics(true, build);
  metrics.setServices([{ state: 'pending', reason: 'PoolExhausted', count: 9 }]);
  metrics.setServices([
    { state: 'ready', reason: 'Ready', count: 3 },
    { state: 'ready', reason: 'Degraded', count: 1 },
  ]);
  metrics.reconciled(0.25);
  metrics.providerRequested('open-listener', 'ok');
  metrics.setTargets({ healthy: 5, unhealthy: 1, unknown: 0, draining: 0 });
  metrics.forwarderConnected(7);
  metrics.queue.depth(2);
  metrics.queue.added();
  metrics.queue.waited(0.5);
  metrics.queue.worked(0.75);
  metrics.queue.retried();
  expect(await valuesOf(metrics.render())).toEqual({
    'nodeport_lb_services{state="ready",reason="Ready"}': 3,
    'nodeport_lb_services{state="ready",reason="Degraded"}': 1,
    nodeport_lb_reconcile_duration_seconds_sum: 0.25,
    nodeport_lb_reconcile_duration_seconds_count: 1,
    'nodeport_lb_provider_requests_total{action="open-listener",code="ok"}': 1,
    'nodeport_lb_targets{health="healthy"}': 5,
    'nodeport_lb_targets{health="unhealthy"}': 1,
    'nodeport_lb_targets{health="unknown"}': 0,
    'nodeport_lb_targets{health="draining"}': 0,
    nodeport_lb_forwarder_connections_total: 7,
    'nodeport_lb_build_info{version="1.2.3",node="v24.0.0"}': 1,
    'workqueue_depth{name="balancers"}': 2,
    'workqueue_adds_total{name="balancers"}': 1,
    'workqueue_retries_total{name="balancers"}': 1,
    'workqueue_queue_duration_seconds_sum{name="balancers"}': 0.5,
    'workqueue_queue_duration_seconds_count{name="balancers"}': 1,
    'workqueue_work_duration_seconds_sum{name="balancers"}': 0.75,
    'workqueue_work_duration_seconds_count{name="balancers"}': 1,
  });
});

test('of the connections that the kernel tracks, only where it does', async () => {
  const metrics = await createMetrics(true, build);
  metrics.setTracked(undefined);
  expect(await valuesOf(metrics.render())).not.toHaveProperty('nodeport_lb_conntrack_limit');
  metrics.setTracked({ entries: 9, limit: 10 });
  metrics.setTracked({ entries: 8, limit: 10 });
  expect(await valuesOf(metrics.render())).toMatchObject({ nodeport_lb_conntrack_entries: 8, nodeport_lb_conntrack_limit: 10 });
});

test('two registries do not know each other', async () => {
  const [a, b] = await Promise.all([createMetrics(true, build), createMetrics(true, build)]);
  a.forwarderConnected(1);
  expect((await valuesOf(b.render()))['nodeport_lb_forwarder_connections_total']).toBe(0);
});

test('off, nothing is counted and nothing is loaded', async () => {
  const metrics = await createMetrics(false, build);
  expect(metrics).toBe(noMetrics);
  metrics.queue.depth(1);
  expect((await metrics.render()).text).toBe('');
});
