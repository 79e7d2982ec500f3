/** At once for all; when one fails the others are done nevertheless, and no write is under way when the pass has ended. */
export async function forAll<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<readonly R[]> {
  const acts = items.map(act);
  await Promise.allSettled(acts);
  return await Promise.all(acts);
}
