import { createSocket, type Socket } from 'node:dgram';
import type { Handle } from './pass.ts';

/**
 * Room for datagrams that have come and are not read yet: some 5,000 small ones, what comes in 100 ms at 50,000 a second. The
 * kernel gives no more than net.core.rmem_max (212,992 bytes unless somebody has raised it), and no less than before.
 * @see https://docs.kernel.org/admin-guide/sysctl/net.html#rmem-max
 */
export const RECEIVE_BYTES = 4 * 1024 * 1024;

/** The same for one client's answers. */
export const ANSWER_BYTES = 1024 * 1024;

/** A socket of one family only, so that the address of a client is always written as its own family's. */
export function makeSocket(family: number): Socket {
  const isSix = family === 6;
  return createSocket({ type: isSix ? 'udp6' : 'udp4', ipv6Only: isSix, lookup: asItIs });
}

/** Asks for as much, and takes what the kernel allows. @returns the room for datagrams that have come */
export function growBuffers(socket: Socket, receiveBytes: number): number {
  try {
    if (socket.getRecvBufferSize() < receiveBytes) socket.setRecvBufferSize(receiveBytes);
    if (socket.getSendBufferSize() < ANSWER_BYTES) socket.setSendBufferSize(ANSWER_BYTES);
  } catch {
    // Some systems refuse what is beyond their limit instead of giving the limit.
  }
  return socket.getRecvBufferSize();
}

/** Node's own, found by what only it has: `socket._handle` would tell everybody that it is deprecated (DEP0112). */
export function handleOf(socket: Socket): Handle & { recvStop(): void } {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state = (socket as unknown as Record<symbol, { readonly handle?: Handle & { recvStop(): void } } | undefined>)[symbol];
    if (typeof state?.handle?.recvStop === 'function') return state.handle;
  }
  return { close: () => {}, recvStop: () => {} };
}

/** Whatever is asked for is an IP address already. Answered at once, so that datagrams keep their order. */
function asItIs(
  address: string,
  _options: unknown,
  done: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4);
}
