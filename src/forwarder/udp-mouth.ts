import type { BindOptions, Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NotBound } from './listen.ts';
import type { Handle } from './pass.ts';
import type { Flow } from './udp-flow.ts';
import { bestOutlet, type Outlet } from './udp-outlet.ts';
import { growBuffers, handleOf, makeSocket, RECEIVE_BYTES } from './udp-socket.ts';

/** Tries to find a port that is free at every address, when any will do. */
const ANY_PORT_TRIES = 5;

/**
 * A port at one address, through which datagrams come and answers leave. Node does not tell which address a datagram was sent
 * to, so a wildcard is one of these for each address of this machine: what comes in at one leaves from it.
 */
export class Mouth {
  readonly address: string;
  readonly port: number;
  readonly socket: Socket;
  readonly outlet: Outlet;
  /** Room for datagrams that have come and are not read yet. */
  readonly receiveBytes: number;
  /** By `PORT ADDRESS` of the client. */
  readonly flows = new Map<string, Flow>();

  constructor(address: string, socket: Socket) {
    this.address = address;
    this.port = socket.address().port;
    this.socket = socket;
    this.outlet = bestOutlet(socket);
    this.receiveBytes = growBuffers(socket, RECEIVE_BYTES);
  }

  get handle(): Handle {
    return handleOf(this.socket);
  }

  /** Hears nothing any more, without an end: another process hears what comes, and answers may still leave from here. */
  deafen(): void {
    handleOf(this.socket).recvStop();
  }
}

/** Gives the socket of an address and port that is open already. */
export type Inherited = (address: string, port: number) => Handle | undefined;

export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && /^[0:]+$/.test(address));
}

/** Every address that a listener's stands for. */
export function addressesBehind(address: string, ipv6Only: boolean): readonly string[] {
  if (!isWildcard(address)) return [address];
  const families = isIP(address) === 4 ? ['IPv4'] : ipv6Only ? ['IPv6'] : ['IPv6', 'IPv4'];
  const found = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    entries
      .filter(({ family }) => families.includes(family))
      .map(({ address: own, family }) => (family === 'IPv6' && /^fe80:/i.test(own) ? `${own}%${name}` : own)),
  );
  return [...new Set(found)];
}

/** Opens one port at all of them. An address that is not there any more, or not yet, is left out as long as another is. */
export async function openMouths(
  addresses: readonly string[],
  port: number,
  inherited: Inherited,
): Promise<readonly Mouth[] | NotBound> {
  for (let left = port === 0 ? ANY_PORT_TRIES : 1; ; left--) {
    const made = await openOnce(addresses, port, inherited);
    if (!('error' in made) || made.error.code !== 'EADDRINUSE' || left <= 1) return made;
  }
}

async function openOnce(addresses: readonly string[], port: number, inherited: Inherited): Promise<readonly Mouth[] | NotBound> {
  const mouths: Mouth[] = [];
  let missing: NotBound = { error: Object.assign(new Error('no address'), { code: 'EADDRNOTAVAIL' }) };
  for (const address of addresses) {
    const at = mouths[0]?.port ?? port;
    const made = await openMouth(address, at, inherited(address, at));
    if (!('error' in made)) {
      mouths.push(made);
    } else if (made.error.code === 'EADDRNOTAVAIL') {
      missing = made;
    } else {
      for (const mouth of mouths) mouth.socket.close();
      return made;
    }
  }
  return mouths.length > 0 ? mouths : missing;
}

function openMouth(address: string, port: number, handle: Handle | undefined): Promise<Mouth | NotBound> {
  const socket = makeSocket(isIP(address));
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      socket.close();
      resolve({ error });
    };
    socket.once('error', failed);
    socket.once('listening', () => {
      socket.off('error', failed);
      resolve(new Mouth(address, socket));
    });
    socket.bind((handle ?? { address, port, exclusive: true }) as BindOptions); // a handle is taken as it is
  });
}
