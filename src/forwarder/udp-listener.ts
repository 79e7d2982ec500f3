import type { RemoteInfo } from 'node:dgram';
import type { BlockList } from 'node:net';
import { Backoff } from './backoff.ts';
import { zeroCounters } from './counters.ts';
import type { Attempt } from './dial.ts';
import { type Ground, isFull } from './ground.ts';
import { keyOfSocket } from './inheritance.ts';
import { bindFirst, type ListenFault } from './listen.ts';
import { isAt, Loop } from './loop.ts';
import type { Handle } from './pass.ts';
import { allowedSources, isAllowed } from './problems.ts';
import type { ListenerCounters, RuleListener } from './rules.ts';
import { endpointsOf, type NodeEntry, sameEndpoint } from './targets.ts';
import { Aim } from './udp-aim.ts';
import { Flow, type FlowEnd, type FlowHost } from './udp-flow.ts';
import { addressesBehind, type Inherited, isWildcard, type Mouth, openMouths } from './udp-mouth.ts';
import { Outbox } from './udp-outbox.ts';
import { RECEIVE_BYTES } from './udp-socket.ts';

/** A flow has no end: when its listener goes, one that has been silent for so long is taken to have ended. */
const ENDED_AFTER_MS = 2_000;
/** How often a listener at a wildcard looks for addresses that have come or gone. */
const LOOK_AT_ADDRESSES_MS = 2_000;

type Phase = 'opening' | 'listening' | 'failed' | 'closed';

/** One open port, its clients' flows, and those that live on after it was closed. */
export class UdpListener implements FlowHost {
  readonly #ground: Ground;
  readonly #flows = new Set<Flow>();
  readonly #aim: Aim;
  readonly #backoff = new Backoff();
  readonly #loop: Loop;
  readonly #onGone: () => void;
  readonly #inherited: Inherited = (address, port) => this.#ground.inheritance.claim('UDP', address, port);
  readonly #outbox = new Outbox<Flow>();
  readonly #toTarget = (flow: Flow, datagram: Uint8Array): void => flow.send(datagram, flow.lastMs);
  readonly #toClient = (flow: Flow, datagram: Uint8Array): void => this.#answer(flow, datagram);
  readonly #onFailed = (): void => this.dropped();
  readonly #counters: { -readonly [K in keyof ListenerCounters]: number } = { ...zeroCounters };
  #rule: RuleListener;
  #allowed: BlockList | undefined;
  #phase: Phase = 'failed';
  #mouths: readonly Mouth[] = [];
  #follow: NodeJS.Timeout | undefined;
  #closeAtMs = Number.POSITIVE_INFINITY;
  #isGone = false;
  #someLeave = false;

  /** @param onGone called once after `close`, when the last flow has ended and the port is free */
  constructor(rule: RuleListener, ground: Ground, onGone: () => void) {
    this.#ground = ground;
    this.#rule = rule;
    this.#aim = new Aim(rule, ground);
    this.#onGone = onGone;
    this.#allowed = allowedSources(rule.sourceRanges);
    this.#loop = new Loop(rule.id, ground);
  }

  /** What receives for it, by `keyOfSocket`. */
  sockets(): readonly (readonly [string, Handle])[] {
    return this.#mouths.map(({ address, port, handle }) => [keyOfSocket('UDP', address, port), handle]);
  }

  /** Another process receives from now on; answers to what has come already leave from here. */
  deafen(): void {
    for (const mouth of this.#mouths) mouth.deafen();
  }

  holdsPortOf({ address, port }: RuleListener): boolean {
    const { address: own } = this.#rule;
    return port === this.#rule.port && (address === own || isWildcard(address) || isWildcard(own));
  }

  get drainMs(): number {
    return this.#rule.drainMs;
  }

  established(): Iterable<object> {
    const now = this.nowMs();
    return [...this.#flows].filter((flow) => now - flow.lastMs < ENDED_AFTER_MS);
  }

  get connections(): number {
    return this.#flows.size;
  }

  get idleMs(): number {
    return this.#rule.idleMs === 0 ? Number.POSITIVE_INFINITY : this.#rule.idleMs;
  }

  nowMs(): number {
    return this.#ground.nowMs();
  }

  counters(): ListenerCounters {
    return { ...this.#counters, active: this.connections };
  }

  /** New settings, for flows that there are as well; the same socket. */
  update(rule: RuleListener): void {
    const { why } = this.#ground.pathOf(this.#rule);
    this.#rule = rule;
    this.#aim.update(rule);
    this.#allowed = allowedSources(rule.sourceRanges);
    this.#ground.flows.renewTimes();
    for (const flow of this.#flows) if (!isAllowed(this.#allowed, flow.client.address)) this.#end(flow);
    this.retarget();
    if (this.#ground.pathOf(rule).why !== why) this.loopsChanged(); // the same socket, for another reason
  }

  /** Opens the port if it is not open; called again, it tries at once what has failed. */
  async open(): Promise<void> {
    if (this.#phase !== 'failed') return;
    this.#phase = 'opening';
    this.#backoff.stop();
    const addresses = this.#addresses();
    const outcome = await bindFirst(this.#rule, (port) => openMouths(addresses, port, this.#inherited));
    if (this.#isClosed()) {
      if (!('code' in outcome)) for (const mouth of outcome) mouth.socket.close();
    } else if ('code' in outcome) {
      this.#failedToOpen(outcome);
    } else {
      this.#opened(outcome);
    }
  }

  /** Flows to targets that are no more leave them, at the latest after the drain time; the others are not touched. */
  retarget(): void {
    if (this.#isClosed()) return;
    if (this.#loop.over() && this.#phase === 'listening') this.#tellListening();
    const { nodeSet, nodePort, drainMs } = this.#rule;
    const members = new Set(this.#ground.nodes.set(nodeSet));
    this.#aim.retarget(members);
    this.#someLeave = false;
    for (const flow of this.#flows) {
      const { node, endpoint } = flow.target;
      const stays = members.has(node) && endpointsOf(node, nodePort).some((at) => sameEndpoint(at, endpoint));
      flow.leaveAtMs = stays ? Number.POSITIVE_INFINITY : Math.min(flow.leaveAtMs, this.nowMs() + drainMs);
      this.#someLeave ||= !stays;
    }
  }

  /** Begins no flow from now on. Those that there are may live on for the rule's drain time, and for at most `mostMs`. */
  close(mostMs = Number.POSITIVE_INFINITY): void {
    this.#phase = 'closed';
    this.#ground.addresses.remove(this);
    this.#backoff.stop();
    clearInterval(this.#follow);
    const drainMs = Math.min(mostMs, this.#rule.drainMs);
    this.#closeAtMs = Math.min(this.#closeAtMs, this.nowMs() + drainMs);
    if (drainMs <= 0) for (const flow of this.#flows) this.#end(flow);
    this.#ground.wakeSweep();
    this.#checkGone();
  }

  /** Ends what has outlived its time; silent flows are the table's to find, unless the listener is closed. */
  sweep(nowMs: number): void {
    if (!this.#someLeave && !this.#isClosed()) return;
    for (const flow of this.#flows) {
      const isOver = this.#isClosed() && (nowMs >= this.#closeAtMs || nowMs - flow.lastMs >= ENDED_AFTER_MS);
      if (isOver || nowMs >= flow.leaveAtMs) this.#end(flow);
    }
  }

  answered(flow: Flow, datagram: Uint8Array): void {
    this.#ground.flows.touch(flow, this.nowMs());
    this.#aim.answered(flow);
    if (flow.client.port !== 0) this.#outbox.post(this.#toClient, flow, datagram); // from 0 nobody wants an answer (RFC 768)
  }

  #answer({ client, mouth }: Flow, datagram: Uint8Array): void {
    if (mouth.outlet.send(datagram, this.#onFailed, client.port, client.address))
      this.#counters.bytesToClients += datagram.length;
    else this.dropped();
  }

  refused(flow: Flow, tried: ReadonlySet<NodeEntry>): Attempt | undefined {
    this.#counters.retries++;
    return this.#aim.refused(flow, tried);
  }

  dropped(): void {
    this.#counters.dropped++;
  }

  ended(flow: Flow, why: FlowEnd): void {
    if (why === 'failed') this.#counters.failures++;
    else if (why === 'evicted') this.#counters.evicted++;
    this.#end(flow);
  }

  #heard(mouth: Mouth, datagram: Uint8Array, from: RemoteInfo): void {
    const now = this.nowMs();
    const key = `${from.port} ${from.address}`;
    const flow = mouth.flows.get(key) ?? this.#begin(mouth, key, from, now);
    if (!flow || !this.#isWellAimed(flow, now)) return;
    this.#ground.flows.touch(flow, now);
    this.#counters.bytesFromClients += datagram.length;
    this.#outbox.post(this.#toTarget, flow, datagram);
  }

  #begin(mouth: Mouth, key: string, { address, port }: RemoteInfo, now: number): Flow | undefined {
    if (this.#isClosed()) return undefined;
    if (!isAllowed(this.#allowed, address)) {
      this.#counters.refusedByRange++;
      return undefined;
    }
    const target = this.#chooseFor(mouth, address);
    if (!target || !this.#makeRoom(now)) {
      this.#counters[target ? 'refusedByLimit' : 'failures']++;
      return undefined;
    }
    const flow = new Flow({ address, port }, mouth, target, this);
    this.#counters.connections++;
    this.#flows.add(flow);
    mouth.flows.set(key, flow);
    this.#ground.flows.add(flow, now);
    this.#ground.wakeSweep();
    return flow;
  }

  /** What would come back to this very port would begin another flow, and so on. */
  #chooseFor(mouth: Mouth, client: string): Attempt | undefined {
    const isItself = ({ endpoint }: Attempt) => endpoint.port === mouth.port && isAt(endpoint.address, mouth.address);
    const first = this.#aim.choose(client);
    if (!first || !isItself(first)) return first;
    this.#loop.met(first.endpoint, this.#ground.nodes.set(this.#rule.nodeSet).length);
    const other = this.#aim.choose(client, new Set([first.node]));
    return other && isItself(other) ? undefined : other;
  }

  /** @returns false when there is no flow whose place could be had, or too many have just begun */
  #makeRoom(now: number): boolean {
    const { flows } = this.#ground;
    if (!flows.mayBegin(now)) {
      this.#ground.flowsTooFast++;
      return false;
    }
    if (flows.size < flows.limit && !isFull(this.#ground)) return true;
    const { oldest } = flows;
    if (oldest) oldest.end('evicted');
    else this.#ground.turnedAway++;
    return oldest !== undefined;
  }

  /** @returns false when the flow has ended for want of a target */
  #isWellAimed(flow: Flow, now: number): boolean {
    if (this.#isClosed()) return true; // its targets are no longer watched
    const next = this.#aim.judge(flow, now);
    if (next === 'stay') return true;
    if (!next) {
      flow.end('failed');
      return false;
    }
    this.#counters.retries++;
    flow.moveTo(next);
    return true;
  }

  #opened(mouths: readonly Mouth[]): void {
    this.#phase = 'listening';
    this.#backoff.succeeded();
    this.#mouths = mouths;
    for (const mouth of mouths) this.#listenAt(mouth);
    if (isWildcard(this.#rule.address)) {
      this.#follow = setInterval(() => void this.#followAddresses(), LOOK_AT_ADDRESSES_MS);
    }
    this.#ground.addresses.add(this);
    this.#tellListening();
    this.#tellRoom(mouths[0]?.receiveBytes ?? RECEIVE_BYTES);
    if (this.port !== this.#rule.port) this.#ground.placed();
  }

  /** Where it is served; undefined: it is not open. */
  get port(): number | undefined {
    return this.#mouths[0]?.port;
  }

  /** Its targets lead back to it, or do so no more. */
  loopsChanged(): void {
    for (const flow of this.#flows) flow.judgedBy = undefined;
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
    this.#loop.tellListening(this.#rule, this.port ?? 0);
  }

  #tellRoom(bytes: number): void {
    if (bytes >= RECEIVE_BYTES || this.#ground.hasToldRoom) return;
    this.#ground.hasToldRoom = true;
    const message = 'bursts of datagrams may be lost: the kernel gives less room than asked for (net.core.rmem_max)';
    this.#ground.log.info({ bytes, wanted: RECEIVE_BYTES }, message);
  }

  #listenAt(mouth: Mouth): void {
    mouth.socket.on('message', (datagram, from) => this.#heard(mouth, datagram, from));
    mouth.socket.on('error', (error) => {
      this.#ground.log.warn({ listener: this.#rule.id, address: mouth.address, error: error.message }, 'receiving failed');
    });
  }

  #failedToOpen(fault: ListenFault): void {
    this.#phase = 'failed';
    this.#ground.reports.listener(this.#rule.id, { state: 'failed', ...fault });
    this.#backoff.again(() => void this.open());
  }

  #addresses(): readonly string[] {
    return addressesBehind(this.#rule.address, this.#ground.ipv6Only(this.#rule));
  }

  async #followAddresses(): Promise<void> {
    const wanted = new Set(this.#addresses());
    const had = new Set(this.#mouths.map(({ address }) => address));
    const [first] = this.#mouths;
    const gone = this.#mouths.filter(({ address }) => !wanted.has(address));
    const added = [...wanted].filter((address) => !had.has(address));
    if (!first || (gone.length === 0 && added.length === 0) || wanted.size === 0) return;
    const made = added.length > 0 ? await openMouths(added, first.port, this.#inherited) : [];
    const come = 'error' in made ? [] : made;
    for (const mouth of come) this.#listenAt(mouth);
    this.#mouths = [...this.#mouths.filter((mouth) => !gone.includes(mouth)), ...come];
    for (const mouth of gone) this.#shut(mouth);
    if (this.#isGone) for (const mouth of come) this.#shut(mouth);
  }

  #end(flow: Flow): void {
    if (!this.#flows.delete(flow)) return;
    flow.mouth.flows.delete(`${flow.client.port} ${flow.client.address}`);
    this.#ground.flows.delete(flow);
    this.#outbox.flush(); // what it has heard before its end leaves still
    flow.close();
    this.#checkGone();
  }

  #shut(mouth: Mouth): void {
    for (const flow of mouth.flows.values()) this.#end(flow);
    mouth.socket.close();
  }

  #checkGone(): void {
    if (!this.#isClosed() || this.#flows.size > 0 || this.#isGone) return;
    this.#isGone = true;
    for (const mouth of this.#mouths) mouth.socket.close();
    this.#mouths = [];
    this.#onGone();
  }

  #isClosed(): boolean {
    return this.#phase === 'closed';
  }
}
