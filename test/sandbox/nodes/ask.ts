import { request } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LANDING_HEADER, type Landing } from '../../../src/sandbox/nodes/backends.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly landing: Landing | undefined;
}

/** One request on a connection of its own. @param connect how to get there instead */
export function ask(address: string, port: number, path = '/', connect?: () => Promise<Socket>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const through = connect && {
      createConnection: (_: unknown, done: (error: Error | null, socket: Socket) => void) => {
        connect().then(
          (socket) => done(null, socket),
          (error) => done(error, undefined as never),
        );
        return undefined;
      },
    };
    const asked = request({ host: address, port, path, agent: false, timeout: 5_000, ...through }, (answer) => {
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
    asked.on('timeout', () => asked.destroy(new Error(`${address}:${port} said nothing for 5 s`)));
    asked.on('error', reject);
    asked.end();
  });
}

/** Tries until it works. @throws the last error after `deadlineMs` */
export async function eventually<T>(look: () => Promise<T> | T, deadlineMs = 5_000): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(10);
    }
  }
}
