import { readFileSync } from 'node:fs';
import { runCommand } from './command.ts';
import { canonical, type Family, keyOf } from './plan.ts';

/** A connection or flow that the kernel tracks. */
export interface Tracked {
  readonly protocol: string;
  /** Of TCP. */
  readonly state: string | undefined;
  readonly client: string;
  /** As the client sent it. */
  readonly to: { readonly address: string; readonly port: number };
  /** Who answers: the target, or `to` itself where nothing was translated. */
  readonly from: { readonly address: string; readonly port: number };
}

/** Which tracked ones shall be forgotten. */
export interface Forget {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  /** Only those that this target answers. */
  readonly target?: string;
}

/** Deletions of one sweep; where there are more, whole addresses are forgotten at once, and their flows begin anew. */
const MAX_DELETIONS = 64;
/** The longest list that is read: some 150 bytes each. */
const LIST_TIMEOUT_MS = 20_000;

/** Takes the lines of `conntrack -L` in pieces as they come, and keeps of them only what is asked for: the table may have a million. */
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
    for (const tracked of parseTracked(text.slice(0, end))) {
      const { to, protocol } = tracked;
      if (this.#keys.has(keyOf(to.address, protocol, to.port))) this.found.push(tracked);
    }
  }
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

/** Pure. One deletion for each listener and target, or for each listener's address when there are too many. */
export function forgets(stale: readonly Tracked[]): readonly Forget[] {
  const found = new Map<string, Forget>();
  for (const { protocol, to, from } of stale) {
    const key = [protocol, to.address, to.port, from.address].join(' ');
    found.set(key, { protocol, address: to.address, port: to.port, target: from.address });
  }
  if (found.size <= MAX_DELETIONS) return [...found.values()];
  const whole = new Map<string, Forget>();
  for (const { protocol, address } of found.values()) whole.set(`${protocol} ${address}`, { protocol, address, port: 0 });
  return [...whole.values()];
}

/** Talks to the kernel's connection tracking by the command conntrack. */
export class Conntrack {
  #isMissing = false;
  /** The command has been looked for. */
  readonly looked: Promise<void>;

  constructor() {
    this.looked = this.#look();
  }

  /** False while that is not known. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  async #look(): Promise<void> {
    this.#isMissing = (await runCommand('conntrack', ['--version'])).code === 'ENOENT';
  }

  /** @param keys of the listeners whose connections are wanted */
  async list(family: Family, protocol: string, keys: ReadonlySet<string>): Promise<readonly Tracked[]> {
    await this.looked;
    if (this.#isMissing) return [];
    const reader = new TrackedReader(keys);
    const onStdout = (chunk: string) => reader.read(chunk);
    await runCommand('conntrack', ['-L', ...familyArgs(family), '-p', protocol], { timeoutMs: LIST_TIMEOUT_MS, onStdout });
    return reader.found;
  }

  async forget({ protocol, address, port, target }: Forget): Promise<void> {
    await this.looked;
    if (this.#isMissing) return;
    const family: Family = address.includes(':') ? 6 : 4;
    const to = ['--orig-dst', address, ...(port === 0 ? [] : ['--orig-port-dst', String(port)])];
    const answering = target === undefined ? [] : ['--reply-src', target];
    await runCommand('conntrack', ['-D', ...familyArgs(family), '-p', protocol, ...to, ...answering], {
      timeoutMs: LIST_TIMEOUT_MS,
    });
  }
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
