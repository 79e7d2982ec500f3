import { request } from 'node:http';
import type { Socket } from 'node:net';
import { LANDING_HEADER, type Landing } from '../nodes/backends.ts';

/** No answer of the sandbox takes as long as this. */
const SILENCE_MS = 5_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Undefined when something else than a pod of the sandbox answered. */
  readonly landing: Landing | undefined;
}

/** One GET on a connection of its own. @param dial how to get there instead of by address and port */
export function ask(address: string, port: number, path = '/', dial?: () => Promise<Socket>): Promise<Answer> {
  const through = dial ? { createConnection: connectThrough(dial) } : { agent: false as const };
  return new Promise((resolve, reject) => {
    const asked = request({ host: address, port, path, timeout: SILENCE_MS, ...through }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk) => {
        body += chunk;
      });
      answer.on('error', reject);
      answer.on('end', () => {
        const told = answer.headers[LANDING_HEADER];
        resolve({ status: answer.statusCode ?? 0, body, landing: typeof told === 'string' ? JSON.parse(told) : undefined });
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`${address}:${port} said nothing for ${SILENCE_MS / 1000} s`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** Only asked when the request has no agent at all, not even `false`. */
function connectThrough(dial: () => Promise<Socket>) {
  return (_: unknown, done: (error: Error | null, socket: Socket) => void) => {
    dial().then(
      (socket) => done(null, socket),
      (error: Error) => done(error, undefined as never),
    );
    return undefined;
  };
}

/** Asks as a tutorial's curl would: only a 200 of a pod counts. @throws anything else */
export async function land(address: string, port: number, dial?: () => Promise<Socket>): Promise<Landing> {
  const { status, landing } = await ask(address, port, '/', dial);
  if (status !== 200 || !landing) throw new Error(`${address}:${port} answered ${status}`);
  return landing;
}
