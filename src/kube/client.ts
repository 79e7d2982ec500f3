import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { explain, type Problem, UsageError } from '../errors.ts';
import type { KubeApi } from './api.ts';
import { openCalls } from './calls.ts';
import { type CredentialSource, Credentials, type Material, NoCredentials } from './credentials.ts';
import { chooseKube, type KubeChoice, type KubeTarget, NO_CONTEXT } from './kubeconfig.ts';
import { lookUpNearness, type Nearness } from './nearness.ts';
import { at, list, text } from './objects.ts';

export { inCluster } from './kubeconfig.ts';

export interface ConnectOptions extends KubeChoice {
  /** User to impersonate, instead of the kubeconfig's; with groups alone it is refused by the API server. */
  readonly as?: string;
  readonly asGroups?: readonly string[];
  readonly asUid?: string;
  /** Default `nodeport-lb`. */
  readonly userAgent?: string;
  /** Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Default 150,000: kube-apiserver sends a bookmark about once a minute, so two are missing. */
  readonly silenceMs?: number;
}

export interface KubeDescription extends Pick<KubeTarget, 'context' | 'server' | 'namespace' | 'inCluster' | 'files'> {
  /** The API server is on a loopback or private address. */
  readonly nearness: Nearness;
}

/**
 * Says which cluster `connectKube` would talk to, without talking to it.
 * @throws {UsageError} as connectKube
 */
export async function describeKube(choice: KubeChoice): Promise<KubeDescription> {
  const { context, server, namespace, inCluster, files } = chooseKube(choice);
  return { context, server, namespace, inCluster, files, nearness: await lookUpNearness(server) };
}

/**
 * Opens the port to the chosen cluster and gets credentials for it (an exec plugin is run), but does not talk to the API
 * server yet: one that is down is for the callers to wait for.
 * @throws {UsageError} naming file, place and value when the kubeconfig or the credentials that it names are no good
 */
export async function connectKube(options: ConnectOptions): Promise<KubeApi> {
  const target = chooseKube(options);
  const credentials = new Credentials(await openSource(target, options));
  try {
    await credentials.current();
  } catch (error) {
    const cause = error instanceof NoCredentials ? error.cause : error;
    throw new UsageError([describeCredentialFault(target, cause)], { cause });
  }
  return openCalls({
    credentials,
    where: { context: target.context, server: target.server },
    userAgent: options.userAgent ?? 'nodeport-lb',
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    silenceMs: options.silenceMs ?? 150_000,
  });
}

/** An exec plugin that has not answered by then never will: it may be waiting for a terminal. */
const LOAD_TIMEOUT_MS = 60_000;

async function openSource(target: KubeTarget, options: ConnectOptions): Promise<CredentialSource> {
  // Over bare Node the library costs 87 MB and 260 ms; bundled 38 MB and 77 ms, or 29 MB and 68 ms when the bundler may drop its
  // generated API (dist/gen has no side effects). So commands without a cluster go without.
  const library = await import('@kubernetes/client-node/dist/config.js');
  const load = (chosen: KubeTarget): KubeConfig => {
    const config = new library.KubeConfig();
    if (chosen.kubeconfig) config.loadFromString(toFile(chosen));
    else config.loadFromCluster(options.root);
    return config;
  };
  let config = load(target);
  const proxyUrl = config.getCurrentCluster()?.proxyUrl;
  return {
    origin: new URL(target.server).origin,
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    freshMs: 10_000, // the library has caches below: the token file's is a minute, the exec plugin's until its token expires
    async load(anew) {
      if (anew) config = load(chooseAgain(target, options));
      return loadMaterial(config, target, options);
    },
  };
}

/** The files may have new credentials by now, but these are never sent to a server that we were not started for. */
function chooseAgain(target: KubeTarget, options: ConnectOptions): KubeTarget {
  const named = !target.inCluster && target.context !== NO_CONTEXT;
  const again = chooseKube({ ...options, ...(named ? { context: target.context } : {}) });
  if (again.server === target.server) return again;
  throw new Error(`context ${target.context} now has the server ${again.server}, not ${target.server}; restart to use it`);
}

async function loadMaterial(config: KubeConfig, target: KubeTarget, { as, asGroups, asUid }: ConnectOptions): Promise<Material> {
  const options: RequestOptions = {};
  await inTime(config.applyToHTTPSOptions(options));
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    headers[name.toLowerCase()] = String(value).trim(); // token files often end with a newline
  }
  if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  if (as !== undefined) headers['impersonate-user'] = as;
  if (asUid !== undefined) headers['impersonate-uid'] = asUid;
  const groups = asGroups ?? (as === undefined ? target.impersonateGroups : []);
  if (groups.length > 0) headers['impersonate-group'] = [...groups];
  // node:tls passes over a CA that is none, and every server would then be distrusted without a reason.
  if (options.ca !== undefined && !String(options.ca).includes('-----BEGIN '))
    throw new Error('certificate-authority is not PEM');
  return { headers, tls: pickTls(options) };
}

function pickTls({ ca, cert, key, passphrase, rejectUnauthorized, servername }: RequestOptions): Material['tls'] {
  const all = { ca, cert, key, passphrase, rejectUnauthorized, servername };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

async function inTime(loading: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no credentials came within ${LOAD_TIMEOUT_MS / 1000} s`)), LOAD_TIMEOUT_MS);
  });
  await Promise.race([loading, late]).finally(() => clearTimeout(timer));
}

/** As a file of its own; an exec plugin is told what kubectl would tell it, which the library leaves out. */
function toFile(target: KubeTarget): string {
  const { kubeconfig } = target;
  const users = kubeconfig?.users.map((entry) => {
    const user = at(entry, 'user');
    const exec = at(user, 'exec');
    if (exec === undefined) return entry;
    const info = JSON.stringify(describeExec(exec, target));
    const env = [{ name: 'KUBERNETES_EXEC_INFO', value: info }, ...list(at(exec, 'env'))];
    return { ...entry, user: { ...(user as object), exec: { ...(exec as object), env } } };
  });
  return JSON.stringify({ ...kubeconfig, users, 'current-context': target.context });
}

/** https://kubernetes.io/docs/reference/config-api/client-authentication.v1/ */
function describeExec(exec: unknown, target: KubeTarget): object {
  const cluster = at(target.kubeconfig?.clusters[0], 'cluster');
  const file = text(at(cluster, 'certificate-authority'));
  const told = {
    server: target.server,
    'tls-server-name': at(cluster, 'tls-server-name'),
    'insecure-skip-tls-verify': at(cluster, 'insecure-skip-tls-verify'),
    'certificate-authority-data': file === '' ? at(cluster, 'certificate-authority-data') : readFileSync(file, 'base64'),
    'proxy-url': at(cluster, 'proxy-url'),
  };
  return {
    apiVersion: text(at(exec, 'apiVersion')) || 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: { interactive: false, ...(at(exec, 'provideClusterInfo') === true ? { cluster: told } : {}) },
  };
}

function describeCredentialFault(target: KubeTarget, error: unknown): Problem {
  const entry = target.kubeconfig?.users[0];
  const where = target.inCluster ? 'service account of the pod' : [...target.files, `user ${entry?.name ?? ''}`].join(': ');
  const exec = at(at(entry, 'user'), 'exec');
  if (exec === undefined) return { where, message: `the credentials are no good: ${explain(error).trim()}` };
  const hint = text(at(exec, 'installHint'));
  const command = [text(at(exec, 'command')), ...list(at(exec, 'args')).map(String)].join(' ');
  return {
    where,
    value: command,
    message: `the exec plugin gave no credentials: ${explain(error).trim()}${hint && `; ${hint}`}`,
  };
}
