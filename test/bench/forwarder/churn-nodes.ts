import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { readDrops } from './drops.ts';

// Nodes that answer everything, TCP and UDP: PORT ADDRESS...

const [port = '', ...addresses] = process.argv.slice(2);
for (const address of addresses) {
  const server = createServer((client) => {
    client.on('error', () => client.destroy());
    client.pipe(client);
  });
  server.listen(Number(port), address);
  const socket = createSocket('udp4');
  socket.on('message', (datagram, from) => socket.send(datagram, from.port, from.address));
  socket.on('error', () => {}); // a client that has gone
  socket.bind(Number(port), address);
  await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
}
process.on('message', () => process.send?.(readDrops()));
process.on('disconnect', () => process.exit());
process.send?.('ready');
