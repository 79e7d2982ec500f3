import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tools } from '../tools.ts';
import { HUB_ADDRESS, POD_RANGE, POD_RANGE6, SERVICE_RANGE, SERVICE_RANGE6 } from './network.ts';
import { Process } from './process.ts';

export const API_PORT = 6443;
export const API_SERVER = `https://${HUB_ADDRESS}:${API_PORT}`;
export const ETCD = 'http://127.0.0.1:2379';

/** Users of the API server: name, groups; each has a token and a kubeconfig. */
const USERS = {
  admin: { user: 'admin', groups: 'system:masters' },
  controllers: { user: 'system:kube-controller-manager', groups: 'system:masters' },
  proxy: { user: 'system:kube-proxy', groups: '' },
  /** The product, with the rights of `calls` in src/kube/api.ts and no others. */
  product: { user: 'system:serviceaccount:nodeport-lb:nodeport-lb', groups: 'system:serviceaccounts' },
  /** Somebody else's controller, which may do everything. */
  rival: { user: 'rival-controller', groups: 'system:masters' },
} as const;

export type UserName = keyof typeof USERS;

export interface Credentials {
  readonly user: string;
  readonly token: string;
  readonly kubeconfig: string;
}

/** What the control plane keeps on disk. */
export interface Plane {
  readonly directory: string;
  readonly hub: string;
  readonly tools: Tools;
  readonly users: Readonly<Record<UserName, Credentials>>;
  readonly auditLog: string;
  /** Written by the API server at its first start; kept, so that it stays itself over a restart. */
  readonly certificate: string;
  /** Services have IPv6 beside IPv4. */
  readonly dualStack: boolean;
}

export function preparePlane(directory: string, hub: string, tools: Tools, dualStack = false): Plane {
  const pki = join(directory, 'pki');
  mkdirSync(pki, { recursive: true });
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(pki, 'sa.key'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(join(pki, 'sa.pub'), keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const certificate = join(pki, 'apiserver.crt');
  const users = Object.fromEntries(
    Object.entries(USERS).map(([name, { user }]) => {
      const token = randomBytes(16).toString('hex');
      const kubeconfig = join(directory, `${name}.kubeconfig`);
      writeFileSync(kubeconfig, kubeconfigText({ server: API_SERVER, certificate, token, context: 'lab' }));
      return [name, { user, token, kubeconfig }];
    }),
  ) as Record<UserName, Credentials>;
  const lines = Object.entries(USERS).map(
    ([name, { user, groups }], i) => `${users[name as UserName].token},${user},u${i},"${groups}"`,
  );
  writeFileSync(join(directory, 'tokens.csv'), `${lines.join('\n')}\n`, { mode: 0o600 });
  writeFileSync(join(directory, 'audit.yaml'), auditPolicy());
  return { directory, hub, tools, users, auditLog: join(directory, 'audit.log'), certificate, dualStack };
}

export function kubeconfigText(of: { server: string; certificate: string; token: string; context: string }): string {
  return `apiVersion: v1
kind: Config
clusters: [{ name: ${of.context}, cluster: { server: "${of.server}", certificate-authority: ${of.certificate} } }]
users: [{ name: ${of.context}, user: { token: "${of.token}" } }]
contexts: [{ name: ${of.context}, context: { cluster: ${of.context}, user: ${of.context} } }]
current-context: ${of.context}
`;
}

export function startEtcd(plane: Plane): Process {
  return start(plane, 'etcd', plane.tools.etcd, [
    `--data-dir=${join(plane.directory, 'etcd')}`,
    `--listen-client-urls=${ETCD}`,
    `--advertise-client-urls=${ETCD}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--initial-advertise-peer-urls=http://127.0.0.1:2380',
    '--initial-cluster=default=http://127.0.0.1:2380',
  ]);
}

export function startApiServer(plane: Plane): Process {
  const pki = join(plane.directory, 'pki');
  return start(plane, 'kube-apiserver', plane.tools.apiServer, [
    `--etcd-servers=${ETCD}`,
    '--bind-address=0.0.0.0',
    `--advertise-address=${HUB_ADDRESS}`,
    `--secure-port=${API_PORT}`,
    `--cert-dir=${pki}`,
    `--token-auth-file=${join(plane.directory, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    // No service accounts and no node lifecycle controller here, which would undo what these two demand.
    '--disable-admission-plugins=ServiceAccount,TaintNodesByCondition',
    '--endpoint-reconciler-type=none',
    `--service-cluster-ip-range=${rangesOf(plane).services}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(pki, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(pki, 'sa.key')}`,
    `--audit-policy-file=${join(plane.directory, 'audit.yaml')}`,
    `--audit-log-path=${plane.auditLog}`,
    '--profiling=false',
  ]);
}

export function startControllerManager(plane: Plane): Process {
  const controllers = ['endpointslice', 'endpointslice-mirroring', 'endpoints', 'namespace', 'garbage-collector'];
  return start(plane, 'kube-controller-manager', plane.tools.controllerManager, [
    `--kubeconfig=${plane.users.controllers.kubeconfig}`,
    `--controllers=${controllers.map((name) => `${name}-controller`).join(',')}`,
    '--leader-elect=false',
    `--cluster-cidr=${rangesOf(plane).pods}`,
    `--service-cluster-ip-range=${rangesOf(plane).services}`,
    `--service-account-private-key-file=${join(plane.directory, 'pki', 'sa.key')}`,
  ]);
}

function rangesOf({ dualStack }: Plane): { readonly services: string; readonly pods: string } {
  const both = (one: string, other: string) => (dualStack ? `${one},${other}` : one);
  return { services: both(SERVICE_RANGE, SERVICE_RANGE6), pods: both(POD_RANGE, POD_RANGE6) };
}

function start(plane: Plane, name: string, command: string, args: readonly string[]): Process {
  return new Process({ name, namespace: plane.hub, command, args, logFile: join(plane.directory, `${name}.log`) });
}

/** Every finished request of everybody but Kubernetes' own parts, without bodies. */
function auditPolicy(): string {
  const parts = ['system:apiserver', USERS.controllers.user, USERS.proxy.user];
  return `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- { level: None, users: ${JSON.stringify(parts)} }
- level: Metadata
`;
}
