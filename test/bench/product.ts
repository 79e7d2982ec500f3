import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { until } from '../e2e/lab/until.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const POOL = '127.32.0.0/16';

export type ProgramForm = 'sources' | 'bundle';

export interface ProductOptions {
  readonly kubeconfig: string;
  /** For logs and the gauge's file. */
  readonly directory: string;
  /** `sources`: a checkout, by type stripping. `bundle`: dist/, as an installed package. */
  readonly program: ProgramForm;
  /** Directory for CPU profiles. */
  readonly profile?: string | undefined;
}

/** One process's memory and work, from /proc. */
export interface Usage {
  readonly rssMB: number;
  /** The most that it ever was. */
  readonly peakRssMB: number;
  /** Shared pages (Node's own code, above all) divided among those who share them. */
  readonly pssMB: number;
  readonly cpuSeconds: number;
}

export interface ProcessUsage {
  readonly controller: Usage;
  readonly forwarder: Usage;
}

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** From 0 to 1. */
  readonly utilization: number;
  readonly heapUsedMB: number;
}

let started = 0;

/** The program's launcher: the checkout's, or one beside `dist/` alone, as in an installed package. */
export function launcherOf(program: ProgramForm, directory: string): string {
  if (program === 'sources') return join(CHECKOUT, 'src/bin.js');
  const installed = join(directory, 'installed');
  if (!existsSync(installed)) {
    mkdirSync(join(installed, 'src'), { recursive: true });
    cpSync(join(CHECKOUT, 'package.json'), join(installed, 'package.json'));
    cpSync(join(CHECKOUT, 'src/bin.js'), join(installed, 'src/bin.js'));
    symlinkSync(join(CHECKOUT, 'dist'), join(installed, 'dist'));
  }
  return join(installed, 'src/bin.js');
}

/** The controller as a user runs it: a process of its own, and its forwarder another. */
export class Product {
  readonly #child: ChildProcess;
  readonly #gaugeFile: string;
  readonly #logFile: string;
  readonly #exited: Promise<unknown>;
  #forwarder: number | undefined;
  #metrics = '';

  constructor(options: ProductOptions) {
    const nth = ++started;
    this.#gaugeFile = join(options.directory, `gauge-${nth}.json`);
    this.#logFile = join(options.directory, `controller-${nth}.log`);
    const log = openSync(this.#logFile, 'a'); // a pipe would be read by this process, which may be busy
    const args = [
      ...(options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]),
      `--import=${join(import.meta.dirname, 'gauge.js')}`,
      launcherOf(options.program, options.directory),
      ...['controller', '--kubeconfig', options.kubeconfig, '--provider', 'local', '--local-pool', POOL],
      ...['--claim-unset-class', 'true', '--http', '127.0.0.1:0'],
    ];
    const env = Object.entries(process.env).filter(([name]) => !/^(NODEPORT_LB_|KUBECONFIG$)/.test(name));
    // It ends with this process, whatever way that ends.
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', process.execPath, ...args], {
      stdio: ['ignore', log, log],
      env: { ...Object.fromEntries(env), BENCH_GAUGE_FILE: this.#gaugeFile },
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  /** Resolves when the controller has read the cluster and its forwarder is there. */
  async ready(): Promise<void> {
    try {
      await until(
        async () => {
          const address = /serving \/healthz, \/readyz and \/metrics host=(\S+) port=(\d+)/.exec(this.#log());
          if (!address) throw new Error('it serves no HTTP yet');
          this.#metrics = `http://${address[1]}:${address[2]}`;
          return (await fetch(`${this.#metrics}/readyz`)).ok;
        },
        { withinMs: 30_000, what: 'the controller is ready' },
      );
      this.#forwarder = await until(() => childrenOf(this.pid)[0], { withinMs: 5_000, what: 'the forwarder runs' });
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.#log().slice(-2000)}`);
    }
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  usage(): ProcessUsage {
    return { controller: readUsage(this.pid), forwarder: readUsage(this.#forwarder ?? -1) };
  }

  /** How late the event loop was since the last call. */
  async loopDelay(): Promise<LoopDelay> {
    rmSync(this.#gaugeFile, { force: true });
    this.#child.kill('SIGUSR2');
    await until(() => existsSync(this.#gaugeFile), { withinMs: 10_000, what: 'the gauge answers', everyMs: 5 });
    return JSON.parse(readFileSync(this.#gaugeFile, 'utf8')) as LoopDelay;
  }

  /** Sum of `nodeport_lb_targets`, by health. */
  async targets(): Promise<{ readonly sum: number; readonly healthy: number }> {
    const page = await (await fetch(`${this.#metrics}/metrics`)).text();
    const found = [...page.matchAll(/^nodeport_lb_targets\{health="(\w+)"\} (\d+)/gm)];
    const sum = found.reduce((total, [, , count]) => total + Number(count), 0);
    return { sum, healthy: Number(found.find(([, health]) => health === 'healthy')?.[2] ?? 0) };
  }

  /** Warnings and errors of its log; a benchmark of a broken controller would be worth nothing. */
  complaints(): readonly string[] {
    return this.#log()
      .split('\n')
      .filter((line) => /WARN|ERROR/.test(line));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 60_000);
    await this.#exited;
    clearTimeout(kill);
  }

  #log(): string {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8') : '';
  }
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
}

/** CPU seconds of API server and etcd so far: the processes of those names in this network namespace. */
export function serverCpuSeconds(): number {
  const here = readlinkSync('/proc/self/ns/net');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .reduce((total, pid) => total + serverCpuOf(pid, here), 0);
}

function serverCpuOf(pid: string, namespace: string): number {
  try {
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (!['kube-apiserver', 'etcd'].includes(name) || readlinkSync(`/proc/${pid}/ns/net`) !== namespace) return 0;
    return cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return 0; // it has ended meanwhile
  }
}

/** Clock ticks a second in /proc/PID/stat: 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Of a process that is there. */
export function readUsage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const mb = (page: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(page)?.[1] ?? Number.NaN) * 1.024e-3;
  return {
    rssMB: mb(status, 'VmRSS'),
    peakRssMB: mb(status, 'VmHWM'),
    pssMB: mb(rollup, 'Pss'),
    cpuSeconds: cpuSecondsOf(stat),
  };
}

function cpuSecondsOf(stat: string): number {
  const [user = '', system = ''] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13); // the name may hold spaces
  return (Number(user) + Number(system)) / TICKS;
}
