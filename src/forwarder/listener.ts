import type { BlockList, Server } from 'node:net';
import { Affinity } from './affinity.ts';
import { Backoff } from './backoff.ts';
import { firstCursor, orderTargets } from './balance.ts';
import { zeroCounters } from './counters.ts';
import { type Attempt, Dial, type DialHost, LOOP } from './dial.ts';
import { type Ground, isFull } from './ground.ts';
import type { Watch } from './health.ts';
import { keyOfSocket } from './inheritance.ts';
import { type ListenFault, type Listening, listen } from './listen.ts';
import { isAt, Loop } from './loop.ts';
import type { Handle } from './pass.ts';
import { allowedSources, isAllowed } from './problems.ts';
import { proxyHeader } from './proxy-protocol.ts';
import type { ListenerCounters, RuleListener } from './rules.ts';
import { Splice } from './splice.ts';
import { endpointsOf, type NodeEntry, sameEndpoint } from './targets.ts';
import type { Wire, Wiring } from './wire.ts';

/** How often idle connections are looked for, at least; shorter idle times are seen to more often. */
const LOOK_AT_CONNECTIONS_MS = 1_000;

type Phase = 'opening' | 'listening' | 'failed' | 'closed';

/** One open port, its client connections, and what may still be left of them after it was closed. */
export class TcpListener implements DialHost {
  readonly wiring: Wiring;
  readonly #ground: Ground;
  readonly #dials = new Set<Dial>();
  readonly #splices = new Set<Splice>();
  readonly #onGone: () => void;
  readonly #onEnded = (splice: Splice): void => this.#ended(splice);
  readonly #counters: { -readonly [K in keyof ListenerCounters]: number } = { ...zeroCounters };
  readonly #backoff = new Backoff();
  readonly #loop: Loop;
  #rule: RuleListener;
  #watch: Watch;
  #allowed: BlockList | undefined;
  #affinity = new Affinity();
  #cursor: number;
  #phase: Phase = 'closed';
  #server: Server | undefined;
  /** Where it is served; 0: not yet. */
  #port = 0;
  #nextSweepMs = 0;

  /** @param onGone called once after `close`, when the last connection has ended */
  constructor(rule: RuleListener, ground: Ground, onGone: () => void) {
    this.wiring = ground.wiring;
    this.#ground = ground;
    this.#rule = rule;
    this.#watch = ground.health.watch(rule);
    this.#onGone = onGone;
    this.#cursor = firstCursor(rule.id);
    this.#allowed = allowedSources(rule.sourceRanges);
    this.#loop = new Loop(rule.id, ground);
  }

  get drainMs(): number {
    return this.#rule.drainMs;
  }

  /** Those that are still being connected to a target end or get there within seconds. */
  established(): Iterable<object> {
    return this.#splices;
  }

  get connections(): number {
    return this.#splices.size + this.#dials.size;
  }

  counters(): ListenerCounters {
    return { ...this.#counters, active: this.connections };
  }

  /** New settings for new connections; the same socket. */
  update(rule: RuleListener): void {
    const { why } = this.#ground.pathOf(this.#rule);
    this.#rule = rule;
    this.#watch = this.#ground.health.watch(rule);
    this.#allowed = allowedSources(rule.sourceRanges);
    if (rule.affinitySeconds === undefined) this.#affinity = new Affinity();
    this.retarget();
    if (this.#ground.pathOf(rule).why !== why) this.loopsChanged(); // the same socket, for another reason
  }

  /** Opens the port if it is not open; called again, it tries at once what has failed. */
  async open(): Promise<void> {
    if (this.#phase === 'opening' || this.#phase === 'listening') return;
    this.#phase = 'opening';
    this.#backoff.stop();
    const outcome = await listen(
      () => this.wiring.serve((wire) => this.#accept(wire)),
      this.#rule,
      this.#ground.ipv6Only(this.#rule),
      (port) => this.#ground.inheritance.claim('TCP', this.#rule.address, port),
    );
    if (this.#isClosed()) {
      if ('server' in outcome) outcome.server.close();
    } else if ('server' in outcome) {
      this.#opened(outcome.server, outcome.at);
    } else {
      this.#failedToOpen(outcome);
    }
  }

  /** What accepts for it, by `keyOfSocket`. */
  sockets(): readonly (readonly [string, Handle])[] {
    const at = this.#server?.address();
    if (!at || typeof at === 'string') return [];
    const handle = (this.#server as unknown as { _handle: Handle | null })._handle;
    return handle ? [[keyOfSocket('TCP', this.#rule.address, at.port), handle]] : [];
  }

  /** Connections to targets that are no more get the drain time; the others are not touched. */
  retarget(): void {
    if (this.#loop.over() && this.#phase === 'listening') this.#tellListening();
    if (this.#splices.size === 0 || this.#isClosed()) return;
    const { nodeSet, nodePort, drainMs } = this.#rule;
    const members = new Set(this.#ground.nodes.set(nodeSet));
    for (const splice of this.#splices) {
      const stays =
        members.has(splice.node) && endpointsOf(splice.node, nodePort).some((at) => sameEndpoint(at, splice.endpoint));
      if (stays) splice.cutAtMs = Number.POSITIVE_INFINITY;
      else this.#drain(splice, drainMs);
    }
  }

  /** Accepts nothing more from now on. What is established may live on for the rule's drain time, and for at most `mostMs`. */
  close(mostMs = Number.POSITIVE_INFINITY): void {
    const drainMs = Math.min(mostMs, this.#rule.drainMs);
    this.#phase = 'closed';
    this.#ground.addresses.remove(this);
    this.#backoff.stop();
    this.#server?.close();
    this.#server = undefined;
    for (const dial of this.#dials) this.#drainDial(dial, drainMs);
    for (const splice of this.#splices) this.#drain(splice, drainMs);
    this.#checkGone();
  }

  /** Cuts what has outlived its time. */
  sweep(nowMs: number): void {
    for (const dial of this.#dials) if (nowMs >= dial.deadlineMs) dial.timeOut();
    if (nowMs < this.#nextSweepMs) return;
    const idleMs = this.#rule.idleMs === 0 ? Number.POSITIVE_INFINITY : this.#rule.idleMs;
    this.#nextSweepMs = nowMs + Math.min(LOOK_AT_CONNECTIONS_MS, idleMs / 4);
    for (const splice of this.#splices) {
      splice.rest(nowMs);
      if (nowMs >= splice.cutAtMs || nowMs - splice.idleSinceMs >= idleMs) splice.cut();
      else this.#nextSweepMs = Math.min(this.#nextSweepMs, splice.cutAtMs);
    }
  }

  nowMs(): number {
    return this.#ground.nowMs();
  }

  firstAttempt(dial: Dial): Attempt | undefined {
    const { healthy, others } = this.#ground.health.prospects(this.#watch);
    const cursor = this.#cursor++;
    return this.#stickyOf(dial, healthy) ?? healthy[cursor % healthy.length] ?? others[cursor % others.length];
  }

  otherAttempts(first: Attempt): readonly Attempt[] {
    const { health } = this.#ground;
    const { healthy, others } = health.prospects(this.#watch);
    const inUse = orderTargets(healthy, others, this.#cursor);
    const tried = (attempt: Attempt) => attempt.node === first.node && sameEndpoint(attempt.endpoint, first.endpoint);
    return [...inUse, ...health.otherWays(this.#watch, inUse)].filter((attempt) => !tried(attempt));
  }

  isLoop(client: Wire, { endpoint }: Attempt): boolean {
    if (this.#loop.leadsBack(endpoint)) return true;
    return endpoint.port === this.#port && isAt(endpoint.address, client.ends().localAddress);
  }

  attemptFailed(attempt: Attempt, code: string): void {
    this.#counters.retries++;
    if (code === LOOP) {
      this.#loop.met(attempt.endpoint, this.#ground.nodes.set(this.#rule.nodeSet).length);
      return;
    }
    this.#ground.health.failed(this.#watch, attempt, code);
  }

  connected(dial: Dial, upstream: Wire, attempt: Attempt): void {
    this.#dials.delete(dial);
    this.#ground.health.reached(this.#watch, attempt);
    this.#stick(dial, attempt.node);
    if (this.#rule.proxyProtocol) upstream.write(proxyHeader(this.#rule.proxyProtocol, dial.client.ends()));
    const splice = new Splice(dial.client, upstream, attempt, this.#counters, this.#onEnded);
    this.#splices.add(splice);
    if (this.#isClosed()) this.#drain(splice, this.#rule.drainMs);
  }

  gaveUp(dial: Dial, why: 'exhausted' | 'client'): void {
    if (!this.#dials.delete(dial)) return;
    if (why === 'exhausted') {
      this.#counters.failures++;
      dial.client.reset();
    }
    this.#ground.active--;
    this.#checkGone();
  }

  #accept(wire: Wire): void {
    this.#counters.connections++;
    if (this.#isClosed()) {
      wire.reset();
    } else if (isFull(this.#ground)) {
      this.#counters.refusedByLimit++;
      this.#ground.turnedAway++;
      wire.close();
    } else if (!isAllowed(this.#allowed, wire.ends().remoteAddress)) {
      this.#counters.refusedByRange++;
      wire.reset();
    } else {
      this.#ground.active++;
      const dial = new Dial(wire, this);
      this.#dials.add(dial);
      this.#ground.wakeSweep();
      dial.start();
    }
  }

  #opened(server: Server, at: Listening): void {
    this.#phase = 'listening';
    this.#server = server;
    this.#port = at.port;
    this.#backoff.succeeded();
    server.on('error', (error) => this.#ground.log.warn({ listener: this.#rule.id, error: error.message }, 'accepting failed'));
    this.#ground.addresses.add(this);
    this.#tellListening();
    if (at.port !== this.#rule.port) this.#ground.placed();
  }

  /** Where it is served; undefined: it is not open. */
  get port(): number | undefined {
    return this.#phase === 'listening' ? this.#port : undefined;
  }

  /** Its targets lead back to it, or do so no more. */
  loopsChanged(): void {
    if (this.#phase === 'listening') this.#tellListening();
  }

  get address(): string {
    return this.#rule.address;
  }

  addressIs(here: boolean): void {
    if (this.#phase !== 'listening') return;
    const message = `${this.address} is no address of this machine any more`;
    if (here) this.#tellListening();
    else this.#ground.reports.listener(this.#rule.id, { state: 'failed', code: 'AddressUnavailable', message });
  }

  #tellListening(): void {
    this.#loop.tellListening(this.#rule, this.#port);
  }

  #failedToOpen(fault: ListenFault): void {
    this.#phase = 'failed';
    this.#ground.reports.listener(this.#rule.id, { state: 'failed', ...fault });
    this.#backoff.again(() => void this.open());
  }

  #ended(splice: Splice): void {
    if (!this.#splices.delete(splice)) return;
    this.#ground.active--;
    this.#checkGone();
  }

  #drainDial(dial: Dial, drainMs: number): void {
    if (drainMs <= 0) dial.abort();
    else dial.giveUpAtMs = Math.min(dial.giveUpAtMs, this.nowMs() + drainMs);
  }

  #drain(splice: Splice, drainMs: number): void {
    if (drainMs <= 0) {
      splice.cut();
      return;
    }
    splice.cutAtMs = Math.min(splice.cutAtMs, this.nowMs() + drainMs);
    this.#nextSweepMs = 0;
    this.#ground.wakeSweep();
  }

  #checkGone(): void {
    if (this.#isClosed() && this.connections === 0) this.#onGone();
  }

  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #stickyOf(dial: Dial, healthy: readonly Attempt[]): Attempt | undefined {
    if (this.#rule.affinitySeconds === undefined) return undefined;
    return this.#affinity.choose(dial.client.ends().remoteAddress, healthy, this.nowMs());
  }

  #stick(dial: Dial, node: NodeEntry): void {
    if (this.#rule.affinitySeconds === undefined) return;
    this.#affinity.keep(dial.client.ends().remoteAddress, node, this.nowMs() + this.#rule.affinitySeconds * 1_000);
  }
}
