import type { OptionValues } from '../config/options.ts';
import { type Problem, UsageError } from '../errors.ts';
import { listenerProblems, nodeProblems, parseEndpoint } from '../forwarder/problems.ts';
import { type ListenerState, RULES_VERSION, type RuleListener, type Rules, RulesError } from '../forwarder/rules.ts';
import { emptyTable, revise } from '../forwarder/table.ts';

/** Pure. Everything that is wrong with how `forward` was called, but for what is inside a rules file. */
export function judgeForward(operands: readonly string[], values: Pick<OptionValues, 'rules'>): readonly Problem[] {
  const problems: Problem[] = [];
  if (values.rules === undefined) readOperands(operands, problems);
  else if (operands.length > 0) {
    problems.push({ where: '--rules', value: values.rules, message: 'stands for listener and targets: give one or the other' });
  }
  return problems;
}

/** As long as Linux remembers a flow of UDP that was answered. @see https://docs.kernel.org/networking/nf_conntrack-sysctl.html */
const UDP_IDLE_SECONDS = 120;

/** Pure. The rules for `forward tcp://ADDRESS:PORT NODE:PORT …`, or `udp://`. @throws {UsageError} with every problem */
export function planForward(operands: readonly string[], drainSeconds: number): Rules {
  const problems: Problem[] = [];
  const { from, source, targets } = readOperands(operands, problems);
  const [first] = targets;
  if (problems.length > 0 || !source || !first) throw new UsageError(problems);
  return {
    version: RULES_VERSION,
    generation: 1,
    nodes: targets.map(({ text, address, port }) => ({ id: text, addresses: [address], port })),
    nodeSets: { targets: targets.map(({ text }) => text) },
    listeners: [
      {
        id: from,
        protocol: source.protocol,
        address: source.address,
        port: source.port,
        portFallback: false,
        nodeSet: 'targets',
        nodePort: first.port,
        check: source.protocol === 'UDP' ? { kind: 'none' } : { kind: 'nodePort', intervalMs: 2_000 },
        localOnly: false,
        sourceRanges: [],
        drainMs: drainSeconds * 1_000,
        idleMs: source.protocol === 'UDP' ? UDP_IDLE_SECONDS * 1_000 : 0,
      },
    ],
  };
}

/**
 * Pure. The rules out of a file.
 * @param path shown in the problems
 * @throws {UsageError} with every problem
 */
export function readRules(text: string, path: string): Rules {
  const rules = parseRules(text, path);
  const sets = new Set(Object.keys(rules.nodeSets));
  const nodes = new Set(rules.nodes.map(({ id }) => id));
  const problems = [
    ...rules.nodes.flatMap((node) => nodeProblems(node).map((message) => ({ where: `${path}: node ${node.id}`, message }))),
    ...Object.entries(rules.nodeSets).flatMap(([name, ids]) =>
      ids
        .filter((id) => !nodes.has(id))
        .map((id) => ({ where: `${path}: node set ${name}`, value: id, message: 'is no node of the file' })),
    ),
    ...rules.listeners.flatMap((listener) => judgeListener(listener, sets, path)),
  ];
  if (problems.length > 0) throw new UsageError(problems);
  return rules;
}

function parseRules(text: string, path: string): Rules {
  try {
    const rules = JSON.parse(text) as Rules;
    if (typeof rules === 'object' && rules !== null && 'base' in rules) {
      throw new RulesError('Malformed', 'the file must have whole rules, not a change');
    }
    revise(emptyTable, rules);
    return rules;
  } catch (error) {
    if (!(error instanceof RulesError) && !(error instanceof SyntaxError)) throw error;
    const message = error instanceof SyntaxError ? `is no JSON: ${error.message}` : error.message;
    throw new UsageError([{ where: path, message }], { cause: error });
  }
}

function judgeListener(listener: RuleListener, sets: ReadonlySet<string>, path: string): Problem[] {
  const unknown = sets.has(listener.nodeSet) ? [] : [`nodeSet ${JSON.stringify(listener.nodeSet)} is none of the file`];
  const protocol = ['TCP', 'UDP', 'SCTP'].includes(listener.protocol) ? [] : ['protocol must be TCP, UDP or SCTP'];
  return [...listenerProblems(listener), ...unknown, ...protocol].map((message) => ({
    where: `${path}: listener ${listener.id}`,
    message,
  }));
}

function readOperands([from = '', ...to]: readonly string[], problems: Problem[]) {
  const source = readSource(from, problems);
  const targets = to.flatMap((target) => readTarget(target, problems) ?? []);
  const repeated = new Set(to.filter((target, i) => to.indexOf(target) !== i));
  for (const target of repeated) problems.push({ where: 'target', value: target, message: 'is given more than once' });
  if (to.length === 0) problems.push({ where: 'target', message: 'is missing: give at least one ADDRESS:PORT' });
  return { from, source, targets };
}

function readSource(text: string, problems: Problem[]): { protocol: 'TCP' | 'UDP'; address: string; port: number } | undefined {
  const match = /^(tcp|udp):\/\/(.+)$/i.exec(text);
  const endpoint = match ? (parseEndpoint(match[2]) ?? portZero(match[2])) : undefined;
  if (match && endpoint) return { protocol: match[1]!.toLowerCase() === 'tcp' ? 'TCP' : 'UDP', ...endpoint };
  problems.push({
    where: 'listener',
    value: text,
    message: 'must be tcp://ADDRESS:PORT or udp://ADDRESS:PORT, such as tcp://127.0.0.1:8080 or udp://[::1]:5353',
  });
  return undefined;
}

/** Port 0, at which the kernel chooses, is good to listen at and no good to send to. */
function portZero(text: string | undefined): { address: string; port: number } | undefined {
  const at = text?.endsWith(':0') ? parseEndpoint(`${text.slice(0, -1)}1`) : undefined;
  return at && { address: at.address, port: 0 };
}

function readTarget(text: string, problems: Problem[]): { text: string; address: string; port: number } | undefined {
  const endpoint = parseEndpoint(text);
  if (endpoint) return { text, ...endpoint };
  problems.push({ where: 'target', value: text, message: 'must be ADDRESS:PORT, such as 10.0.0.1:30123 or [fd00::1]:30123' });
  return undefined;
}

/** What is not looked after, said where a listener begins: a check is a TCP connection, and the kernel hears of no refusal. */
export function sayUnchecked(protocol: string, state: ListenerState): string | undefined {
  if (protocol !== 'UDP' || state.state !== 'listening' || state.datapath !== 'nftables') return undefined;
  return 'UDP targets are not checked: one that is dead goes on getting its share. --datapath userspace notices those that refuse';
}
