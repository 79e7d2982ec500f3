import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { runCommand, runWithFile } from './command.ts';
import { canonical, type Family, keyOf } from './plan.ts';

export interface Place {
  readonly address: string;
  readonly port: number;
}

/** A connection or flow that the kernel tracks. */
export interface Tracked {
  readonly protocol: string;
  /** Of TCP. */
  readonly state: string | undefined;
  readonly client: string;
  /** As the client sent it. */
  readonly to: Place;
  /** Who answers: the target, or `to` itself where nothing was translated. */
  readonly from: Place;
}

/** Which tracked ones shall be forgotten. */
export interface Forget {
  readonly protocol: string;
  readonly address: string;
  /** 0: all of the address. */
  readonly port: number;
  /** Only those that this target answers; its port 0: at whatever port. */
  readonly target?: Place;
  /** Only those of this client. */
  readonly client?: string;
}

/** Flows of UDP that are forgotten one group after the other; where there are more, whole listeners or addresses are. */
const MAX_GROUPS = 256;
/** Groups of one target at one address from which on they are one, if nobody keeps that target. */
const MERGED_FROM = 8;
/**
 * The kernel is read for each deletion: a table of 40,000 entries takes some 80 ms. What is done at once shall take about so much longer
 * than one alone, of which most is the start of the command on a busy machine.
 */
const DELETIONS_MS = 50;
const MAX_DELETIONS_AT_ONCE = 64;
/** The longest list that is read: some 150 bytes each. */
const LIST_TIMEOUT_MS = 20_000;
/** The first that takes many commands at once. @see https://git.netfilter.org/conntrack-tools/tag/?h=conntrack-tools-1.4.7 */
const TAKES_MANY = [1, 4, 7];
/** States of TCP in which nobody waits for anything any more. Most of a busy table are of these. */
const OVER = [' TIME_WAIT ', ' CLOSE ', ' LAST_ACK '];

/**
 * Takes the lines of `conntrack -L` in pieces as they come, and keeps of them only what is asked for and not over: the table may have a
 * million.
 */
export class TrackedReader {
  readonly found: Tracked[] = [];
  readonly #keys: ReadonlySet<string>;
  #rest = '';

  /** @param keys of the listeners whose connections are wanted */
  constructor(keys: ReadonlySet<string>) {
    this.#keys = keys;
  }

  read(chunk: string): void {
    const text = this.#rest + chunk;
    const end = text.lastIndexOf('\n') + 1;
    this.#rest = text.slice(end);
    for (let at = 0; at < end; ) {
      const next = text.indexOf('\n', at);
      const line = text.slice(at, next);
      at = next + 1;
      const tracked = this.#isWanted(line) ? parseLine(line) : undefined;
      if (tracked) this.found.push(tracked);
    }
  }

  #isWanted(line: string): boolean {
    if (OVER.some((state) => line.includes(state))) return false;
    const protocol = line.slice(0, line.indexOf(' '));
    return this.#keys.has(keyOf(canonical(fieldOf(line, ' dst=')), protocol, Number(fieldOf(line, ' dport='))));
  }
}

/** The first of that name; '' when there is none. */
function fieldOf(line: string, name: string): string {
  const at = line.indexOf(name);
  if (at < 0) return '';
  const end = line.indexOf(' ', at + 1);
  return line.slice(at + name.length, end < 0 ? undefined : end);
}

/** Pure. The lines of `conntrack -L`; others are left out. */
export function parseTracked(text: string): readonly Tracked[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): Tracked | undefined {
  const values = [...line.matchAll(/\b(?:src|dst|sport|dport)=(\S+)/g)].map((match) => match[1]!);
  const [client, dst, , dport, src, , sport] = values;
  if (values.length < 8 || client === undefined || dst === undefined || src === undefined) return undefined;
  const [protocol = '', , , state = ''] = line.trim().split(/\s+/, 4);
  return {
    protocol,
    state: /^[A-Z_0-9]+$/.test(state) ? state : undefined,
    client,
    to: { address: canonical(dst), port: Number(dport) },
    from: { address: canonical(src), port: Number(sport) },
  };
}

/**
 * Pure. One for each listener and target.
 * @param isClients one for each client, too: the target's other clients stay
 */
export function groupsOf(tracked: readonly Tracked[], { isClients = false } = {}): readonly Forget[] {
  const found = new Map<string, Forget>();
  for (const { protocol, to, from, client } of tracked) {
    const one = { protocol, ...to, target: from, ...(isClients ? { client } : {}) };
    found.set([protocol, to.address, to.port, from.address, from.port, isClients ? client : ''].join(' '), one);
  }
  return [...found.values()];
}

/**
 * Pure. Of flows to a target that nobody keeps one for each address, instead of one for each of many listeners: the kernel is read for each.
 * @param isGone whether no listener may have a flow to that address
 */
export function merged(forgets: readonly Forget[], isGone: (target: string) => boolean): readonly Forget[] {
  const byTarget = Map.groupBy(forgets, ({ protocol, address, target }) => `${protocol} ${address} ${target?.address}`);
  return [...byTarget.values()].flatMap((group) => {
    const { protocol, address, target } = group[0]!;
    const isOurs = target !== undefined && target.address !== address; // else nothing was translated
    if (!isOurs || group.length < MERGED_FROM || !isGone(target.address)) return group;
    return [{ protocol, address, port: 0, target: { ...target, port: 0 } }];
  });
}

/**
 * Pure. Where there are too many, one for each listener, and one for each address where those are too many as well. Flows of UDP may begin
 * anew, but answers that are under way are lost.
 */
export function atMost(forgets: readonly Forget[], most = MAX_GROUPS): readonly Forget[] {
  if (forgets.length <= most) return forgets;
  const listeners = distinct(forgets, ({ protocol, address, port, target }) => {
    return port === 0 && target ? { protocol, address, port, target } : { protocol, address, port };
  });
  if (listeners.length <= most) return listeners;
  return distinct(forgets, ({ protocol, address }) => ({ protocol, address, port: 0 }));
}

function distinct(forgets: readonly Forget[], as: (one: Forget) => Forget): readonly Forget[] {
  return [...new Map(forgets.map(as).map((one) => [argsOf(one).join(' '), one])).values()];
}

/** Talks to the kernel's connection tracking by the command conntrack. */
export class Conntrack {
  #isMissing = false;
  #takesMany = false;
  readonly #pace = new DeletionPace();
  #deleting: Promise<void> | undefined;
  /** The command has been looked for. */
  readonly looked: Promise<void>;

  constructor() {
    this.looked = this.#look();
  }

  /** False while that is not known. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Whether one run of the command deletes many; false as well while that is not known. */
  get takesMany(): boolean {
    return this.#takesMany;
  }

  /** What is being deleted now. */
  get deleting(): Promise<void> | undefined {
    return this.#deleting;
  }

  async #look(): Promise<void> {
    const { code, stdout } = await runCommand('conntrack', ['--version']);
    this.#isMissing = code === 'ENOENT';
    this.#takesMany = takesMany(stdout);
  }

  /** Those that are not over. @param keys of the listeners whose connections are wanted */
  async list(family: Family, protocol: string, keys: ReadonlySet<string>): Promise<readonly Tracked[]> {
    await this.looked;
    if (this.#isMissing) return [];
    const reader = new TrackedReader(keys);
    const onStdout = (chunk: string) => reader.read(chunk);
    await runCommand('conntrack', ['-L', ...familyArgs(family), '-p', protocol], { timeoutMs: LIST_TIMEOUT_MS, onStdout });
    return reader.found;
  }

  /** @param isStill asked of each right before it is deleted: the rules may be others by then, and its flows new ones */
  async forget(all: readonly Forget[], isStill: (one: Forget) => boolean): Promise<void> {
    await this.looked;
    if (this.#isMissing) return;
    for (let at = 0; at < all.length; ) {
      const next = all.slice(at, at + (this.#takesMany ? this.#pace.atOnce : 1));
      at += next.length;
      const now = next.filter(isStill);
      if (now.length === 0) continue;
      this.#deleting = this.#delete(now.map(argsOf));
      await this.#deleting;
      this.#deleting = undefined;
    }
  }

  async #delete(commands: readonly (readonly string[])[]): Promise<void> {
    const begunMs = performance.now();
    if (!(await this.#deleteAtOnce(commands))) {
      this.#takesMany = false;
      for (const args of commands) await runCommand('conntrack', args, { timeoutMs: LIST_TIMEOUT_MS });
    }
    this.#pace.took(performance.now() - begunMs, commands.length);
  }

  async #deleteAtOnce(commands: readonly (readonly string[])[]): Promise<boolean> {
    if (!this.#takesMany) return false;
    const input = commands.map((args) => `${args.join(' ')}\n`).join('');
    return (await runWithFile('conntrack', ['-R', '-'], input, LIST_TIMEOUT_MS)).code === 0;
  }
}

/** How many are deleted at once: twice as many as long as that costs little more than one, else half as many. */
export class DeletionPace {
  #atOnce = 1;
  #oneMs = 0;

  /** From 1 to 64. */
  get atOnce(): number {
    return this.#atOnce;
  }

  took(ms: number, deletions: number): void {
    if (deletions === 1) this.#oneMs = ms;
    const isQuick = ms <= this.#oneMs + DELETIONS_MS;
    if (!isQuick) this.#atOnce = Math.max(1, Math.floor(deletions / 2));
    else if (deletions === this.#atOnce) this.#atOnce = Math.min(deletions * 2, MAX_DELETIONS_AT_ONCE);
  }
}

/** Pure. @param said what `conntrack --version` prints */
export function takesMany(said: string): boolean {
  const version = /v(\d+)\.(\d+)\.(\d+)/.exec(said)?.slice(1).map(Number) ?? [];
  const differs = TAKES_MANY.findIndex((least, i) => version[i] !== least);
  return version.length > 0 && (differs < 0 || version[differs]! > TAKES_MANY[differs]!);
}

function argsOf({ protocol, address, port, target, client }: Forget): readonly string[] {
  return [
    ...['-D', ...familyArgs(address.includes(':') ? 6 : 4), '-p', protocol, '--orig-dst', address],
    ...(port === 0 ? [] : ['--orig-port-dst', String(port)]),
    ...(target ? ['--reply-src', target.address] : []),
    ...(target && target.port !== 0 ? ['--reply-port-src', String(target.port)] : []),
    ...(client === undefined ? [] : ['--orig-src', client]),
  ];
}

function familyArgs(family: Family): string[] {
  return ['-f', family === 4 ? 'ipv4' : 'ipv6'];
}

/** How full the table is; undefined where the kernel does not say. @see https://docs.kernel.org/networking/nf_conntrack-sysctl.html */
export function readConntrackFill(): { readonly entries: number; readonly limit: number } | undefined {
  try {
    const read = (name: string) => Number(readFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, 'utf8'));
    const [entries, limit] = [read('count'), read('max')];
    return Number.isFinite(entries) && Number.isFinite(limit) ? { entries, limit } : undefined;
  } catch {
    return undefined;
  }
}
