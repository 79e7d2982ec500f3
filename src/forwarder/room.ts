import type { Ground } from './ground.ts';
import { MAX_NEW_FLOWS_PER_SECOND } from './limits.ts';
import { queueOverflows } from './platform.ts';

/** Fewer connections than this are worth a warning at the start. */
const FEW = 1_000;
/** Once no more than this is taken, and nobody was turned away for so long, the warning goes. */
const ROOM_AGAIN = 0.9;
const QUIET_MS = 10_000;
/** How often the queues of new connections are looked at while there are clients, and how long it is told that one was full. */
const LOOK_AT_QUEUES_MS = 1_000;
const QUEUE_QUIET_MS = 60_000;

/** What is asked of the ground here. */
export type RoomGround = Pick<Ground, 'maxConnections' | 'active' | 'turnedAway' | 'flowsTooFast' | 'nowMs'> & {
  readonly flows: Pick<Ground['flows'], 'limit' | 'size'>;
  readonly reports: Pick<Ground['reports'], 'warning'>;
  readonly log: Pick<Ground['log'], 'info' | 'warn'>;
};

/** Says how many clients there may be, and when no more find a place. */
export class Room {
  readonly #ground: RoomGround;
  readonly #full: Turned;
  readonly #fast: Turned;
  readonly #overflows: () => number | undefined;
  #queue: { count: number; lookedMs: number; fullMs: number };

  constructor(ground: RoomGround, overflows: () => number | undefined = queueOverflows) {
    this.#ground = ground;
    this.#full = new Turned('ConnectionsFull', ground.reports);
    this.#fast = new Turned('FlowsTooFast', ground.reports);
    this.#overflows = overflows;
    this.#queue = { count: overflows() ?? 0, lookedMs: ground.nowMs(), fullMs: Number.NEGATIVE_INFINITY };
  }

  /** A warning is in force, which `look` takes back. */
  get isTold(): boolean {
    return this.#full.isTold || this.#fast.isTold || Number.isFinite(this.#queue.fullMs);
  }

  /** There are clients from now on: what the queues of this machine have met until now was not theirs. */
  begin(): void {
    this.#queue = { ...this.#queue, count: this.#overflows() ?? this.#queue.count, lookedMs: this.#ground.nowMs() };
  }

  /** At the start: what is refused later is known from now on. */
  state(): void {
    const { log, maxConnections, flows } = this.#ground;
    const limits = { connections: maxConnections, flows: flows.limit };
    const message = 'at most so many client connections and flows of UDP at once; the limit of open files sets it';
    if (maxConnections < FEW) log.warn(limits, message);
    else log.info(limits, message);
  }

  /** To be called now and then while there are clients or a warning is in force. */
  look(): void {
    const { turnedAway, flowsTooFast, maxConnections, active, flows } = this.#ground;
    const now = this.#ground.nowMs();
    if (now - this.#queue.lookedMs >= LOOK_AT_QUEUES_MS) this.#lookAtQueues(now);
    const places = `all of ${maxConnections} places for connections and flows are taken, and new clients are turned away`;
    this.#full.tell(turnedAway, places, now, active + flows.size / 2 < maxConnections * ROOM_AGAIN);
    const pace = `more than ${MAX_NEW_FLOWS_PER_SECOND} flows of UDP begin in a second, and what is more is dropped`;
    this.#fast.tell(flowsTooFast, pace, now, true);
  }

  /** Whoever finds the queue full tries again after 1 s and more, by himself (RFC 6298). */
  #lookAtQueues(now: number): void {
    const { count, fullMs } = this.#queue;
    const found = this.#overflows() ?? count;
    this.#queue = { count: found, lookedMs: now, fullMs: found > count ? now : fullMs };
    const message =
      'new connections came faster than they were accepted: some found the queue of a listening socket of this machine full, ' +
      "ours or another program's";
    if (found > count) this.#ground.reports.warning('BacklogFull', message);
    else if (Number.isFinite(fullMs) && now - fullMs >= QUEUE_QUIET_MS) {
      this.#queue = { ...this.#queue, fullMs: Number.NEGATIVE_INFINITY };
      this.#ground.reports.warning('BacklogFull', null);
    }
  }
}

/** A warning of clients that were turned away for one reason. */
class Turned {
  readonly #code: string;
  readonly #reports: RoomGround['reports'];
  #count = 0;
  #lastMs = 0;
  isTold = false;

  constructor(code: string, reports: RoomGround['reports']) {
    this.#code = code;
    this.#reports = reports;
  }

  /** @param count of all since the start @param isOver whether there is room again */
  tell(count: number, message: string, now: number, isOver: boolean): void {
    if (count > this.#count) {
      this.#count = count;
      this.#lastMs = now;
      this.isTold = true;
      this.#reports.warning(this.#code, message);
    } else if (this.isTold && isOver && now - this.#lastMs >= QUIET_MS) {
      this.isTold = false;
      this.#reports.warning(this.#code, null);
    }
  }
}
