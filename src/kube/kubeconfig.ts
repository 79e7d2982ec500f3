import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { parseDocument } from 'yaml';
import { explain, type Problem, UsageError } from '../errors.ts';
import { at, list, text } from './objects.ts';

/**
 * Which cluster is meant: finds, reads and merges kubeconfig files by kubectl's rules, and says what is wrong with them. The
 * library's own merging lets the last file win, refuses a name that two files share and a file of KUBECONFIG that is missing;
 * kubectl lets the first win and passes over the missing one.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files
 */

export interface KubeChoice {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Where the file system of the pod begins; only tests set it. */
  readonly root?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A kubeconfig of one piece whose paths are absolute; entries as in the file format. */
export interface Kubeconfig {
  readonly clusters: readonly Entry[];
  readonly users: readonly Entry[];
  readonly contexts: readonly Entry[];
  readonly currentContext: string;
}

export interface Entry {
  readonly name: string;
  readonly [kind: string]: unknown;
}

/** The cluster that was chosen. */
export interface KubeTarget {
  readonly context: string;
  /** URL without a slash at the end. */
  readonly server: string;
  /** Namespace of the context, or of the pod; empty when it says none. */
  readonly namespace: string;
  readonly inCluster: boolean;
  /** Files that were read; empty in a cluster. */
  readonly files: readonly string[];
  /** Undefined in a cluster. */
  readonly kubeconfig?: Kubeconfig;
  /** Groups to impersonate, which the library would leave out. */
  readonly impersonateGroups: readonly string[];
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** True in a pod with a service account: its token is mounted and the API server's address is in the environment. */
export function inCluster(root = '', env: KubeChoice['env'] = process.env): boolean {
  return (env?.['KUBERNETES_SERVICE_HOST'] ?? '') !== '' && existsSync(`${root}${SERVICE_ACCOUNT}/token`);
}

/**
 * Chooses by kubectl's order: --kubeconfig, KUBECONFIG, ~/.kube/config, the pod's service account.
 * @throws {UsageError} when there is none, it cannot be read, or it does not have what the context names
 */
export function chooseKube(choice: KubeChoice): KubeTarget {
  const env = choice.env ?? process.env;
  const files = findFiles(choice, env);
  if (files.length === 0) return chooseInCluster(choice, env);
  const merged = mergeKubeconfigs(files.map((path) => readKubeconfig(path)));
  return chooseContext(merged, choice.context, files);
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
  if (choice.context !== undefined) {
    throw refuse('--context', choice.context, 'there is no kubeconfig to look it up in; give --kubeconfig FILE, or leave it out');
  }
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const namespace = `${root}${SERVICE_ACCOUNT}/namespace`;
  return {
    context: 'in-cluster',
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    namespace: existsSync(namespace) ? readFileSync(namespace, 'utf8').trim() : '',
    inCluster: true,
    files: [],
    impersonateGroups: [],
  };
}

/** @throws {UsageError} naming file, line and reason */
export function readKubeconfig(path: string): Kubeconfig {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError([{ where: path, message: `cannot be read: ${explain(error)}` }], { cause: error });
  }
  const document = parseDocument(content, { prettyErrors: true });
  const error = document.errors[0];
  if (error) throw new UsageError([{ where: path, message: `is not YAML: ${error.message.trim()}` }], { cause: error });
  const raw: unknown = document.toJS();
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new UsageError([
      { where: path, message: 'is not a kubeconfig: it must be a mapping with clusters, users and contexts' },
    ]);
  }
  return absoluteKubeconfig(raw, dirname(path));
}

/** Pure. The first file that has a name, and the first that has a current-context, wins. */
export function mergeKubeconfigs(files: readonly Kubeconfig[]): Kubeconfig {
  const firsts = (kind: 'clusters' | 'users' | 'contexts'): readonly Entry[] => {
    const byName = new Map<string, Entry>();
    for (const entry of files.flatMap((file) => file[kind])) if (!byName.has(entry.name)) byName.set(entry.name, entry);
    return [...byName.values()];
  };
  return {
    clusters: firsts('clusters'),
    users: firsts('users'),
    contexts: firsts('contexts'),
    currentContext: files.find((file) => file.currentContext !== '')?.currentContext ?? '',
  };
}

/**
 * Pure. Looks up what the context names.
 * @throws {UsageError} with every problem found
 */
export function chooseContext(kubeconfig: Kubeconfig, wanted: string | undefined, files: readonly string[]): KubeTarget {
  const file = files.join(delimiter);
  const names = kubeconfig.contexts.map((c) => c.name);
  const known = names.length === 0 ? 'it has no contexts' : `it has ${names.join(', ')}`;
  const name = wanted ?? kubeconfig.currentContext;
  if (name === '') throw refuse(file, undefined, `has no current-context (${known}); name one with --context`);
  const context = kubeconfig.contexts.find((c) => c.name === name);
  const where = wanted === undefined ? `${file}: current-context` : '--context';
  if (!context) throw refuse(where, name, `${wanted === undefined ? '' : `${file} has `}no such context; ${known}`);

  const body = at(context, 'context');
  const clusterName = text(at(body, 'cluster'));
  const userName = text(at(body, 'user'));
  const cluster = kubeconfig.clusters.find((c) => c.name === clusterName);
  const user = kubeconfig.users.find((u) => u.name === userName);
  const server = text(at(at(cluster, 'cluster'), 'server')).replace(/\/+$/, '');
  const problems: Problem[] = [];
  const place = `${file}: context ${name}`;
  if (!cluster) problems.push({ where: place, value: clusterName, message: 'names a cluster that is not in the file' });
  else if (!isHttpUrl(server)) {
    problems.push({ where: `${file}: cluster ${clusterName}: server`, value: server, message: 'must be an http or https URL' });
  }
  if (userName !== '' && !user) problems.push({ where: place, value: userName, message: 'names a user that is not in the file' });
  if (problems.length > 0) throw new UsageError(problems);
  return {
    context: name,
    server,
    namespace: text(at(body, 'namespace')),
    inCluster: false,
    files,
    kubeconfig: onlyContext(context, cluster, user),
    impersonateGroups: list(at(at(user, 'user'), 'as-groups')).filter((g): g is string => typeof g === 'string'),
  };
}

/** The library is handed only what the context needs, so that a broken neighbour in the file does no harm. */
function onlyContext(context: Entry, cluster: Entry | undefined, user: Entry | undefined): Kubeconfig {
  // Without a user the library would leave out the cluster's CA as well.
  const someone = user ?? { name: 'nobody', user: {} };
  const named = { name: context.name, context: { ...(at(context, 'context') as object), user: someone.name } };
  return { clusters: cluster ? [cluster] : [], users: [someone], contexts: [named], currentContext: context.name };
}

function absoluteKubeconfig(raw: object, directory: string): Kubeconfig {
  const absolute = (path: string): string => (isAbsolute(path) ? path : join(directory, path));
  const named = (key: string): Entry[] =>
    list(at(raw, key)).filter((e): e is Entry => typeof at(e, 'name') === 'string' && at(e, 'name') !== '');
  return {
    clusters: named('clusters').map((e) => ({ ...e, cluster: absoluteCluster(at(e, 'cluster'), absolute) })),
    users: named('users').map((e) => ({ ...e, user: absoluteUser(at(e, 'user'), absolute) })),
    contexts: named('contexts'),
    currentContext: text(at(raw, 'current-context')),
  };
}

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function absoluteCluster(value: unknown, absolute: (path: string) => string): Fields {
  const cluster = fieldsOf(value);
  chooseDataOrFile(cluster, 'certificate-authority', absolute);
  // The library refuses http:// unless checks of a certificate are off; plain HTTP has none to check.
  if (text(cluster['server']).startsWith('http:')) cluster['insecure-skip-tls-verify'] = true;
  return cluster;
}

function absoluteUser(value: unknown, absolute: (path: string) => string): Fields {
  const user = fieldsOf(value);
  chooseDataOrFile(user, 'client-certificate', absolute);
  chooseDataOrFile(user, 'client-key', absolute);
  const tokenFile = text(user['tokenFile']);
  if (tokenFile !== '') {
    // The library knows a token file by this provider only; as in kubectl the file beats `token`.
    user['auth-provider'] = { name: 'tokenFile', config: { tokenFile: absolute(tokenFile) } };
    delete user['token'];
  }
  const command = text(at(user['exec'], 'command'));
  if (command.includes('/') || command.includes('\\')) user['exec'] = { ...fieldsOf(user['exec']), command: absolute(command) };
  return user;
}

/** As in kubectl, `…-data` beats the file; the library would take the file. */
function chooseDataOrFile(fields: Fields, key: string, absolute: (path: string) => string): void {
  const file = text(fields[key]);
  if (text(fields[`${key}-data`]) !== '') delete fields[key];
  else if (file !== '') fields[key] = absolute(file);
}

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}

function refuse(where: string, value: string | undefined, message: string): UsageError {
  return new UsageError([{ where, message, ...(value === undefined ? {} : { value }) }]);
}
