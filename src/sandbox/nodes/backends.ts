import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** Who answers at an address. */
export interface Host {
  /** Name of the pod, or the address itself for a machine outside the cluster. */
  readonly name: string;
  /** The pod's node; empty outside the cluster. */
  readonly node: string;
  /** Ports that are served; empty: every port. */
  readonly ports: readonly number[];
}

/** What a pod says of a request, in the header `x-sandbox` as JSON. */
export interface Landing {
  readonly pod: string;
  readonly podNode: string;
  readonly address: string;
  readonly port: number;
  /** The node whose NodePort was entered; `cluster` for a request from within. */
  readonly entered: string;
}

export const LANDING_HEADER = 'x-sandbox';

interface Backend {
  readonly host: Host;
  readonly server: Server;
  readonly port: number;
}

/** Hosts outside the cluster that are made up on demand; more than this many addresses are refused. */
const MAX_OUTSIDE = 100;

/**
 * The addresses behind the Services, each mapped to an HTTP server on a free port of 127.0.0.1: pods, and whatever else a
 * hand-made endpoint names.
 */
export class Backends {
  readonly #byAddress = new Map<string, Promise<Backend>>();
  /** Local port of a connection to a backend: where it entered and which port it was meant for. */
  readonly #visits = new Map<number, { readonly entered: string; readonly port: number }>();
  readonly #isPod: (address: string) => boolean;
  #outside = 0;

  /** @param isPod whether an address is of a pod range: nobody outside is made up for those */
  constructor(isPod: (address: string) => boolean) {
    this.#isPod = isPod;
  }

  async open(address: string, host: Host): Promise<void> {
    const opening = this.#listen(address, host);
    this.#byAddress.set(address, opening);
    await opening;
  }

  /** Lets requests that are under way end; whoever connects from now on is refused. */
  async close(address: string): Promise<void> {
    const backend = this.#byAddress.get(address);
    this.#byAddress.delete(address);
    const { server } = (await backend) ?? {};
    if (!server) return;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeIdleConnections();
    });
  }

  /** Connects to an endpoint. @throws when nobody serves that address and port */
  async connect(address: string, port: number, entered: string): Promise<Socket> {
    const backend = await this.#find(address);
    if (!backend || (backend.host.ports.length > 0 && !backend.host.ports.includes(port))) {
      throw new Error(`connection to ${address}:${port} refused: nobody serves it`);
    }
    const socket = connect({ host: '127.0.0.1', port: backend.port, allowHalfOpen: true });
    await connected(socket);
    const visit = socket.localPort!;
    this.#visits.set(visit, { entered, port });
    socket.once('close', () => this.#visits.delete(visit));
    return socket;
  }

  /** Closes everything at once, also requests that are under way. */
  async stop(): Promise<void> {
    const all = await Promise.all(this.#byAddress.values());
    this.#byAddress.clear();
    await Promise.all(
      all.map(({ server }) => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      }),
    );
  }

  async #find(address: string): Promise<Backend | undefined> {
    const known = this.#byAddress.get(address);
    if (known || this.#isPod(address) || this.#outside >= MAX_OUTSIDE) return known;
    this.#outside++;
    const opening = this.#listen(address, { name: address, node: '', ports: [] });
    this.#byAddress.set(address, opening);
    return opening;
  }

  async #listen(address: string, host: Host): Promise<Backend> {
    const server = createServer((asked, answer) => this.#answer(address, host, asked, answer));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: '127.0.0.1', port: 0 }, resolve);
    });
    return { host, server, port: (server.address() as AddressInfo).port };
  }

  #answer(address: string, host: Host, asked: IncomingMessage, answer: ServerResponse): void {
    const { entered, port } = this.#visits.get(asked.socket.remotePort ?? 0) ?? { entered: '', port: 0 };
    const landing: Landing = { pod: host.name, podNode: host.node, address, port, entered };
    answer.setHeader('content-type', 'text/plain; charset=utf-8');
    answer.setHeader(LANDING_HEADER, JSON.stringify(landing));
    answer.end(`You've hit ${host.name}\n`);
    asked.resume();
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
}
