import { constants, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { runCommand } from './command.ts';
import { readEvent } from './log-line.ts';

/** Beyond this a line is no event of keepalived's. */
const MOST_CHARACTERS = 65_536;

/**
 * Opens the FIFO that keepalived writes its changes of state to. It is opened for writing too, so that it does not end with each
 * keepalived. Rejects when the FIFO cannot be made. @returns what closes it
 */
export async function openEvents(path: string, onEvent: (id: number, state: string) => void): Promise<() => void> {
  await rm(path, { force: true });
  await runCommand('mkfifo', ['-m', '600', path]);
  const socket = new Socket({ fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), readable: true, writable: false });
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = (lines.pop() ?? '').slice(-MOST_CHARACTERS);
    for (const line of lines) {
      const event = readEvent(line);
      if (event) onEvent(event.id, event.state);
    }
  });
  socket.on('error', () => socket.destroy());
  return () => socket.destroy();
}
