import type { Socket } from 'node:net';
import { findInternals } from './internals.ts';
import { passesSockets } from './platform.ts';

// Open sockets for another process that is no child of ours. Node passes them to its children only (`subprocess.send`), over a
// pipe that it keeps to itself; this is that pipe, over a Unix socket. Reached by `internals.ts`; where it
// cannot be had nothing is passed, and whoever comes opens sockets of his own.

/** A listening or bound socket, as the system knows it: whoever gets it must listen with it or close it. */
export interface Handle {
  close(): void;
}

/** What comes: messages in the order in which they were sent, each with the handle that was sent with it. */
export interface PassageOwner {
  heard(message: unknown, handle: Handle | undefined): void;
  /** The other process has gone, or talks nonsense. */
  ended(): void;
}

export interface Passage {
  /** Whoever is gone gets nothing; `ended` tells. */
  send(message: object, handle?: Handle): void;
  close(): void;
}

export interface Passing {
  /** @returns undefined when nobody is there */
  connect(path: string, owner: PassageOwner): Promise<Passage | undefined>;
  /**
   * Goes on with a connection that a server has accepted, with `pauseOnConnect`. From now on it belongs to the passage, but must be
   * kept: its descriptor stays open until this process ends.
   */
  over(socket: Socket, owner: PassageOwner): Passage;
}

interface PipeHandle extends Handle {
  fd: number;
  onread(this: PipeHandle, buffer: ArrayBuffer | undefined): void;
  pendingHandle?: Handle | null;
  open(fd: number): number;
  connect(request: Record<string, unknown>, path: string): number;
  readStart(): number;
  readStop(): number;
  unref(): void;
  writeUtf8String(request: Record<string, unknown>, text: string, handle?: Handle): number;
}

interface Bindings {
  readonly Pipe: { new (kind: number): PipeHandle };
  readonly PipeConnectWrap: { new (): Record<string, unknown> };
  readonly WriteWrap: { new (): Record<string, unknown> };
  readonly kind: number;
  readonly state: Int32Array;
  readonly bytesOrError: number;
  readonly offset: number;
}

/** No message is longer; whoever sends more is none of ours. */
const MOST_CHARACTERS = 4 * 1024 * 1024;

/** @returns undefined where this Node cannot do it */
export function findPassing(): Passing | undefined {
  const bindings = passesSockets() ? findBindings() : undefined;
  if (!bindings) return undefined;
  return {
    connect: (path, owner) => connect(bindings, path, owner),
    over: (socket, owner) => {
      const pipe = new bindings.Pipe(bindings.kind);
      pipe.open((socket as unknown as { _handle: PipeHandle })._handle.fd);
      return new PipePassage(bindings, pipe, owner, false);
    },
  };
}

function findBindings(): Bindings | undefined {
  return findInternals<Bindings>((binding) => {
    const pipe = binding('pipe_wrap');
    const stream = binding('stream_wrap');
    return {
      Pipe: pipe['Pipe'],
      PipeConnectWrap: pipe['PipeConnectWrap'],
      WriteWrap: stream['WriteWrap'],
      kind: pipe['constants']?.['IPC'],
      state: stream['streamBaseState'],
      bytesOrError: stream['kReadBytesOrError'],
      offset: stream['kArrayBufferOffset'],
    };
  });
}

function connect(bindings: Bindings, path: string, owner: PassageOwner): Promise<Passage | undefined> {
  return new Promise((resolve) => {
    const pipe = new bindings.Pipe(bindings.kind);
    const request = new bindings.PipeConnectWrap();
    const failed = () => {
      pipe.close();
      resolve(undefined);
    };
    request['oncomplete'] = (status: number) => (status === 0 ? resolve(new PipePassage(bindings, pipe, owner, true)) : failed());
    if (pipe.connect(request, path) !== 0) failed();
  });
}

class PipePassage implements Passage {
  readonly #bindings: Bindings;
  readonly #pipe: PipeHandle;
  readonly #owner: PassageOwner;
  /** The descriptor is nobody else's. */
  readonly #isOurs: boolean;
  readonly #decoder = new TextDecoder();
  readonly #handles: Handle[] = [];
  #rest = '';
  #isClosed = false;

  constructor(bindings: Bindings, pipe: PipeHandle, owner: PassageOwner, isOurs: boolean) {
    this.#bindings = bindings;
    this.#pipe = pipe;
    this.#owner = owner;
    this.#isOurs = isOurs;
    pipe.onread = (buffer) => this.#read(buffer);
    pipe.unref();
    pipe.readStart();
  }

  send(message: object, handle?: Handle): void {
    if (this.#isClosed) return;
    const request = new this.#bindings.WriteWrap();
    request['oncomplete'] = () => {};
    request['handle'] = handle; // stays until the kernel has it
    const line = `${JSON.stringify({ message, hasHandle: handle !== undefined })}\n`;
    this.#pipe.writeUtf8String(request, line, ...(handle ? [handle] : []));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const handle of this.#handles.splice(0)) handle.close();
    this.#pipe.readStop();
    if (this.#isOurs) this.#pipe.close();
  }

  #read(buffer: ArrayBuffer | undefined): void {
    const handle = this.#pipe.pendingHandle;
    this.#pipe.pendingHandle = null;
    if (handle) this.#handles.push(handle);
    const { state, bytesOrError, offset } = this.#bindings;
    const length = state[bytesOrError]!;
    if (length < 0) this.#end();
    if (length <= 0 || !buffer) return;
    const lines = (this.#rest + this.#decoder.decode(new Uint8Array(buffer, state[offset]!, length), { stream: true })).split(
      '\n',
    );
    this.#rest = lines.pop()!;
    for (const line of lines) if (!this.#isClosed) this.#take(line);
    if (this.#rest.length > MOST_CHARACTERS) this.#end();
  }

  #take(line: string): void {
    let read: { readonly message?: unknown; readonly hasHandle?: unknown } | null;
    try {
      read = JSON.parse(line);
    } catch {
      read = null;
    }
    if (read === null || typeof read !== 'object') this.#end();
    else this.#owner.heard(read.message, read.hasHandle === true ? this.#handles.shift() : undefined);
  }

  #end(): void {
    if (this.#isClosed) return;
    this.close();
    this.#owner.ended();
  }
}
