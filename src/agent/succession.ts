import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../errors.ts';
import type { Log } from '../providers/provider.ts';

// An agent that starts where one of its name is running takes its place, as in an upgrade: it asks at a socket in the state
// directory, the other gives up its addresses, its Lease and its report, and answers; then the sockets go from forwarder to forwarder
// (forwarder/handover.ts), and the other says when it has let go of everything.

const VERSION = 1;
/** The other agents take the addresses over (3 s), keepalived ends (4 s), and a write to the API server may be under way. */
const YIELD_MS = 15_000;
/** It closes everything by itself after half of that. */
const FREE_MS = 60_000;
/** A socket's path must be shorter than 108 bytes on Linux, and an agent's name need not be. */
const NAME_DIGITS = 8;

type Word =
  | { readonly type: 'succeed'; readonly version: number; readonly takes: boolean }
  | { readonly type: 'yours' }
  | { readonly type: 'free' };

export interface MeetingPlaces {
  /** For agents. */
  readonly agent: string;
  /** For their forwarders. */
  readonly forwarder: string;
}

/** Where agents of one name meet on a machine. */
export function meetingPlaces(stateDir: string, agent: string): MeetingPlaces {
  const digits = createHash('sha256').update(agent).digest('hex').slice(0, NAME_DIGITS);
  return { agent: join(stateDir, `agent-${digits}.sock`), forwarder: join(stateDir, `forwarder-${digits}.sock`) };
}

/** The agent whose place this one has taken. */
export interface Predecessor {
  /** Resolves when it has nothing open any more at which it accepts, or is gone; after a minute in any case. */
  readonly free: Promise<void>;
}

/**
 * Takes the place of the agent that is running here.
 * @param takes whether the forwarder takes over the other's sockets; else they are closed at once
 * @returns undefined: there is none, or none that makes way
 */
export async function succeed(path: string, takes: boolean, log: Log): Promise<Predecessor | undefined> {
  const socket = await reach(path);
  if (!socket) return undefined;
  const yours = Promise.withResolvers<boolean>();
  const free = Promise.withResolvers<void>();
  readWords(socket, (word) => {
    if (word.type === 'yours') yours.resolve(true);
    else if (word.type === 'free') free.resolve();
  });
  socket.on('close', () => {
    yours.resolve(false);
    free.resolve();
  });
  say(socket, { type: 'succeed', version: VERSION, takes });
  const isOurs = await Promise.race([yours.promise, sleep(YIELD_MS, false, { ref: false })]);
  if (isOurs) {
    socket.unref(); // it is there for the other one, who sees by it that this one lives
    log.info({}, 'taking the place of the agent that was running here');
    return { free: Promise.race([free.promise, sleep(FREE_MS, undefined, { ref: false })]) };
  }
  socket.destroy();
  log.warn({ path }, 'the agent that is running here did not make way; ports are served when it has closed them');
  return undefined;
}

/** The agent that takes the place of this one. */
export interface Successor {
  /** Whether its forwarder asks for the sockets. */
  readonly takes: boolean;
  /** Says that everything but the sockets is its own now. */
  yield(): void;
  /** Says that nothing is accepted here any more. */
  free(): void;
  /** Resolves when it has gone. */
  readonly lost: Promise<void>;
}

/** Waits for an agent that takes the place of this one; `asked` resolves with the first. */
export class Succession {
  readonly #server: Server;
  readonly #asked = Promise.withResolvers<Successor>();
  readonly #sockets = new Set<Socket>();
  #isAsked = false;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.unref();
  }

  /** Where nobody can ask, nobody does: what is wrong is logged. */
  static async open(path: string, log: Log): Promise<Succession> {
    const succession = new Succession();
    try {
      await rm(path, { force: true }); // a dead one's
      await new Promise<void>((resolve, reject) => {
        succession.#server.once('error', reject);
        succession.#server.listen(path, resolve);
      });
    } catch (thrown) {
      log.warn({ path, error: explain(thrown) }, 'an agent that is started beside this one could not take its place');
    }
    return succession;
  }

  get asked(): Promise<Successor> {
    return this.#asked.promise;
  }

  close(): void {
    this.#stopListening();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The file goes as well, so this must be over before the next one makes its own. */
  #stopListening(): void {
    if (this.#server.listening) this.#server.close();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const lost = new Promise<void>((resolve) => {
      socket.on('close', () => {
        this.#sockets.delete(socket);
        resolve();
      });
    });
    socket.on('error', () => {}); // its close follows
    readWords(socket, (word) => {
      if (word.type !== 'succeed' || word.version !== VERSION || this.#isAsked) {
        socket.destroy();
        return;
      }
      this.#isAsked = true;
      this.#stopListening();
      this.#asked.resolve({
        takes: word.takes === true,
        yield: () => say(socket, { type: 'yours' }),
        free: () => say(socket, { type: 'free' }),
        lost,
      });
    });
  }
}

function reach(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = netConnect(path);
    socket.once('connect', () => resolve(socket));
    socket.on('error', () => resolve(undefined));
  });
}

function readWords(socket: Socket, heard: (word: Word) => void): void {
  const lines = createInterface({ input: socket });
  lines.on('error', () => {}); // the socket's; its close follows
  lines.on('line', (line) => {
    const word = parse(line);
    if (word) heard(word);
    else socket.destroy();
  });
}

function parse(line: string): Word | undefined {
  try {
    const word = JSON.parse(line) as Word | null;
    return typeof word?.type === 'string' ? word : undefined;
  } catch {
    return undefined;
  }
}

function say(socket: Socket, word: Word): void {
  if (socket.writable) socket.write(`${JSON.stringify(word)}\n`);
}
