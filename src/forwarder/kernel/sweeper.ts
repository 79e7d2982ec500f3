import type { Reports } from '../reports.ts';
import { Conntrack, type Forget, forgets, type Tracked } from './conntrack.ts';
import type { KernelListener } from './listener.ts';
import { type Family, keyOf } from './plan.ts';

/** How often drained listeners are looked at, at least; a look that takes long makes it rarer. */
const TICK_MS = 1_000;
const SHARE_OF_TIME = 10;
/** States of TCP in which nobody waits for anything any more. */
const OVER: ReadonlySet<string> = new Set(['TIME_WAIT', 'CLOSE', 'LAST_ACK']);

interface Cut {
  readonly listener: KernelListener;
  readonly target: string;
  readonly atMs: number;
}

/**
 * Sees to what the kernel still tracks: after the rules have changed, never before, stale flows of UDP are forgotten, so that their next
 * datagram is sent by the rules; what drains is counted, and cut when its time is over.
 */
export class Sweeper {
  readonly #conntrack = new Conntrack();
  readonly #reports: Reports;
  readonly #nowMs: () => number;
  readonly #isServed: (key: string) => boolean;
  readonly #draining = new Set<KernelListener>();
  #cuts: Cut[] = [];
  #stale = new Set<KernelListener>();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #isStopped = false;

  /** @param isServed whether a listener that is open has the key: what drains there is its own now */
  constructor(reports: Reports, nowMs: () => number, isServed: (key: string) => boolean) {
    this.#reports = reports;
    this.#nowMs = nowMs;
    this.#isServed = isServed;
  }

  get isMissing(): boolean {
    return this.#conntrack.isMissing;
  }

  async look(): Promise<void> {
    await this.#conntrack.look();
    if (!this.#conntrack.isMissing) return;
    const message =
      'the command conntrack is missing: flows of UDP stay at targets that went, and drained connections are not cut';
    this.#reports.warning('ConntrackMissing', message);
  }

  /** These listeners' rules or targets may have changed, and the kernel has the new ones. */
  changed(listeners: readonly KernelListener[]): void {
    for (const listener of listeners) {
      const gone = listener.leavers();
      if (listener.protocol !== 'tcp') this.#stale.add(listener);
      else this.#leave(listener, gone);
    }
    this.#wake(0);
  }

  /** Its rules are out of the kernel. */
  drain(listener: KernelListener): void {
    this.#draining.add(listener);
    this.#wake(0);
  }

  /** Counts what is open now. */
  async count(listeners: readonly KernelListener[]): Promise<void> {
    const counts = countOpen(await this.#list(listeners));
    for (const listener of listeners) listener.connections = counts.get(listener.key) ?? 0;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #leave(listener: KernelListener, gone: readonly string[]): void {
    this.#cuts = this.#cuts.filter((cut) => cut.listener !== listener || !stays(cut));
    const atMs = this.#nowMs() + listener.rule.drainMs;
    for (const target of gone) this.#cuts.push({ listener, target, atMs });
  }

  #wake(inMs: number): void {
    if (this.#isStopped || this.#isBusy || (this.#timer && inMs > 0)) return;
    if (this.#stale.size + this.#draining.size + this.#cuts.length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#sweep(), inMs);
  }

  async #sweep(): Promise<void> {
    this.#timer = undefined;
    this.#isBusy = true;
    const begunMs = this.#nowMs();
    const stale = this.#stale;
    this.#stale = new Set();
    await this.#forgetStale([...stale]);
    await this.#cutLeft();
    await this.#lookAtDraining();
    this.#isBusy = false;
    if (this.#stale.size > 0) this.#wake(0);
    else this.#wake(Math.max(TICK_MS, (this.#nowMs() - begunMs) * SHARE_OF_TIME));
  }

  async #forgetStale(listeners: readonly KernelListener[]): Promise<void> {
    if (listeners.length === 0) return;
    const byKey = new Map(listeners.map((listener) => [listener.key, listener]));
    const tracked = await this.#list(listeners);
    await this.#forgetAll(
      forgets(
        tracked.filter(({ protocol, client, to, from }) => {
          const listener = byKey.get(keyOf(to.address, protocol, to.port));
          return listener && !(listener.mayStay(from) && listener.admits(client));
        }),
      ),
    );
  }

  async #cutLeft(): Promise<void> {
    const now = this.#nowMs();
    const due = this.#cuts.filter(({ atMs }) => atMs <= now);
    if (due.length === 0) return;
    this.#cuts = this.#cuts.filter(({ atMs }) => atMs > now);
    const wanted = new Set(due.filter((cut) => !stays(cut)).map(({ listener, target }) => `${listener.key} ${target}`));
    const tracked = await this.#list(due.map(({ listener }) => listener));
    const left = tracked.filter(({ protocol, to, from }) =>
      wanted.has(`${keyOf(to.address, protocol, to.port)} ${from.address} ${from.port}`),
    );
    await this.#forgetAll(
      [...new Map(left.map((one) => [`${one.to.address} ${one.to.port} ${one.from.address}`, one])).values()].map(
        ({ protocol, to, from }) => ({ protocol, address: to.address, port: to.port, target: from.address }),
      ),
    );
  }

  async #lookAtDraining(): Promise<void> {
    if (this.#draining.size === 0) return;
    const counts = countOpen(await this.#list([...this.#draining]));
    const now = this.#nowMs();
    for (const listener of this.#draining) {
      const connections = this.#isServed(listener.key) ? 0 : (counts.get(listener.key) ?? 0);
      const isOver = now >= listener.cutAtMs;
      if (connections > 0 && !isOver) {
        listener.drains(connections);
        continue;
      }
      const { address, protocol, rule } = listener;
      if (connections > 0) await this.#conntrack.forget({ protocol, address, port: rule.port });
      // Without conntrack nobody can say what is left; then it is gone when its time is over.
      if (this.isMissing && !isOver) continue;
      this.#draining.delete(listener);
      listener.gone();
    }
  }

  async #list(listeners: readonly KernelListener[]): Promise<readonly Tracked[]> {
    const kinds = new Map(listeners.map(({ family, protocol }) => [`${family} ${protocol}`, { family, protocol }]));
    const lists: Tracked[] = [];
    for (const { family, protocol } of kinds.values()) {
      for (const one of await this.#conntrack.list(family as Family, protocol)) lists.push(one);
    }
    return lists;
  }

  async #forgetAll(all: readonly Forget[]): Promise<void> {
    for (const one of all) await this.#conntrack.forget(one);
  }
}

/** The target is back. */
function stays({ listener, target }: Cut): boolean {
  const [address = '', port] = target.split(' ');
  return listener.mayStay({ address, port: Number(port) });
}

/** Pure. Connections that are open, by key. */
function countOpen(tracked: readonly Tracked[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { protocol, state, to } of tracked) {
    if (state !== undefined && OVER.has(state)) continue;
    const key = keyOf(to.address, protocol, to.port);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
