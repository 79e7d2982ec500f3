import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isWildcard } from './udp-mouth.ts';

/** How often the addresses of this machine are looked at while listeners are open. */
const LOOK_MS = 2_000;

/** A listener that is open at an address. */
export interface Settled {
  readonly address: string;
  /** The address is no more on this machine, so that nobody reaches the open socket; or it is there again. */
  addressIs(here: boolean): void;
}

/** What is asked of this machine; the tests answer themselves. */
export interface AddressPlace {
  /** Addresses of all interfaces. */
  addresses(): ReadonlySet<string>;
  /** Whether a socket can be bound there all the same, as with net.ipv4.ip_nonlocal_bind or a local route. */
  canBind(address: string): Promise<boolean>;
}

/**
 * A socket stays open when its address leaves the machine with an interface or a lease, and nothing fails that could be told. So the
 * addresses of open listeners are looked at now and then. Loopback addresses and others that never were on an interface are left alone.
 */
export class AddressWatch {
  readonly #place: AddressPlace;
  readonly #isElsewhereToo: (address: string) => boolean;
  readonly #settled = new Map<string, Set<Settled>>();
  readonly #seen = new Set<string>();
  readonly #gone = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #first: NodeJS.Immediate | undefined;

  /** @param isElsewhereToo whether the address comes and goes by itself, so that its absence is nobody's fault */
  constructor(isElsewhereToo: (address: string) => boolean, place: AddressPlace = thisMachine) {
    this.#isElsewhereToo = isElsewhereToo;
    this.#place = place;
  }

  add(listener: Settled): void {
    const { address } = listener;
    if (isWildcard(address) || isLoopback(address)) return;
    const at = this.#settled.get(address) ?? new Set<Settled>();
    this.#settled.set(address, at.add(listener));
    this.#timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
    this.#first ??= setImmediate(() => {
      this.#first = undefined;
      void this.look(); // what is here now can be missed later
    });
  }

  remove(listener: Settled): void {
    const { address } = listener;
    const at = this.#settled.get(address);
    at?.delete(listener);
    if (at?.size !== 0) return;
    this.#settled.delete(address);
    this.#seen.delete(address);
    this.#gone.delete(address);
    if (this.#settled.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async look(): Promise<void> {
    const here = this.#place.addresses();
    for (const [address, listeners] of [...this.#settled]) {
      if (here.has(address)) {
        this.#seen.add(address);
        if (this.#gone.delete(address)) this.#tell(listeners, true);
      } else if (this.#seen.has(address) && !this.#gone.has(address) && !this.#isElsewhereToo(address)) {
        if ((await this.#place.canBind(address)) || !this.#settled.has(address)) continue;
        this.#gone.add(address);
        this.#tell(listeners, false);
      }
    }
  }

  #tell(listeners: ReadonlySet<Settled>, here: boolean): void {
    for (const listener of listeners) listener.addressIs(here);
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

const thisMachine: AddressPlace = {
  addresses: () => {
    const all = Object.values(networkInterfaces()).flatMap((entries = []) => entries);
    return new Set(all.map(({ address }) => address.replace(/%.*$/, '')));
  },
  canBind: (address) =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRNOTAVAIL'));
      server.listen({ host: address, port: 0, exclusive: true }, () => server.close(() => resolve(true)));
    }),
};
