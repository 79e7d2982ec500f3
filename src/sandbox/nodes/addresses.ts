import { createServer } from 'node:net';

/** Port of kube-proxy's own health check on every node. */
export const KUBE_PROXY_PORT = 10_256;

/** Blocks 127.0.10.x to 127.0.29.x are tried, so that many sandboxes can run beside each other. */
const FIRST_BLOCK = 10;
const LAST_BLOCK = 29;

export interface Loopback {
  /** One for each node; all of them 127.0.0.1 where the machine has no other loopback address. */
  readonly nodes: readonly string[];
  /** Whether each node has an address of its own. */
  readonly separate: boolean;
  /** The first three numbers of the block that is ours, such as `127.0.10`; undefined when not separate. */
  readonly block?: string;
}

/**
 * Finds loopback addresses for `count` nodes: 127.0.B.1 and up, in the first block B that no other sandbox is using. Linux
 * has all of 127.0.0.0/8 on its loopback device, macOS has 127.0.0.1 alone.
 * @param count 1 to 20
 */
export async function findNodeAddresses(count: number): Promise<Loopback> {
  for (let block = FIRST_BLOCK; block <= LAST_BLOCK; block++) {
    const prefix = `127.0.${block}`;
    const nodes = Array.from({ length: count }, (_, i) => `${prefix}.${i + 1}`);
    const first = await tryBind(nodes[0]!, KUBE_PROXY_PORT);
    if (first === 'absent') break;
    if (first === 'free') return { nodes, separate: true, block: prefix };
  }
  return { nodes: Array.from({ length: count }, () => '127.0.0.1'), separate: false };
}

/** Whether a TCP port can be bound: `absent` means that this machine has no such address. */
export function tryBind(address: string, port: number): Promise<'free' | 'taken' | 'absent'> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRNOTAVAIL' ? 'absent' : 'taken'));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve('free')));
  });
}
