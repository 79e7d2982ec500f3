import type { Answer } from './probe.ts';
import { formatEndpoint } from './problems.ts';
import type { RuleListener } from './rules.ts';
import type { NodeEntry } from './targets.ts';
import { type Judgement, judge, type Thresholds, type Verdict, verdicts } from './verdict.ts';

/** A target that answers nothing for 1 s is silent: SYN is sent again only after 1 s (RFC 6298), and the next check does that too. */
const TIMEOUT_MS = 1_000;
/** NodePorts are checked sparsely: their nodes are checked every second, and a client that is refused is heard at once. */
const NODE_PORT_INTERVAL_MS = 10_000;
const OWN_INTERVAL_MS = 2_000;
const RISE = 2;
const FALL = 2;
/** kube-proxy takes about 1 s to program a new NodePort; with the retries of `retryDelayMs` this is about 3 s. */
export const FRESH_FALL = 6;

/** A target waits for one look at once and one later, each once: what is urgent does not wait for what was put off. */
export const looks = { now: 1, later: 2 } as const;

export type Look = (typeof looks)[keyof typeof looks];

/** What is asked, and how often; equal for all listeners that share a check. */
export interface CheckSpec extends Thresholds {
  /** At the node. A NodePort goes through the node's port map, another port does not. */
  readonly port: number;
  /** HTTP; undefined: TCP. */
  readonly path: string | undefined;
  readonly isNodePort: boolean;
  /** Nothing is asked. */
  readonly isSilent: boolean;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/**
 * Pure. The check of the listener's NodePort, and its own check if it has one besides. A NodePort of UDP cannot be asked, so that
 * its listener's own check stands for it.
 */
export function specsOf(rule: RuleListener): { nodePort: CheckSpec; own: CheckSpec | undefined } {
  const { nodePort, own } = specsOfTcp(rule);
  if (rule.protocol === 'TCP') return { nodePort, own };
  if (isUnasked(rule)) return { nodePort: { ...nodePort, isSilent: true }, own: undefined };
  return { nodePort: own ?? nodePort, own: undefined };
}

/** Pure. Whether there is nothing that could be asked of its targets. */
export function isUnasked({ protocol, check }: RuleListener): boolean {
  return protocol !== 'TCP' && check.kind === 'none';
}

/** Pure. Whether its one check is that of its nodePort, with nothing said of times and counts: equal for all such of the same nodePort. */
export function asksNodePortAlone({ protocol, check }: RuleListener): boolean {
  if (protocol !== 'TCP' || check.kind !== 'nodePort') return false;
  const { intervalMs, timeoutMs, rise, fall } = check;
  return intervalMs === undefined && timeoutMs === undefined && rise === undefined && fall === undefined;
}

function specsOfTcp({ nodePort, check }: RuleListener): { nodePort: CheckSpec; own: CheckSpec | undefined } {
  const { port = nodePort, timeoutMs = TIMEOUT_MS, rise = RISE, fall = FALL } = check;
  const kind = check.kind === 'none' ? 'nodePort' : check.kind;
  const freshFall = Math.max(fall, FRESH_FALL);
  if (kind === 'nodePort' || (kind === 'tcp' && port === nodePort)) {
    const intervalMs = check.intervalMs ?? NODE_PORT_INTERVAL_MS;
    return {
      nodePort: {
        port: nodePort,
        path: undefined,
        isNodePort: true,
        isSilent: false,
        intervalMs,
        timeoutMs,
        rise,
        fall,
        freshFall,
      },
      own: undefined,
    };
  }
  const path = kind === 'http' ? (check.path ?? '/') : undefined;
  const intervalMs = check.intervalMs ?? OWN_INTERVAL_MS;
  return {
    nodePort: { ...plainSpec, port: nodePort },
    own: { port, path, isNodePort: port === nodePort, isSilent: false, intervalMs, timeoutMs, rise, fall, freshFall },
  };
}

const plainSpec = {
  path: undefined,
  isNodePort: true,
  isSilent: false,
  intervalMs: NODE_PORT_INTERVAL_MS,
  timeoutMs: TIMEOUT_MS,
  rise: RISE,
  fall: FALL,
  freshFall: FRESH_FALL,
};

interface Difference {
  /** Held weakly: it is the next difference's key, so that from the first list on none would ever go. */
  readonly after: WeakRef<readonly NodeEntry[]>;
  readonly come: readonly NodeEntry[];
  readonly gone: readonly NodeEntry[];
}

/** One list, so that differences to it are found once. */
export const nobody: readonly NodeEntry[] = [];

/** Thousands of checks go from one list of nodes to the same next one. */
const differences = new WeakMap<readonly NodeEntry[], Difference>();

function differenceOf(before: readonly NodeEntry[], after: readonly NodeEntry[]): Difference {
  const had = differences.get(before);
  if (had?.after.deref() === after) return had;
  const [old, now] = [new Set(before), new Set(after)];
  const made = {
    after: new WeakRef(after),
    come: after.filter((node) => !old.has(node)),
    gone: before.filter((node) => !now.has(node)),
  };
  differences.set(before, made);
  return made;
}

/** Pure. Two checks with the same key are one. */
export function keyOf(spec: CheckSpec): string {
  const { port, path = '', isNodePort, isSilent, intervalMs, timeoutMs, rise, fall } = spec;
  return `${port} ${isNodePort} ${isSilent} ${intervalMs} ${timeoutMs} ${rise} ${fall} ${path}`;
}

/** Pure. When to look again at a target that fails: fast while it is new, so that it is served as soon as it can be. */
export function retryDelayMs({ verdict, streak }: Judgement, { intervalMs }: CheckSpec): number | undefined {
  if (verdict === verdicts.failing) return Math.min(1_000, 100 * 2 ** (streak - 1));
  if (verdict === verdicts.suspect) return 100;
  if (verdict === verdicts.unhealthy) return streak > 0 ? 200 : Math.min(2_000, intervalMs);
  return undefined;
}

const CAUSE_REFUSED = 1;
const CAUSE_SILENT = 2;

/** Where in the bytes of a node each fact is. */
const VERDICT = 0;
const STREAK = 1;
/** Index of the way that accepted last, plus one; 0: the node's own choice. */
const WAY = 2;
/** The looks that are waited for, as a sum. */
const QUEUED = 3;
/** Of the last answer, two bytes. */
const CAUSE = 4;
const FIELDS = 6;
const none = new Uint8Array(0);

/** One check over all its nodes. By node slot in one typed array: 1,000 Services on 100 nodes take 100,000 entries, 10,000 take 10,000 arrays. */
export class Check<User> {
  readonly spec: CheckSpec;
  readonly users = new Set<User>();
  members = nobody;
  /** Grows when traffic may have to go elsewhere. */
  epoch = 0;
  /** Something was ever said of some target; what was not is as the nodes are. */
  hasHeard = false;
  /** FIELDS for each node slot. */
  #facts = none;

  constructor(spec: CheckSpec) {
    this.spec = spec;
  }

  /** @returns the nodes that have come and those that have gone */
  setMembers(members: readonly NodeEntry[], slots: number): { come: readonly NodeEntry[]; gone: readonly NodeEntry[] } {
    this.#grow(slots);
    const { come, gone } = differenceOf(this.members, members);
    for (const { slot } of gone) this.#reset(slot, verdicts.absent);
    for (const { slot } of come) this.#reset(slot, verdicts.untried);
    this.members = members;
    this.epoch++;
    return { come, gone };
  }

  verdict({ slot }: NodeEntry): Verdict {
    return (this.#facts[slot * FIELDS + VERDICT] ?? verdicts.absent) as Verdict;
  }

  judgement(node: NodeEntry): Judgement {
    return { verdict: this.verdict(node), streak: this.#facts[node.slot * FIELDS + STREAK] ?? 0 };
  }

  /** Index of the way to the target that works, if it is known. */
  way({ slot }: NodeEntry): number | undefined {
    const way = this.#facts[slot * FIELDS + WAY] ?? 0;
    return way === 0 ? undefined : way - 1;
  }

  /** @returns true when that is a change */
  setWay({ slot }: NodeEntry, way: number): boolean {
    this.hasHeard = true;
    const at = slot * FIELDS + WAY;
    const before = this.#facts[at];
    this.#facts[at] = way + 1;
    return before !== way + 1;
  }

  /** @returns true when the target did not wait for such a look yet */
  enqueue(node: NodeEntry, look: Look): boolean {
    const at = node.slot * FIELDS + QUEUED;
    const waiting = this.#facts[at] ?? 0;
    if (this.verdict(node) === verdicts.absent || (waiting & look) !== 0) return false;
    this.#facts[at] = waiting | look;
    return true;
  }

  dequeue({ slot }: NodeEntry, look: Look): void {
    const at = slot * FIELDS + QUEUED;
    this.#facts[at] = (this.#facts[at] ?? 0) & ~look;
  }

  /** Takes an answer, of a probe or of a client's connection. @returns true when the verdict has changed */
  heard(node: NodeEntry, answer: Answer): boolean {
    const before = this.judgement(node);
    if (before.verdict === verdicts.absent) return false;
    const after = judge(before, passes(this.spec, answer), this.spec);
    this.hasHeard = true;
    const at = node.slot * FIELDS;
    const cause = causeOf(answer);
    this.#facts[at + VERDICT] = after.verdict;
    this.#facts[at + STREAK] = after.streak;
    this.#facts[at + CAUSE] = cause >> 8;
    this.#facts[at + CAUSE + 1] = cause;
    if (after.verdict === before.verdict) return false;
    this.epoch++;
    return true;
  }

  /** Why the target is not healthy, in words. */
  reason(node: NodeEntry, address: string, port: number): string {
    const where = formatEndpoint(address, port);
    const at = node.slot * FIELDS + CAUSE;
    const cause = ((this.#facts[at] ?? 0) << 8) | (this.#facts[at + 1] ?? 0);
    if (cause === CAUSE_REFUSED) return `${where} refuses connections`;
    if (cause === CAUSE_SILENT) return `${where} does not answer within ${this.spec.timeoutMs} ms`;
    return `${where}${this.spec.path ?? ''} answers ${cause}`;
  }

  #reset(slot: number, verdict: Verdict): void {
    const at = slot * FIELDS;
    for (let i = at; i < at + FIELDS; i++) this.#facts[i] = 0;
    this.#facts[at + VERDICT] = verdict;
  }

  #grow(slots: number): void {
    if (slots * FIELDS <= this.#facts.length) return;
    const grown = new Uint8Array(slots * FIELDS);
    grown.set(this.#facts);
    this.#facts = grown;
  }
}

/** Pure. */
export function passes({ path }: CheckSpec, answer: Answer): boolean {
  return path === undefined ? answer === 'accepted' : answer === 200;
}

function causeOf(answer: Answer): number {
  if (typeof answer === 'number') return answer;
  return answer === 'silent' ? CAUSE_SILENT : answer === 'refused' ? CAUSE_REFUSED : 0;
}
