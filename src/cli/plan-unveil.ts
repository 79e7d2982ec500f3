import type { BalancerPlan, PlannedStep } from './plan-document.ts';
import type { StandIns } from './plan-overlay.ts';

/** Pure. Numbers that nobody has allocated yet are shown as what they are. */
export function unveil(plan: BalancerPlan, stand: StandIns): BalancerPlan {
  const waiting = plan.services.filter((service) => stand.services.has(service));
  if (waiting.length === 0) return plan;
  const names = plan.steps.some(({ call }) => call !== undefined) ? '; names that depend on them differ then' : '';
  const note = `nodePorts in <> are allocated by the API server when ${waiting.join(', ')} is applied${names}`;
  const show = (step: PlannedStep): PlannedStep => ({
    ...step,
    summary: stand.unveil(step.summary),
    reason: stand.unveil(step.reason),
    ...(step.call === undefined ? {} : { call: stand.unveil(step.call) }),
  });
  return {
    ...plan,
    steps: plan.steps.map(show),
    refused: plan.refused.map((one) => ({ ...one, message: stand.unveil(one.message) })),
    ...(plan.withConsent ? { withConsent: plan.withConsent.map(show) } : {}),
    notes: [note, ...plan.notes.map((one) => stand.unveil(one))],
  };
}
