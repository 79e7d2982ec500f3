import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../lab/until.ts';
import type { ClientLine } from './client-process.ts';
import type { AgentName, Ground } from './ground.ts';

/** One change of holder, from its cause on, as the client, the kernels and the neighbour table saw it; all times in ms after the cause. */
export interface Timeline {
  readonly what: string;
  readonly from: AgentName;
  readonly to: AgentName;
  /** The old holder's address is off its link; undefined: it still has it. */
  readonly lostMs?: number;
  /** The new holder has it: noticed, and elected. */
  readonly electedMs: number;
  /** The client's neighbour table points to the new holder. */
  readonly announcedMs?: number;
  /** The first new connection that another agent answered. */
  readonly answeredMs: number;
  /** How long two had it, and how long nobody had. */
  readonly twoMs: number;
  readonly noneMs: number;
  readonly attempts: number;
  /** New connections that never were. */
  readonly failed: number;
  /** Those that were made just before the change, and had no answer any more. */
  readonly unanswered: number;
  /** The longest that one waited for its answer. */
  readonly slowestMs: number;
  readonly keptCut: number;
}

export interface Failure {
  readonly what: string;
  readonly vip: string;
  /** Makes the holder go. */
  act(holder: AgentName): Promise<void> | void;
}

const KEPT = 10;
/** Connections before the cause and after the change. */
const SOME = 50;

/** Makes the holder of an address go while a client connects 100 times a second. Another must hold it within `withinMs`. */
export async function failOver(ground: Ground, { what, vip, act }: Failure, withinMs: number): Promise<Timeline> {
  const [from] = await until(() => one(ground.holders(vip)), { withinMs, what: `one agent holds ${vip}` });
  const client = ground.knock(vip, { kept: KEPT });
  const answers = (test: (line: ClientLine) => boolean) => client.lines.filter((line) => line.kind === 'new' && test(line));
  await until(() => answers((line) => line.by === from).length >= SOME, { withinMs, what: `${from} answers on ${vip}` });
  const zeroMs = Date.now();
  await act(from);
  // Two may take it within a millisecond of each other; the fitter one keeps it.
  const [to] = await until(
    () => one(ground.holders(vip).filter((name) => name !== from && answers((line) => line.by === name).length >= SOME)),
    { withinMs, what: `another holds ${vip} and answers on it` },
  );
  await sleep(1_200); // a connection that lost its first packet is tried again by the kernel after a second
  const lines = await client.stop();
  return describe({ ground, what, vip, from, to, zeroMs, lines });
}

interface Seen {
  readonly ground: Ground;
  readonly what: string;
  readonly vip: string;
  readonly from: AgentName;
  readonly to: AgentName;
  readonly zeroMs: number;
  readonly lines: readonly ClientLine[];
}

function describe({ ground, what, vip, from, to, zeroMs, lines }: Seen): Timeline {
  const after = (atMs: number | undefined) => (atMs === undefined ? undefined : atMs - zeroMs);
  const change = (agent: AgentName, held: boolean) =>
    after(ground.changes.find((c) => c.agent === agent && c.address === vip && c.held === held && c.atMs >= zeroMs)?.atMs);
  const attempts = lines.filter((line) => line.kind === 'new');
  const answered = attempts
    .filter((line) => line.by !== undefined && line.by !== from && line.endedMs >= zeroMs)
    .map((line) => line.endedMs);
  const announced = ground.announced.find((one) => one.address === vip && one.atMs >= zeroMs)?.atMs;
  const lostMs = change(from, false);
  const announcedMs = after(announced);
  return {
    what,
    from,
    to,
    ...(lostMs === undefined ? {} : { lostMs }),
    electedMs: change(to, true) ?? Number.NaN,
    ...(announcedMs === undefined ? {} : { announcedMs }),
    answeredMs: Math.min(...answered) - zeroMs,
    ...ground.overlap(vip, zeroMs, Date.now()),
    attempts: attempts.length,
    failed: attempts.filter((line) => line.error !== undefined && !wasMade(line)).length,
    unanswered: attempts.filter((line) => line.error !== undefined && wasMade(line)).length,
    slowestMs: Math.max(...attempts.filter((line) => line.error === undefined).map((line) => line.endedMs - line.beganMs)),
    keptCut: lines.filter((line) => line.kind === 'cut' && line.endedMs >= zeroMs).length,
  };
}

/** A reset is the new holder's answer to a packet of a connection that the old one had. */
function wasMade(line: ClientLine): boolean {
  return line.connected === true || line.error === 'ECONNRESET' || line.error === 'EPIPE';
}

export function renderTimelines(timelines: readonly Timeline[]): string {
  const head = [
    'what',
    'from',
    'to',
    'lost',
    'elected',
    'announced',
    'answered',
    'two hold',
    'none holds',
    'tried',
    'failed',
    'unanswered',
    'slowest',
    'cut',
  ];
  const rows = timelines.map((t) => [
    t.what,
    t.from,
    t.to,
    ...[t.lostMs, t.electedMs, t.announcedMs, t.answeredMs, t.twoMs, t.noneMs].map((ms) => (ms === undefined ? '-' : `${ms} ms`)),
    ...[t.attempts, t.failed, t.unanswered].map(String),
    `${t.slowestMs} ms`,
    `${t.keptCut} of ${KEPT}`,
  ]);
  const widths = head.map((word, i) => Math.max(word.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function one<T>(list: readonly T[]): readonly [T] | undefined {
  return list.length === 1 ? [list[0]!] : undefined;
}
