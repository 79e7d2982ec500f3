import { createSocket, type Socket } from 'node:dgram';

// What a few lines of dgram give: ADDRESS PORT TARGET-PORT TARGET...

const [address = '', port = '', targetPort = '', ...targets] = process.argv.slice(2);
const flows = new Map<string, Socket>();
let next = 0;

const mouth = createSocket('udp4');
mouth.on('message', (datagram, { address: client, port: from }) => {
  const key = `${client}:${from}`;
  const had = flows.get(key);
  if (had) {
    had.send(datagram);
    return;
  }
  const flow = createSocket('udp4');
  flows.set(key, flow);
  flow.on('message', (answer) => mouth.send(answer, from, client));
  flow.connect(Number(targetPort), targets[next++ % targets.length]!, () => flow.send(datagram));
});
mouth.bind(Number(port), address, () => process.send?.('ready'));
process.on('disconnect', () => process.exit());
