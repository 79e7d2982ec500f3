import type { Server } from 'node:net';
import type { Handle } from './pass.ts';
import { describePortHolder } from './port-holder.ts';
import type { ListenFailure, RuleListener } from './rules.ts';
import { BACKLOG } from './wire.ts';

export type Listening = { readonly address: string; readonly port: number };
export type NotBound = { readonly error: NodeJS.ErrnoException };
type Served = { readonly server: Server; readonly at: Listening };
export type ListenFault = { readonly code: ListenFailure; readonly message: string };

/** Added to a port that may not be bound, so that people find it: 80 is served on 8080, 443 on 8443. */
const FALLBACK_OFFSET = 8000;

/**
 * Opens the listener's TCP port, or with `portFallback` another one where that port may not be bound.
 * @param inherited gives the socket of a port that is open already
 * @returns what is served, or why it is not
 */
export async function listen(
  makeServer: () => Server,
  rule: RuleListener,
  ipv6Only: boolean,
  inherited: (port: number) => Handle | undefined,
): Promise<Served | ListenFault> {
  return bindFirst<Served>(rule, async (port) => {
    const server = makeServer();
    const error = await bind(
      server,
      inherited(port) ?? { host: rule.address, port, ipv6Only, backlog: BACKLOG, exclusive: true },
    );
    return error ? { error } : { server, at: { address: rule.address, port: boundPort(server) } };
  });
}

/** Tries the listener's port, and with `portFallback` others. @returns what `attempt` made, or why nothing is served */
export async function bindFirst<T extends object>(
  rule: RuleListener,
  attempt: (port: number) => Promise<T | NotBound>,
): Promise<T | ListenFault> {
  const ports = rule.portFallback ? [rule.port, fallbackPort(rule.port), 0] : [rule.port];
  let first: NodeJS.ErrnoException | undefined;
  for (const port of ports) {
    const made = await attempt(port);
    if (!('error' in made)) return made;
    first ??= made.error;
    if (made.error.code !== 'EADDRINUSE' && made.error.code !== 'EACCES') break;
  }
  return explainFailure(first, rule);
}

/** Pure. */
function fallbackPort(port: number): number {
  return port + FALLBACK_OFFSET <= 65535 ? port + FALLBACK_OFFSET : 0;
}

function boundPort(server: Server): number {
  const at = server.address();
  return typeof at === 'object' && at !== null ? at.port : 0;
}

function bind(server: Server, options: object): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error);
    server.once('error', failed);
    server.listen(options, () => {
      server.off('error', failed);
      resolve(undefined);
    });
  });
}

async function explainFailure(error: NodeJS.ErrnoException | undefined, rule: RuleListener): Promise<ListenFault> {
  const where = `${rule.address} port ${rule.port}/${rule.protocol}`;
  const code = failureOf(error?.code);
  if (code === 'PortInUse') return { code, message: `${where} is held by ${await describePortHolder(rule)}` };
  if (code === 'PortNotPermitted') return { code, message: `${where} may not be bound by this user` };
  if (code === 'AddressUnavailable') return { code, message: `${rule.address} is no address of this machine` };
  return { code, message: `${where} cannot be served: ${error?.message ?? 'unknown error'}` };
}

/** Pure. @see https://man7.org/linux/man-pages/man2/bind.2.html */
export function failureOf(systemCode: string | undefined): ListenFailure {
  if (systemCode === 'EADDRINUSE') return 'PortInUse';
  if (systemCode === 'EACCES' || systemCode === 'EPERM') return 'PortNotPermitted';
  if (systemCode === 'EADDRNOTAVAIL' || systemCode === 'EAFNOSUPPORT' || systemCode === 'EINVAL') return 'AddressUnavailable';
  return 'SyncFailed';
}
