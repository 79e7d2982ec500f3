import type { KubectlOption } from '../config/kubectl-options.ts';
import type { OptionValues } from '../config/options.ts';
import { UsageError } from '../errors.ts';
import type { KubeApi } from '../kube/api.ts';
import { type ConnectOptions, connectKube, describeKube } from '../kube/client.ts';

type KubeFlags = Pick<OptionValues, 'kubeconfig' | 'context' | KubectlOption>;

/** Which cluster was asked for, and as whom; what was not given is absent. */
export function kubeChoice(flags: KubeFlags): ConnectOptions {
  const { kubeconfig, context, server, cluster, user, token, as, asGroup: asGroups, asUid } = flags;
  const { certificateAuthority, clientCertificate, clientKey, insecureSkipTlsVerify, tlsServerName, requestTimeout } = flags;
  return present({
    kubeconfig,
    context,
    server,
    cluster,
    user,
    token,
    as,
    asGroups,
    asUid,
    certificateAuthority,
    clientCertificate,
    clientKey,
    insecureSkipTlsVerify,
    tlsServerName,
    requestTimeoutMs: requestTimeout === undefined ? undefined : readDuration(requestTimeout),
  });
}

function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as ReturnType<typeof present<T>>;
}

/** `5s`, `2m`; a number alone is seconds, as kubectl has it. */
function readDuration(text: string): number {
  return Number.parseInt(text, 10) * (text.endsWith('m') ? 60_000 : 1_000);
}

/** Connects, lets the work be done, and lets go. */
export async function withCluster<T>(values: OptionValues, work: (api: KubeApi) => Promise<T>): Promise<T> {
  const api = await connectKube(kubeChoice(values));
  try {
    return await work(api);
  } finally {
    await api.close();
  }
}

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads `NAMESPACE/NAME`, or a name in the namespace of `-n` or of the context.
 * @throws {UsageError} when it is neither
 */
export async function readServiceName(text: string, values: OptionValues): Promise<ServiceName> {
  const parts = text.split('/');
  const [namespace, name = ''] = parts.length === 1 ? [values.namespace, text] : parts;
  if (parts.length > 2 || !NAME.test(name) || (namespace !== undefined && !NAMESPACE.test(namespace))) {
    throw new UsageError([{ where: 'argument', value: text, message: 'must be NAMESPACE/NAME of a Service' }]);
  }
  return { namespace: namespace ?? ((await describeKube(kubeChoice(values))).namespace || 'default'), name };
}
