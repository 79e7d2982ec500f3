import { writeWhole } from './record.ts';
import { fileOf } from './render.ts';

/** The files that keepalived tracks, one a group: what it takes from the group's priority. Written only when they change. */
export class TrackedFiles {
  readonly #runDir: string;
  readonly #written = new Map<number, number>();

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  /** @param penalties of every group that there is: id to a number from -253 to 0. Rejects when a file cannot be written. */
  async write(penalties: ReadonlyMap<number, number>): Promise<void> {
    for (const [id, penalty] of penalties) {
      if (this.#written.get(id) === penalty) continue;
      await writeWhole(fileOf(this.#runDir, id), `${penalty}\n`);
      this.#written.set(id, penalty);
    }
    for (const id of this.#written.keys()) if (!penalties.has(id)) this.#written.delete(id);
  }
}
