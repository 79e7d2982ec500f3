import { connect, createServer, type Socket } from 'node:net';

// What a few lines of streams give: the contestant that everybody would write first.

const [address = '', ports = '', targetPort = '', ...targets] = process.argv.slice(2);
let next = 0;

function join(client: Socket): void {
  const target = connect({
    host: targets[next++ % targets.length]!,
    port: Number(targetPort),
    allowHalfOpen: true,
    noDelay: true,
  });
  client.pipe(target);
  target.pipe(client);
  const end = () => {
    client.destroy();
    target.destroy();
  };
  client.on('error', end).on('close', end);
  target.on('error', end).on('close', end);
}

let listening = 0;
for (const port of ports.split(',')) {
  createServer({ allowHalfOpen: true, noDelay: true }, join).listen({ host: address, port: Number(port), backlog: 4096 }, () => {
    if (++listening === ports.split(',').length) process.send?.('ready');
  });
}
process.on('disconnect', () => process.exit());
