import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { RULES_VERSION, type RuleListener, type RuleNode, type Rules } from '../../src/forwarder/rules.ts';
import { type Figure, renderSection, type Section } from './figures.ts';
import type { Answered, Burst } from './forwarder/churn-clients.ts';
import type { Look, Order } from './forwarder/churned.ts';
import { end } from './forwarder/contestants.ts';
import { type Drops, sayDrops } from './forwarder/drops.ts';
import { canMeasure, makeGrounds, startIn } from './forwarder/grounds.ts';

/**
 * An hour of changes in minutes: listeners, nodes and clients come and go, and what the forwarder holds of memory and descriptors
 * stays flat, in userspace and, as root on Linux, in the kernel path. Alone:
 * `node test/bench/churn.ts [--short] [--seconds N] [--only userspace|nftables] [--json FILE]`.
 */
const TARGET_PORT = 30_080;
/** Listeners at one time, and how many of them each cycle replaces. */
const LISTENERS = 40;
const REPLACED = 10;
const PORTS = { first: 20_000, count: 4_000 };
/** Looks at the process, evenly over the time. */
const LOOKS = 12;
/** Of the looks, while caches fill and code is compiled. */
const WARM_UP = 4;
/** Megabytes of resident memory: what V8's and the C library's allocators play with, for longer on a busy machine; a leak of 1 KB for each listener is 100 in the long form. */
const MOST_RSS_GROWTH = 60;
/** The same of the heap with its buffers, after a collection: compiled code, and what has been closed a moment ago. */
const MOST_HEAP_GROWTH = 5;
/** Descriptors more than before the first listener, when the last has gone: nft's pipes stay, as do those of checks just begun. */
const MOST_DESCRIPTORS_LEFT = 8;
/** What was closed is gone by then, on a busy machine too: a sweep that took long is followed by a minute's rest. */
const MOST_SETTLING_MS = 180_000;

interface Place {
  readonly path: 'userspace' | 'nftables';
  readonly address: string;
  readonly targets: readonly string[];
  /** Programs in the places of clients, balancer and nodes. */
  start(where: 'client' | 'balancer' | 'nodes', file: string, args: readonly string[]): Promise<ChildProcess>;
  end(): Promise<void>;
}

function onLoopback(): Place {
  const children: ChildProcess[] = [];
  return {
    path: 'userspace',
    address: '127.0.22.1',
    targets: ['127.0.23.1', '127.0.23.2', '127.0.23.3'],
    async start(_where, file, args) {
      const child = await startHere(file, args);
      children.push(child);
      return child;
    },
    async end() {
      for (const child of children) await end(child);
    },
  };
}

async function inNamespaces(): Promise<Place> {
  const grounds = await makeGrounds();
  const balancer = await grounds.balancer();
  const namespaces = { client: grounds.client, balancer: balancer.namespace, nodes: grounds.nodes };
  return {
    path: 'nftables',
    address: balancer.address,
    targets: grounds.targets,
    start: (where, file, args) => startIn(namespaces[where], file, args),
    end: () => grounds.end(),
  };
}

async function startHere(file: string, args: readonly string[]): Promise<ChildProcess> {
  const command = ['--expose-gc', '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'forwarder', file), ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await once(child, 'message');
  return child;
}

interface Given {
  readonly short: boolean;
  /** For each data path. */
  readonly seconds?: number;
  readonly only?: Place['path'];
}

/** @throws {Error} when something grew beyond its bound, after all has been measured */
export async function benchChurn({ short, seconds = short ? 6 : 150, only }: Given): Promise<Section> {
  const ms = seconds * 1_000;
  const outcomes = only === 'nftables' ? [] : [await churn(onLoopback(), ms)];
  if (only !== 'userspace' && (await canMeasure())) outcomes.push(await churn(await inNamespaces(), ms));
  const section = describe(outcomes, ms);
  const grown = outcomes.flatMap((outcome) => excesses(outcome));
  if (grown.length > 0) throw new Error(`${renderSection(section)}\nthe forwarder grew under churn: ${grown.join('; ')}`);
  return section;
}

interface Outcome {
  readonly path: string;
  readonly looks: readonly Look[];
  readonly before: Look;
  readonly after: Look;
  readonly cycles: number;
  readonly asked: number;
  readonly unanswered: readonly string[];
  /** What the kernel threw away meanwhile, by place. */
  readonly dropped: readonly string[];
}

async function churn(place: Place, ms: number): Promise<Outcome> {
  try {
    const nodes = await place.start('nodes', 'churn-nodes.ts', [String(TARGET_PORT), ...place.targets]);
    const clients = await place.start('client', 'churn-clients.ts', []);
    const forwarder = await place.start('balancer', 'churned.ts', [place.path]);
    const tell = async <T>(child: ChildProcess, what: Order | Burst | 'drops'): Promise<T> => {
      const answered = once(child, 'message');
      child.send(what);
      return (await answered)[0] as T;
    };
    let generation = 0;
    const look = () => tell<Look>(forwarder, { look: true });
    const apply = (rules: Omit<Rules, 'version' | 'generation'>) =>
      tell(forwarder, { apply: { version: RULES_VERSION, generation: ++generation, ...rules } });
    const empty = { nodes: [], nodeSets: {}, listeners: [] };
    await apply(empty);
    const nobody: Burst = { address: place.address, tcp: [], udp: [] };
    const readAll = async (): Promise<readonly (readonly [string, Drops])[]> => [
      ['clients', (await tell<Answered>(clients, nobody)).drops],
      ['balancer', (await look()).drops],
      ['nodes', await tell<Drops>(nodes, 'drops')],
    ];
    const dropsBefore = new Map(await readAll());
    const before = await look();
    const looks: Look[] = [];
    let [cycles, asked] = [0, 0];
    const unanswered: string[] = [];
    const begunMs = performance.now();
    while (looks.length < LOOKS) {
      const rules = rulesOf(cycles++, place);
      await apply(rules);
      const ports = (protocol: string) => rules.listeners.filter((one) => one.protocol === protocol).map(({ port }) => port);
      const heard = await tell<Answered>(clients, { address: place.address, tcp: ports('TCP'), udp: ports('UDP') });
      asked += heard.asked;
      unanswered.push(...heard.unanswered.map((how) => `change ${cycles}, ${how}`));
      if (performance.now() - begunMs >= ((looks.length + 1) * ms) / LOOKS) looks.push(await look());
    }
    const dropsAfter = await readAll(); // those who stayed leave
    const dropped = dropsAfter.map(([where, drops]) => [where, sayDrops(dropsBefore.get(where) ?? {}, drops)]);
    await apply(empty);
    const after = await settled(look);
    const said = dropped.flatMap(([where, what]) => (what === '' ? [] : `${where}: ${what}`));
    return { path: place.path, looks, before, after, cycles, asked, unanswered, dropped: said };
  } finally {
    await place.end();
  }
}

/** What was closed takes a moment to be gone. */
async function settled(look: () => Promise<Look>): Promise<Look> {
  const deadline = performance.now() + MOST_SETTLING_MS;
  for (;;) {
    const seen = await look();
    if (seen.active === 0 || performance.now() > deadline) return seen;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Pure. Each cycle has some listeners of the one before and some new ones, and every other one a node more. */
function rulesOf(cycle: number, { address, targets }: Place): Omit<Rules, 'version' | 'generation'> {
  const [first = '', second = '', guest = ''] = targets;
  const ids = cycle % 2 === 0 ? [first, second] : [first, second, guest];
  const nodes: RuleNode[] = ids.map((id) => ({ id, addresses: [id] }));
  const listeners = Array.from({ length: LISTENERS }, (_, i) => listenerOf(cycle * REPLACED + i, address));
  return { nodes, nodeSets: { all: ids, one: [ids[cycle % ids.length]!] }, listeners };
}

function listenerOf(i: number, address: string): RuleListener {
  return {
    id: `listener-${i}`,
    protocol: i % 2 === 0 ? 'TCP' : 'UDP',
    address,
    port: PORTS.first + (i % PORTS.count),
    portFallback: false,
    nodeSet: i % 7 === 0 ? 'one' : 'all',
    nodePort: TARGET_PORT,
    check: { kind: 'nodePort' },
    localOnly: false,
    sourceRanges: i % 5 === 0 ? ['10.0.0.0/8', '127.0.0.0/8'] : [],
    drainMs: 0,
    idleMs: 5_000,
    ...(i % 3 === 0 ? { affinitySeconds: 60 } : {}),
  };
}

/** How far the least of the second half is above the least of the first, after the warm-up: what is there for a moment only is no growth. */
function growth(looks: readonly Look[], of: (look: Look) => number): number {
  const warm = looks.slice(WARM_UP).map(of);
  const half = Math.floor(warm.length / 2);
  return Math.min(...warm.slice(half)) - Math.min(...warm.slice(0, half));
}

function excesses({ path, looks, before, after }: Outcome): readonly string[] {
  const bounds: readonly (readonly [string, number, number])[] = [
    ['MB of resident memory', growth(looks, ({ rss }) => rss), MOST_RSS_GROWTH],
    ['MB of heap', growth(looks, ({ heap }) => heap), MOST_HEAP_GROWTH],
    ['MB of resident memory of its children', growth(looks, ({ childrenRss }) => childrenRss), MOST_RSS_GROWTH],
    ['descriptors left', after.descriptors - before.descriptors, MOST_DESCRIPTORS_LEFT],
    ['connections left', after.active, 0],
  ];
  return bounds
    .filter(([, value, most]) => value > most)
    .map(([what, value, most]) => `${path}: ${value.toFixed(1)} ${what}, allowed ${most}`);
}

function noteOf({ unanswered, dropped }: Outcome): string {
  const drops = dropped.length === 0 ? 'the kernel dropped nothing' : `the kernel dropped at ${dropped.join('; ')}`;
  if (unanswered.length === 0) return `all of them answered; ${drops}`;
  return `${unanswered.length} not answered: ${unanswered.slice(0, 5).join('; ')}; ${drops}`;
}

function describe(outcomes: readonly Outcome[], ms: number): Section {
  const figures = outcomes.flatMap((outcome): Figure[] => {
    const { path, looks, before, after, cycles, asked } = outcome;
    const over = (name: string, unit: string, of: (look: Look) => number, most: number): Figure => ({
      name: `${path}: ${name}`,
      value: growth(looks, of),
      unit,
      aim: { atMost: most },
      samples: looks.map(of),
    });
    return [
      {
        name: `${path}: changes of rules`,
        value: cycles,
        unit: '',
        note: `${REPLACED} listeners go and ${REPLACED} come with each`,
      },
      { name: `${path}: clients`, value: asked, unit: '', note: noteOf(outcome) },
      { name: `${path}: times a target was found unhealthy`, value: after.downs, unit: '', note: 'all serve: a busy machine' },
      over('resident memory grows by', 'MB', ({ rss }) => rss, MOST_RSS_GROWTH),
      over('heap and buffers grow by', 'MB', ({ heap }) => heap, MOST_HEAP_GROWTH),
      ...(path === 'nftables' ? [over('memory of nft grows by', 'MB', ({ childrenRss }) => childrenRss, MOST_RSS_GROWTH)] : []),
      over('descriptors grow by', '', ({ descriptors }) => descriptors, MOST_DESCRIPTORS_LEFT),
      {
        name: `${path}: descriptors left at the end`,
        value: after.descriptors - before.descriptors,
        unit: '',
        aim: { atMost: MOST_DESCRIPTORS_LEFT },
        note: `${before.descriptors} before, ${after.descriptors} after; connections left: ${after.active}`,
      },
    ];
  });
  return {
    title: `Forwarder under churn: ${ms / 1_000} s each`,
    setting: [
      `${LISTENERS} listeners, TCP and UDP, at any time; with every change clients that end, reset, stay and send datagrams, and a node that comes or goes`,
      `runs: ${LOOKS} looks over the time, after a collection; growth is from the least of the first half to the least of the second, after ${WARM_UP} looks`,
    ],
    figures,
    details: outcomes,
  };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const { short, seconds, only } = values;
  if (only !== undefined && only !== 'userspace' && only !== 'nftables')
    throw new Error(`--only ${only} must be userspace or nftables`);
  const given: Omit<Given, 'short'> = {
    ...(seconds === undefined ? {} : { seconds: Number(seconds) }),
    ...(only === undefined ? {} : { only }),
  };
  const section = await benchChurn({ short, ...given });
  console.log(renderSection(section));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(section, null, 2)}\n`);
}
