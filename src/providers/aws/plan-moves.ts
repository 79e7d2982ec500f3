import { TAG, uidsOf } from './names.ts';
import type { Move, Observed, SeenGroup } from './picture.ts';
import type { Planned } from './plan-groups.ts';
import { type AwsStep, step } from './steps.ts';

/**
 * A balancer of which nothing is wanted any more, because its Services have gone to others: it stays until they are served there, and then
 * for the grace time, since when the status names the others.
 */
export function afterMoves(steps: readonly AwsStep[], { moves, balancers, groups }: Observed, now: number): readonly AwsStep[] {
  if (moves.length === 0 || balancers.length === 0) return steps;
  const graceMs = graceOf(moves);
  const since = balancers.map(({ tags }) => tags[TAG.retired]);
  if (since.includes(undefined) && moves.some(({ isServed }) => !isServed)) {
    return steps.map((one) => ({ ...one, waitsFor: { what: 'healthy' } as const }));
  }
  if (graceMs === 0) return steps;
  if (!since.includes(undefined)) return later(steps, Math.max(...since.map(Number)) + graceMs, now);
  const names = [...groups.filter(({ balancerArns }) => balancerArns.length > 0), ...balancers].map(({ name }) => name);
  return [retire(names, now, graceMs), ...later(steps, now + graceMs, now)];
}

/** The same for one listener of an NLB that others still use. @param deletion takes it away */
export function leaveListener(deletion: AwsStep, group: SeenGroup | undefined, moves: readonly Move[], now: number): Planned {
  const own = movesOf(group, moves);
  const graceMs = graceOf(own);
  const since = group?.tags[TAG.retired];
  const isServed = since !== undefined || own.every((move) => move.isServed);
  if (!group || own.length === 0 || (graceMs === 0 && isServed)) return { steps: [deletion], waiting: [] };
  if (!isServed) return { steps: [], waiting: [{ ...deletion, waitsFor: { what: 'healthy' } }] };
  const ends = later([deletion], (since === undefined ? now : Number(since)) + graceMs, now);
  const steps = since === undefined ? [retire([group.name], now, graceMs)] : ends.filter(({ waitsFor }) => !waitsFor);
  return { steps, waiting: ends.filter(({ waitsFor }) => waitsFor) };
}

/** What a target group serves that is wanted elsewhere. */
export function movesOf(group: SeenGroup | undefined, moves: readonly Move[]): readonly Move[] {
  const uids = uidsOf(group?.tags ?? {});
  return moves.filter(({ uid }) => uids.includes(uid));
}

function graceOf(moves: readonly Move[]): number {
  return Math.max(0, ...moves.map(({ graceSeconds }) => graceSeconds)) * 1_000;
}

function retire(resources: readonly string[], now: number, graceMs: number): AwsStep {
  const act = { kind: 'add-tags', resources, tags: { [TAG.retired]: String(now) } } as const;
  const summary = `leave ${resources.join(', ')}, which go after ${graceMs / 1_000} s, to those who have not looked the address up again`;
  return step(act, summary, 'the Service is served by another balancer');
}

function later(steps: readonly AwsStep[], until: number, now: number): readonly AwsStep[] {
  return now >= until ? steps : steps.map((one) => ({ ...one, waitsFor: { what: 'time', until } as const }));
}
