import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from './builders.ts';

/**
 * A node that has gone silent, with real sockets: a stopped process whose queue of waiting connections is full, so that the
 * kernel drops every SYN. `thaw` lets it go on.
 */
export async function frozenNode(
  cleanup: Cleanup,
  address: string,
  port: number,
): Promise<{ thaw(): void; freeze(): Promise<void> }> {
  const program = fileURLToPath(new URL('./frozen-node-process.js', import.meta.url));
  const child = fork(program, [address, String(port)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await once(child, 'message');
  cleanup.add(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  });
  return {
    thaw: () => void child.kill('SIGCONT'),
    async freeze() {
      child.kill('SIGSTOP');
      const fillers = Array.from({ length: 4 }, () => connect(port, address).on('error', () => {}));
      cleanup.add(() => {
        for (const filler of fillers) filler.destroy();
      });
      // The queue holds one more than its length; whoever is third waits.
      await Promise.all(fillers.slice(0, 2).map((filler) => once(filler, 'connect')));
    },
  };
}
