/** Whether this process may write, and what happens when that changes. */
export interface Leadership {
  /** Asked before each write. */
  holds(): boolean;
  /** Resolves when this process leads for the first time. */
  readonly first: Promise<void>;
  /** Runs until released; rejects when the election itself cannot go on. */
  run(told: { gained(): void; lost(): Promise<void> }): Promise<void>;
  release(): Promise<void>;
}

/** One replica that needs nobody's leave. */
export function leadAlone(): Leadership {
  let begin = () => {};
  let end = () => {};
  const first = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    holds: () => true,
    first,
    run: async ({ gained }) => {
      gained();
      begin();
      await ended;
    },
    release: async () => end(),
  };
}
