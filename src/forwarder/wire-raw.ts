import { createServer, isIP, type Server } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { findInternals } from './internals.ts';
import { inheritsNoDelay } from './platform.ts';
import { commonBuffer, copyOut, giveOwnBuffer, keepCopy, takeOwnBuffer } from './read-buffers.ts';
import { KEEPALIVE_IDLE_MS, noOwner, type Wire, type WireEnds, type WireOwner, type Wiring } from './wire.ts';
import { netWiring } from './wire-net.ts';

interface TcpHandle {
  /** @returns the buffer to read into from now on; undefined: the same */
  onread: (this: TcpHandle) => Uint8Array | undefined;
  /** Has the handle read into this buffer. To be called once; later buffers are what `onread` returns. */
  useUserBuffer(buffer: Uint8Array): void;
  wire?: RawWire;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, chunk: Uint8Array): number;
  shutdown(request: ShutdownRequest): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  setNoDelay(on: boolean): number;
  setKeepAlive(on: boolean, idleSeconds: number): number;
  getsockname(into: SocketName): number;
  getpeername(into: SocketName): number;
  reset(): number;
  close(): void;
}

interface SocketName {
  address?: string;
  port?: number;
}

interface Request {
  wire: RawWire;
  oncomplete(this: Request, status: number): void;
}

/** Keeps the chunk alive until the kernel has it. */
interface WriteRequest extends Request {
  chunk?: Uint8Array;
}
type ShutdownRequest = Request;
type ConnectRequest = Request;

interface RawBindings {
  readonly TCP: { new (kind: number): TcpHandle };
  readonly TCPConnectWrap: { new (): ConnectRequest };
  readonly WriteWrap: { new (): WriteRequest };
  readonly ShutdownWrap: { new (): ShutdownRequest };
  readonly socketKind: number;
  /** Where a handle leaves the outcome of its last call, at the two indexes that follow. */
  readonly state: Int32Array;
  readonly readBytesOrError: number;
  readonly lastWriteWasAsync: number;
}

const KEEPALIVE_IDLE_SECONDS = KEEPALIVE_IDLE_MS / 1_000;
/** libuv's code for the end of the stream. */
const END_OF_STREAM = -4095;

/** The fastest wires that this Node can do. */
export function bestWiring(): Wiring {
  const bindings = findBindings();
  return bindings ? rawWiring(bindings) : netWiring;
}

function findBindings(): RawBindings | undefined {
  return findInternals<RawBindings>((binding) => {
    const tcp = binding('tcp_wrap');
    const stream = binding('stream_wrap');
    return {
      TCP: tcp['TCP'],
      TCPConnectWrap: tcp['TCPConnectWrap'],
      WriteWrap: stream['WriteWrap'],
      ShutdownWrap: stream['ShutdownWrap'],
      socketKind: tcp['constants']?.['SOCKET'],
      state: stream['streamBaseState'],
      readBytesOrError: stream['kReadBytesOrError'],
      lastWriteWasAsync: stream['kLastWriteWasAsync'],
    };
  });
}

function rawWiring(bindings: RawBindings): Wiring {
  const shared: Shared = { bindings, onread: readerFor(bindings), spare: undefined };
  return {
    serve(accept) {
      const server = createServer();
      server.on('listening', () => takeConnections(server, (handle) => accept(new RawWire(handle, shared, noOwner))));
      return server;
    },
    connect(address, port, owner) {
      const handle = new bindings.TCP(bindings.socketKind);
      handle.setNoDelay(true);
      const wire = new RawWire(handle, shared, owner);
      const request = new bindings.TCPConnectWrap();
      request.wire = wire;
      request.oncomplete = connectCompleted;
      const status = isIP(address) === 6 ? handle.connect6(request, address, port) : handle.connect(request, address, port);
      if (status !== 0) setImmediate(() => wire.connected(status));
      return wire;
    },
  };
}

/** Connections inherit the options of the socket that they come in by, at no cost. */
function takeConnections(server: Server, accept: (handle: TcpHandle) => void): void {
  const { _handle: listening } = server as unknown as {
    _handle: TcpHandle & { onconnection(status: number, handle: TcpHandle): void };
  };
  listening.setNoDelay(true);
  listening.setKeepAlive(true, KEEPALIVE_IDLE_SECONDS);
  const inherits = inheritsNoDelay();
  listening.onconnection = (status, handle) => {
    if (status !== 0) return;
    if (!inherits) handle.setNoDelay(true);
    accept(handle);
  };
}

function connectCompleted(this: Request, status: number): void {
  this.wire.connected(status);
}

function writeCompleted(this: Request, status: number): void {
  this.wire.written(status);
}

function shutdownCompleted(this: Request, status: number): void {
  this.wire.shutDown(status);
}

function readerFor({ state, readBytesOrError }: RawBindings): TcpHandle['onread'] {
  return function onread() {
    const count = state[readBytesOrError]!;
    if (count > 0) return this.wire?.read(count);
    if (count < 0) this.wire?.readFailed(count);
    return undefined;
  };
}

/** What all wires of a wiring share. */
interface Shared {
  readonly bindings: RawBindings;
  readonly onread: TcpHandle['onread'];
  /** A write request that the kernel took at once was never really used. */
  spare: WriteRequest | undefined;
}

class RawWire implements Wire {
  owner: WireOwner;
  readonly #handle: TcpHandle;
  readonly #shared: Shared;
  /** Where the handle reads into; undefined: it has never read. */
  #buffer: Uint8Array | undefined;
  /** The owner has stopped reading, so what was read last may not be written yet. */
  #lent = false;
  #writing = 0;
  #reading = false;
  #ended = false;
  /** FIN is to be sent after what is still being written. */
  #ending = false;
  #finished = false;
  #closed = false;

  constructor(handle: TcpHandle, shared: Shared, owner: WireOwner) {
    this.owner = owner;
    this.#handle = handle;
    this.#shared = shared;
    handle.wire = this;
    handle.onread = shared.onread;
  }

  ends(): WireEnds {
    const remote: SocketName = {};
    const local: SocketName = {};
    if (!this.#closed) {
      this.#handle.getpeername(remote);
      this.#handle.getsockname(local);
    }
    return {
      remoteAddress: remote.address ?? '',
      remotePort: remote.port ?? 0,
      localAddress: local.address ?? '',
      localPort: local.port ?? 0,
    };
  }

  keepAlive(): void {
    if (!this.#closed) this.#handle.setKeepAlive(true, KEEPALIVE_IDLE_SECONDS);
  }

  resume(): void {
    this.#lent = false;
    if (this.#reading || this.#closed || this.#ended) return;
    if (!this.#buffer) {
      this.#buffer = commonBuffer;
      this.#handle.useUserBuffer(commonBuffer);
    }
    this.#reading = true;
    const status = this.#handle.readStart();
    if (status !== 0) setImmediate(() => this.readFailed(status));
  }

  pause(): void {
    this.#lent = true;
    this.#stopReading();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed) return true;
    const { bindings, spare } = this.#shared;
    const request = spare ?? new bindings.WriteWrap();
    const status = this.#handle.writeBuffer(request, chunk);
    if (status !== 0) {
      setImmediate(() => this.#fail(status));
      return true;
    }
    if (bindings.state[bindings.lastWriteWasAsync] === 0) {
      this.#shared.spare = request;
      return this.#writing === 0;
    }
    this.#shared.spare = undefined;
    request.wire = this;
    request.oncomplete = writeCompleted;
    request.chunk = chunk;
    this.#writing++;
    return false;
  }

  end(): void {
    if (this.#closed || this.#ending || this.#finished) return;
    if (this.#ended && this.#writing === 0) {
      // Closing sends the same FIN, and saves a call.
      this.#finished = true;
      this.#closeWhenBothDone();
      return;
    }
    const request = new this.#shared.bindings.ShutdownWrap();
    request.wire = this;
    request.oncomplete = shutdownCompleted;
    this.#ending = true;
    const status = this.#handle.shutdown(request);
    if (status !== 0) setImmediate(() => this.shutDown(status));
  }

  reset(): void {
    if (this.#closed) return;
    this.#detach();
    // While FIN is under way libuv refuses a reset, and Node then takes the handle for closed though it is not: it would leak.
    if (this.#ending) this.#handle.close();
    else this.#handle.reset();
  }

  close(): void {
    if (this.#closed) return;
    this.#detach();
    this.#handle.close();
  }

  connected(status: number): void {
    if (this.#closed) return;
    const { owner } = this;
    if (status === 0) {
      owner.wireConnected(this);
      return;
    }
    this.close();
    owner.wireUnreachable(this, getSystemErrorName(status));
  }

  /** So many bytes are in the buffer. @returns the buffer for what comes next, when that is another one */
  read(count: number): Uint8Array | undefined {
    const buffer = this.#buffer;
    if (!buffer || this.#closed) return undefined;
    if (buffer !== commonBuffer) {
      this.owner.wireData(this, new Uint8Array(buffer.buffer, buffer.byteOffset, count));
      return undefined;
    }
    this.owner.wireData(this, copyOut(count));
    if (this.#lent) keepCopy(count);
    if (count < commonBuffer.length || this.#closed) return undefined;
    this.#buffer = takeOwnBuffer() ?? commonBuffer;
    return this.#buffer;
  }

  readFailed(status: number): void {
    if (this.#closed) return;
    if (status !== END_OF_STREAM) {
      this.#fail(status);
      return;
    }
    this.#stopReading();
    this.#ended = true;
    this.owner.wireEnded(this);
    this.#closeWhenBothDone();
  }

  written(status: number): void {
    if (this.#closed) return;
    if (status !== 0) this.#fail(status);
    else if (--this.#writing === 0) this.owner.wireDrained(this);
  }

  shutDown(status: number): void {
    this.#ending = false;
    if (this.#closed) return;
    if (status !== 0) {
      this.#fail(status);
      return;
    }
    this.#finished = true;
    this.#closeWhenBothDone();
  }

  #stopReading(): void {
    if (!this.#reading || this.#closed) return;
    this.#reading = false;
    this.#handle.readStop();
  }

  #closeWhenBothDone(): void {
    if (!this.#ended || !this.#finished || this.#closed) return;
    const { owner } = this;
    this.close();
    owner.wireClosed(this, undefined);
  }

  #fail(status: number): void {
    if (this.#closed) return;
    const { owner } = this;
    this.close();
    owner.wireClosed(this, getSystemErrorName(status));
  }

  #detach(): void {
    this.#closed = true;
    this.owner = noOwner;
    if (this.#buffer && this.#buffer !== commonBuffer) giveOwnBuffer(this.#buffer, this.#lent);
    this.#buffer = undefined;
  }
}
