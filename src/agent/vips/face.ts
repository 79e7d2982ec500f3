import type { ForwarderLog } from '../../forwarder/rules.ts';
import type { IdRange, VipAgent } from './plan.ts';
import type { Holding } from './stage.ts';

export interface VipWish {
  /** Everybody who may hold addresses, this agent included; also those that are down: who is alive is found out by itself. */
  readonly agents: readonly VipAgent[];
  /** `serve`: whether this agent could serve the address now. In their one spelling, each once; at most 4,096. */
  readonly addresses: readonly { readonly address: string; readonly serve: boolean }[];
}

export interface VipOptions {
  /** This agent's name in `VipWish.agents`. */
  readonly self: string;
  /** Absolute; made if need be. It must outlive the agent: who owns which address on a link is recorded there. */
  readonly runDir: string;
  readonly log: ForwarderLog;
  /** What `holdings` gives has changed. */
  onChange(): void;
  /** Where the addresses go; default: the interface in whose subnet each is. */
  readonly interface?: string;
  /** Default: 1 to 255. The same on every agent. */
  readonly ids?: IdRange;
  /** How long this agent waits before it takes back what others hold, 0 and up; default 15,000. */
  readonly holdMs?: number;
  /** Between two advertisements, 40 to 40,000; three lost ones make the others take over. Default 250. The same on every agent. */
  readonly advertMs?: number;
}

export interface Vips {
  /** Cheap and idempotent; what cannot be done is in `holdings`, and tried again by itself. */
  apply(wish: VipWish): void;
  /** Every address of the wish. */
  holdings(): ReadonlyMap<string, Holding>;
  /** What we have put on this machine's interfaces, or a dead agent before us has: from the first moment on. */
  owned(): ReadonlySet<string>;
  /** Lets go of everything. With `drain` the other agents take over first, so that no new connection is lost; at most 3 s longer. */
  close(options: { readonly drain: boolean }): Promise<void>;
}
