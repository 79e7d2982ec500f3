import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { commandEnvironment } from './command.ts';

/**
 * nft with two inputs: its commands, and a text that they include. That comes through a pipe, which cat makes: what Node gives a process
 * is a socket, which cannot be opened by its name, and `nft -f -` reads nothing before all is there.
 */
const SCRIPT = 'exec 4<&0; cat <&3 | "$0" -i 5<&0 <&4';
/** Of a text that ends before its last line nothing is done: what that line defines is missing. */
const WHOLE = 'nplbwhole';
const LAST_LINE = `define ${WHOLE} = 1`;
const MARK = 'nplbdone';
const COMMANDS = `include "/dev/fd/5"; define nplbseen = $${WHOLE}\n${MARK}\n`;

/** An answer that is not there then will not come. */
const TIMEOUT_MS = 60_000;

/**
 * One transaction whose text is still written while nft reads its beginning. nft is asked for its answer as soon as the kernel has it all;
 * at its end it takes another 10 to 40 ms for 10,000 elements to free what it knows. It waits from the start on: to be ended or given up.
 */
export class Load {
  readonly #child: ChildProcess;
  readonly #text: Writable | undefined;
  #heard = '';
  #isOver = false;
  #onOver: () => void = () => {};

  constructor(nft = 'nft') {
    this.#child = spawn('sh', ['-c', SCRIPT, nft], { env: commandEnvironment, stdio: ['pipe', 'ignore', 'pipe', 'pipe'] });
    this.#text = (this.#child.stdio?.[3] as Writable | null | undefined) ?? undefined;
    const over = () => this.#over();
    this.#child.on('error', over);
    this.#child.on('close', over);
    this.#child.stdin?.on('error', over);
    this.#text?.on('error', () => {});
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#heard += chunk;
      if (this.#heard.includes(`${MARK}\n`)) this.#over();
    });
    this.#child.stdin?.write(COMMANDS);
  }

  /** It has not waited. */
  get isOver(): boolean {
    return this.#isOver;
  }

  write(line: string): void {
    this.#text?.write(`${line}\n`);
  }

  /** Once. @returns what nft complained of, '' for nothing; undefined when there is no such nft, or it does not answer */
  async end(): Promise<string | undefined> {
    this.#text?.end(`${LAST_LINE}\n`);
    const timer = setTimeout(() => this.#over(), TIMEOUT_MS);
    if (!this.#isOver) await new Promise<void>((resolve) => (this.#onOver = resolve));
    clearTimeout(timer);
    this.giveUp();
    return complaintIn(this.#heard);
  }

  /** Nothing of the text is done, unless that has happened. */
  giveUp(): void {
    this.#text?.destroy();
    this.#child.stdin?.destroy();
  }

  #over(): void {
    this.#isOver = true;
    this.#onOver();
  }
}

/** Pure. What stands before the complaint about the mark; undefined: that is not there, or the text has not come through. */
export function complaintIn(heard: string): string | undefined {
  const at = heard.indexOf(`${MARK}\n`);
  if (at < 0) return undefined;
  const own = heard.lastIndexOf('Error: ', at);
  const complaint = heard.slice(0, Math.max(0, own)).trim();
  return complaint.startsWith(`Error: unknown identifier '${WHOLE}'`) ? undefined : complaint;
}
