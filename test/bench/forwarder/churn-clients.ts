import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';

// Clients that come and go: each burst has some that ask and leave, some that reset, and some that stay until the next burst ends them.

export interface Burst {
  readonly address: string;
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
}

export interface Answered {
  readonly asked: number;
  readonly answered: number;
}

const PATIENCE_MS = 1_000;
const question = Buffer.alloc(1_200, 46);
let staying: Socket[] = [];

function askTcp(address: string, port: number, leave: 'ends' | 'resets' | 'stays'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('connect', () => socket.write(question));
    socket.once('data', () => {
      resolve(true);
      socket.setTimeout(0);
      if (leave === 'ends') socket.end();
      else if (leave === 'resets') socket.resetAndDestroy();
      else staying.push(socket);
    });
    socket.on('data', () => {});
    socket.on('error', () => {});
    socket.on('close', () => resolve(false));
  });
}

function askUdp(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const over = (isAnswered: boolean) => {
      clearTimeout(timer);
      socket.close();
      resolve(isAnswered);
    };
    const timer = setTimeout(over, PATIENCE_MS, false);
    socket.once('message', () => over(true));
    socket.on('error', () => {});
    socket.send(question, port, address);
  });
}

process.on('message', ({ address, tcp, udp }: Burst) => {
  const old = staying;
  staying = [];
  const asked = [
    ...tcp.flatMap((port) => [askTcp(address, port, 'ends'), askTcp(address, port, 'resets'), askTcp(address, port, 'stays')]),
    ...udp.flatMap((port) => [askUdp(address, port), askUdp(address, port)]),
  ];
  void Promise.all(asked).then((answers) => {
    for (const socket of old) socket.destroy();
    process.send?.({ asked: answers.length, answered: answers.filter(Boolean).length } satisfies Answered);
  });
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
