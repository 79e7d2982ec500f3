import { spawnSync } from 'node:child_process';
import type { ListenFailure } from '../rules.ts';
import { commandEnvironment, runCommand } from './command.ts';
import { Load } from './load.ts';
import { Session } from './session.ts';

/** Why the kernel path cannot be had, or did not take something. */
export interface KernelFault {
  readonly code: Extract<ListenFailure, 'NftMissing' | 'NetAdminMissing' | 'ForwardingOff' | 'KernelRefused'>;
  readonly message: string;
}

/** What is longer goes by a process of its own. */
const MAX_SESSION_CHARACTERS = 60_000;
/** Of the list of chains: kube-proxy has several for each Service, of some 100 bytes. */
const MAX_CHAINS_BYTES = 64 * 1024 * 1024;

const LOAD = ['-f', '-'];
/** A start with many rules has them by then. */
const FIRST_LOAD_WITHIN_MS = 60_000;

/** Talks to the kernel by the command nft. */
export class Nft {
  #session: Session | undefined = new Session();
  /** For the first load, whose rules may be many: it is started while nobody waits for it, and does not outlive that. */
  #first: Load | undefined = new Load();

  constructor() {
    setTimeout(() => this.#endFirst(), FIRST_LOAD_WITHIN_MS).unref();
  }

  /** One transaction: all of it or nothing. @returns why nothing of it was done, or undefined */
  async apply(commands: string): Promise<KernelFault | undefined> {
    if (commands.length <= MAX_SESSION_CHARACTERS && this.#session) {
      const answer = await this.#session.run(commands);
      if (answer !== undefined) {
        this.#endFirst();
        return answer === '' ? undefined : faultOf(answer);
      }
      this.#session.end();
      this.#session = undefined; // this nft is no interactive one
    }
    const { code, stderr } = await runCommand('nft', LOAD, { input: commands, timeoutMs: 60_000 });
    return code === 0 ? undefined : faultOf(stderr, code);
  }

  /** One transaction whose text is not whole yet. */
  begin(): Load {
    const first = this.#first;
    this.#first = undefined;
    return first && !first.isOver ? first : new Load();
  }

  /** @returns what it prints, or undefined when there is no such thing */
  async list(...what: readonly string[]): Promise<string | undefined> {
    const { code, stdout } = await runCommand('nft', what, { timeoutMs: 60_000 });
    return code === 0 ? stdout : undefined;
  }

  end(): void {
    this.#session?.end();
    this.#endFirst();
  }

  #endFirst(): void {
    this.#first?.giveUp();
    this.#first = undefined;
  }
}

/**
 * Whether this process may have rulesets and the kernel knows all that ours need; nothing is changed. Synchronous: some 10 ms, once.
 * @param ruleset to try
 */
export function tryNft(ruleset: string): KernelFault | undefined {
  if (process.platform !== 'linux') return { code: 'NftMissing', message: `nftables is of Linux, this is ${process.platform}` };
  const { status, stderr, error } = spawnSync('nft', ['-c', '-f', '-'], {
    input: ruleset,
    encoding: 'utf8',
    env: commandEnvironment,
    timeout: 10_000,
  });
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? status ?? -1;
  return code === 0 ? undefined : faultOf(stderr ?? '', code);
}

/** Every chain that there is, without rules; empty when that cannot be known. Synchronous: some 10 ms, once. */
export function readChains(): string {
  const options = { encoding: 'utf8', env: commandEnvironment, timeout: 10_000, maxBuffer: MAX_CHAINS_BYTES } as const;
  const { status, stdout } = spawnSync('nft', ['list', 'chains'], options);
  return status === 0 ? stdout : '';
}

/** Pure. */
export function faultOf(stderr: string, code: number | string = 1): KernelFault {
  if (code === 'ENOENT') return { code: 'NftMissing', message: 'the command nft is not installed' };
  // nft has no exit codes for what went wrong; this is the text of EPERM, in the language that we ask for.
  if (/Operation not permitted/.test(stderr)) {
    return { code: 'NetAdminMissing', message: 'nftables may not be changed by this process: it lacks CAP_NET_ADMIN' };
  }
  const said = stderr.trim().split('\n').slice(0, 2).join(' ').slice(0, 300);
  return { code: 'KernelRefused', message: `nft did not take the rules: ${said || `it ended with ${code}`}` };
}
