import { accessSync, constants } from 'node:fs';
import { explain, type Problem, UsageError } from '../errors.ts';
import type { Entry } from './kubeconfig-file.ts';
import { at, text } from './objects.ts';

/**
 * What kubectl's own flags say in place of the kubeconfig's cluster and user, by kubectl's rules. One differs: a client certificate
 * given by flag beats one that the kubeconfig holds as data, which kubectl refuses.
 * https://github.com/kubernetes/client-go/blob/v0.36.3/tools/clientcmd/client_config.go
 */
export interface KubeOverrides {
  /** URL of the API server. */
  readonly server?: string;
  /** Name that the server's certificate must be for. */
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** Paths from the working directory. */
  readonly certificateAuthority?: string;
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  /** Bearer token. */
  readonly token?: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Pure. A server without a name for its certificate takes the kubeconfig's name away, as that was for another server; a CA and
 * leaving the check out take each other away.
 */
export function overrideCluster(entry: Entry, given: KubeOverrides): Entry {
  const { server, tlsServerName, certificateAuthority, insecureSkipTlsVerify } = given;
  let cluster = at(entry, 'cluster') as Fields;
  if (server !== undefined || tlsServerName !== undefined) {
    cluster = { ...without(cluster, ['tls-server-name']), ...(tlsServerName ? { 'tls-server-name': tlsServerName } : {}) };
  }
  if (server !== undefined) cluster = { ...cluster, server };
  if (certificateAuthority !== undefined || insecureSkipTlsVerify) {
    cluster = {
      ...without(cluster, ['certificate-authority', 'certificate-authority-data', 'insecure-skip-tls-verify']),
      ...(certificateAuthority === undefined ? {} : { 'certificate-authority': certificateAuthority }),
      ...(insecureSkipTlsVerify ? { 'insecure-skip-tls-verify': true } : {}),
    };
  }
  return { ...entry, cluster };
}

/** Pure. A token is sent in place of every other way in but a client certificate, which stays, as with kubectl. */
export function overrideUser(entry: Entry, { token, clientCertificate, clientKey }: KubeOverrides): Entry {
  let user = at(entry, 'user') as Fields;
  if (token !== undefined) {
    user = { ...without(user, ['tokenFile', 'auth-provider', 'exec', 'username', 'password']), token: token.trim() };
  }
  if (clientCertificate !== undefined) {
    user = { ...without(user, ['client-certificate-data']), 'client-certificate': clientCertificate };
  }
  if (clientKey !== undefined) user = { ...without(user, ['client-key-data']), 'client-key': clientKey };
  return { ...entry, user };
}

/** The library refuses http:// unless checks of a certificate are off; plain HTTP has none to check. */
export function allowPlainHttp(entry: Entry): Entry {
  const cluster = at(entry, 'cluster') as Fields;
  return text(cluster['server']).startsWith('http:')
    ? { ...entry, cluster: { ...cluster, 'insecure-skip-tls-verify': true } }
    : entry;
}

/** @throws {UsageError} naming every flag that contradicts another, or whose file cannot be read */
export function judgeOverrides(given: KubeOverrides): void {
  const problems: Problem[] = [];
  if (given.insecureSkipTlsVerify && given.certificateAuthority !== undefined) {
    const message = 'cannot go with --insecure-skip-tls-verify: with that one no certificate is checked; leave one of them out';
    problems.push({ where: '--certificate-authority', value: given.certificateAuthority, message });
  }
  const files = {
    '--certificate-authority': given.certificateAuthority,
    '--client-certificate': given.clientCertificate,
    '--client-key': given.clientKey,
  };
  for (const [where, value] of Object.entries(files)) {
    if (value === undefined) continue;
    try {
      accessSync(value, constants.R_OK);
    } catch (error) {
      problems.push({ where, value, message: `cannot be read: ${explain(error)}` });
    }
  }
  if (problems.length > 0) throw new UsageError(problems);
}

function without(fields: Fields, keys: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => !keys.includes(key)));
}
