import http from 'node:http';
import type { Failure, LoadOptions, LoadResult } from './client.ts';
import { request } from './request.ts';

const MAX_FAILURES_TOLD = 50;
const MAX_IN_FLIGHT = 500;

/** Requests at a steady rate until it is stopped or `count` is reached; keeps every failure's time and words. */
export class Load {
  readonly #options: LoadOptions;
  readonly #agent: http.Agent | undefined;
  readonly #byPod = new Map<string, number>();
  readonly #byEntry = new Map<string, number>();
  readonly #failures: Failure[] = [];
  #sent = 0;
  #answered = 0;
  #failed = 0;
  #inFlight = 0;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #done: (() => void) | undefined;
  readonly done: Promise<void>;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent = options.connections === 'kept' ? new http.Agent({ keepAlive: true, maxSockets: 10 }) : undefined;
    this.done = new Promise((resolve) => {
      this.#done = resolve;
    });
    if (options.concurrency !== undefined) for (let i = 0; i < options.concurrency; i++) this.#next();
    else this.#timer = setInterval(() => this.#tick(), 1_000 / (options.perSecond ?? 50));
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#settle();
  }

  result(): LoadResult {
    return {
      sent: this.#sent,
      answered: this.#answered,
      failed: this.#failed,
      failures: this.#failures,
      byPod: Object.fromEntries(this.#byPod),
      byEntry: Object.fromEntries(this.#byEntry),
    };
  }

  #full(): boolean {
    return this.#stopped || (this.#options.count !== undefined && this.#sent >= this.#options.count);
  }

  #tick(): void {
    if (this.#full()) this.stop();
    else if (this.#inFlight < MAX_IN_FLIGHT) void this.#one();
  }

  /** The next one of a burst follows the answer to the last. */
  #next(): void {
    if (this.#full()) this.stop();
    else void this.#one().then(() => this.#next());
  }

  async #one(): Promise<void> {
    const startedAt = Date.now();
    this.#sent++;
    this.#inFlight++;
    try {
      const answer = await request({ url: this.#options.url, timeoutMs: this.#options.timeoutMs ?? 5_000 }, this.#agent);
      if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.body.slice(0, 100)}`);
      this.#count(answer.body);
      this.#answered++;
    } catch (error) {
      this.#failed++;
      const message = error instanceof Error ? `${'code' in error ? `${error.code} ` : ''}${error.message}` : String(error);
      if (this.#failures.length < MAX_FAILURES_TOLD) this.#failures.push({ startedAt, tookMs: Date.now() - startedAt, message });
    } finally {
      this.#inFlight--;
      this.#settle();
    }
  }

  #count(body: string): void {
    const said = JSON.parse(body) as { pod?: string; remote?: string };
    for (const [map, key] of [
      [this.#byPod, said.pod],
      [this.#byEntry, said.remote],
    ] as const) {
      if (key !== undefined) map.set(key, (map.get(key) ?? 0) + 1);
    }
  }

  #settle(): void {
    if (this.#stopped && this.#inFlight === 0) {
      this.#agent?.destroy();
      this.#done?.();
    }
  }
}
