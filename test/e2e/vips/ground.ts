import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Claim, claimLab, prefixOf, removeLab } from '../lab/claim.ts';
import { run } from '../lab/command.ts';
import { Process } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import type { AgentLine, AgentOrders } from './agent-process.ts';
import type { ClientLine, ClientOrders } from './client-process.ts';

/** Layout: a bridge in a namespace of its own, three agents and a client on it, each in one of theirs. */
export const SUBNET = '172.31.79';
export const PORT = 8_080;
const HOLD_MS = 1_500;
const CALM_MS = HOLD_MS + 1_500;
export const NAMES = ['a1', 'a2', 'a3'] as const;
export type AgentName = (typeof NAMES)[number];

const ENTRY = (name: string) => join(import.meta.dirname, name);

/** An address came to a link, or went from it, as the kernel said. */
export interface LinkChange {
  readonly atMs: number;
  readonly agent: AgentName;
  readonly address: string;
  readonly held: boolean;
}

export class Ground {
  readonly claim: Claim;
  readonly #agents = new Map<AgentName, Process>();
  readonly #lines = new Map<AgentName, AgentLine>();
  /** When each first said something, which is when its keepalived has its configuration. */
  readonly #begun = new Map<AgentName, number>();
  readonly #watchers: ChildProcess[] = [];
  /** Every address that came to an agent's link or went. */
  readonly changes: LinkChange[] = [];
  /** When the client's neighbour table changed for an address. */
  readonly announced: { readonly atMs: number; readonly address: string }[] = [];

  private constructor(claim: Claim) {
    this.claim = claim;
  }

  static async make(): Promise<Ground> {
    const ground = new Ground(claimLab());
    const hub = ground.namespace('hub');
    await run('ip', ['netns', 'add', hub]);
    await ip(hub, ['link set lo up', 'link add br0 type bridge', 'link set br0 up']);
    for (const [i, name] of [...NAMES, 'client', 'other'].entries()) {
      const namespace = ground.namespace(name);
      await run('ip', ['netns', 'add', namespace]);
      await ip(hub, [`link add v${name} type veth peer name eth0 netns ${namespace}`, `link set v${name} master br0 up`]);
      await ip(namespace, [
        'link set lo up',
        `addr add ${addressOf(i)}/24 dev eth0`,
        `addr add fd79::${11 + i}/64 dev eth0 nodad`,
        'link set eth0 up',
      ]);
      const settings = ['net.ipv4.ip_nonlocal_bind=1', 'net.ipv6.ip_nonlocal_bind=1'];
      await run('nsenter', [`--net=/run/netns/${namespace}`, 'sysctl', '-qw', ...settings]);
    }
    for (const name of NAMES) {
      ground.#watch(name, 'address', (line) => ground.#noteAddress(name, line));
    }
    ground.#watch('client', 'neigh', (line) => ground.#noteNeighbour(line));
    return ground;
  }

  namespace(name: string): string {
    return `${prefixOf(this.claim)}${name}`;
  }

  runDir(name: AgentName): string {
    return join(this.claim.directory, name);
  }

  /** Commands of `ip -batch` on the bridge's side. */
  hub(lines: readonly string[]): Promise<void> {
    return ip(this.namespace('hub'), lines);
  }

  inside(name: string, lines: readonly string[]): Promise<void> {
    return ip(this.namespace(name), lines);
  }

  /** As the end of a whole container does: nobody is left who could clean up. */
  async killAll(name: AgentName): Promise<void> {
    const pids = ['vrrp.pid', 'keepalived.pid'].map((file) => Number(readFileSync(join(this.runDir(name), file), 'utf8')));
    for (const pid of pids) process.kill(pid, 'SIGSTOP'); // so that none of them does anything about another's death
    this.agent(name).signal('SIGKILL');
    for (const pid of pids.reverse()) process.kill(pid, 'SIGKILL');
    await this.agent(name).exited;
  }

  startAgent(name: AgentName, options: Partial<AgentOrders> = {}, env: NodeJS.ProcessEnv = process.env): Process {
    const orders: AgentOrders = { self: name, runDir: this.runDir(name), holdMs: HOLD_MS, port: PORT, ...options };
    mkdirSync(this.claim.directory, { recursive: true });
    const agent = this.#start(`agent-${name}`, this.namespace(name), 'agent-process.ts', orders, env);
    this.#lines.delete(name);
    this.#begun.delete(name);
    this.#agents.set(name, agent);
    createInterface({ input: agent.child.stdout! }).on('line', (line) => {
      if (this.#agents.get(name) !== agent) return;
      this.#lines.set(name, JSON.parse(line) as AgentLine);
      if (!this.#begun.has(name)) this.#begun.set(name, Date.now());
    });
    return agent;
  }

  agent(name: AgentName): Process {
    const agent = this.#agents.get(name);
    if (!agent) throw new Error(`agent ${name} was never started`);
    return agent;
  }

  /** Tells agents what is wanted: all of them, or the named; `serve` says who can serve. */
  order(
    addresses: readonly string[],
    who: readonly AgentName[] = NAMES,
    serve: (name: AgentName, address: string) => boolean = () => true,
    known: readonly AgentName[] = NAMES,
  ): void {
    const all = NAMES.map((name, i) => ({ name, addresses: [addressOf(i), `fd79::${11 + i}`] }));
    const agents = all.filter(({ name }) => known.includes(name));
    for (const name of who) {
      const wish = { agents, addresses: addresses.map((address) => ({ address, serve: serve(name, address) })) };
      this.agent(name).child.stdin?.write(`${JSON.stringify(wish)}\n`);
    }
  }

  /** What the agent said last. */
  said(name: AgentName): AgentLine | undefined {
    return this.#lines.get(name);
  }

  /** Who has the address on its link now, by what the kernel has said. */
  holders(address: string, atMs = Number.POSITIVE_INFINITY): readonly AgentName[] {
    return NAMES.filter((agent) => {
      const last = this.changes
        .filter((change) => change.agent === agent && change.address === address && change.atMs <= atMs)
        .at(-1);
      return last?.held === true;
    });
  }

  /** Waits until each address has one holder and none has moved for longer than a hold-down and a takeover need. */
  async calm(addresses: readonly string[], withinMs: number): Promise<void> {
    const begun = () => [...this.#agents].filter(([, agent]) => agent.alive).map(([name]) => this.#begun.get(name) ?? Date.now());
    const moved = () => Math.max(0, ...begun(), ...this.changes.map((change) => change.atMs));
    const isCalm = () => Date.now() - moved() > CALM_MS && addresses.every((address) => this.holders(address).length === 1);
    await until(isCalm, { withinMs, what: `each of ${addresses.join(', ')} has one holder, and stays there` });
  }

  /** For how long after `fromMs` more than one agent had the address, and for how long none. */
  overlap(address: string, fromMs: number, toMs: number): { readonly twoMs: number; readonly noneMs: number } {
    const times = [
      fromMs,
      ...this.changes.filter((c) => c.address === address && c.atMs > fromMs && c.atMs < toMs).map((c) => c.atMs),
    ].sort((a, b) => a - b);
    const sum = (test: (holders: number) => boolean) =>
      times.reduce((total, at, i) => total + (test(this.holders(address, at).length) ? (times[i + 1] ?? toMs) - at : 0), 0);
    return { twoMs: sum((n) => n > 1), noneMs: sum((n) => n === 0) };
  }

  /** Connects to the address all the time, until `stop`, which gives everything that happened. */
  knock(
    address: string,
    options: Partial<ClientOrders> = {},
  ): { readonly lines: readonly ClientLine[]; stop(): Promise<readonly ClientLine[]> } {
    const orders: ClientOrders = { address, port: PORT, everyMs: 10, timeoutMs: 3_000, kept: 0, ...options };
    const client = this.#start('client', this.namespace('client'), 'client-process.ts', orders);
    const lines: ClientLine[] = [];
    createInterface({ input: client.child.stdout! }).on('line', (line) => lines.push(JSON.parse(line) as ClientLine));
    const stop = async () => {
      client.child.stdin?.end();
      await client.exited;
      return lines;
    };
    return { lines, stop };
  }

  /** What `forwarder --cleanup` does about addresses, on the agent's machine. */
  async cleanUp(name: AgentName): Promise<readonly string[]> {
    const args = ['--disable-warning=ExperimentalWarning', ENTRY('cleanup-process.ts'), this.runDir(name)];
    const { stdout } = await run('nsenter', [`--net=/run/netns/${this.namespace(name)}`, process.execPath, ...args]);
    return JSON.parse(stdout) as string[];
  }

  /** Global addresses of the agent's link to the others, as `ADDRESS/PREFIX`. */
  async linkAddresses(name: AgentName): Promise<readonly string[]> {
    const { stdout } = await run('ip', ['-n', this.namespace(name), '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'global']);
    return [...stdout.matchAll(/\binet6? (\S+)/g)].map((match) => match[1]!).sort();
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.kill('SIGKILL');
    await removeLab(this.claim);
  }

  #start(name: string, namespace: string, entry: string, orders: object, env = process.env): Process {
    const args = ['--disable-warning=ExperimentalWarning', ENTRY(entry), JSON.stringify(orders)];
    const logFile = join(this.claim.directory, `${name}.log`);
    return new Process({ name, namespace, command: process.execPath, args, logFile, env, talks: true });
  }

  #watch(name: string, what: 'address' | 'neigh', onLine: (line: string) => void): void {
    const watcher = spawn('ip', ['-n', this.namespace(name), '-o', 'monitor', what], { stdio: ['ignore', 'pipe', 'ignore'] });
    createInterface({ input: watcher.stdout! }).on('line', onLine);
    this.#watchers.push(watcher);
  }

  #noteAddress(agent: AgentName, line: string): void {
    const address = /\binet6? ([0-9a-f.:]+)\/(?:32|128) /.exec(line)?.[1];
    if (address === undefined) return;
    const held = !line.startsWith('Deleted');
    const before = this.holders(address).includes(agent);
    if (before !== held) this.changes.push({ atMs: Date.now(), agent, address, held });
  }

  #noteNeighbour(line: string): void {
    const address = /^([0-9a-f.:]+) dev eth0 lladdr /.exec(line)?.[1];
    if (address !== undefined) this.announced.push({ atMs: Date.now(), address });
  }
}

function addressOf(index: number): string {
  return `${SUBNET}.${11 + index}`;
}

async function ip(namespace: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
