import { type Check, type Look, looks, passes } from './checks.ts';
import type { NodeState } from './node-state.ts';
import { Budget, DueQueue, MAX_PROBES_PER_SECOND, Round } from './pace.ts';
import { type Answer, type Done, Prober } from './probe.ts';
import { checkEndpointsOf, type Endpoint, endpointsOf, type NodeEntry } from './targets.ts';
import { verdicts } from './verdict.ts';
import type { Wiring } from './wire.ts';

/** Shared check of each node, so that a silent one is found within 3 s; stretched when there are more nodes than half the ceiling. */
const NODE_INTERVAL_MS = 1_000;
/** A node that answers nothing for so long has failed one check. */
export const NODE_TIMEOUT_MS = 1_000;
/** Probes of the thorough check that follows: every address, and other NodePorts. */
const MAX_THOROUGH_PROBES = 6;
/** How often addresses before the one in use are tried again. */
const BETTER_ADDRESS_MS = 30_000;
/** Due times are kept, and probes begun and ended, this exactly. */
const TICK_MS = 25;

/** Who is told what was found. */
export interface PatrolHost<U> {
  readonly states: ReadonlyMap<NodeEntry, NodeState>;
  /** Of a NodePort at this node; undefined: it is not watched. */
  nodePortCheck(node: NodeEntry, nodePort: number): Check<U> | undefined;
  /** Some ports of the node that can be asked, at most so many, others each time: watched NodePorts if there are any. */
  somePorts(node: NodeEntry, atMost: number): readonly number[];
  targetHeard(check: Check<U>, node: NodeEntry, answer: Answer): void;
  /** Another way to the target is used now. */
  wayChanged(check: Check<U>, node: NodeEntry): void;
  nodeHeard(state: NodeState, isAlive: boolean): void;
  addressChanged(state: NodeState): void;
}

/** Targets of one check that are to be looked at, one at a time. */
interface Looking<U> {
  readonly check: Check<U>;
  readonly nodes: readonly NodeEntry[];
  next: number;
  /** Undefined: a first look. */
  readonly look: Look | undefined;
}

/** A TCP connect that shows whether a node lives. */
interface Question {
  readonly port: number;
  /** Index of the address. */
  readonly way: number;
  readonly endpoint: Endpoint;
}

/** Goes round nodes and targets and asks how they are, never faster than the ceiling. */
export class Patrol<U> {
  readonly #host: PatrolHost<U>;
  readonly #nowMs: () => number;
  readonly #perSecond: number;
  readonly #prober: Prober;
  readonly #budget: Budget;
  readonly #queue: DueQueue<Looking<U>>;
  readonly #rounds = new Map<number, Round<Check<U>>>();
  #timer: NodeJS.Timeout | undefined;
  #kicked = false;
  #stopped = false;

  constructor(host: PatrolHost<U>, wiring: Wiring, nowMs: () => number, perSecond = MAX_PROBES_PER_SECOND) {
    this.#host = host;
    this.#nowMs = nowMs;
    this.#perSecond = perSecond;
    this.#prober = new Prober(wiring, nowMs);
    this.#budget = new Budget(perSecond, nowMs());
    this.#queue = new DueQueue(TICK_MS, nowMs());
  }

  get probesBegun(): number {
    return this.#prober.begun;
  }

  add(check: Check<U>): void {
    if (check.spec.isSilent) return;
    const { intervalMs } = check.spec;
    const round = this.#rounds.get(intervalMs) ?? new Round<Check<U>>(intervalMs, this.#nowMs());
    this.#rounds.set(intervalMs, round);
    round.add(check);
  }

  remove(check: Check<U>): void {
    const round = this.#rounds.get(check.spec.intervalMs);
    round?.remove(check);
    if (round?.isEmpty) this.#rounds.delete(check.spec.intervalMs);
  }

  /** Looks at a target out of its turn. */
  lookSoon(check: Check<U>, node: NodeEntry, inMs = 0): void {
    const look = inMs === 0 ? looks.now : looks.later;
    if (check.spec.isSilent || !check.enqueue(node, look)) return;
    if (!this.#queue.add({ check, nodes: [node], next: 0, look }, this.#nowMs() + inMs)) check.dequeue(node, look);
    if (inMs === 0) this.kick();
  }

  /** Has a first look at new targets: at one of each check, then at another of each, so that no listener waits for all of another. */
  meet(check: Check<U>, nodes: readonly NodeEntry[]): void {
    if (nodes.length === 0 || check.spec.isSilent) return;
    this.#queue.add({ check, nodes, next: 0, look: undefined }, this.#nowMs());
    this.kick();
  }

  /** Begins with what is due at the end of this tick, not at the next beat. */
  kick(): void {
    if (this.#stopped) return;
    this.#timer ??= setInterval(() => this.#beat(), TICK_MS);
    if (this.#kicked) return;
    this.#kicked = true;
    setImmediate(() => {
      this.#kicked = false;
      if (this.#timer) this.#beat();
    });
  }

  /** For good. */
  stop(): void {
    this.#stopped = true;
    this.#pause();
    this.#prober.stop();
  }

  #pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    this.#prober.expire();
    this.#checkNodes();
    // What is new or fails may not starve the rounds, nor they it.
    this.#workQueue(Math.ceil(this.#room() / 2));
    for (const round of this.#rounds.values()) {
      for (const { check, node } of round.take(this.#nowMs(), this.#room())) this.#look(check, node);
    }
    this.#workQueue(this.#room());
    if (this.#host.states.size === 0 && this.#prober.underWay === 0) this.#pause();
  }

  #room(): number {
    return Math.min(this.#budget.available(this.#nowMs()), this.#prober.room);
  }

  #workQueue(atMost: number): void {
    for (let done = 0; done < atMost && this.#room() > 0; done++) {
      const task = this.#queue.take(this.#nowMs());
      const node = task?.nodes[task.next];
      if (!task || !node) return;
      if (task.look !== undefined) task.check.dequeue(node, task.look);
      task.next++;
      if (task.next < task.nodes.length) this.#queue.add(task, this.#nowMs());
      this.#look(task.check, node);
    }
  }

  /** Asks the ways to a target one after the other until one is good. */
  #look(check: Check<U>, node: NodeEntry): void {
    const state = this.#host.states.get(node);
    if (!state || check.verdict(node) === verdicts.absent || state.verdict === verdicts.unhealthy) return;
    const { port, isNodePort } = check.spec;
    const ways = isNodePort ? endpointsOf(node, port) : checkEndpointsOf(node, port);
    this.#askWays(check, state, ways, waysInOrder(ways.length, state, check.way(node)), []);
  }

  #askWays(
    check: Check<U>,
    state: NodeState,
    ways: readonly Endpoint[],
    left: readonly number[],
    heard: readonly Answer[],
  ): void {
    const [way, ...rest] = left;
    const endpoint = way === undefined ? undefined : ways[way];
    if (way === undefined || !endpoint) {
      this.#host.targetHeard(check, state.entry, mostTelling(heard));
      return;
    }
    const { path, timeoutMs, isNodePort } = check.spec;
    this.#ask(endpoint, path, timeoutMs, (answer) => {
      // One port that stays silent says nothing about the address: kube-proxy drops what it has no local endpoint for.
      if (answer !== 'silent') this.#addressAnswered(state, way, isNodePort ? answer : 'refused', endpoint);
      if (!passes(check.spec, answer)) {
        this.#askWays(check, state, ways, rest, [...heard, answer]);
        return;
      }
      if (check.setWay(state.entry, way)) this.#host.wayChanged(check, state.entry);
      this.#host.targetHeard(check, state.entry, answer);
    });
  }

  #checkNodes(): void {
    const now = this.#nowMs();
    const stretchedMs = (this.#host.states.size * 2_000) / this.#perSecond;
    const intervalMs = Math.max(NODE_INTERVAL_MS, stretchedMs);
    for (const state of this.#host.states.values()) {
      if (state.checking || now < state.dueMs || this.#prober.room === 0) continue;
      state.dueMs = now + intervalMs * (0.9 + 0.2 * Math.random());
      this.#checkNode(state);
    }
  }

  #checkNode(state: NodeState): void {
    const { entry } = state;
    const port =
      state.port !== undefined && this.#host.nodePortCheck(entry, state.port) ? state.port : this.#host.somePorts(entry, 1)[0];
    const way = state.inUse;
    const endpoint = port === undefined ? undefined : this.#wayTo(entry, port, way);
    if (port === undefined || !endpoint) return;
    state.checking = true;
    if (state.verdict === verdicts.untried) {
      // Which of its addresses is good shall be known before the first client has waited for a bad one.
      this.#askTogether(state, this.#addressQuestions(entry, port));
      return;
    }
    this.#ask(endpoint, undefined, NODE_TIMEOUT_MS, (answer) => {
      if (answer === 'silent') {
        this.#host.nodeHeard(state, false);
        this.#askTogether(state, this.#thoroughQuestions(state, port));
        return;
      }
      this.#nodeAnswered(state, { port, way, endpoint }, answer);
      state.checking = false;
      this.#tryBetterAddress(state, port);
    });
  }

  /** Every address, and other NodePorts at the one in use: any answer at all shows that the node lives. */
  #thoroughQuestions({ entry, inUse }: NodeState, port: number): readonly Question[] {
    const others = this.#host.somePorts(entry, 2).flatMap((other) => {
      const endpoint = this.#wayTo(entry, other, inUse);
      return endpoint && other !== port ? [{ port: other, way: inUse, endpoint }] : [];
    });
    return [...this.#addressQuestions(entry, port), ...others].slice(0, MAX_THOROUGH_PROBES);
  }

  #addressQuestions(node: NodeEntry, port: number): readonly Question[] {
    return this.#ways(node, port).map((endpoint, way) => ({ port, way, endpoint }));
  }

  #wayTo(node: NodeEntry, port: number, way: number): Endpoint | undefined {
    const ways = this.#ways(node, port);
    return ways[way] ?? ways[0];
  }

  #ways(node: NodeEntry, port: number): readonly Endpoint[] {
    return this.#host.nodePortCheck(node, port) ? endpointsOf(node, port) : checkEndpointsOf(node, port);
  }

  #askTogether(state: NodeState, questions: readonly Question[]): void {
    const ways = new Set(questions.map(({ way }) => way));
    const silentWays = new Set(ways);
    let left = questions.length;
    for (const question of questions) {
      this.#ask(question.endpoint, undefined, NODE_TIMEOUT_MS, (answer, code) => {
        if (answer === 'silent') {
          state.refusedWay(question.way, code);
        } else {
          silentWays.delete(question.way);
          this.#nodeAnswered(state, question, answer);
        }
        if (--left > 0) return;
        state.checking = false;
        for (const way of silentWays) if (state.heardFrom(way, 'silent')) this.#host.addressChanged(state);
        if (silentWays.size === ways.size) this.#host.nodeHeard(state, false);
      });
    }
  }

  #nodeAnswered(state: NodeState, asked: Question, answer: Answer): void {
    state.port = asked.port;
    this.#addressAnswered(state, asked.way, answer, asked.endpoint);
    this.#host.nodeHeard(state, true);
    const check = this.#host.nodePortCheck(state.entry, asked.port);
    if (!check) return;
    if (answer === 'accepted') this.#host.targetHeard(check, state.entry, answer);
    else if (check.verdict(state.entry) === verdicts.healthy) this.lookSoon(check, state.entry);
  }

  #tryBetterAddress(state: NodeState, port: number): void {
    const now = this.#nowMs();
    if (state.inUse === 0 || now < state.betterDueMs) return;
    state.betterDueMs = now + BETTER_ADDRESS_MS;
    this.#ways(state.entry, port)
      .slice(0, state.inUse)
      .forEach((endpoint, way) => {
        this.#ask(endpoint, undefined, NODE_TIMEOUT_MS, (answer) => this.#addressAnswered(state, way, answer, endpoint));
      });
  }

  #addressAnswered(state: NodeState, way: number, answer: Answer, endpoint: Endpoint): void {
    if (state.entry.addresses[way] !== endpoint.address) return;
    if (state.heardFrom(way, answer)) this.#host.addressChanged(state);
  }

  #ask(endpoint: Endpoint, path: string | undefined, timeoutMs: number, done: Done): void {
    this.#budget.spend(1);
    this.#prober.ask(endpoint, path, timeoutMs, done);
  }
}

/** Pure. The node's own choice first, then what worked for this target, then the rest; those known to be silent last. */
function waysInOrder(count: number, state: NodeState, worked: number | undefined): number[] {
  const all = Array.from({ length: count }, (_, way) => way);
  const first = [state.inUse, ...(worked === undefined ? [] : [worked])].filter((way) => way < count);
  const ordered = [...new Set([...first, ...all])];
  return [...ordered.filter((way) => !state.isKnownSilent(way)), ...ordered.filter((way) => state.isKnownSilent(way))];
}

/** Pure. A status says more than a refusal, and that more than silence. */
function mostTelling(answers: readonly Answer[]): Answer {
  return answers.find((answer) => typeof answer === 'number') ?? answers.find((answer) => answer === 'refused') ?? 'silent';
}
