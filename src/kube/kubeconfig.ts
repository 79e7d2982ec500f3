import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Problem, UsageError } from '../errors.ts';
import { absoluteUser, type Entry, type Kubeconfig, mergeKubeconfigs, readKubeconfig } from './kubeconfig-file.ts';
import { at, list, text } from './objects.ts';
import { allowPlainHttp, judgeOverrides, type KubeOverrides, overrideCluster, overrideUser } from './overrides.ts';

/**
 * Which cluster is meant: finds kubeconfig files and chooses in them by kubectl's rules, and says what is wrong with them.
 */

export interface KubeChoice extends KubeOverrides {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Names of entries of the kubeconfig, in place of what the context names. */
  readonly cluster?: string;
  readonly user?: string;
  /** Where the file system of the pod begins; only tests set it. */
  readonly root?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The cluster that was chosen. */
export interface KubeTarget {
  /** NO_CONTEXT when none was needed. */
  readonly context: string;
  /** URL without a slash at the end. */
  readonly server: string;
  /** Namespace of the context, or of the pod; empty when it says none. */
  readonly namespace: string;
  readonly inCluster: boolean;
  /** Files that were read; empty in a cluster. */
  readonly files: readonly string[];
  /** Undefined in a cluster, when no flag says otherwise. */
  readonly kubeconfig?: Kubeconfig;
  /** Groups to impersonate, which the library would leave out. */
  readonly impersonateGroups: readonly string[];
}

/** A server or a cluster that is named needs no context. */
export const NO_CONTEXT = '(none)';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** True in a pod with a service account: its token is mounted and the API server's address is in the environment. */
export function inCluster(root = '', env: KubeChoice['env'] = process.env): boolean {
  return (env?.['KUBERNETES_SERVICE_HOST'] ?? '') !== '' && existsSync(`${root}${SERVICE_ACCOUNT}/token`);
}

/**
 * Chooses by kubectl's order: --kubeconfig, KUBECONFIG, ~/.kube/config, the pod's service account; a server that is given needs
 * none of them.
 * @throws {UsageError} when there is none, it cannot be read, or it does not have what the context names
 */
export function chooseKube(choice: KubeChoice): KubeTarget {
  const env = choice.env ?? process.env;
  judgeOverrides(choice);
  const files = findFiles(choice, env);
  if (files.length === 0 && choice.server === undefined) return chooseInCluster(choice, env);
  const merged = mergeKubeconfigs(files.map((path) => readKubeconfig(path)));
  return chooseContext(merged, choice, files);
}

function findFiles(choice: KubeChoice, env: NonNullable<KubeChoice['env']>): readonly string[] {
  if (choice.kubeconfig !== undefined) {
    if (existsSync(choice.kubeconfig)) return [choice.kubeconfig];
    throw refuse('--kubeconfig', choice.kubeconfig, 'there is no such file; give the path of a kubeconfig');
  }
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  if (named.length > 0) {
    const present = named.filter((path) => existsSync(path));
    if (present.length > 0) return present;
    throw refuse('KUBECONFIG', named.join(delimiter), 'there is no such file; correct the variable, or give --kubeconfig FILE');
  }
  const own = join(env['HOME'] ?? homedir(), '.kube', 'config');
  return existsSync(own) ? [own] : [];
}

function chooseInCluster(choice: KubeChoice, env: NonNullable<KubeChoice['env']>): KubeTarget {
  const root = choice.root ?? '';
  if (!inCluster(root, env)) {
    throw refuse(
      'kubeconfig',
      undefined,
      'there is none: neither --kubeconfig, KUBECONFIG nor ~/.kube/config, and this is no pod of a cluster; give --kubeconfig FILE',
    );
  }
  for (const name of ['context', 'cluster', 'user'] as const) {
    if (choice[name] === undefined) continue;
    const message = 'there is no kubeconfig to look it up in; give --kubeconfig FILE, or leave it out';
    throw refuse(`--${name}`, choice[name], message);
  }
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const namespace = `${root}${SERVICE_ACCOUNT}/namespace`;
  return {
    context: IN_CLUSTER,
    server,
    ...(overrides(choice) ? { kubeconfig: describePod(server, choice) } : {}),
    namespace: existsSync(namespace) ? readFileSync(namespace, 'utf8').trim() : '',
    inCluster: true,
    files: [],
    impersonateGroups: [],
  };
}

const IN_CLUSTER = 'in-cluster';

function overrides(choice: KubeOverrides): boolean {
  const { tlsServerName, insecureSkipTlsVerify, certificateAuthority, clientCertificate, clientKey, token } = choice;
  return [tlsServerName, insecureSkipTlsVerify, certificateAuthority, clientCertificate, clientKey, token].some(Boolean);
}

/** The pod's service account as a kubeconfig, with what the flags say instead. */
function describePod(server: string, choice: KubeChoice): Kubeconfig {
  const place = `${choice.root ?? ''}${SERVICE_ACCOUNT}`;
  const cluster = { name: IN_CLUSTER, cluster: { server, 'certificate-authority': `${place}/ca.crt` } };
  const user = { name: IN_CLUSTER, user: absoluteUser({ tokenFile: `${place}/token` }, (path) => path) };
  const context = { name: IN_CLUSTER, context: { cluster: IN_CLUSTER, user: IN_CLUSTER } };
  return onlyContext(context, overrideCluster(cluster, choice), overrideUser(user, choice));
}

/**
 * Pure. Looks up what the context names, or the flags in its place.
 * @throws {UsageError} with every problem found
 */
export function chooseContext(kubeconfig: Kubeconfig, choice: KubeChoice, files: readonly string[]): KubeTarget {
  const file = files.join(delimiter);
  const context = findContext(kubeconfig, choice, file);
  const body = at(context, 'context');
  const clusterName = choice.cluster ?? text(at(body, 'cluster'));
  const userName = choice.user ?? text(at(body, 'user'));
  const foundCluster =
    kubeconfig.clusters.find((c) => c.name === clusterName) ??
    (clusterName === '' && choice.server !== undefined ? { name: NO_CONTEXT, cluster: {} } : undefined);
  const foundUser = kubeconfig.users.find((u) => u.name === userName);
  const cluster = foundCluster && allowPlainHttp(overrideCluster(foundCluster, choice));
  const user = overrideUser(foundUser ?? NOBODY, choice);
  const server = text(at(at(cluster, 'cluster'), 'server')).replace(/\/+$/, '');
  const problems: Problem[] = [];
  const place = (flag: 'cluster' | 'user') => (choice[flag] === undefined ? `${file}: context ${context.name}` : `--${flag}`);
  if (!cluster)
    problems.push({
      where: place('cluster'),
      value: clusterName,
      message: `names a cluster that is not in ${known(choice.cluster, kubeconfig.clusters, file)}`,
    });
  else if (!isHttpUrl(server)) {
    const where = choice.server === undefined ? `${file}: cluster ${clusterName}: server` : '--server';
    problems.push({ where, value: server, message: 'must be an http or https URL' });
  }
  if (userName !== '' && !foundUser)
    problems.push({
      where: place('user'),
      value: userName,
      message: `names a user that is not in ${known(choice.user, kubeconfig.users, file)}`,
    });
  if (problems.length > 0) throw new UsageError(problems);
  return {
    context: context.name,
    server,
    namespace: text(at(body, 'namespace')),
    inCluster: false,
    files,
    kubeconfig: onlyContext(context, cluster, user),
    impersonateGroups: list(at(at(user, 'user'), 'as-groups')).filter((g): g is string => typeof g === 'string'),
  };
}

/** The one that is named, else the current one, else one without anything where a server or a cluster is named. */
function findContext(kubeconfig: Kubeconfig, choice: KubeChoice, file: string): Entry {
  const names = kubeconfig.contexts.map((c) => c.name);
  const present = names.length === 0 ? 'it has no contexts' : `it has ${names.join(', ')}`;
  const name = choice.context ?? kubeconfig.currentContext;
  if (name === '' && (choice.server ?? choice.cluster) !== undefined) return { name: NO_CONTEXT, context: {} };
  if (name === '') throw refuse(file, undefined, `has no current-context (${present}); name one with --context`);
  const context = kubeconfig.contexts.find((c) => c.name === name);
  if (context) return context;
  const where = choice.context === undefined ? `${file}: current-context` : '--context';
  throw refuse(where, name, `${choice.context === undefined ? '' : `${file} has `}no such context; ${present}`);
}

/** Where a name was looked for; with a flag also what there is. */
function known(flag: string | undefined, entries: readonly Entry[], file: string): string {
  return flag === undefined
    ? 'the file'
    : `${file || 'any kubeconfig'}; it has ${entries.map((e) => e.name).join(', ') || 'none'}`;
}

// Without a user the library would leave out the cluster's CA as well.
const NOBODY: Entry = { name: 'nobody', user: {} };

/** The library is handed only what the context needs, so that a broken neighbour in the file does no harm. */
function onlyContext(context: Entry, cluster: Entry | undefined, user: Entry): Kubeconfig {
  const names = { user: user.name, ...(cluster ? { cluster: cluster.name } : {}) };
  const named = { name: context.name, context: { ...(at(context, 'context') as object), ...names } };
  return { clusters: cluster ? [cluster] : [], users: [user], contexts: [named], currentContext: context.name };
}

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}

function refuse(where: string, value: string | undefined, message: string): UsageError {
  return new UsageError([{ where, message, ...(value === undefined ? {} : { value }) }]);
}
