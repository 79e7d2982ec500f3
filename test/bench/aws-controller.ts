import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../e2e/lab/until.ts';
import { launcherOf, type ProgramForm, readUsage, type Usage } from './product.ts';

const FAMILIES = ['describe', 'register', 'modify', 'create', 'readEc2', 'writeEc2'];

export interface AwsControllerOptions {
  readonly program: ProgramForm;
  readonly kubeconfig: string;
  /** For its log. */
  readonly directory: string;
  /** Of the in-memory AWS. */
  readonly endpoint: string;
  readonly region: string;
  /** `usual`: as an account has them at first; `raised`: never in the way. */
  readonly limits: 'usual' | 'raised';
}

let started = 0;

/** The controller with `--provider aws` as a process of its own. */
export class AwsController {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #exited: Promise<unknown>;

  constructor({ program, kubeconfig, directory, endpoint, region, limits }: AwsControllerOptions) {
    this.#logFile = join(directory, `aws-controller-${++started}.log`);
    const log = openSync(this.#logFile, 'a');
    const raised = ['--aws-api-throttle', FAMILIES.map((family) => `${family}=1000:10000`).join()];
    const args = [
      launcherOf(program, directory),
      ...['controller', '--kubeconfig', kubeconfig, '--provider', 'aws', '--claim-unset-class', 'true', '--http', '127.0.0.1:0'],
      ...(limits === 'raised' ? raised : []),
    ];
    const env = Object.entries(process.env).filter(([name]) => !/^(NODEPORT_LB_|KUBECONFIG$|AWS_)/.test(name));
    const aws = { AWS_ENDPOINT_URL: endpoint, AWS_REGION: region, AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' };
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', process.execPath, ...args], {
      stdio: ['ignore', log, log],
      env: { ...Object.fromEntries(env), ...aws },
    });
    closeSync(log);
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  /** Resolves when it has read the cluster and the account. */
  async ready(): Promise<void> {
    const look = async (): Promise<boolean> => {
      const address = /serving \/healthz, \/readyz and \/metrics host=(\S+) port=(\d+)/.exec(this.#log());
      if (!address) throw new Error(`it serves no HTTP yet: ${this.#log().slice(-1000)}`);
      return (await fetch(`http://${address[1]}:${address[2]}/readyz`)).ok;
    };
    await until(look, { withinMs: 60_000, what: 'the controller is ready' });
  }

  usage(): Usage {
    return readUsage(this.#child.pid ?? -1);
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
    return readFileSync(this.#logFile, 'utf8');
  }
}
