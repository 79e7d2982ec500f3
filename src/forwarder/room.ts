import type { Ground } from './ground.ts';

/** Fewer connections than this are worth a warning at the start. */
const FEW = 1_000;
/** Once no more than this is taken, and nobody was turned away for so long, the warning goes. */
const ROOM_AGAIN = 0.9;
const QUIET_MS = 10_000;

/** Says how many clients there may be, and when no more find a place. */
export class Room {
  readonly #ground: Ground;
  #turnedAway = 0;
  #isTold = false;
  #lastMs = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** At the start: what is refused later is known from now on. */
  state(): void {
    const { log, maxConnections, flows } = this.#ground;
    const limits = { connections: maxConnections, flows: flows.limit };
    const message = 'at most so many client connections and flows of UDP at once; the limit of open files sets it';
    if (maxConnections < FEW) log.warn(limits, message);
    else log.info(limits, message);
  }

  /** To be called now and then while there are clients. */
  look(): void {
    const { turnedAway, reports, maxConnections, active, flows } = this.#ground;
    const now = this.#ground.nowMs();
    if (turnedAway > this.#turnedAway) {
      this.#turnedAway = turnedAway;
      this.#lastMs = now;
      this.#isTold = true;
      reports.warning(
        'ConnectionsFull',
        `all of ${maxConnections} places for connections and flows are taken, and new clients are turned away`,
      );
    } else if (this.#isTold && now - this.#lastMs >= QUIET_MS && active + flows.size / 2 < maxConnections * ROOM_AGAIN) {
      this.#isTold = false;
      reports.warning('ConnectionsFull', null);
    }
  }
}
