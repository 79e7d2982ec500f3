import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { missingMeans } from '../../src/agent/vips/means.ts';
import { until } from '../e2e/lab/until.ts';
import { failOver, renderTimelines, type Timeline } from '../e2e/vips/failover.ts';
import { type AgentName, Ground, NAMES, SUBNET } from '../e2e/vips/ground.ts';
import { type Figure, medianFigure, type Section } from './figures.ts';

const VIP = `${SUBNET}.200`;
/** Longer than any of it takes on a busy machine. */
const PATIENT_MS = 60_000;
const MANY = 60;
const CPU_MS = 10_000;

interface Cause {
  readonly what: string;
  act(ground: Ground, holder: AgentName): Promise<void> | void;
  undo?(ground: Ground, holder: AgentName): Promise<void>;
  readonly aims: Partial<Readonly<Record<'answeredMs' | 'twoMs' | 'failed', number>>>;
}

const restart = async (ground: Ground, holder: AgentName) => {
  ground.startAgent(holder);
  ground.order([VIP], [holder]);
};

const causes: readonly Cause[] = [
  {
    what: 'planned drain',
    act: (ground, holder) => void ground.agent(holder).signal('SIGTERM'),
    undo: restart,
    aims: { failed: 0 },
  },
  {
    what: 'agent killed',
    act: (ground, holder) => void ground.agent(holder).signal('SIGKILL'),
    undo: restart,
    aims: { answeredMs: 1_000, twoMs: 1_000 },
  },
  {
    what: 'keepalived killed',
    act: (ground, holder) => void process.kill(Number(readFileSync(join(ground.runDir(holder), 'vrrp.pid'), 'utf8')), 'SIGKILL'),
    aims: { answeredMs: 1_000, twoMs: 1_000 },
  },
  {
    what: 'container killed',
    act: (ground, holder) => ground.killAll(holder),
    undo: restart,
    aims: { answeredMs: 1_000, twoMs: 1_000 },
  },
  {
    what: 'node silent (link down)',
    act: (ground, holder) => ground.hub([`link set v${holder} down`]),
    undo: (ground, holder) => ground.hub([`link set v${holder} up`]),
    aims: { answeredMs: 1_000 },
  },
];

/** How fast addresses move between three agents; undefined where that cannot be measured. */
export async function benchVips(repeat: number, say: (line: string) => void): Promise<Section | undefined> {
  const missing = await missingMeans();
  if (missing) {
    say(`no addresses can move here: ${missing.message}`);
    return undefined;
  }
  const ground = await Ground.make();
  try {
    for (const name of NAMES) ground.startAgent(name);
    ground.order([VIP]);
    const timelines: Timeline[] = [];
    for (const cause of causes) for (let i = 0; i < repeat; i++) timelines.push(await measure(ground, cause));
    say(`timelines, ms after the cause:\n${renderTimelines(timelines)}`);
    const figures = [...causes.flatMap((cause) => figuresOf(cause, timelines)), await measureCost(ground)];
    return {
      title: 'Addresses that fail over: three agents, a client that connects 100 times a second',
      setting: [`each agent and the client in a network namespace; no API server; ${repeat} runs of each; times after the cause`],
      figures,
      details: { timelines, changes: ground.changes },
    };
  } finally {
    await ground.close();
  }
}

async function measure(ground: Ground, { what, act, undo }: Cause): Promise<Timeline> {
  await ground.calm([VIP], PATIENT_MS);
  const [home] = ground.holders(VIP);
  const timeline = await failOver(ground, { what, vip: VIP, act: (holder) => act(ground, holder) }, PATIENT_MS);
  await undo?.(ground, home!);
  await until(() => ground.holders(VIP).join() === home, { withinMs: PATIENT_MS, what: `${home} has it back` });
  return timeline;
}

function figuresOf({ what, aims }: Cause, timelines: readonly Timeline[]): readonly Figure[] {
  const runs = timelines.filter((timeline) => timeline.what === what);
  const figure = (name: string, key: 'answeredMs' | 'twoMs' | 'failed', unit: string): Figure => {
    const aim = aims[key];
    const own = { name: `${what}: ${name}`, unit, ...(aim === undefined ? {} : { aim: { atMost: aim } }) };
    return medianFigure(
      own,
      runs.map((run) => run[key]),
    );
  };
  return [
    figure('first answer', 'answeredMs', 'ms'),
    figure('two hold it', 'twoMs', 'ms'),
    figure('lost connections', 'failed', ''),
  ];
}

/** What keepalived costs an agent with many groups. */
async function measureCost(ground: Ground): Promise<Figure> {
  const vips = Array.from({ length: MANY }, (_, i) => `${SUBNET}.${150 + i}`);
  ground.order(vips);
  await ground.calm(vips, PATIENT_MS);
  const pids = NAMES.map((name) => readFileSync(join(ground.runDir(name), 'vrrp.pid'), 'utf8').trim());
  const ticks = () => pids.reduce((sum, pid) => sum + ticksOf(pid), 0);
  const [before, beganMs] = [ticks(), performance.now()];
  await sleep(CPU_MS);
  const percent = ((ticks() - before) * 10) / ((performance.now() - beganMs) / 100) / NAMES.length;
  return { name: `keepalived's CPU, ${MANY} addresses in groups of one`, value: percent, unit: '% of a core' };
}

/** User and system time of a process, in hundredths of a second. */
function ticksOf(pid: string): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
