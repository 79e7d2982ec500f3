import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { type Drops, readDrops } from './drops.ts';

// Clients that come and go: each burst has some that ask and leave, some that reset, and some that stay until the next burst ends them.

export interface Burst {
  readonly address: string;
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
}

export interface Answered {
  readonly asked: number;
  /** Who got no answer, and how it ended. */
  readonly unanswered: readonly string[];
  readonly drops: Drops;
}

/** Beyond the second after which a SYN is sent again. */
const PATIENCE_MS = 5_000;
const question = Buffer.alloc(1_200, 46);
let staying: Socket[] = [];

/** On a machine that let this process wait the timers come first, and then what has arrived meanwhile. */
function onceHeard(done: () => void): void {
  setImmediate(() => setImmediate(done));
}

/** @returns how it ended, when not with an answer */
function askTcp(address: string, port: number, leave: 'ends' | 'resets' | 'stays'): Promise<string | undefined> {
  return new Promise((resolve) => {
    let stage = 'not connected';
    let from = 0;
    const over = (how: string) => resolve(`TCP ${from} -> ${port}: ${stage}, ${how}`);
    const socket = connect({ host: address, port });
    socket.setTimeout(PATIENCE_MS, () => {
      onceHeard(() => {
        over(`silence for ${PATIENCE_MS} ms`);
        if (stage !== 'answered') socket.destroy();
      });
    });
    socket.on('connect', () => {
      stage = 'connected';
      from = socket.localPort ?? 0;
      socket.write(question);
    });
    socket.once('data', () => {
      stage = 'answered';
      resolve(undefined);
      socket.setTimeout(0);
      if (leave === 'ends') socket.end();
      else if (leave === 'resets') socket.resetAndDestroy();
      else staying.push(socket);
    });
    socket.on('data', () => {});
    socket.on('error', (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
    socket.on('close', () => over('closed'));
  });
}

function askUdp(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    let from = 0;
    let isOver = false;
    const over = (how: string | undefined) => {
      clearTimeout(timer);
      if (isOver) return;
      isOver = true;
      socket.close();
      resolve(how && `UDP ${from} -> ${port}: ${how}`);
    };
    const timer = setTimeout(() => onceHeard(() => over(`silence for ${PATIENCE_MS} ms`)), PATIENCE_MS);
    socket.once('message', () => over(undefined));
    socket.on('error', () => {});
    socket.send(question, port, address, () => {
      from = socket.address().port;
    });
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
    process.send?.({
      asked: answers.length,
      unanswered: answers.filter((one) => one !== undefined),
      drops: readDrops(),
    } satisfies Answered);
  });
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
