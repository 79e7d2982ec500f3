import { connect } from 'node:net';
import type { Way } from './ways.ts';

export interface Probe {
  readonly ok: boolean;
  /** Until the connection stood, or until it was given up. */
  readonly ms: number;
  /** In words; only when it failed. */
  readonly error?: string;
}

/** A LAN answers within milliseconds; what is silent for this long is not reachable in any useful sense. */
const TIMEOUT_MS = 2_000;
const AT_ONCE = 32;
/** With everything silent: 1,000 / 32 × 2 s is about a minute. */
const MAX_PROBES = 1_000;

/**
 * Connects to each way by TCP and hangs up, a few at a time.
 * @returns in the order of the ways; undefined for what cannot be tried so (UDP, SCTP) and for what is beyond the limit
 */
export async function probeWays(ways: readonly Way[]): Promise<readonly (Probe | undefined)[]> {
  const results: (Probe | undefined)[] = ways.map(() => undefined);
  const left = ways.map((way, i) => ({ way, i })).filter(({ way }) => way.protocol === 'TCP');
  const queue = left.slice(0, MAX_PROBES).values();
  const work = async () => {
    for (const { way, i } of queue) results[i] = await probe(way);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused: nothing listens there',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'no route to the network',
  ENOTFOUND: 'the name is not known here',
  EAI_AGAIN: 'the name is not known here',
  ECONNRESET: 'reset',
};

function probe(way: Way): Promise<Probe> {
  const began = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: way.host, port: way.port });
    const end = (error?: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({
        ok: error === undefined,
        ms: Math.round((performance.now() - began) * 10) / 10,
        ...(error === undefined ? {} : { error }),
      });
    };
    const timer = setTimeout(() => end(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    socket.once('connect', () => end());
    socket.once('error', (error: NodeJS.ErrnoException) => end(reasons[error.code ?? ''] ?? error.message));
  });
}
