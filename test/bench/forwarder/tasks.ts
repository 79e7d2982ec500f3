// What the load generator's process is asked, and what it answers.

/** `idle`: opens connections, each of which is answered once, and holds them until it is asked for something else. */
export type Mode = 'kept' | 'fresh' | 'flood' | 'latency' | 'idle';

export interface Task {
  readonly mode: Mode;
  readonly address: string;
  /** Connections go over these ports in turn, so that no pair of addresses runs out of ports. */
  readonly ports: readonly number[];
  readonly connections: number;
  readonly ms: number;
}

export interface Outcome {
  readonly perSecond: number;
  /** Of single exchanges. */
  readonly microseconds?: { readonly p50: number; readonly p99: number; readonly p999: number };
  readonly errors: number;
  readonly firstError?: string;
}

/** Quantiles of latency, with their names. */
export const latencies = [
  ['p50', 'p50'],
  ['p99', 'p99'],
  ['p999', 'p99.9'],
] as const;
