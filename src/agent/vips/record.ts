import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { isPlainInterface, type Placed } from './render.ts';

const RECORD_VERSION = 1;
/** A record of more than this is no record of ours. */
const MOST_ENTRIES = 10_000;

/**
 * Which addresses we may have put on which interface, on disk before keepalived learns of them: whoever comes after us takes away
 * these and no others.
 */
export class VipRecord {
  readonly #path: string;
  #placed: readonly Placed[];

  constructor(runDir: string) {
    this.#path = join(runDir, 'addresses.json');
    this.#placed = readRecord(this.#path);
  }

  get placed(): readonly Placed[] {
    return this.#placed;
  }

  /** Rejects when the directory cannot be written; the record in memory is then as before. */
  async write(placed: readonly Placed[]): Promise<void> {
    const text = `${JSON.stringify({ version: RECORD_VERSION, placed })}\n`;
    if (text === `${JSON.stringify({ version: RECORD_VERSION, placed: this.#placed })}\n`) return;
    await writeWhole(this.#path, text);
    this.#placed = placed;
  }
}

/** Writes beside, then renames: nobody ever reads half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

function readRecord(path: string): readonly Placed[] {
  try {
    return judgeRecord(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return []; // none yet, or not ours: what cannot be read as a record is no proof that an address is ours
  }
}

/** The entries of a record that are what we write; of another version none. */
export function judgeRecord(value: unknown): readonly Placed[] {
  const { version, placed } = (value ?? {}) as { version?: unknown; placed?: unknown };
  if (version !== RECORD_VERSION || !Array.isArray(placed)) return [];
  return placed.slice(0, MOST_ENTRIES).flatMap((entry: unknown) => {
    const { address, interface: name } = (entry ?? {}) as { address?: unknown; interface?: unknown };
    const known = typeof address === 'string' && isIP(address) !== 0 && typeof name === 'string' && isPlainInterface(name);
    return known ? [{ address, interface: name }] : [];
  });
}
