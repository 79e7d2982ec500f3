import type { Balancer, Report, Step } from '../../src/model.ts';
import type { Provider } from '../../src/providers/provider.ts';
import { nothingReserved } from './builders.ts';

/** How often a pass may be repeated, and how long a step or a report may wait on a busy machine. */
const PASSES = 10;
const REPORT_MS = 60_000;
const PAUSE_MS = 5;

/** Passes as the controller makes them, until nothing is left to do. */
export async function pass(
  provider: Provider,
  key: string,
  wanted: Balancer | undefined,
  apply = (step: Step) => provider.apply(step),
): Promise<void> {
  const deadline = Date.now() + REPORT_MS;
  for (let passes = 0; passes < PASSES; ) {
    const steps = provider.plan(wanted, await provider.observe(key), Date.now());
    if (steps.length === 0) return;
    const until = steps.findIndex((step) => step.waitsFor !== undefined);
    for (const step of until < 0 ? steps : steps.slice(0, until)) await apply(step);
    const waits = until === 0 && Date.now() < deadline;
    if (waits) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    else passes += 1;
  }
  throw new Error(`the plan of ${key} is not empty after ${PASSES} passes`);
}

/** Adjusts, passes, and waits until the report is settled. @returns what was wanted, as adjusted */
export async function want(provider: Provider, wish: Balancer, apply?: (step: Step) => Promise<void>): Promise<Balancer> {
  const wanted = provider.adjust(wish, nothingReserved);
  await pass(provider, wanted.key, wanted, apply);
  await reportWhen(provider, wanted.key, (report) => report.settled);
  return wanted;
}

/** Takes everything away, and waits until nothing is left. */
export async function drop(provider: Provider, key: string): Promise<void> {
  await pass(provider, key, undefined);
  await reportWhen(provider, key, (report) => report.gone);
}

export async function reportOf(provider: Provider, key: string): Promise<Report> {
  return provider.report(await provider.observe(key));
}

/** The first report of which this is true. */
export async function reportWhen(provider: Provider, key: string, isReached: (report: Report) => boolean): Promise<Report> {
  const deadline = Date.now() + REPORT_MS;
  for (;;) {
    const report = await reportOf(provider, key);
    if (isReached(report)) return report;
    if (Date.now() > deadline) throw new Error(`the report of ${key} stays ${JSON.stringify(report)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
