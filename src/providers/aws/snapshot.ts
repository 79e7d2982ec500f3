import type { Desired } from './desired.ts';
import type { Inventory } from './inventory.ts';
import { findMoves, type Moving } from './moves.ts';
import type { Observed } from './picture.ts';
import type { Surveyor } from './surveyor.ts';
import { makeGoal, pickInstances, type Wish } from './wish.ts';

export interface Snapshot {
  readonly key: string;
  /** As the controller said last; undefined: nothing is wanted, or it does not matter. */
  readonly wish: Wish | undefined;
  /** Undefined: not enough is known, or it is refused. */
  readonly desired: Desired | undefined;
  readonly moving: Moving;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What is known of one balancer now; later changes of the inventory are not in it. */
export function takeSnapshot(
  { key, wish, desired, moving, at }: Snapshot,
  inventory: Inventory,
  { nodeGroups, ...surveyor }: { readonly nodeGroups: readonly string[]; readonly facts: ReturnType<Surveyor['facts']> },
): Observed {
  const { facts } = surveyor;
  const own = inventory.of(key);
  const shared = inventory.shared(nodeGroups);
  const goal = wish && desired && makeGoal(wish.balancer, desired, { ...own, shared });
  return {
    key,
    at,
    ...own,
    shared,
    ...(facts ? { facts: { ...facts, instances: pickInstances(facts, wish, own.groups) } } : {}),
    ...(goal ? { goal } : {}),
    nodes: desired?.targets.nodes ?? {},
    skipped: desired?.targets.skipped ?? [],
    ...findMoves(key, moving),
    ...(desired?.targets.limit === undefined ? {} : { limit: desired.targets.limit }),
  };
}
