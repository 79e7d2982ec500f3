import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { explain } from '../errors.ts';
import { findPassing, type Handle, type Passage, type Passing } from './pass.ts';
import type { ForwarderLog } from './rules.ts';

/** Of the words below; forwarders that do not know each other's give each other nothing. */
export const HANDOVER_VERSION = 1;
/** What the next one has opened itself is open by then. */
const LINGER_MS = 500;
/** Each leaves a descriptor open, as nobody may close it twice. */
const MOST_TRIES = 16;

/** `take` all, then each `socket`, then `all`; then `taken` (the next one accepts there), then `served` (nothing of this one is needed). */
export type HandoverWord =
  | { readonly type: 'take'; readonly version: number; readonly table?: string }
  | { readonly type: 'socket'; readonly key: string }
  | { readonly type: 'all' }
  | { readonly type: 'taken'; readonly keys: readonly string[] }
  | { readonly type: 'served' };

/** What a forwarder can give to the one that takes its place. */
export interface Estate {
  /** Of the kernel, that is this forwarder's; undefined: none. */
  readonly table: string | undefined;
  /** Open sockets, by `keyOfSocket`; they stay this forwarder's as well. */
  sockets(): ReadonlyMap<string, Handle>;
  /** Leaves the kernel's table alone from now on, if it is the one of this name. Resolves when nothing is under way. */
  hold(table: string | undefined): Promise<void>;
  /** The next one does not come: all is as before. */
  goOn(): void;
  /** Accepts nothing more where the next one accepts, and leaves the table to it if it is held. What is established goes on. */
  passOn(keys: ReadonlySet<string>): void;
}

/**
 * Gives everything to whoever asks at the path, until it has all that it wants. Nothing is given where this Node cannot do so.
 * @param done called once, when the next one serves; what is still open is then of use to nobody
 * @returns how to stop, before somebody has asked
 */
export async function offerHandover(path: string, estate: Estate, log: ForwarderLog, done: () => void): Promise<() => void> {
  const passing = findPassing();
  if (!passing) return () => {};
  const offer = new Offer(passing, path, estate, log, done);
  await offer.open();
  return () => offer.close();
}

class Offer {
  readonly #passing: Passing;
  readonly #path: string;
  readonly #estate: Estate;
  readonly #log: ForwarderLog;
  #done: () => void;
  readonly #server: Server;
  /** Their descriptors are the passages'. */
  readonly #sockets: Socket[] = [];
  #passage: Passage | undefined;
  #hasPassed = false;

  constructor(passing: Passing, path: string, estate: Estate, log: ForwarderLog, done: () => void) {
    this.#passing = passing;
    this.#path = path;
    this.#estate = estate;
    this.#log = log;
    this.#done = done;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
    this.#server.unref();
  }

  async open(): Promise<void> {
    if (this.#server.listening) return;
    try {
      await rm(this.#path, { force: true }); // a dead one's
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(this.#path, resolve);
      });
    } catch (thrown) {
      const message = 'a forwarder that takes the place of this one could not take over its sockets';
      this.#log.warn({ path: this.#path, error: explain(thrown) }, message);
    }
  }

  /** The file goes as well, so this must be over before the next one makes its own. */
  close(): void {
    if (this.#server.listening) this.#server.close();
  }

  #accept(socket: Socket): void {
    if (this.#passage || this.#sockets.length >= MOST_TRIES) {
      socket.destroy();
      return;
    }
    socket.unref();
    this.#sockets.push(socket);
    this.#passage = this.#passing.over(socket, {
      heard: (message) => this.#hear(message as HandoverWord),
      ended: () => this.#ended(),
    });
  }

  #hear(word: HandoverWord): void {
    if (word.type === 'take') void this.#give(word);
    else if (word.type === 'taken') this.#pass(word.keys);
    else if (word.type === 'served' && this.#hasPassed) setTimeout(() => this.#finish(), LINGER_MS);
  }

  async #give({ version, table }: Extract<HandoverWord, { type: 'take' }>): Promise<void> {
    const passage = this.#passage!;
    if (version !== HANDOVER_VERSION) {
      this.#log.warn({ version }, 'the next agent asks for the sockets in words that this one does not know');
      passage.close();
      this.#passage = undefined;
      return;
    }
    this.close();
    await this.#estate.hold(table);
    const sockets = this.#estate.sockets();
    for (const [key, handle] of sockets) passage.send({ type: 'socket', key } satisfies HandoverWord, handle);
    passage.send({ type: 'all' } satisfies HandoverWord);
    this.#log.info({ sockets: sockets.size }, 'another forwarder takes the place of this one');
  }

  #pass(keys: readonly string[]): void {
    if (this.#hasPassed) return;
    this.#hasPassed = true;
    this.#estate.passOn(new Set(keys));
  }

  #ended(): void {
    this.#passage = undefined;
    if (this.#hasPassed) this.#finish();
    else this.#takeBack();
  }

  #takeBack(): void {
    this.#estate.goOn();
    void this.open();
  }

  #finish(): void {
    this.#done();
    this.#done = () => {};
  }
}
