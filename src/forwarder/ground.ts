import type { AddressWatch } from './address-watch.ts';
import type { Health } from './health.ts';
import type { Inheritance } from './inheritance.ts';
import type { Loops } from './loops.ts';
import type { Reports } from './reports.ts';
import type { Datapath, ForwarderLog, RuleListener } from './rules.ts';
import type { Nodes } from './targets.ts';
import type { Flow } from './udp-flow.ts';
import type { FlowTable } from './udp-flows.ts';
import type { Wiring } from './wire.ts';

/** What all listeners of a forwarder share. */
export interface Ground {
  readonly wiring: Wiring;
  readonly health: Health;
  readonly nodes: Nodes;
  readonly reports: Reports;
  readonly log: ForwarderLog;
  /** Sockets of the forwarder before this one. */
  readonly inheritance: Inheritance;
  readonly addresses: AddressWatch;
  readonly loops: Loops;
  /** Client connections that may be open at once, over all listeners. */
  readonly maxConnections: number;
  /** Client connections that are open now, over all listeners. */
  active: number;
  /** Flows of UDP, over all listeners; each takes one descriptor, where a connection takes two. */
  readonly flows: FlowTable<Flow>;
  /** Whether it was told that the kernel gives little room for datagrams; once is enough. */
  hasToldRoom: boolean;
  /** Clients that found no place, of TCP and UDP, since the start. */
  turnedAway: number;
  /** Datagrams that would have begun one flow too many in their second, since the start. */
  flowsTooFast: number;
  /** Monotonic. */
  nowMs(): number;
  /** What is said of a listener's data path, where both could have been had. */
  pathOf(rule: RuleListener): { readonly datapath?: Datapath; readonly why?: string };
  /** A listener has come to be at another port than its rule says. */
  placed(): void;
  ipv6Only(rule: RuleListener): boolean;
  /** Whether some listener has the id; one that drains has it no more. */
  has(id: string): boolean;
  /** Something has begun that has a time limit. */
  wakeSweep(): void;
}

/** Whether there is room for one more client, of TCP or UDP. */
export function isFull({ active, flows, maxConnections }: Ground): boolean {
  return active + flows.size / 2 >= maxConnections;
}
