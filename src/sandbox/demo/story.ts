import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import { explain } from '../../errors.ts';
import { wrap } from './tables.ts';

const WIDTH = 80;
/** `12345 ms  `. */
const INDENT = 10;
const POLL_MS = 5;

/** What is told as it happens, and what turned out not to be true. */
export class Story {
  readonly #write: (line: string) => void;
  readonly #colour: boolean;
  readonly #begun = performance.now();
  readonly #untrue: string[] = [];
  #true = 0;
  #over = false;

  /** @param write one line, without its end */
  constructor(write: (line: string) => void, style: { readonly colour: boolean }) {
    this.#write = (line) => {
      if (!this.#over) write(line);
    };
    this.#colour = style.colour;
  }

  get untrue(): readonly string[] {
    return this.#untrue;
  }

  /** How many claims held. */
  get held(): number {
    return this.#true;
  }

  elapsedMs(): number {
    return Math.round(performance.now() - this.#begun);
  }

  chapter(title: string): void {
    this.#write('');
    this.#write(this.#colour ? styleText('bold', title, { validateStream: false }) : title);
  }

  /** A line of the timeline: the milliseconds since the start, and what happened. */
  tell(what: string): void {
    const [first = '', ...rest] = wrap(what, WIDTH - INDENT);
    this.#write(`${String(this.elapsedMs()).padStart(5)} ms  ${first}`);
    for (const line of rest) this.#write(' '.repeat(INDENT) + line);
  }

  /** Lines that are told as they are. */
  show(lines: readonly string[]): void {
    for (const line of lines) this.#write(line);
  }

  /** @param found told when it is not true */
  claim(isTrue: boolean, what: string, found = ''): void {
    if (isTrue) {
      this.#true++;
      this.tell(what);
      return;
    }
    const untrue = found === '' ? what : `${what} (${found})`;
    this.#untrue.push(untrue);
    this.tell(`NOT TRUE: ${untrue}`);
  }

  /** Nothing is told any more, whatever is still under way. */
  end(): void {
    this.#over = true;
  }

  /** A part that breaks is told and counts as untrue; the next part goes on. */
  async part(title: string, act: () => Promise<void>): Promise<void> {
    this.chapter(title);
    try {
      await act();
    } catch (error) {
      this.claim(false, title, explain(error));
    }
  }
}

/** Polls until `look` gives a value. @returns undefined after `deadlineMs` */
export async function until<T>(look: () => Promise<T | undefined> | T | undefined, deadlineMs: number): Promise<T | undefined> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined || performance.now() > end) return found;
    await sleep(POLL_MS);
  }
}
