import type { SeenGroup, SeenTarget } from './picture.ts';

/** States in which AWS has not made up its mind about a target. `unread`: registered by us and not looked at yet. */
const UNDECIDED = ['initial', 'unread'];
/** States of a target that serves as far as is known. `proven`: registered for long, as tags prove, and not looked at. */
const SERVING = ['healthy', 'proven'];

export function isUndecided({ state }: SeenTarget): boolean {
  return UNDECIDED.includes(state);
}

export function isServing({ state }: SeenTarget): boolean {
  return SERVING.includes(state);
}

/** Every target has been checked, whatever came of it; where there is none there is nothing to wait for. */
export function isChecked(targets: readonly SeenTarget[] | undefined): boolean {
  return targets?.every((one) => one.state !== 'proven' && !isUndecided(one)) ?? false;
}

/** Whether a target group may take clients over from another one. @param old undefined: there is none from which they would come */
export function isReady(fresh: SeenGroup, old: SeenGroup | undefined, hasNodes: boolean): boolean {
  if (fresh.targets?.length === 0 && hasNodes) return false; // they come next
  return mayTakeOver(fresh.targets, old ? old.targets : []);
}

/**
 * Pure. Whether clients may be moved from the old targets to the fresh ones: these have been checked, and one of them serves, unless
 * the old ones serve nobody either.
 * @param old undefined: not looked at, so they may serve
 */
export function mayTakeOver(fresh: readonly SeenTarget[] | undefined, old: readonly SeenTarget[] | undefined): boolean {
  if (fresh === undefined || !isChecked(fresh)) return false;
  if (fresh.length === 0 || fresh.some(isServing)) return true;
  return old !== undefined && !old.some(isServing);
}
