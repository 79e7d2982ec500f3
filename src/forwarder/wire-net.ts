import { createServer, connect as netConnect, type Socket } from 'node:net';
import { KEEPALIVE_IDLE_MS, noOwner, type Wire, type WireEnds, type WireOwner, type Wiring } from './wire.ts';

/** Wires made of public net.Sockets: works on every Node. */
export const netWiring: Wiring = {
  serve(accept) {
    const options = {
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_IDLE_MS,
    };
    return createServer(options, (socket) => accept(new NetWire(socket, noOwner)));
  },
  connect(address, port, owner) {
    const socket = netConnect({
      host: address,
      port,
      allowHalfOpen: true,
      noDelay: true,
    });
    socket.pause();
    return new NetWire(socket, owner);
  },
};

class NetWire implements Wire {
  owner: WireOwner;
  readonly #socket: Socket;
  #connected: boolean;
  #error: string | undefined;

  constructor(socket: Socket, owner: WireOwner) {
    this.owner = owner;
    this.#socket = socket;
    this.#connected = !socket.connecting;
    if (socket.connecting) {
      socket.once('connect', () => {
        this.#connected = true;
        this.owner.wireConnected(this);
      });
    }
    socket.on('data', (chunk: Buffer) => this.owner.wireData(this, chunk));
    socket.on('drain', () => this.owner.wireDrained(this));
    socket.on('end', () => this.owner.wireEnded(this));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? 'EIO';
    });
    socket.on('close', () => this.#closed());
    socket.pause();
  }

  ends(): WireEnds {
    const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = this.#socket;
    return { remoteAddress, remotePort, localAddress, localPort };
  }

  keepAlive(): void {
    this.#socket.setKeepAlive(true, KEEPALIVE_IDLE_MS);
  }

  resume(): void {
    this.#socket.resume();
  }

  pause(): void {
    this.#socket.pause();
  }

  write(chunk: Uint8Array): boolean {
    // A stream says "full" for every chunk as large as its mark, even when the kernel took it at once.
    return this.#socket.write(chunk) || this.#socket.writableLength === 0;
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.owner = noOwner;
    // While FIN is under way libuv refuses a reset, and the handle would leak.
    if (this.#socket.writableEnded && !this.#socket.writableFinished) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  close(): void {
    this.owner = noOwner;
    this.#socket.destroy();
  }

  #closed(): void {
    const owner = this.owner;
    this.owner = noOwner;
    if (this.#connected) owner.wireClosed(this, this.#error);
    else owner.wireUnreachable(this, this.#error ?? 'EIO');
  }
}
