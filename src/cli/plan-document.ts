import type { Step } from '../model.ts';

export const PLAN_VERSION = 1;

/** What `plan` answers, as `-o json` writes it. Fields may be added, and are never renamed. */
export interface PlanDocument {
  readonly version: typeof PLAN_VERSION;
  readonly provider: string;
  readonly balancers: readonly BalancerPlan[];
  /** Services of type LoadBalancer that are not ours. */
  readonly leftAlone: readonly { readonly service: string; readonly why: string }[];
  readonly summary: PlanSummary;
}

export type Change = 'create' | 'change' | 'delete' | 'none';

export interface BalancerPlan {
  readonly key: string;
  readonly change: Change;
  /** `namespace/name`; empty when only the provider knows of it. */
  readonly services: readonly string[];
  readonly addresses: {
    /** As the Services publish them now. */
    readonly now: readonly string[];
    /** Empty where the provider gives them only when it is made. */
    readonly planned: readonly string[];
  };
  readonly steps: readonly PlannedStep[];
  readonly refused: readonly PlannedRefusal[];
  /** What would be done if the Service consented to a disruption; only where that makes a difference. */
  readonly withConsent?: readonly PlannedStep[];
  readonly notes: readonly string[];
}

export interface PlannedStep extends Pick<Step, 'kind' | 'summary' | 'reason' | 'disrupts' | 'call' | 'waitsFor'> {
  /** Another balancer needs the same step, which is done once: that one's key. */
  readonly sharedWith?: string;
}

export interface PlannedRefusal {
  readonly service: string;
  /** Code of the table of reasons. */
  readonly reason: string;
  /** What was found, without the cure. */
  readonly message: string;
  readonly cure: string;
}

/** Balancers, but for the last one: Services. */
export interface PlanSummary {
  readonly create: number;
  readonly change: number;
  readonly delete: number;
  /** Of those, how many have a step that may cut traffic. */
  readonly disrupt: number;
  readonly unchanged: number;
  /** Something would be done if their authors allowed a disruption. */
  readonly needConsent: number;
  readonly refused: number;
}

export function summarise(balancers: readonly BalancerPlan[]): PlanSummary {
  const count = (change: Change): number => balancers.filter((one) => one.change === change).length;
  return {
    create: count('create'),
    change: count('change'),
    delete: count('delete'),
    disrupt: balancers.filter(({ steps }) => steps.some(({ disrupts }) => disrupts)).length,
    unchanged: balancers.filter(({ change, refused }) => change === 'none' && refused.length === 0).length,
    needConsent: balancers.filter(({ withConsent }) => withConsent !== undefined).length,
    refused: balancers.reduce((sum, { refused }) => sum + refused.length, 0),
  };
}

/** Pure. Marks steps that an earlier balancer has, too: what all have in common is made only once. */
export function markShared(balancers: readonly BalancerPlan[]): readonly BalancerPlan[] {
  const first = new Map<string, string>();
  return balancers.map((balancer) => {
    const steps = balancer.steps.map((step) => {
      if (step.call === undefined) return step;
      const id = `${step.kind} ${step.call}`;
      const sharedWith = first.get(id);
      if (sharedWith === undefined) first.set(id, balancer.key);
      return sharedWith === undefined || sharedWith === balancer.key ? step : { ...step, sharedWith };
    });
    return { ...balancer, steps };
  });
}
