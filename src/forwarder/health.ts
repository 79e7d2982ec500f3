import { asksNodePortAlone, Check, keyOf, nobody, retryDelayMs, specsOf } from './checks.ts';
import type { Attempt } from './dial.ts';
import { NodeState } from './node-state.ts';
import { Patrol, type PatrolHost } from './patrol.ts';
import type { Answer } from './probe.ts';
import type { Reports } from './reports.ts';
import type { RuleListener } from './rules.ts';
import { nodeReport, targetReport } from './target-report.ts';
import { type Endpoint, endpointsOf, type NodeEntry, type Nodes } from './targets.ts';
import { standing, verdicts } from './verdict.ts';
import type { Wiring } from './wire.ts';

/** Errors of this machine, not of the target: no descriptors, no ports, no route of its own. */
const OWN_ERRORS: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
  'EAGAIN',
  'EACCES',
]);

/** Who may get a listener's traffic now. Shared: never change the arrays. */
export interface Prospects {
  readonly healthy: readonly Attempt[];
  /** To be tried when no healthy one is left. */
  readonly others: readonly Attempt[];
}

/** What is watched for one listener. */
export interface Watch {
  rule: RuleListener;
  nodePort: Check<Watch>;
  own: Check<Watch> | undefined;
  /** Undefined: to be made anew. */
  prospects: Prospects | undefined;
  /** Epochs of what `prospects` was made of: the nodes, the NodePort check, the own check. */
  nodesEpoch: number;
  nodePortEpoch: number;
  ownEpoch: number | undefined;
}

export interface HealthOptions {
  readonly nodes: Nodes;
  readonly wiring: Wiring;
  readonly reports: Reports;
  nowMs(): number;
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  readonly probesPerSecond?: number;
  /** The prospects of these may have changed; undefined: of all. */
  onMoved?(watches: ReadonlySet<Watch> | undefined): void;
}

/** Knows which targets are healthy, from checks and from what clients' connections meet. */
export class Health implements PatrolHost<Watch> {
  readonly states = new Map<NodeEntry, NodeState>();
  readonly #options: HealthOptions;
  readonly #nodes: Nodes;
  readonly #watches = new Map<string, Watch>();
  readonly #checks = new Map<string, Check<Watch>>();
  /** Of listeners that say nothing of their check, by nodePort. */
  readonly #bare = new Map<number, Check<Watch>>();
  readonly #byNodePort = new Map<number, Set<Check<Watch>>>();
  readonly #patrol: Patrol<Watch>;
  /** Grows when some node's standing or address has changed. */
  #epoch = 0;
  #someFrom = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#nodes = options.nodes;
    this.#patrol = new Patrol(this, options.wiring, () => options.nowMs(), options.probesPerSecond);
  }

  /** Begins to watch a listener's targets, or takes over its new rule. */
  watch(rule: RuleListener): Watch {
    const { nodePort, own } = this.#checksFor(rule);
    const had = this.#watches.get(rule.id);
    const watch = had ?? { rule, nodePort, own, prospects: undefined, nodesEpoch: -1, nodePortEpoch: -1, ownEpoch: undefined };
    const before = had && checksOf(had);
    if (had) Object.assign(had, { rule, nodePort, own, prospects: undefined });
    else this.#watches.set(rule.id, watch);
    this.#join(watch, nodePort);
    if (own) this.#join(watch, own);
    for (const check of before ?? []) if (check !== nodePort && check !== own) this.#leave(watch, check);
    return watch;
  }

  unwatch(id: string): void {
    const watch = this.#watches.get(id);
    if (!watch) return;
    this.#watches.delete(id);
    for (const check of checksOf(watch)) this.#leave(watch, check);
  }

  /** These nodes have come, gone or changed, or the sets have. */
  nodesChanged(ids: Iterable<string>): void {
    const present = new Set(this.#nodes.all());
    for (const [node] of this.states) if (!present.has(node)) this.#forget(node);
    for (const id of ids) this.#meet(this.#nodes.get(id));
    this.#epoch++;
    for (const check of this.#checks.values()) this.#refreshMembers(check);
    this.#patrol.kick();
  }

  /** Whom a listener may send to now. Asked for every connection, so it is made anew only when something has changed. */
  prospects(watch: Watch): Prospects {
    const { nodePort, own, prospects } = watch;
    const same = watch.nodesEpoch === this.#epoch && watch.nodePortEpoch === nodePort.epoch && watch.ownEpoch === own?.epoch;
    if (prospects && same) return prospects;
    watch.nodesEpoch = this.#epoch;
    watch.nodePortEpoch = nodePort.epoch;
    watch.ownEpoch = own?.epoch;
    watch.prospects = this.#weigh(watch);
    return watch.prospects;
  }

  /**
   * Whether its prospects are, but for the nodePort, those of every such listener with the same node set, because no check says otherwise;
   * steady: and are so whatever its nodes do, until one of its checks hears something else.
   */
  plainness({ rule, nodePort, own }: Watch): 'own' | 'plain' | 'steady' {
    if (rule.localOnly) return 'own';
    const both = [this.#plainnessOf(nodePort), own ? this.#plainnessOf(own) : 'steady'] as const;
    if (both.includes('own')) return 'own';
    return both.includes('plain') ? 'plain' : 'steady';
  }

  #plainnessOf(check: Check<Watch>): 'own' | 'plain' | 'steady' {
    let isSteady = true;
    for (const node of check.hasHeard ? check.members : nobody) {
      const verdict = check.verdict(node);
      if (verdict !== verdicts.healthy && verdict !== verdicts.untried) return 'own';
      const way = check.way(node);
      if (way !== undefined && way !== this.states.get(node)?.inUse) return 'own';
      if (way !== undefined) isSteady = false;
    }
    return isSteady ? 'steady' : 'plain';
  }

  /** The ways to the targets that are not in use: the last resort of a client that no target has accepted. */
  otherWays(watch: Watch, attempts: readonly Attempt[]): readonly Attempt[] {
    return attempts.flatMap(({ node, endpoint }) =>
      endpointsOf(node, watch.rule.nodePort)
        .filter((other) => other.address !== endpoint.address)
        .map((other) => ({ node, endpoint: other })),
    );
  }

  /** A client's connection was accepted. */
  reached(watch: Watch, { node, endpoint }: Attempt): void {
    const state = this.states.get(node);
    if (!state) return;
    if (state.verdict !== verdicts.healthy) this.nodeHeard(state, true);
    if (watch.nodePort.verdict(node) === verdicts.healthy) return;
    const way = endpointsOf(node, watch.rule.nodePort).findIndex(({ address }) => address === endpoint.address);
    if (way >= 0 && watch.nodePort.setWay(node, way)) this.wayChanged(watch.nodePort, node);
    this.targetHeard(watch.nodePort, node, 'accepted');
  }

  /** A client's connection was refused, or not answered in time. One failure makes suspect; only checks make unhealthy. */
  failed(watch: Watch, { node }: Attempt, code: string): void {
    const state = this.states.get(node);
    if (!state || OWN_ERRORS.has(code)) return;
    const refused = code === 'ECONNREFUSED' || code === 'ECONNRESET';
    const check = watch.nodePort;
    const known = check.verdict(node);
    if (known === verdicts.healthy || known === verdicts.untried) this.targetHeard(check, node, refused ? 'refused' : 'silent');
    for (const each of checksOf(watch)) this.#patrol.lookSoon(each, node);
    if (refused || state.checking) return;
    if (state.verdict === verdicts.healthy) this.nodeHeard(state, false);
    state.dueMs = 0;
    this.#patrol.kick();
  }

  /** A datagram was refused: the target is looked at out of its turn, and judged by that look alone. */
  doubted(watch: Watch, { node }: Attempt): void {
    for (const each of checksOf(watch)) this.#patrol.lookSoon(each, node);
  }

  /** Whether a target is known not to serve, beyond suspicion. */
  isDown(watch: Watch, node: NodeEntry): boolean {
    const verdictsOfIt = [this.states.get(node)?.verdict, ...checksOf(watch).map((check) => check.verdict(node))];
    return verdictsOfIt.includes(verdicts.unhealthy);
  }

  stop(): void {
    this.#patrol.stop();
  }

  /** Probes begun since the start. */
  get probesBegun(): number {
    return this.#patrol.probesBegun;
  }

  nodePortCheck(node: NodeEntry, nodePort: number): Check<Watch> | undefined {
    for (const check of this.#byNodePort.get(nodePort) ?? []) if (check.verdict(node) !== verdicts.absent) return check;
    return undefined;
  }

  somePorts(node: NodeEntry, atMost: number): readonly number[] {
    const all = [...this.#byNodePort.keys()];
    const found: number[] = [];
    for (let i = 0; i < all.length && found.length < atMost; i++) {
      const port = all[(this.#someFrom + i) % all.length]!;
      if (this.nodePortCheck(node, port)) found.push(port);
    }
    this.#someFrom++;
    return found.length > 0 ? found : this.#otherPorts(node).slice(0, atMost);
  }

  /** With listeners of UDP alone there is no NodePort that could be asked, but there are their own checks' ports. */
  #otherPorts(node: NodeEntry): readonly number[] {
    const asking = [...this.#checks.values()].filter((check) => !check.spec.isSilent && check.verdict(node) !== verdicts.absent);
    return [...new Set(asking.map(({ spec }) => spec.port))];
  }

  targetHeard(check: Check<Watch>, node: NodeEntry, answer: Answer): void {
    const before = check.verdict(node);
    const changed = check.heard(node, answer);
    const delayMs = retryDelayMs(check.judgement(node), check.spec);
    if (delayMs !== undefined) this.#patrol.lookSoon(check, node, delayMs);
    if (!changed) return;
    this.#options.onMoved?.(check.users);
    this.#reportTargets(check, node);
    // What has changed at one node has often moved from or to another: pods are replaced, endpoints come and go.
    const settled = before === verdicts.healthy || before === verdicts.unhealthy || before === verdicts.suspect;
    if (settled) for (const other of check.members) if (other !== node) this.#patrol.lookSoon(check, other);
  }

  wayChanged(check: Check<Watch>, node: NodeEntry): void {
    check.epoch++;
    this.#options.onMoved?.(check.users);
    this.#reportTargets(check, node);
  }

  nodeHeard(state: NodeState, isAlive: boolean): void {
    const before = state.verdict;
    if (!state.heard(isAlive)) return;
    this.#epoch++;
    this.#options.onMoved?.(undefined);
    this.#reportNode(state);
    if (before !== verdicts.unhealthy || !isAlive) return;
    for (const check of this.#checks.values())
      if (check.verdict(state.entry) !== verdicts.absent) this.#patrol.lookSoon(check, state.entry);
  }

  addressChanged(state: NodeState): void {
    this.#epoch++;
    this.#options.onMoved?.(undefined);
    this.#reportNode(state);
  }

  #weigh({ rule, nodePort, own }: Watch): Prospects {
    const healthy: Attempt[] = [];
    const others: Attempt[] = [];
    for (const node of this.#nodes.set(rule.nodeSet)) {
      const state = this.states.get(node);
      const ways = endpointsOf(node, rule.nodePort);
      const endpoint: Endpoint | undefined = ways[nodePort.way(node) ?? state?.inUse ?? 0] ?? ways[0];
      if (!state || !endpoint) continue;
      // Where nothing is asked nothing is known, and no check would ever say that the node lives.
      const alive = nodePort.spec.isSilent && state.verdict === verdicts.untried ? verdicts.healthy : state.verdict;
      const facts = { node: alive, nodePort: nodePort.verdict(node), own: own?.verdict(node), localOnly: rule.localOnly };
      const place = standing(facts);
      if (place === 'up') healthy.push({ node, endpoint });
      else if (place === 'spare') others.push({ node, endpoint });
    }
    return { healthy, others };
  }

  /** Thousands of listeners ask for nothing but their nodePort, and many have the same. */
  #checksFor(rule: RuleListener): Pick<Watch, 'nodePort' | 'own'> {
    const isBare = asksNodePortAlone(rule);
    const had = isBare ? this.#bare.get(rule.nodePort) : undefined;
    if (had) return { nodePort: had, own: undefined };
    const specs = specsOf(rule);
    const nodePort = this.#check(specs.nodePort);
    if (isBare) this.#bare.set(rule.nodePort, nodePort);
    return { nodePort, own: specs.own && this.#check(specs.own) };
  }

  #check(spec: Check<Watch>['spec']): Check<Watch> {
    const key = keyOf(spec);
    const had = this.#checks.get(key);
    if (had) return had;
    const made = new Check<Watch>(spec);
    this.#checks.set(key, made);
    this.#patrol.add(made);
    if (spec.isNodePort && spec.path === undefined && !spec.isSilent) {
      this.#byNodePort.set(spec.port, (this.#byNodePort.get(spec.port) ?? new Set()).add(made));
    }
    return made;
  }

  #leave(watch: Watch, check: Check<Watch>): void {
    check.users.delete(watch);
    if (check.users.size > 0) {
      this.#refreshMembers(check);
      return;
    }
    this.#setMembers(check, nobody, watch);
    this.#patrol.remove(check);
    this.#checks.delete(keyOf(check.spec));
    if (this.#bare.get(check.spec.port) === check) this.#bare.delete(check.spec.port);
    const peers = this.#byNodePort.get(check.spec.port);
    if (peers?.delete(check) && peers.size === 0) this.#byNodePort.delete(check.spec.port);
  }

  /** With thousands of listeners on one check most come with its very members. */
  #join(watch: Watch, check: Check<Watch>): void {
    check.users.add(watch);
    if (this.#nodes.set(watch.rule.nodeSet) !== check.members) this.#refreshMembers(check);
  }

  /** The users of nearly every check have one node set. */
  #refreshMembers(check: Check<Watch>): void {
    let first: readonly NodeEntry[] | undefined;
    let all: Set<NodeEntry> | undefined;
    let seen: Set<readonly NodeEntry[]> | undefined;
    for (const { rule } of check.users) {
      const set = this.#nodes.set(rule.nodeSet);
      first ??= set;
      if (set === first || seen?.has(set)) continue;
      seen = (seen ?? new Set()).add(set);
      all ??= new Set(first);
      for (const node of set) all.add(node);
    }
    const members = all ? [...all] : (first ?? nobody);
    if (!sameNodes(members, check.members)) this.#setMembers(check, members);
  }

  #setMembers(check: Check<Watch>, members: readonly NodeEntry[], last?: Watch): void {
    const { come, gone } = check.setMembers(members, this.#nodes.slots);
    this.#patrol.meet(check, come);
    if (gone.length === 0) return;
    const users = last ? [last] : [...check.users];
    for (const { rule } of users) for (const node of gone) this.#options.reports.target(`${node.id}:${rule.nodePort}`, null);
  }

  #meet(node: NodeEntry | undefined): void {
    if (!node) return;
    const had = this.states.get(node);
    had?.followAddresses();
    const state = had ?? new NodeState(node);
    this.states.set(node, state);
    this.#reportNode(state);
  }

  #forget(node: NodeEntry): void {
    this.states.delete(node);
    if (!this.#nodes.get(node.id)) this.#options.reports.target(node.id, null);
  }

  #reportNode(state: NodeState): void {
    this.#options.reports.target(state.entry.id, nodeReport(state, this.#options.now()));
    // Of what no check has heard of nothing was ever told.
    for (const check of this.#checks.values())
      if (check.hasHeard && check.verdict(state.entry) !== verdicts.absent) this.#reportTargets(check, state.entry);
  }

  #reportTargets(check: Check<Watch>, node: NodeEntry): void {
    const state = this.states.get(node);
    if (!state) return;
    for (const watch of check.users) {
      const { protocol, nodePort } = watch.rule;
      if (protocol === 'UDP' && this.nodePortCheck(node, nodePort)) continue; // told by the TCP port of the same number
      this.#options.reports.target(`${node.id}:${watch.rule.nodePort}`, targetReport(state, watch, this.#options.now()));
    }
  }
}

/** Of several node sets a new list is made each time, and a check whose members are others is looked at by all its listeners. */
function sameNodes(a: readonly NodeEntry[], b: readonly NodeEntry[]): boolean {
  return a === b || (a.length === b.length && a.every((node, i) => node === b[i]));
}

function checksOf({ nodePort, own }: Watch): readonly Check<Watch>[] {
  return own ? [nodePort, own] : [nodePort];
}
