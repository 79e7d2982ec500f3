import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Output, tryRun } from './lab/command.ts';
import { API_PORT } from './lab/control-plane.ts';
import type { Lab } from './lab/lab.ts';
import { HUB_ADDRESS } from './lab/network.ts';
import { Process } from './lab/process.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const USER = '65532'; // the image's

/** Where Kubernetes mounts the token. */
const ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount';

/** A token that is void as soon as the Secret that it is bound to has gone; a kubelet binds it to the pod. */
async function tokenFor({ api }: Lab, namespace: string, account: string, secret: string): Promise<string> {
  const { metadata } = await api.create<{ metadata: { uid: string } }>(`/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: secret },
  });
  const boundObjectRef = { kind: 'Secret', apiVersion: 'v1', name: secret, uid: metadata.uid };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  return (await api.create<{ status: { token: string } }>(path, { spec: { boundObjectRef } })).status.token;
}

/** A pod's template, as far as it is needed to run it without a kubelet. */
export interface PodTemplate {
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly {
      readonly args: readonly string[];
      readonly env: readonly { readonly name: string; readonly value?: string }[];
      readonly volumeMounts: readonly { readonly mountPath: string }[];
    }[];
  };
}

/** The program as the image has it: bundle, launcher, manifest. @returns its directory */
export async function layOutProgram(directory: string): Promise<string> {
  const program = join(directory, 'program');
  mkdirSync(join(program, 'src'), { recursive: true });
  await promisify(execFile)(process.execPath, [join(CHECKOUT, 'src/build.ts'), join(program, 'dist')]);
  for (const file of ['package.json', 'src/bin.js']) cpSync(join(CHECKOUT, file), join(program, file));
  chmodSync(directory, 0o711); // the pod's user is nobody here
  return program;
}

/**
 * What the kubelet would start from a Deployment of the cluster, as a process in the hub: the rendered arguments, variables and
 * configuration file, the ServiceAccount's own token, the image's user without any capability, and a root that is read-only.
 */
export class ChartPod {
  readonly #lab: Lab;
  readonly #program: string;
  readonly #namespace: string;
  readonly #template: PodTemplate;
  readonly #files: string;

  private constructor(lab: Lab, program: string, namespace: string, template: PodTemplate, files: string) {
    this.#lab = lab;
    this.#program = program;
    this.#namespace = namespace;
    this.#template = template;
    this.#files = files;
  }

  /** Reads Deployment and ConfigMap, and gets a token. */
  static async from(lab: Lab, program: string, namespace: string, name: string): Promise<ChartPod> {
    const { api, plane } = lab;
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    const { template } = (await api.get<{ spec: { template: PodTemplate } }>(path)).spec;
    const config = await api.get<{ data: Record<string, string> }>(`/api/v1/namespaces/${namespace}/configmaps/${name}`);
    const token = await tokenFor(lab, namespace, template.spec.serviceAccountName, 'token-1');
    const files = join(plane.directory, `pod-${namespace}-${name}`);
    mkdirSync(join(files, 'account'), { recursive: true });
    mkdirSync(join(files, 'config'), { recursive: true });
    writeFileSync(join(files, 'account/token'), token);
    writeFileSync(join(files, 'account/namespace'), namespace);
    cpSync(plane.certificate, join(files, 'account/ca.crt'));
    for (const [file, text] of Object.entries(config.data)) writeFileSync(join(files, 'config', file), text);
    return new ChartPod(lab, program, namespace, template, files);
  }

  get user(): string {
    return `system:serviceaccount:${this.#namespace}:${this.#template.spec.serviceAccountName}`;
  }

  /** The container's process. */
  start(): Process {
    return new Process({
      name: `pod-${this.#namespace}`,
      namespace: this.#lab.plane.hub,
      command: 'unshare',
      args: this.#command(this.#template.spec.containers[0]?.args ?? []),
      env: this.#env(),
      logFile: join(this.#lab.plane.directory, `pod-${this.#namespace}.log`),
    });
  }

  /** Another token stands in the file that the container sees, and the first one is void from then on. Once for each pod. */
  async exchangeToken(container: Process): Promise<void> {
    const token = await tokenFor(this.#lab, this.#namespace, this.#template.spec.serviceAccountName, 'token-2');
    writeFileSync(`/proc/${container.pid}/root${ACCOUNT}/token`, token);
    writeFileSync(join(this.#files, 'account/token'), token); // of containers that are started later
    await this.#lab.api.delete(`/api/v1/namespaces/${this.#namespace}/secrets/token-1`);
  }

  /** `kubectl exec … -- nodeport-lb ARGS`: another process of the same container. */
  exec(args: readonly string[]): Promise<Output> {
    const inHub = [`--net=/run/netns/${this.#lab.plane.hub}`, 'unshare', ...this.#command(args)];
    return tryRun('nsenter', inHub, { env: this.#env() });
  }

  #env(): NodeJS.ProcessEnv {
    const given = this.#template.spec.containers[0]?.env.map(({ name, value = '' }) => [name, value]) ?? [];
    return {
      PATH: process.env['PATH'],
      HOME: '/',
      KUBERNETES_SERVICE_HOST: HUB_ADDRESS,
      KUBERNETES_SERVICE_PORT: String(API_PORT),
      ...Object.fromEntries(given),
    };
  }

  /** A mount namespace of its own; /run and /etc are covered there, so that nothing of the machine's is touched. */
  #command(args: readonly string[]): readonly string[] {
    const config = this.#template.spec.containers[0]?.volumeMounts[0]?.mountPath ?? '';
    const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p ${ACCOUNT} /run/upper /run/work
cp ${this.#files}/account/* ${ACCOUNT}/
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work /etc
mkdir -p ${config}
cp ${this.#files}/config/* ${config}/
chmod -R a+rX /run/secrets ${config}
mount -o remount,bind,ro /
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs --pdeathsig KILL "$@"`;
    const program = [process.execPath, join(this.#program, 'src/bin.js'), ...args];
    return ['--mount', 'sh', '-c', script, 'pod', ...program];
  }
}
