// The process that `frozen-node.ts` stops: answers each connection with its address.
import { createServer } from 'node:net';

const [address, port] = process.argv.slice(2);
const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.end(`${address}\n`);
});
server.listen({ host: address, port: Number(port), backlog: 1 }, () => process.send?.('listening'));
