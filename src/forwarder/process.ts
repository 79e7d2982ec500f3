import { exit } from '../exit.ts';
import { openForwarder, PRIVATE_TABLES } from './datapath.ts';
import { offerHandover } from './handover.ts';
import { Inheritance, takeOver } from './inheritance.ts';
import { cleanUpOrphans } from './kernel/cleanup.ts';
import type { FromForwarder, LogLevel, ToForwarder } from './messages.ts';
import { type Parting, RulesError } from './rules.ts';

// The process that forwards for another one. Ctrl-C and SIGTERM go to the whole process group, but only the parent decides when
// traffic ends: it asks for a drain, or it dies and the channel closes. SIGKILL works as always.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

const KEEPING: Parting = { rulesMs: Number.POSITIVE_INFINITY, servesOn: false };

const [asked, table] = process.argv.slice(2);
const isPrivate = table?.startsWith(PRIVATE_TABLES) ?? false;
const inheritance = new Inheritance();
const log = { debug: logger('debug'), info: logger('info'), warn: logger('warn'), error: logger('error') };
const forwarder = openForwarder({
  datapath: asked === 'auto' || asked === 'nftables' ? asked : 'userspace',
  ...(table === undefined ? {} : { table }),
  inheritance,
  onReport: (report) => {
    if (report.generation >= 0) inheritance.end();
    tell({ type: 'report', report });
  },
  log,
});

/**
 * Rules wait until the sockets of the forwarder before this one are here, and it is clear which of them they want; or until the kernel
 * forwards nothing any more for processes that were killed, of whose addresses nobody may know.
 */
let ready: Promise<void> | undefined = isPrivate ? removeOrphans() : undefined;
let path: string | undefined;

process.on('message', (message: ToForwarder) => {
  if (message.type === 'succeed') succeed(message.path);
  else if (message.type === 'apply') void (ready ? ready.then(() => apply(message.next)) : apply(message.next));
  else if (message.type === 'counters') void answerCounters(message.request);
  else void leave(message.drainMs, message.parting);
});

// Nobody has asked for an end: the parent has died, and another may be starting already. What the kernel does goes on for that one,
// whose table it is then: taking it out now could take it from him. A private table is nobody else's.
process.on('disconnect', () => void leave(undefined, isPrivate ? undefined : KEEPING));

function succeed(at: string): void {
  path = at;
  ready = takeOver(inheritance, at, forwarder.table, log);
}

function apply(next: Extract<ToForwarder, { type: 'apply' }>['next']): void {
  try {
    forwarder.apply(next);
    if (path !== undefined) void offer(path);
  } catch (error) {
    if (!(error instanceof RulesError)) throw error;
    tell({ type: 'resend', why: error.message });
  }
}

/** What a process that was killed together with its forwarder has left in the kernel. */
async function removeOrphans(): Promise<void> {
  const removed = await cleanUpOrphans(PRIVATE_TABLES).catch(() => []); // never a reason to forward nothing
  if (removed.length > 0) log.info({ removed }, 'tables of processes that were killed are gone from the kernel');
}

async function answerCounters(request: number): Promise<void> {
  tell({ type: 'counters', request, counters: await forwarder.counters() });
}

/** Once the first rules have been applied. */
async function offer(at: string): Promise<void> {
  path = undefined;
  ready = undefined;
  inheritance.settle();
  await offerHandover(at, forwarder, log, () => {
    tell({ type: 'succeeded' });
    void leave(undefined);
  });
}

let isLeaving = false;

async function leave(drainMs: number | undefined, parting?: Parting): Promise<void> {
  const closed = forwarder.close(drainMs, parting); // the next forwarder's coming was no reason to hurry, but an end may be
  if (isLeaving) return;
  isLeaving = true;
  await closed;
  if (process.connected) process.disconnect();
  exit(0);
}

function logger(level: LogLevel): (fields: object, message: string) => void {
  return (fields, message) => tell({ type: 'log', level, fields, message });
}

/** The parent may be gone at any moment; then there is nobody to tell. */
function tell(message: FromForwarder): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
