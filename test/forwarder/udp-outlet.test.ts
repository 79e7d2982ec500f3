import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { constants } from 'node:os';
import { setImmediate as turnEnd } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { bestOutlet, MAX_WAITING_BYTES, PlainOutlet } from '../../src/forwarder/udp-outlet.ts';
import { makeSocket } from '../../src/forwarder/udp-socket.ts';
import { Cleanup, until } from './builders.ts';
import { mute, server } from './datagrams.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function bound(address: string): Promise<Socket> {
  const socket = makeSocket(address.includes(':') ? 6 : 4);
  const listening = once(socket, 'listening'); // these sockets say so while they are asked
  socket.bind(0, address);
  await listening;
  cleanup.add(() => socket.close());
  return socket;
}

async function connected(port: number): Promise<Socket> {
  const socket = await bound('127.0.0.1');
  const isConnected = once(socket, 'connect');
  socket.connect(port, '127.0.0.1');
  await isConnected;
  return socket;
}

const outlets = [
  { name: 'raw handles', make: bestOutlet },
  { name: 'public sockets', make: (socket: Socket) => new PlainOutlet(socket) },
];

test('this Node has raw handles', async () => {
  expect(bestOutlet(await bound('127.0.0.1'))).not.toBeInstanceOf(PlainOutlet);
});

describe.each(outlets)('datagrams leave by $name', ({ make }) => {
  const failures: string[] = [];
  const onFailed = (code: string): void => void failures.push(code);
  afterEach(() => {
    failures.length = 0;
  });

  test.each(['127.0.0.1', '::1'])('to the address that is given, in their order: %s', async (address) => {
    const hearer = await server(cleanup, address, 0, mute);
    const outlet = make(await bound(address));
    const texts = Array.from({ length: 50 }, (_, i) => `number ${i}`);
    for (const text of texts) expect(outlet.send(Buffer.from(text), onFailed, hearer.port, address)).toBe(true);
    await until('all to come', () => hearer.heard.length >= texts.length);
    expect(hearer.heard.map(({ text }) => text)).toEqual(texts);
    expect(failures).toEqual([]);
  });

  test('to where the socket is connected, of every length', async () => {
    const hearer = await server(cleanup, '127.0.0.1', 0, mute);
    const outlet = make(await connected(hearer.port));
    const lengths = [0, 1, 1_472, 9_000, 65_507];
    const came: number[] = [];
    hearer.socket.on('message', (datagram) => came.push(datagram.length));
    for (const length of lengths) expect(outlet.send(new Uint8Array(length), onFailed)).toBe(true);
    await until('all to come', () => came.length >= lengths.length);
    expect([came, failures]).toEqual([lengths, []]);
  });

  test('what the system refuses is told later, by its name, and the next one goes', async () => {
    const hearer = await server(cleanup, '127.0.0.1', 0, mute);
    const outlet = make(await bound('127.0.0.1'));
    outlet.send(new Uint8Array(65_508), onFailed, hearer.port, '127.0.0.1');
    expect(failures).toEqual([]);
    outlet.send(Buffer.from('next'), onFailed, hearer.port, '127.0.0.1');
    await until('the failure', () => failures.length > 0);
    await until('the next one', () => hearer.heard.length > 0);
    expect([failures, hearer.heard.map(({ text }) => text)]).toEqual([['EMSGSIZE'], ['next']]);
  });

  test('that nobody is there is told by one that is sent after', async () => {
    const hearer = await server(cleanup, '127.0.0.1', 0, mute);
    const socket = await connected(hearer.port);
    const told: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => told.push(error.code ?? ''));
    const outlet = make(socket);
    hearer.close();
    await until('the refusal', async () => {
      outlet.send(Buffer.from('anybody?'), onFailed);
      await turnEnd();
      return failures.length + told.length > 0;
    });
    expect(new Set([...failures, ...told])).toEqual(new Set(['ECONNREFUSED']));
  });
});

interface Waiting {
  oncomplete?(status: number): void;
}

test('what the kernel does not take at once is kept, told of when it fails, and bounded', () => {
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  const handle = {
    recvStop: () => {},
    send: (request: Waiting, [datagram]: readonly Uint8Array[]): number => {
      waiting.push(request);
      waitingBytes += datagram!.length;
      return 0;
    },
    getSendQueueSize: () => waitingBytes,
  };
  const outlet = bestOutlet({ [Symbol('state')]: { handle } } as unknown as Socket);
  const failures: string[] = [];
  const send = (): boolean => outlet.send(new Uint8Array(60_000), (code) => failures.push(code), 1, '127.0.0.1');
  let taken = 0;
  while (taken < 100 && send()) taken++;
  expect(taken).toBe(Math.floor(MAX_WAITING_BYTES / 60_000) + 1);
  waitingBytes = 0;
  for (const request of waiting) request.oncomplete?.(-constants.errno.ECONNREFUSED);
  expect(failures).toEqual(Array.from({ length: taken }, () => 'ECONNREFUSED'));
  expect(new Set(waiting).size).toBe(taken);
  expect(send()).toBe(true);
});
