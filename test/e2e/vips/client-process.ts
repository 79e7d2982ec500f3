import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** The client of the test: a new connection every few milliseconds, one line out for each, whatever becomes of it. */
export interface ClientOrders {
  readonly address: string;
  readonly port: number;
  readonly everyMs: number;
  /** A connection without its first line after so long has failed. */
  readonly timeoutMs: number;
  /** So many connections are kept open from the start, and say when they are cut. */
  readonly kept: number;
}

export interface ClientLine {
  readonly kind: 'new' | 'kept' | 'cut';
  readonly beganMs: number;
  readonly endedMs: number;
  /** Who answered. */
  readonly by?: string;
  readonly error?: string;
  /** The handshake was done, though no answer came. */
  readonly connected?: boolean;
}

const { address, port, everyMs, timeoutMs, kept } = JSON.parse(process.argv[2] ?? '{}') as ClientOrders;
const write = (line: ClientLine) => console.log(JSON.stringify(line));

function attempt(): void {
  const beganMs = Date.now();
  const socket = connect({ host: address, port });
  let told = false;
  let connected = false;
  const end = (outcome: Pick<ClientLine, 'by' | 'error'>) => {
    if (told) return;
    told = true;
    clearTimeout(timer);
    write({ kind: 'new', beganMs, endedMs: Date.now(), connected, ...outcome });
    socket.destroy();
  };
  const timer = setTimeout(() => end({ error: 'timeout' }), timeoutMs);
  socket.on('connect', () => (connected = true));
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => end({ by: text.split('\n')[0] ?? '' }));
  socket.on('error', (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
  socket.on('close', () => end({ error: 'closed' }));
}

/** A byte each way all the time, so that a cut is noticed. */
function keep(): void {
  const beganMs = Date.now();
  const socket = connect({ host: address, port });
  let by: string | undefined;
  const beat = setInterval(() => socket.write('.'), 50);
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    if (by !== undefined) return;
    by = text.split('\n')[0] ?? '';
    write({ kind: 'kept', beganMs, endedMs: Date.now(), by });
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(beat);
    write({ kind: 'cut', beganMs, endedMs: Date.now(), ...(by === undefined ? {} : { by }) });
  });
}

for (let i = 0; i < kept; i += 1) keep();
let nextMs = performance.now();
/** Late is caught up with, so that the rate holds on a busy machine. */
const pace = setInterval(
  () => {
    for (; nextMs <= performance.now(); nextMs += everyMs) attempt();
  },
  Math.max(1, everyMs / 2),
);
createInterface({ input: process.stdin }).on('close', () => {
  clearInterval(pace);
  setTimeout(() => process.exit(0), timeoutMs + 100);
});
