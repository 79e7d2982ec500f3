import { writeFile } from 'node:fs/promises';
import { Allocator } from './allocator.ts';
import { Audit, type AuditEntry } from './audit.ts';
import type { Cluster } from './cluster.ts';
import { EndpointsController } from './endpoints-controller.ts';
import { Housekeeping } from './housekeeping.ts';
import { Objects } from './objects.ts';
import { ApiServer } from './server.ts';
import { Store } from './store.ts';

export interface KubeOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** IPv4 CIDR of cluster IPs; default 10.96.0.0/16. */
  readonly serviceCidr?: string;
  /** Inclusive; default 30000-32767. */
  readonly nodePortRange?: readonly [number, number];
  /** Bearer token that requests must carry; default none. */
  readonly token?: string;
  /** Events kept at most, the oldest go; default 5,000. They go after an hour in any case, as in the real one. */
  readonly maxEventsKept?: number;
  /** Requests kept in the audit log; default 10,000. */
  readonly maxAuditKept?: number;
}

/** A running in-memory Kubernetes API. */
export interface SandboxKube {
  readonly url: string;
  /** The latest requests, oldest first. */
  readonly audit: readonly AuditEntry[];
  /** The objects for components in this process. */
  readonly objects: Objects;
  /** The text of a kubeconfig that leads here. */
  kubeconfig(): string;
  writeKubeconfig(path: string): Promise<void>;
  /** Forgets all history: older resource versions answer 410 from now on. */
  compact(): void;
  /** Cuts every watch. */
  disconnectWatches(): void;
  /** Stops listening and cuts every connection; what is stored stays. */
  stop(): Promise<void>;
  /** Listens again on the same port. */
  start(): Promise<void>;
  /** Stops for good. */
  close(): Promise<void>;
}

/** Starts the API; it listens when the promise resolves. @throws when the address cannot be bound or a range is none */
export async function startKube(options: KubeOptions = {}): Promise<SandboxKube> {
  const { host = '127.0.0.1', port = 0, token } = options;
  const ranges = {
    serviceCidr: options.serviceCidr ?? '10.96.0.0/16',
    nodePorts: options.nodePortRange ?? ([30_000, 32_767] as const),
  };
  const cluster: Cluster = { store: new Store(), allocator: new Allocator(ranges), now: Date.now };
  const audit = new Audit(options.maxAuditKept ?? 10_000);
  const objects = new Objects(cluster, 'sandbox');
  const server = new ApiServer(cluster, { host, port, token }, audit);
  createFirstObjects(objects.as('kube-apiserver'), ranges.serviceCidr);
  await server.listen();
  const endpoints = new EndpointsController(objects.as('kube-controller-manager'));
  const housekeeping = new Housekeeping(cluster, options.maxEventsKept ?? 5_000);
  const kubeconfig = (): string => kubeconfigText(server.url, token);
  return {
    get url() {
      return server.url;
    },
    get audit() {
      return audit.entries;
    },
    objects,
    kubeconfig,
    writeKubeconfig: (path) => writeFile(path, kubeconfig(), { mode: 0o600 }),
    compact: () => cluster.store.compact(),
    disconnectWatches: () => server.disconnectWatches(),
    stop: () => server.stop(),
    start: () => server.listen(),
    close: async () => {
      endpoints.stop();
      housekeeping.stop();
      await server.stop();
    },
  };
}

/** What every cluster has before anybody comes. */
function createFirstObjects(objects: Objects, serviceCidr: string): void {
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system'])
    objects.create({ resource: 'namespaces' }, { metadata: { name } });
  const [base = ''] = serviceCidr.split('/');
  const clusterIP = base.replace(/\d+$/, (last) => String(Number(last) + 1));
  objects.create(
    { resource: 'services', namespace: 'default' },
    {
      metadata: { name: 'kubernetes', labels: { component: 'apiserver', provider: 'kubernetes' } },
      spec: { clusterIP, ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: 6443 }] },
    },
  );
}

function kubeconfigText(server: string, token: string | undefined): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'sandbox', cluster: { server } }],
    users: [{ name: 'sandbox', user: token === undefined ? {} : { token } }],
    contexts: [{ name: 'sandbox', context: { cluster: 'sandbox', user: 'sandbox' } }],
    'current-context': 'sandbox',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
