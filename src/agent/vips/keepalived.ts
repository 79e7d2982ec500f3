import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ForwarderLog } from '../../forwarder/rules.ts';
import { runCommand } from './command.ts';
import { CONFIG_FILE, PID_FILES, removeLeftovers, stopOrphans } from './leftovers.ts';
import { readLogLine, readRival } from './log-line.ts';
import { type VipRecord, writeWhole } from './record.ts';

/** A keepalived that dies is started again after this long, doubled each time; a minute of life makes it trusted again. */
const RESPAWN_LEAST_MS = 100;
const RESPAWN_MOST_MS = 10_000;
const TRUSTED_AFTER_MS = 60_000;
/** Whoever dies sooner cannot run as things stand. */
const SOON_MS = 5_000;
/** It needs one second to let go of everything. */
const STOP_MS = 4_000;
/** Lines of its log that are remembered for the reason of its death. */
const LAST_LINES = 3;

export interface KeepalivedOptions {
  readonly runDir: string;
  readonly record: VipRecord;
  readonly log: ForwarderLog;
  /**
   * It has died by itself; what it left on the links is gone. @param deaths in a row, each soon after its start
   */
  onDeath(how: string, deaths: number): void;
  /** A machine at this address holds what we hold, since it does not hear us. */
  onRival(address: string): void;
}

/**
 * One keepalived, configured and supervised. All work is done one thing after the other, in the order in which it was asked for.
 */
export class Keepalived {
  readonly #options: KeepalivedOptions;
  readonly #config: string;
  #work: Promise<void> = Promise.resolve();
  #child: ChildProcess | undefined;
  /** What the running one was told, or will be at its start; undefined: none shall run. */
  #text: string | undefined;
  #respawnMs = RESPAWN_LEAST_MS;
  #respawn: NodeJS.Timeout | undefined;
  #deaths = 0;
  #closed = false;

  constructor(options: KeepalivedOptions) {
    this.#options = options;
    this.#config = join(options.runDir, CONFIG_FILE);
  }

  /** Takes away what another agent has left: a process, and its addresses. */
  clear(): Promise<void> {
    return this.#inOrder(async () => {
      const { runDir, record, log } = this.#options;
      if (await stopOrphans(runDir))
        log.warn({ runDir }, 'a keepalived of an agent that has died was still running, and is ended');
      const removed = await removeLeftovers(record);
      if (removed.length > 0)
        log.warn({ addresses: removed.map((one) => one.address) }, 'removed addresses that a dead agent had left');
    });
  }

  /** Makes it run with this configuration; it is told again only of another one. Undefined: it shall not run. */
  configure(text: string | undefined): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#closed || text === this.#text) return;
      this.#text = text;
      if (text === undefined) return this.#stop();
      await writeWhole(this.#config, text);
      if (this.#child) this.#child.kill('SIGHUP');
      else if (this.#respawn === undefined) await this.#start();
    });
  }

  /** Ends it, which tells the other agents to take over at once; they need no longer than it takes to hear that. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#inOrder(() => this.#stop());
  }

  #inOrder(step: () => Promise<void>): Promise<void> {
    const done = this.#work.then(step);
    this.#work = done.catch(() => {});
    return done;
  }

  async #start(): Promise<void> {
    const { runDir, log, record } = this.#options;
    await stopOrphans(runDir);
    await removeLeftovers(record);
    const [pidFile, vrrpPidFile] = PID_FILES.map((name) => join(runDir, name));
    // A process id in there that somebody else has by now, or a zombie, would keep keepalived from starting.
    for (const file of [pidFile!, vrrpPidFile!]) await rm(file, { force: true });
    const args = ['-n', '-l', '-P', '-R', '-f', this.#config, '-p', pidFile!, '-r', vrrpPidFile!];
    const [program, ...all] = [...(await deathSignal(log)), 'keepalived', ...args];
    const child = spawn(program!, all, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const bornMs = performance.now();
    const last: string[] = [];
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.#tell(line, last));
    }
    let ended = false;
    const end = (how: string) => {
      if (ended) return;
      ended = true;
      this.#died(child, [how, ...last].join('; '), performance.now() - bornMs);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(`ended with ${code ?? signal ?? 'unknown'}`));
  }

  #tell(line: string, last: string[]): void {
    const told = readLogLine(line);
    if (!told) return;
    if (told.level === 'warn' && last.at(-1) !== told.text) last.push(told.text);
    if (last.length > LAST_LINES) last.shift();
    this.#options.log[told.level]({}, `keepalived: ${told.text}`);
    const rival = readRival(told.text);
    if (rival !== undefined) this.#options.onRival(rival);
  }

  #died(child: ChildProcess, how: string, livedMs: number): void {
    if (this.#child !== child) return; // it was stopped
    this.#child = undefined;
    if (livedMs >= TRUSTED_AFTER_MS) this.#respawnMs = RESPAWN_LEAST_MS;
    this.#deaths = livedMs >= SOON_MS ? 1 : this.#deaths + 1;
    const deaths = this.#deaths;
    const { log, record, runDir, onDeath } = this.#options;
    log.error({ how, respawnMs: this.#respawnMs }, 'keepalived has died and is started again');
    void this.#inOrder(async () => {
      await removeLeftovers(record); // at once: others take these addresses over now
      onDeath(how, deaths);
      await stopOrphans(runDir);
    }).catch((error: unknown) => log.error({ error }, 'what keepalived left could not be removed'));
    this.#respawn = setTimeout(() => {
      this.#respawn = undefined;
      void this.#inOrder(async () => {
        if (!this.#closed && this.#text !== undefined && !this.#child) await this.#start();
      }).catch((error: unknown) => log.error({ error }, 'keepalived cannot be started'));
    }, this.#respawnMs);
    this.#respawnMs = Math.min(this.#respawnMs * 2, RESPAWN_MOST_MS);
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#respawn);
    this.#respawn = undefined;
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exited;
      clearTimeout(kill);
    }
    await stopOrphans(this.#options.runDir);
    await removeLeftovers(this.#options.record);
  }
}

let checked: Promise<boolean> | undefined;

/** keepalived shall not outlive the agent, however that dies: it then lets go of its addresses as if it had been told to. */
async function deathSignal(log: ForwarderLog): Promise<readonly string[]> {
  const prefix = ['setpriv', '--pdeathsig', 'TERM'];
  checked ??= runCommand(prefix[0]!, [...prefix.slice(1), 'true']).then(
    () => true,
    () => false,
  );
  if (await checked) return prefix;
  log.warn(
    {},
    'there is no setpriv with --pdeathsig here: should this agent be killed, its addresses stay until it is started again',
  );
  return [];
}
