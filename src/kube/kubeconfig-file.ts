import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseDocument } from 'yaml';
import { explain, UsageError } from '../errors.ts';
import { at, list, text } from './objects.ts';

/**
 * Reads and merges kubeconfig files by kubectl's rules. The library's own merging lets the last file win, refuses a name that two
 * files share and a file of KUBECONFIG that is missing; kubectl lets the first win and passes over the missing one.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files
 */

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
  return cluster;
}

export function absoluteUser(value: unknown, absolute: (path: string) => string): Fields {
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
