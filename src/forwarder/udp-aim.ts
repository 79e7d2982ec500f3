import { Affinity } from './affinity.ts';
import { firstCursor, orderTargets } from './balance.ts';
import type { Attempt } from './dial.ts';
import type { Ground } from './ground.ts';
import type { Prospects, Watch } from './health.ts';
import type { RuleListener } from './rules.ts';
import { type NodeEntry, sameEndpoint } from './targets.ts';
import type { Flow } from './udp-flow.ts';
import { Refusals } from './udp-refusals.ts';

/** Decides where the flows of one listener go. */
export class Aim {
  readonly #ground: Ground;
  readonly #refusals = new Refusals<NodeEntry>();
  #rule: RuleListener;
  #watch: Watch;
  #affinity = new Affinity();
  #cursor: number;

  constructor(rule: RuleListener, ground: Ground) {
    this.#ground = ground;
    this.#rule = rule;
    this.#watch = ground.health.watch(rule);
    this.#cursor = firstCursor(rule.id);
  }

  update(rule: RuleListener): void {
    this.#rule = rule;
    this.#watch = this.#ground.health.watch(rule);
    if (rule.affinitySeconds === undefined) this.#affinity = new Affinity();
  }

  /** What was refused by targets that are no more is forgotten. */
  retarget(members: ReadonlySet<NodeEntry>): void {
    this.#refusals.keepOnly(members);
  }

  /** Healthy targets in turn, those that have refused of late after them, the others last. */
  choose(client: string, tried: ReadonlySet<NodeEntry> = nobody): Attempt | undefined {
    const now = this.#ground.nowMs();
    const { healthy } = this.#prospects();
    const { affinitySeconds } = this.#rule;
    const cursor = this.#cursor++;
    const fits = ({ node }: Attempt) => !tried.has(node) && !this.#refusals.isPassedOver(node, now);
    const sticky = affinitySeconds === undefined ? undefined : this.#affinity.choose(client, healthy, now);
    const wanted = sticky ?? healthy[cursor % healthy.length];
    const chosen = wanted && fits(wanted) ? wanted : this.#chooseAnother(tried, fits, cursor);
    if (chosen && affinitySeconds !== undefined) this.#affinity.keep(client, chosen.node, now + affinitySeconds * 1_000);
    return chosen;
  }

  /** Whether the flow may go on where it goes. It is looked at closely only when something has changed since the last time. */
  judge(flow: Flow, nowMs: number): 'stay' | Attempt | undefined {
    const prospects = this.#ground.health.prospects(this.#watch);
    const isLeaving = flow.leaveAtMs !== Number.POSITIVE_INFINITY;
    if (flow.judgedBy === prospects && !isLeaving) return 'stay';
    if (isLeaving && nowMs < flow.leaveAtMs && flow.isAnswering(nowMs)) return 'stay';
    const next = this.#betterFor(flow, isLeaving);
    if (next === 'stay') flow.judgedBy = prospects;
    return next;
  }

  /** The flow's target has refused. @returns another one that is not among `tried` */
  refused(flow: Flow, tried: ReadonlySet<NodeEntry>): Attempt | undefined {
    if (this.#refusals.refused(flow.target.node, this.#ground.nowMs())) this.#ground.health.doubted(this.#watch, flow.target);
    return this.choose(flow.client.address, tried);
  }

  answered(flow: Flow): void {
    this.#refusals.answered(flow.target.node);
  }

  #chooseAnother(tried: ReadonlySet<NodeEntry>, fits: (attempt: Attempt) => boolean, cursor: number): Attempt | undefined {
    const { healthy, others } = this.#prospects();
    const best = healthy.length > 0 ? healthy : others;
    const untried = ({ node }: Attempt) => !tried.has(node);
    return orderTargets(best, [], cursor).find(fits) ?? orderTargets(healthy, others, cursor).find(untried);
  }

  /** Without targets whose datagrams would come back here, each as the first of another flow. */
  #prospects(): Prospects {
    const { health, loops } = this.#ground;
    const all = health.prospects(this.#watch);
    if (!loops.has(this.#rule.id)) return all;
    const leads = ({ endpoint }: Attempt) => !loops.leadsBack(this.#rule.id, endpoint);
    return { healthy: all.healthy.filter(leads), others: all.others.filter(leads) };
  }

  /** A flow stays with a target that is only suspect: to move it costs more than to wait for the next check. */
  #betterFor(flow: Flow, isLeaving: boolean): Attempt | 'stay' | undefined {
    const { health } = this.#ground;
    const { node, endpoint } = flow.target;
    const { healthy, others } = this.#prospects();
    const known = healthy.find((attempt) => attempt.node === node);
    if (known) return sameEndpoint(known.endpoint, endpoint) ? 'stay' : known;
    const isSpare = others.some((attempt) => attempt.node === node);
    if (!isLeaving && isSpare && (healthy.length === 0 || !health.isDown(this.#watch, node))) return 'stay';
    return this.choose(flow.client.address, new Set([node]));
  }
}

const nobody: ReadonlySet<NodeEntry> = new Set();
