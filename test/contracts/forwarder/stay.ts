import { expect } from '@jest/globals';
import type { RuleListener, Rules } from '../../../src/forwarder/rules.ts';
import { until } from '../../forwarder/builders.ts';

/** What it needs of the contract's stage. */
interface Stage {
  readonly at: { readonly nodes: readonly string[]; readonly clients: readonly string[] };
  web(part?: Partial<RuleListener>): RuleListener;
  dns(part?: Partial<RuleListener>): RuleListener;
  apply(listeners: readonly RuleListener[], nodes: readonly string[], more?: Partial<Rules>): Promise<void>;
  who(rule: RuleListener, from?: string): Promise<string>;
  answeredBy(rule: RuleListener, names: readonly string[]): Promise<void>;
}

const HOUR = 3_600;
/** A node that a busy machine lets wait must not be taken for dead: its clients would move, and stay. */
const check = { kind: 'nodePort', intervalMs: 300, timeoutMs: 10_000 } as const;
/** Of an affinity that is over before the next client comes. */
const MOMENT = 0.001;
const PATIENCE_MS = 60_000;

/**
 * Clients of TCP and of UDP stay with their targets while others come, go and come back, and when their time is over they are spread over
 * all. Besides the listeners with affinity there is one without, which tells what targets are in use.
 * @param part of every rule
 * @param port of each target; default: the nodePort of the rules
 */
export async function clientsStay(
  stage: Stage,
  { nodes, clients } = stage.at,
  part: Partial<RuleListener> = {},
  port?: number,
): Promise<void> {
  const turn = stage.web({ id: 'turn', port: 18_081, check, ...part });
  const sticky = (affinitySeconds: number) => [
    stage.web({ affinitySeconds, check, ...part }),
    stage.dns({ affinitySeconds, drainMs: 0, check, ...part }),
  ];
  const rules = sticky(HOUR);
  const use = async (targets: readonly string[], listeners = rules) => {
    const own = port !== undefined && { nodes: targets.map((id) => ({ id, addresses: [id], port })) };
    await stage.apply([turn, ...listeners], targets, own || {});
    await stage.answeredBy(turn, targets);
  };
  const ask = async (rule: RuleListener, client: string) =>
    until(
      `an answer to ${client}`,
      async () => {
        const name = await stage.who(rule, client);
        return name !== 'timeout' && name;
      },
      PATIENCE_MS,
    );
  const askAll = async (listeners = rules) => {
    const targets: Record<string, string> = {};
    for (const rule of listeners) for (const client of clients) targets[`${rule.id} ${client}`] = await ask(rule, client);
    return targets;
  };

  const [late = '', gone = ''] = nodes;
  const early = nodes.filter((node) => node !== late);
  await use(early);
  const first = await askAll();
  expect(new Set(Object.values(first))).toEqual(new Set(early));
  await use(nodes);
  expect(await askAll()).toEqual(first);

  const left = nodes.filter((node) => node !== gone);
  await use(left);
  const moved = await askAll();
  const staying = Object.fromEntries(Object.entries(first).filter(([, target]) => target !== gone));
  expect(moved).toMatchObject(staying);
  expect(left).toEqual(expect.arrayContaining(Object.values(moved)));
  await use(nodes);
  expect(await askAll()).toEqual(moved);

  const brief = sticky(MOMENT);
  await use(nodes, brief);
  await askAll(brief);
  for (const rule of brief) {
    await until(
      `clients of ${rule.id} at all targets`,
      async () => new Set(Object.values(await askAll([rule]))).size === nodes.length,
      PATIENCE_MS,
    );
  }
}
