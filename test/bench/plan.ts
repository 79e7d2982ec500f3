import type { Ground } from './ground.ts';
import type { LoopDelay, ProcessUsage } from './product.ts';

/** What the worker is to do, and what it found: plain data between two processes. */
export interface Plan {
  readonly ground: Ground;
  readonly services: number;
  readonly nodes: number;
  readonly repeat: number;
  readonly quietSeconds: number;
  /** Until memory is measured as idle: start-up garbage has been collected by then or never will be. */
  readonly idleMs: number;
  /** Services created one after the other. */
  readonly singles: number;
  /** One more run from dist/, which has been built. */
  readonly bundle: boolean;
  /** Directory for CPU profiles. */
  readonly profile?: string | undefined;
}

export interface Outcome {
  readonly nodes: number;
  readonly bursts: readonly Burst[];
  /** The same from dist/. */
  readonly bundle?: Burst;
  readonly singles: Singles;
  /** From asking for one more node to every balancer having it, ms. */
  readonly nodeAdded: readonly number[];
  readonly quiet: Quiet;
}

/** Counts of writes by verb and resource. */
export type Writes = Readonly<Record<string, number>>;

/** Creating the Services with no controller running. */
export interface Bare {
  readonly baselineMs: number;
  readonly serverCpuSeconds: number;
  /** The same while one status patch follows on each, by the benchmark's client: what no controller on this machine could do better. */
  readonly floorMs: number;
  /** The same with two, as where a provider makes what outlives the controller, and so the finalizer goes first. */
  readonly twoPatchesMs: number;
}

/** Creating them while the controller runs. */
export interface Burst {
  readonly createMs: number;
  /** From the first creation to the last address. */
  readonly totalMs: number;
  /** From the last creation's answer to the last address. */
  readonly tailMs: number;
  readonly deleteMs: number;
  /** From the first creation to the last address, API server and etcd. */
  readonly serverCpuSeconds: number;
  readonly writes: Writes;
  readonly idle: ProcessUsage;
  readonly after: ProcessUsage;
  readonly loop: LoopDelay;
  readonly complaints: readonly string[];
  /** Measured just before; undefined for the bundle. */
  readonly bare?: Bare;
}

export interface Singles {
  /** For each Service the time from its creation's answer to its address. */
  readonly timesMs: readonly number[];
  /** And that of the creation. */
  readonly createMs: readonly number[];
  readonly complaints: readonly string[];
}

export interface Quiet {
  readonly seconds: number;
  readonly writes: Writes;
  readonly cpuSeconds: { readonly controller: number; readonly forwarder: number };
  readonly usage: ProcessUsage;
}
