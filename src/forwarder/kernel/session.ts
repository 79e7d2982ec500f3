import { type ChildProcess, spawn } from 'node:child_process';
import { commandEnvironment } from './command.ts';

/** So many characters of commands, and another nft takes its place: what it keeps of them is up to four times as long (nft 1.0.6). */
const RENEW_AFTER_CHARACTERS = 1_000_000;
/** An answer that is not there then will not come. */
const TIMEOUT_MS = 10_000;

interface Question {
  readonly mark: string;
  readonly answer: (text: string | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * An `nft -i` that stays: a change takes 1 to 3 ms. A process for each takes 15 ms, most of which the kernel makes it wait at its end
 * for what it removed. A line is one transaction; a word that nft does not know stands behind it, and its complaint shows that
 * the line is done.
 */
export class Session {
  #child: ChildProcess | undefined;
  #heard = '';
  #question: Question | undefined;
  #lastMark = 0;
  /** Characters that this nft was given. */
  #given = 0;

  /** One at a time. @returns what nft complained of, '' for nothing; undefined when there is no such nft, or it does not answer */
  run(commands: string): Promise<string | undefined> {
    if (this.#given > RENEW_AFTER_CHARACTERS) this.#close();
    this.#given += commands.length;
    return new Promise((resolve) => {
      const child = this.#open();
      const mark = `nplbdone${++this.#lastMark}`;
      const timer = setTimeout(() => this.#answer(undefined), TIMEOUT_MS);
      this.#question = { mark, timer, answer: resolve };
      this.#heard = '';
      child.stdin?.write(`${commands.split('\n').join('; ')}\n${mark}\n`);
    });
  }

  end(): void {
    this.#close();
    this.#answer(undefined);
  }

  #close(): void {
    const child = this.#child;
    this.#child = undefined;
    this.#given = 0;
    child?.stdin?.end();
    child?.kill();
  }

  #open(): ChildProcess {
    if (this.#child) return this.#child;
    const child = spawn('nft', ['-i'], { env: commandEnvironment, stdio: ['pipe', 'ignore', 'pipe'] });
    const gone = () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#answer(undefined);
    };
    child.on('error', gone);
    child.on('exit', gone);
    child.stdin.on('error', gone);
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => this.#hear(chunk));
    child.unref();
    this.#child = child;
    return child;
  }

  #hear(chunk: string): void {
    this.#heard += chunk;
    const { mark } = this.#question ?? {};
    const at = mark === undefined ? -1 : this.#heard.indexOf(`${mark}\n`);
    if (at < 0) return;
    const complaint = this.#heard.slice(0, at);
    // The last of it is what nft says of the mark itself.
    const own = complaint.lastIndexOf('Error: ');
    this.#answer(
      complaint
        .slice(0, Math.max(0, own))
        .replace(/^[\s^]+/, '')
        .trim(),
    );
  }

  #answer(text: string | undefined): void {
    const question = this.#question;
    this.#question = undefined;
    clearTimeout(question?.timer);
    question?.answer(text);
  }
}
