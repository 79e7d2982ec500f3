import { join } from 'node:path';
import { type Output, run, tryRun } from './lab/command.ts';
import type { Lab } from './lab/lab.ts';
import { findGo, fromCache } from './tools.ts';

const HELM = '4.3.1';
const WAIT_MS = 200_000; // it waits for pods, where it is told to
const BUILD_MS = 20 * 60_000; // 2.5 minutes were seen on two busy cores

/** Where the chart is. */
export const CHART = join(import.meta.dirname, '../../charts/nodeport-lb');

/** The real Helm, built once and kept outside the checkout. @returns its path */
export async function prepareHelm(): Promise<string> {
  const made = await fromCache(`helm-${HELM}`, async (directory) => {
    const say = (line: string) => console.error(`e2e: ${line}`);
    const go = await findGo(say);
    say(`building Helm ${HELM}`);
    const env = { ...process.env, GOBIN: directory, GOFLAGS: '-buildvcs=false' };
    await run(go, ['install', `helm.sh/helm/v4/cmd/helm@v${HELM}`], { timeoutMs: BUILD_MS, env });
    return true;
  });
  return join(made ?? '', 'helm');
}

/** Helm with the chart, and without a cluster. `flags` come after the chart. */
export class Helm {
  readonly #path: string;
  readonly #home: string;

  /** @param home for its caches, of which it makes some even when it needs none */
  constructor(path: string, home: string) {
    this.#path = path;
    this.#home = home;
  }

  get env(): NodeJS.ProcessEnv {
    const home = (name: string) => join(this.#home, `helm-${name}`);
    return {
      ...process.env,
      HELM_CACHE_HOME: home('cache'),
      HELM_CONFIG_HOME: home('config'),
      HELM_DATA_HOME: home('data'),
      KUBECONFIG: '/nonexistent',
    };
  }

  /** `helm COMMAND …`, whatever comes of it. */
  attempt(args: readonly string[], input?: string): Promise<Output> {
    return tryRun(this.#path, args, { env: this.env, ...(input === undefined ? {} : { input }) });
  }

  /** `helm template` of a release lb in lb-system, with values as an object. */
  template(values: object): Promise<Output> {
    return this.attempt(['template', 'lb', CHART, '--namespace', 'lb-system', '--values', '-'], JSON.stringify(values));
  }

  /** `helm COMMAND …` in the lab's cluster, as admin. @throws {CommandFailed} unless it ends with 0 */
  async inLab(lab: Pick<Lab, 'plane'>, args: readonly string[], values: object = {}): Promise<string> {
    return (await this.toldInLab(lab, args, values)).stdout;
  }

  /** The same, with what goes to stderr: the words of hooks. @throws {CommandFailed} unless it ends with 0 */
  toldInLab(lab: Pick<Lab, 'plane'>, args: readonly string[], values: object = {}): Promise<Output> {
    const { hub, users } = lab.plane;
    const reads = /^(install|upgrade)$/.test(args[0] ?? '') ? ['--values', '-'] : [];
    const all = [`--net=/run/netns/${hub}`, this.#path, ...args, ...reads, '--kubeconfig', users.admin.kubeconfig];
    return run('nsenter', all, { env: this.env, input: JSON.stringify(values), timeoutMs: WAIT_MS });
  }
}
