import type { Socket } from 'node:dgram';
import { getSystemErrorName } from 'node:util';
import { findInternals } from './internals.ts';
import { handleOf } from './udp-socket.ts';

/** What may wait in this process for a kernel that takes no more, each socket; what comes then is dropped, as routers do. */
export const MAX_WAITING_BYTES = 1024 * 1024;

/** The way out of one socket, until the socket is closed. */
export interface Outlet {
  /**
   * Without a port and an IP address to where the socket is connected.
   * @param onFailed told the system's code (`ECONNREFUSED`), at the earliest when whoever calls is done
   * @returns false: not taken, since more than MAX_WAITING_BYTES wait
   */
  send(datagram: Uint8Array, onFailed: (code: string) => void, port?: number, address?: string): boolean;
}

/** What dgram.Socket itself sends with. */
interface RawHandle {
  /** @returns more than 0: the kernel has it; 0: it waits, and the request is told of its end; less: libuv's error */
  send(request: SendRequest, list: readonly Uint8Array[], count: number, isAsked: true): number;
  send(request: SendRequest, list: readonly Uint8Array[], count: number, port: number, address: string, isAsked: true): number;
  getSendQueueSize(): number;
}

/** Keeps the datagram alive until the kernel has it. */
interface SendRequest {
  datagram?: Uint8Array;
  onFailed?: (code: string) => void;
  oncomplete?: (this: SendRequest, status: number) => void;
}

type SendWrap = new () => SendRequest;

/** The fastest outlet that this Node can do. */
export function bestOutlet(socket: Socket): Outlet {
  const handle = handleOf(socket) as Partial<RawHandle>;
  const isRaw = SendWrap && typeof handle.send === 'function' && typeof handle.getSendQueueSize === 'function';
  return isRaw ? new RawOutlet(handle as RawHandle, SendWrap) : new PlainOutlet(socket);
}

const SendWrap = findInternals<{ SendWrap: SendWrap }>((binding) => ({ SendWrap: binding('udp_wrap')['SendWrap'] }))?.SendWrap;

/** By what dgram offers: some 10 % of a relay's CPU time more, for a request, a callback and a tick with each datagram. */
export class PlainOutlet implements Outlet {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(datagram: Uint8Array, onFailed: (code: string) => void, port?: number, address?: string): boolean {
    if (this.#socket.getSendQueueSize() > MAX_WAITING_BYTES) return false;
    const sent = (error: NodeJS.ErrnoException | null): void => {
      if (error) onFailed(error.code ?? '');
    };
    if (port === undefined) this.#socket.send(datagram, sent);
    else this.#socket.send(datagram, port, address, sent);
    return true;
  }
}

/** A list of one, and a request that the kernel's taking at once has left unused: the same for all. */
const list: Uint8Array[] = [];
const nothing = new Uint8Array(0);
let spare: SendRequest | undefined;

class RawOutlet implements Outlet {
  readonly #handle: RawHandle;
  readonly #SendWrap: SendWrap;
  /** Something has had to wait, and may still. */
  #isBehind = false;

  constructor(handle: RawHandle, made: SendWrap) {
    this.#handle = handle;
    this.#SendWrap = made;
  }

  send(datagram: Uint8Array, onFailed: (code: string) => void, port?: number, address = ''): boolean {
    if (this.#isBehind && !this.#hasRoom()) return false;
    spare ??= new this.#SendWrap();
    list[0] = datagram;
    const status =
      port === undefined ? this.#handle.send(spare, list, 1, true) : this.#handle.send(spare, list, 1, port, address, true);
    list[0] = nothing;
    if (status <= 0) this.#notSent(status, datagram, onFailed);
    return true;
  }

  #notSent(status: number, datagram: Uint8Array, onFailed: (code: string) => void): void {
    const request = spare!;
    spare = undefined;
    if (status < 0) {
      process.nextTick(onFailed, getSystemErrorName(status));
      return;
    }
    this.#isBehind = true;
    Object.assign(request, { datagram, onFailed, oncomplete: sendCompleted });
  }

  #hasRoom(): boolean {
    const waiting = this.#handle.getSendQueueSize();
    this.#isBehind = waiting > 0;
    return waiting <= MAX_WAITING_BYTES;
  }
}

function sendCompleted(this: SendRequest, status: number): void {
  if (status < 0) this.onFailed?.(getSystemErrorName(status));
}
