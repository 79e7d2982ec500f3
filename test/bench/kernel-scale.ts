import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { RULES_VERSION, type RuleListener, type RuleNode, type Rules, type RulesChange } from '../../src/forwarder/rules.ts';
import { type Figure, medianFigure, quantile, renderSection, type Section } from './figures.ts';
import { canMeasure, makeGrounds, startIn } from './forwarder/grounds.ts';
import { PlainMap, type Step } from './forwarder/plain-map.ts';

/**
 * 10,000 rules in the kernel path: from `apply` to the report that the kernel has them, in turn with what the command nft alone takes for
 * as many in a plain map. Alone: `node test/bench/kernel-scale.ts [--short]`.
 */
const ADDRESSES = Array.from({ length: 10 }, (_, i) => `10.92.1.${100 + i}`);

const names: Readonly<Record<Step, string>> = {
  all: 'all rules in place',
  more: 'one rule more',
  less: 'one rule less',
  join: 'a node joins',
  leave: 'a node leaves',
};
/** Milliseconds. */
const aims: Readonly<Record<Step, number>> = { all: 150, more: 10, less: 10, join: 30, leave: 30 };
/** What nft alone took where the aims were set, milliseconds: on a slower machine the ratio is what can be compared. */
const yardstick: Readonly<Record<Step, number>> = { all: 80, more: 6, less: 6, join: 16, leave: 16 };

type Times = Readonly<Record<Step, number[]>>;

export async function benchKernelScale({ short }: { readonly short: boolean }): Promise<Section | undefined> {
  if (!(await canMeasure())) return undefined;
  const [listeners, nodes, rounds] = short ? [500, 3, 2] : [10_000, 10, 15];
  const grounds = await makeGrounds();
  try {
    const { namespace } = await grounds.balancer();
    const plain = new PlainMap((await grounds.balancer()).namespace, grounds.directory, ADDRESSES, listeners, nodes);
    const [ours, bare]: [Times, Times] = [noTimes(), noTimes()];
    for (let i = 0; i < (short ? 1 : 7); i++) {
      const table = await Table.start(namespace);
      ours.all.push(await table.load(listeners, nodes));
      bare.all.push(await plain.take('all'));
      for (let round = 0; i === 0 && round < rounds; round++) await changeBoth(table, plain, ours, bare);
      await table.end();
    }
    return {
      title: `Forwarder, kernel path: ${listeners} rules for ${nodes} nodes`,
      setting: [
        'from the change given to the forwarder until it reports that the kernel has it; medians. In turn with them nft alone, called with a plain map of as many',
      ],
      figures: (Object.keys(names) as Step[]).flatMap((step) => figuresOf(step, ours[step], bare[step])),
    };
  } finally {
    await grounds.end();
  }
}

function noTimes(): Times {
  return { all: [], more: [], less: [], join: [], leave: [] };
}

async function changeBoth(table: Table, plain: PlainMap, ours: Times, bare: Times): Promise<void> {
  const changes: readonly (readonly [Step, Partial<RulesChange>])[] = [
    ['more', { listeners: { extra: ruleAt(20_000) } }],
    ['less', { listeners: { extra: null } }],
    ['join', { nodes: { more: node('more', 200) }, nodeSets: { all: [...table.nodes, 'more'] } }],
    ['leave', { nodes: { more: null }, nodeSets: { all: table.nodes } }],
  ];
  for (const [step, change] of changes) {
    ours[step].push(await table.change(change));
    bare[step].push(await plain.take(step));
  }
}

function figuresOf(step: Step, ours: readonly number[], bare: readonly number[]): readonly Figure[] {
  const ratio = quantile(ours, 0.5) / quantile(bare, 0.5);
  const atMost = aims[step] / yardstick[step];
  return [
    medianFigure({ name: names[step], unit: 'ms', aim: { atMost: aims[step] } }, ours),
    medianFigure({ name: '  nft alone, a plain map', unit: 'ms' }, bare),
    { name: '  ours / nft alone', value: ratio, unit: 'x', aim: { atMost } },
  ];
}

/** A forwarder's process with many rules. */
class Table {
  readonly #child: Awaited<ReturnType<typeof startIn>>;
  nodes: readonly string[] = [];
  #generation = 0;

  private constructor(child: Awaited<ReturnType<typeof startIn>>) {
    this.#child = child;
  }

  static async start(namespace: string): Promise<Table> {
    return new Table(await startIn(namespace, 'many-rules.ts', []));
  }

  async load(listeners: number, nodes: number): Promise<number> {
    const list = Array.from({ length: nodes }, (_, i) => node(`n${i}`, i + 2));
    this.nodes = list.map(({ id }) => id);
    const rules = Array.from({ length: listeners }, (_, i) => ruleAt(i));
    return this.#apply({ nodes: list, nodeSets: { all: this.nodes }, listeners: rules, exclusive: ADDRESSES });
  }

  change(part: Partial<RulesChange>): Promise<number> {
    return this.#apply({ base: this.#generation, nodes: {}, nodeSets: {}, listeners: {}, ...part });
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.disconnect();
    await gone;
  }

  /** @returns milliseconds */
  async #apply(part: Partial<Rules> | Partial<RulesChange>): Promise<number> {
    this.#generation++;
    this.#child.send({ version: RULES_VERSION, generation: this.#generation, ...part });
    const [took] = (await once(this.#child, 'message')) as [number];
    return took;
  }
}

function node(id: string, last: number): RuleNode {
  return { id, addresses: [`10.92.2.${last}`] };
}

function ruleAt(i: number): RuleListener {
  return {
    id: i === 20_000 ? 'extra' : `rule-${i}`,
    protocol: 'TCP',
    address: ADDRESSES[i % ADDRESSES.length]!,
    port: 1_000 + Math.floor(i / ADDRESSES.length),
    portFallback: false,
    nodeSet: 'all',
    nodePort: 30_000 + (i % 2_768),
    check: { kind: 'nodePort' },
    localOnly: false,
    sourceRanges: [],
    drainMs: 0,
    idleMs: 0,
  };
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } });
  const section = await benchKernelScale({ short: values.short });
  console.log(section ? renderSection(section) : 'the kernel path is measured as root on Linux');
}
