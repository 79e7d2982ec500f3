import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { explain } from '../errors.ts';
import { RULES_VERSION } from '../forwarder/rules.ts';
import type { Balancer } from '../model.ts';
import type { Delivery } from '../providers/local/rules.ts';
import type { Log } from '../providers/provider.ts';
import { type Orders, readOrders } from './orders.ts';

/** What an agent goes on with when it starts and the API server is away. */
export interface Remembered {
  readonly orders: Orders;
  readonly balancers: readonly Balancer[];
  /** As `Place.published` and `Place.ofNode`. */
  readonly published: readonly (readonly [string, string])[];
  readonly ofNode: readonly string[];
}

/** As it stands in the file: the nodes, which most balancers share, once. */
interface Written extends Omit<Remembered, 'balancers'> {
  readonly version: number;
  readonly nodeLists: readonly Balancer['nodes'][];
  readonly balancers: readonly (Omit<Balancer, 'nodes'> & { readonly nodes: number })[];
}

/** Where the chart mounts a directory of the node; who may not write there gets one of his own. */
export const STATE_DIR = '/var/lib/nodeport-lb';
const FILE = 'agent-rules.json';
const IDENTITY = 'agent-id';
/** The file is written at most so often; what is newer is in the cluster. */
const PACE_MS = 2_000;

/**
 * A directory of the group that this user can write in: in the asked one, else the usual one, else one in the home or temporary
 * directory.
 * @returns undefined when there is none; then nothing is remembered over a restart
 */
export async function chooseStateDir(asked: string | undefined, group: string, log: Log): Promise<string | undefined> {
  const candidates =
    asked === undefined
      ? [STATE_DIR, join(homedir(), '.local/state/nodeport-lb'), join(tmpdir(), `nodeport-lb-${process.getuid?.() ?? 0}`)]
      : [asked];
  const why: string[] = [];
  for (const candidate of candidates) {
    const directory = join(candidate, group);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await access(directory, constants.W_OK);
      return directory;
    } catch (thrown) {
      why.push(explain(thrown));
    }
  }
  log.warn(
    { tried: why },
    'no state directory can be written: after a restart this agent serves nothing until the API server answers',
  );
  return undefined;
}

/** Tells this machine from others over restarts; a machine that cannot keep it is another one each time. */
export async function readIdentity(directory: string | undefined): Promise<string> {
  if (directory === undefined) return randomUUID();
  const path = join(directory, IDENTITY);
  const found = await readFile(path, 'utf8').catch(() => '');
  if (/^[0-9a-f-]{36}\n?$/.test(found)) return found.trim();
  const made = randomUUID();
  await writeWhole(path, `${made}\n`);
  return made;
}

/**
 * @param delivery who delivers in this run: what was served over another data path is not taken up before the cluster has answered
 * @returns undefined when nothing can be taken up; what is wrong with a file that is there is logged
 */
export async function recall(directory: string | undefined, log: Log, delivery?: Delivery): Promise<Remembered | undefined> {
  if (directory === undefined) return undefined;
  const path = join(directory, FILE);
  let raw: unknown;
  try {
    raw = JSON.parse(await readFile(path, 'utf8'));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ path, error: explain(thrown) }, 'the rules of the last run cannot be read');
    return undefined;
  }
  const written = raw as Partial<Written> | null;
  const orders = readOrders(JSON.stringify(written?.orders ?? null));
  if (written?.version === RULES_VERSION && typeof orders !== 'string' && isSound(written)) {
    if (orders.delivery === delivery) return { ...unpack(written), orders };
    log.info({ path }, 'the rules of the last run are not taken up: they are of another data path');
    return undefined;
  }
  const other = `it has version ${JSON.stringify(written?.version)}, and this agent knows ${RULES_VERSION}`;
  const why = written?.version !== RULES_VERSION ? other : typeof orders === 'string' ? orders : 'it is damaged';
  log.warn({ path }, `the rules of the last run are not taken up: ${why}`);
  return undefined;
}

function isSound(written: Partial<Written>): written is Written {
  return [written.balancers, written.nodeLists, written.published, written.ofNode].every((part) => Array.isArray(part));
}

function pack({ balancers, ...rest }: Remembered): Written {
  const nodeLists: Balancer['nodes'][] = [];
  const places = new Map<Balancer['nodes'], number>();
  const place = (nodes: Balancer['nodes']): number => {
    const known = places.get(nodes);
    if (known !== undefined) return known;
    places.set(nodes, nodeLists.length);
    return nodeLists.push(nodes) - 1;
  };
  return { version: RULES_VERSION, ...rest, nodeLists, balancers: balancers.map((b) => ({ ...b, nodes: place(b.nodes) })) };
}

function unpack({ nodeLists, balancers, orders, published, ofNode }: Written): Remembered {
  return { orders, published, ofNode, balancers: balancers.map((b) => ({ ...b, nodes: nodeLists[b.nodes] ?? [] })) };
}

/** Keeps what an agent must not lose in a file, replaced as a whole, so that a crash leaves the old one or the new one. */
export class Memory {
  readonly #directory: string | undefined;
  readonly #log: Log;
  #render: (() => Remembered) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #last = '';

  constructor(directory: string | undefined, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Says that there may be something new to remember. */
  put(render: () => Remembered): void {
    if (this.#directory === undefined) return;
    this.#render = render;
    this.#timer ??= setTimeout(() => void this.flush(), PACE_MS);
  }

  /** Writes at once what is waiting. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const render = this.#render;
    this.#render = undefined;
    if (render) this.#writing = this.#writing.then(() => this.#write(JSON.stringify(pack(render()))));
    return this.#writing;
  }

  async #write(content: string): Promise<void> {
    if (content === this.#last || this.#directory === undefined) return;
    const path = join(this.#directory, FILE);
    try {
      await writeWhole(path, content);
      this.#last = content;
    } catch (thrown) {
      this.#log.warn(
        { path, error: explain(thrown) },
        'the rules could not be written down; after a restart without the API server they would be missing',
      );
    }
  }
}

/** Removes what is remembered. @returns what there was, for people */
export async function forget(directory: string | undefined): Promise<readonly string[]> {
  if (directory === undefined) return [];
  const gone: string[] = [];
  for (const name of [FILE, IDENTITY]) {
    const path = join(directory, name);
    await unlink(path).then(
      () => gone.push(path),
      (thrown: NodeJS.ErrnoException) => {
        if (thrown.code !== 'ENOENT') throw thrown;
      },
    );
  }
  return gone;
}

async function writeWhole(path: string, content: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync(); // else a power failure may leave the new name with no content
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
