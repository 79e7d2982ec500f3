// Loaded into the controller by `--import`: measures how late its event loop is. On SIGUSR2 it writes what it has seen since
// the last time to BENCH_GAUGE_FILE and begins anew. Plain JavaScript, so that a bundle need not load a type stripper for it.
import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const file = process.env.BENCH_GAUGE_FILE;

if (file) {
  const RESOLUTION_MS = 5;
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let utilization = performance.eventLoopUtilization();
  process.on('SIGUSR2', () => {
    const since = performance.eventLoopUtilization(utilization);
    utilization = performance.eventLoopUtilization();
    const late = (q) => Math.max(0, delay.percentile(q) / 1e6 - RESOLUTION_MS);
    const seen = {
      p50Ms: late(50),
      p99Ms: late(99),
      mostMs: Math.max(0, delay.max / 1e6 - RESOLUTION_MS),
      utilization: since.utilization,
      heapUsedMB: process.memoryUsage().heapUsed / 1e6,
    };
    delay.reset();
    writeFileSync(`${file}.new`, JSON.stringify(seen));
    renameSync(`${file}.new`, file);
  });
}
