/**
 * Pure. The order in which one client connection tries its targets: healthy ones in turn from `cursor`, then, as a last
 * resort, the others (none with `localOnly`). Each is there once.
 */
export function orderTargets<T>(healthy: readonly T[], others: readonly T[], cursor: number): readonly T[] {
  return [...rotate(healthy, cursor), ...rotate(others, cursor)];
}

function rotate<T>(list: readonly T[], by: number): readonly T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** Pure. Where a listener's turn begins: spread by its id, so that a thousand Services with one client each do not meet at one node. */
export function firstCursor(id: string): number {
  let hash = 2166136261;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 16777619);
  return hash >>> 0;
}
