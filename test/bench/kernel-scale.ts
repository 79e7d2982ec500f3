import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { RULES_VERSION, type RuleListener, type RuleNode, type Rules, type RulesChange } from '../../src/forwarder/rules.ts';
import { type Figure, medianFigure, renderSection, type Section } from './figures.ts';
import { canMeasure, makeGrounds, startIn } from './forwarder/grounds.ts';

/** 10,000 rules in the kernel path: from `apply` to the report that the kernel has them. Alone: `node test/bench/kernel-scale.ts [--short]`. */
const ADDRESSES = Array.from({ length: 10 }, (_, i) => `10.92.1.${100 + i}`);

export async function benchKernelScale({ short }: { readonly short: boolean }): Promise<Section | undefined> {
  if (!(await canMeasure())) return undefined;
  const [listeners, nodes, rounds] = short ? [500, 3, 2] : [10_000, 10, 15];
  const grounds = await makeGrounds();
  try {
    const { namespace } = await grounds.balancer();
    const loads: number[] = [];
    let figures: readonly Figure[] = [];
    for (let i = 0; i < (short ? 1 : 5); i++) {
      const table = await Table.start(namespace);
      loads.push(await table.load(listeners, nodes));
      if (i === 0) figures = await changes(table, rounds);
      await table.end();
    }
    return {
      title: `Forwarder, kernel path: ${listeners} rules for ${nodes} nodes`,
      setting: ['from the change given to the forwarder until it reports that the kernel has it; medians'],
      figures: [medianFigure({ name: 'all rules in place', unit: 'ms', aim: { atMost: 150 } }, loads), ...figures],
    };
  } finally {
    await grounds.end();
  }
}

async function changes(table: Table, rounds: number): Promise<readonly Figure[]> {
  const times = { add: [] as number[], remove: [] as number[], join: [] as number[], leave: [] as number[] };
  for (let i = 0; i < rounds; i++) {
    times.add.push(await table.change({ listeners: { extra: ruleAt(20_000) } }));
    times.remove.push(await table.change({ listeners: { extra: null } }));
    times.join.push(await table.change({ nodes: { more: node('more', 200) }, nodeSets: { all: [...table.nodes, 'more'] } }));
    times.leave.push(await table.change({ nodes: { more: null }, nodeSets: { all: table.nodes } }));
  }
  return [
    medianFigure({ name: 'one rule more', unit: 'ms', aim: { atMost: 10 } }, times.add),
    medianFigure({ name: 'one rule less', unit: 'ms', aim: { atMost: 10 } }, times.remove),
    medianFigure({ name: 'a node joins', unit: 'ms', aim: { atMost: 30 } }, times.join),
    medianFigure({ name: 'a node leaves', unit: 'ms', aim: { atMost: 30 } }, times.leave),
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
