import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Endpoint, HealthEntrance } from './entrances.ts';

/** How an entrance reaches an endpoint. */
export type Dial = (endpoint: Endpoint) => Promise<Socket>;

export interface OpenPort {
  /** Where it is really served: another port of the same address where the wanted one was taken. */
  readonly port: number;
  /**
   * No new connection is taken from the moment of the call.
   * @param drainMs how long established connections may live on; 0 cuts them at once
   */
  close(drainMs: number): Promise<void>;
}

/** One NodePort of one node: passes each connection on to the next of its endpoints, as kube-proxy does. */
export class NodePort implements OpenPort {
  readonly port: number;
  /** Never empty. */
  #endpoints: readonly Endpoint[];
  #next = 0;
  #silent = false;
  #takenAt = Number.NEGATIVE_INFINITY;
  readonly #server: Server;
  readonly #dial: Dial;
  readonly #open = new Set<Socket>();

  private constructor(server: Server, port: number, endpoints: readonly Endpoint[], dial: Dial) {
    this.#server = server;
    this.port = port;
    this.#endpoints = endpoints;
    this.#dial = dial;
    server.on('connection', (client: Socket) => this.#take(client));
  }

  /** Opens the NodePort, or a free high port of the same address when it is taken. */
  static async open(address: string, nodePort: number, endpoints: readonly Endpoint[], dial: Dial): Promise<NodePort> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const port = await listenNear(server, address, nodePort);
    return new NodePort(server, port, endpoints, dial);
  }

  /** New connections go to these; those that are established stay where they are. */
  sendTo(endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
  }

  /** When the last connection was taken, by `performance.now()`. */
  get takenAt(): number {
    return this.#takenAt;
  }

  /** Connections are taken and never answered, as by a machine that hangs. */
  silence(silent: boolean): void {
    this.#silent = silent;
  }

  async close(drainMs: number): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    const cut = setTimeout(() => this.#cut(), drainMs);
    if (drainMs === 0) this.#cut();
    await closed;
    clearTimeout(cut);
  }

  #cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async #take(client: Socket): Promise<void> {
    this.#takenAt = performance.now();
    this.#keep(client);
    if (this.#silent) return;
    const endpoint = this.#endpoints[this.#next++ % this.#endpoints.length]!;
    try {
      const pod = await this.#dial(endpoint);
      this.#keep(pod);
      if (client.destroyed) pod.destroy();
      else join(client, pod);
    } catch {
      client.resetAndDestroy(); // kube-proxy would have the pod's machine refuse
    }
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#open.delete(socket));
  }
}

/** Opens a Service's health check on a node: 200 while the node has endpoints of its own, else 503. */
export async function openHealthPort(address: string, port: number, state: () => HealthEntrance): Promise<OpenPort> {
  const server = createHttpServer((asked, answer) => {
    const { namespace, name, localEndpoints } = state();
    answer.statusCode = localEndpoints > 0 ? 200 : 503;
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy: true }));
    asked.resume();
  });
  return closable(server, await listenNear(server, address, port));
}

/** Opens kube-proxy's own health check. */
export async function openProxyHealth(address: string, port: number): Promise<OpenPort> {
  const server = createHttpServer((asked, answer) => {
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ lastUpdated: new Date(), currentTime: new Date(), nodeEligible: true }));
    asked.resume();
  });
  return closable(server, await listenNear(server, address, port));
}

function closable(server: ReturnType<typeof createHttpServer>, port: number): OpenPort {
  return {
    port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Both directions, each with its own end; what breaks one socket breaks the other. */
function join(a: Socket, b: Socket): void {
  a.pipe(b);
  b.pipe(a);
  a.once('close', (broken) => broken && b.destroy());
  b.once('close', (broken) => broken && a.destroy());
}

async function listenNear(server: Server, address: string, port: number): Promise<number> {
  for (const candidate of [port, 0]) {
    try {
      await listen(server, address, candidate);
      return (server.address() as AddressInfo).port;
    } catch (error) {
      if (candidate === 0) throw error;
    }
  }
  throw new Error('unreachable');
}

function listen(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
