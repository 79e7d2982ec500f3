import type { RivalName } from './plan-adopt-rivals.ts';
import type { BalancerPlan, PlannedRefusal } from './plan-document.ts';

/** What `plan --adopt-from` answers, as `-o json` writes it. */
export interface AdoptionDocument {
  readonly version: 1;
  readonly adoptFrom: RivalName;
  /** Ours that does what the other one did, as `--config` takes it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What of the other one's configuration has no counterpart, one line each. */
  readonly lost: readonly string[];
  readonly services: readonly AdoptedService[];
  /** What would be made for them. */
  readonly balancers: readonly BalancerPlan[];
}

export interface AdoptedService {
  readonly service: string;
  readonly addresses: {
    readonly now: readonly string[];
    /** Empty where they are only known when they are made. */
    readonly planned: readonly string[];
  };
  readonly keepsAddresses: boolean;
  readonly refused: readonly PlannedRefusal[];
  readonly notes: readonly string[];
  /** In this order. */
  readonly commands: readonly string[];
}
