import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/**
 * Holds the name of a table for as long as this process lives, by an abstract socket: the kernel shows those to every process of the
 * network namespace, which is the table's, too, whatever PID namespace either process is in.
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 * @returns to be called when the table has gone; elsewhere than on Linux nothing is held
 */
export function claimTable(table: string): () => void {
  if (process.platform !== 'linux') return () => {};
  const server = createServer((socket) => socket.destroy());
  server.on('error', () => {}); // then others may take the table for an orphan, and it is loaded again with the next audit
  server.listen(`\0${table}`).unref();
  return () => void server.close();
}

/** Whether a process holds the name; true as well where that cannot be known. */
export function isClaimed(table: string): boolean {
  try {
    return readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .some((line) => line.endsWith(` @${table}`));
  } catch {
    return true;
  }
}
