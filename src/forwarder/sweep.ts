import type { Ground } from './ground.ts';
import type { Room } from './room.ts';

/** How late a time limit of a connection may be noticed. */
const SWEEP_MS = 100;

/** One timer for all time limits of all connections; none while there are no connections and nothing is warned of. */
export class Sweep {
  readonly #ground: Pick<Ground, 'nowMs' | 'flows' | 'active'>;
  readonly #room: Room;
  readonly #sweepListeners: (nowMs: number) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ground: Pick<Ground, 'nowMs' | 'flows' | 'active'>, room: Room, sweepListeners: (nowMs: number) => void) {
    this.#ground = ground;
    this.#room = room;
    this.#sweepListeners = sweepListeners;
  }

  wake(): void {
    if (this.#timer) return;
    this.#room.begin();
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    const { flows } = this.#ground;
    const now = this.#ground.nowMs();
    for (const flow of flows.silent(now)) flow.end('silent');
    this.#sweepListeners(now);
    this.#room.look();
    if (this.#ground.active === 0 && flows.size === 0 && !this.#room.isTold) this.stop();
  }
}
