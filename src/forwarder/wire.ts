import type { Server } from 'node:net';

/**
 * One TCP connection as the forwarder needs it, without the cost of a stream. `wire-net.ts` makes it of public net.Sockets,
 * `wire-raw.ts` of the handles below them; both keep the same promises and pass the same tests.
 */
export interface Wire {
  owner: WireOwner;
  /** The other end's address and port, and ours; empty and 0 when it has gone already. */
  ends(): WireEnds;
  /** Has the kernel ask a silent other end whether it is still there; an accepted wire does so from the start. */
  keepAlive(): void;
  /** Reading is off at first. Allowed at any time, also after the close. */
  resume(): void;
  pause(): void;
  /** Takes the chunk over. @returns false when the kernel has not taken it all: write no more before `wireDrained` */
  write(chunk: Uint8Array): boolean;
  /** Sends FIN after what was written; the other direction stays open. */
  end(): void;
  /** Lets go at once, so that the other end sees RST. `wireClosed` is not called. */
  reset(): void;
  /** Lets go at once. `wireClosed` is not called. */
  close(): void;
}

/** Who is told. A wire is closed for its owner after `wireClosed` or `wireUnreachable`, and calls nothing after that. */
export interface WireOwner {
  wireConnected(wire: Wire): void;
  /** @param code of the system, such as ECONNREFUSED */
  wireUnreachable(wire: Wire, code: string): void;
  /** The chunk is good until this returns; if the owner has paused the wire by then, until it resumes. */
  wireData(wire: Wire, chunk: Uint8Array): void;
  wireDrained(wire: Wire): void;
  /** The other end has sent FIN. */
  wireEnded(wire: Wire): void;
  /** @param code undefined: both directions have ended; else of the system, such as ECONNRESET */
  wireClosed(wire: Wire, code: string | undefined): void;
}

export interface WireEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** How wires are made. */
export interface Wiring {
  /** Hands each new connection of the server to `accept`, which sets its owner before it returns. */
  serve(accept: (wire: Wire) => void): Server;
  connect(address: string, port: number, owner: WireOwner): Wire;
}

/**
 * Quiet time before TCP keepalive probes, both sides. IPVS, one of kube-proxy's modes, forgets a TCP connection that was silent
 * for 900 s without telling anybody, so this must stay well below.
 * @see https://www.kernel.org/doc/html/latest/networking/ipvs-sysctl.html and ipvsadm(8), --set: 15 minutes for TCP
 */
export const KEEPALIVE_IDLE_MS = 300_000;

/** Connections that the kernel may queue before they are accepted; it caps this at net.core.somaxconn. */
export const BACKLOG = 4096;

/** Nobody listens any more, or not yet. */
export const noOwner: WireOwner = {
  wireConnected: () => {},
  wireUnreachable: () => {},
  wireData: () => {},
  wireDrained: () => {},
  wireEnded: () => {},
  wireClosed: () => {},
};
