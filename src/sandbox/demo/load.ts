import type { Landing } from '../nodes/backends.ts';

export interface Load {
  /** Requests that were answered, in the order of their answers; grows while the load goes on. */
  readonly landings: readonly Landing[];
  /** What went wrong with the others. */
  readonly failures: readonly Error[];
  /** Resolves when the last request has been answered. */
  stop(): Promise<void>;
}

/** Asks again and again until stopped. @param workers requests that are under way at any time */
export function keepAsking(ask: () => Promise<Landing>, workers: number): Load {
  const landings: Landing[] = [];
  const failures: Error[] = [];
  let stopped = false;
  async function work(): Promise<void> {
    while (!stopped) {
      try {
        landings.push(await ask());
      } catch (error) {
        failures.push(error as Error);
      }
    }
  }
  const working = Array.from({ length: workers }, work);
  return {
    landings,
    failures,
    async stop() {
      stopped = true;
      await Promise.all(working);
    },
  };
}
