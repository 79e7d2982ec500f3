import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../errors.ts';
import { HANDOVER_VERSION, type HandoverWord } from './handover.ts';
import { findPassing, type Handle, type Passage } from './pass.ts';
import type { ForwarderLog } from './rules.ts';

/** Whoever has not given all by then gives nothing: ports are then opened as if nobody had been there. */
const TAKE_MS = 5_000;

/** Names a socket among those of one machine. */
export function keyOfSocket(protocol: 'TCP' | 'UDP', address: string, port: number): string {
  return `${protocol} ${address} ${port}`;
}

/**
 * Listening sockets of the forwarder before this one: whoever opens a port takes its socket from here, so that connections that wait
 * there are served. Empty when nobody was before.
 */
export class Inheritance {
  #handles = new Map<string, Handle>();
  /** What the one before has open, whether it was taken from here or not; until it has closed. */
  #keys: ReadonlySet<string> = new Set();
  readonly #taken: string[] = [];
  #passage: Passage | undefined;

  /**
   * Asks whoever serves at `path` for all its sockets. Resolves when they are here, or nobody gives any.
   * @param table of the kernel that this forwarder will replace; undefined: none
   */
  async take(path: string, table: string | undefined, log: ForwarderLog): Promise<void> {
    const handles = new Map<string, Handle>();
    const whole = Promise.withResolvers<boolean>();
    const heard = (word: HandoverWord, handle: Handle | undefined) => {
      if (word.type === 'socket' && handle) handles.set(word.key, handle);
      else if (word.type === 'all') whole.resolve(true);
    };
    const owner = {
      heard: (message: unknown, handle: Handle | undefined) => heard(message as HandoverWord, handle),
      ended: () => whole.resolve(false),
    };
    const passage = await findPassing()?.connect(path, owner);
    if (!passage) return;
    passage.send({ type: 'take', version: HANDOVER_VERSION, ...(table === undefined ? {} : { table }) } satisfies HandoverWord);
    const isWhole = await Promise.race([whole.promise, sleep(TAKE_MS, false, { ref: false })]);
    if (!isWhole) {
      for (const handle of handles.values()) handle.close();
      passage.close();
      log.warn({ path }, 'the forwarder before this one gave nothing; ports are opened when it has closed them');
      return;
    }
    log.info({ sockets: handles.size }, 'taking over the sockets of the forwarder before this one');
    this.#handles = handles;
    this.#keys = new Set(handles.keys());
    this.#passage = passage;
  }

  /** The socket is the caller's from now on. */
  claim(protocol: 'TCP' | 'UDP', address: string, port: number): Handle | undefined {
    const key = keyOfSocket(protocol, address, port);
    const handle = this.#handles.get(key);
    if (handle && this.#handles.delete(key)) this.#taken.push(key);
    return handle;
  }

  /** Whether it is the forwarder before this one that has the port. */
  holds(protocol: string, address: string, port: number): boolean {
    return this.#keys.has(`${protocol.toUpperCase()} ${address} ${port}`);
  }

  /** All that was wanted has been claimed: the other stops accepting there, and what nobody wants here is closed here. */
  settle(): void {
    for (const handle of this.#handles.values()) handle.close();
    this.#handles.clear();
    this.#passage?.send({ type: 'taken', keys: this.#taken } satisfies HandoverWord);
  }

  /** All that was wanted is served here: the other closes the rest. */
  end(): void {
    this.#passage?.send({ type: 'served' } satisfies HandoverWord);
    this.#passage = undefined; // the other ends it
    this.#keys = new Set();
  }
}

/** Never rejects: without an inheritance all goes on as without somebody before. */
export async function takeOver(
  inheritance: Inheritance,
  path: string,
  table: string | undefined,
  log: ForwarderLog,
): Promise<void> {
  await inheritance
    .take(path, table, log)
    .catch((thrown: unknown) => log.warn({ error: explain(thrown) }, 'nothing was taken over'));
}
