import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * Stands in for the nodes, as a process of its own: answers 200 to everything, as a pod behind a NodePort and kube-proxy's
 * health port would. On standard input, one `ADDRESS PORT` a line: it listens there too; `close`: no longer. Writes the port
 * of its first socket, which the whole range of NodePorts may be redirected to and which stays.
 */
const servers: Server[] = [];

function serve(address: string, port: number): Promise<number> {
  const server = createServer((_request, response) => response.end('ok\n'));
  server.keepAliveTimeout = 5_000;
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve((server.address() as AddressInfo).port));
  });
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  if (line === 'close') {
    for (const server of servers.splice(1)) server.close();
    return;
  }
  const [address = '', port = ''] = line.split(' ');
  serve(address, Number(port)).then(
    () => process.stdout.write(`${line}\n`),
    (error: Error) => process.stdout.write(`${line}: ${error.message}\n`),
  );
});
input.on('close', () => process.exit(0));
process.stdout.write(`${await serve('127.0.0.1', 0)}\n`);
