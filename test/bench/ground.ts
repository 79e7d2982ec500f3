import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { explain } from '../../src/errors.ts';
import { claimLab, prefixOf, removeLab } from '../e2e/lab/claim.ts';
import { tryRun } from '../e2e/lab/command.ts';
import { API_SERVER } from '../e2e/lab/control-plane.ts';
import { startLab } from '../e2e/lab/lab.ts';
import { makeHub } from '../e2e/lab/network.ts';
import { cacheDirectory } from '../e2e/tools.ts';

/** Where the controller's part runs: an API server, and a network that is its own if that can be had. Plain data. */
export interface Ground {
  /** For people: which API server it is. */
  readonly name: string;
  readonly kind: 'kube-apiserver' | 'sandbox';
  /** Network namespace; undefined: this machine's own, where one socket is needed for each node and NodePort. */
  readonly namespace?: string;
  /** Logs and profiles. */
  readonly directory: string;
  /** Undefined: the worker starts the sandbox and learns it then. */
  readonly server?: ApiAccess;
}

export interface ApiAccess {
  readonly url: string;
  readonly token?: string;
  readonly caFile?: string;
  /** The kubeconfig that the controller gets. */
  readonly kubeconfig: string;
  /** The API server's audit log, and who the controller is in it. */
  readonly audit?: { readonly file: string; readonly user: string };
}

export interface Standing {
  readonly ground: Ground;
  close(): Promise<void>;
}

/** The real API server when its programs are built and we are root, else the sandbox. */
export async function takeGround(sandbox: boolean, say: (line: string) => void): Promise<Standing> {
  const root = process.getuid?.() === 0 && process.platform === 'linux';
  const built = existsSync(cacheDirectory()) && readdirSync(cacheDirectory()).some((name) => name.startsWith('kubernetes-'));
  if (root && built && !sandbox) return takeLab();
  if (!sandbox) say('no kube-apiserver here (npm run test:e2e builds one, as root); using the sandbox');
  if (root) {
    try {
      return await takeNamespace();
    } catch (error) {
      say(`no network namespace of its own (${explain(error)}): fewer nodes`);
    }
  }
  const directory = mkdtempSync(join(tmpdir(), 'nplb-bench-'));
  const close = async (): Promise<void> => rmSync(directory, { recursive: true, force: true });
  return { ground: { name: SANDBOX, kind: 'sandbox', directory }, close };
}

const SANDBOX = 'the in-memory API of src/sandbox/kube (plain HTTP)';

async function takeLab(): Promise<Standing> {
  const lab = await startLab({ nodes: 0 });
  const { plane } = lab;
  const version = await lab.api.get<{ gitVersion: string }>('/version');
  const server = {
    url: API_SERVER,
    token: plane.users.admin.token,
    caFile: plane.certificate,
    kubeconfig: plane.users.product.kubeconfig,
    audit: { file: plane.auditLog, user: plane.users.product.user },
  };
  const name = `kube-apiserver ${version.gitVersion} over TLS, with etcd and kube-controller-manager, on the same machine`;
  const ground: Ground = { name, kind: 'kube-apiserver', namespace: plane.hub, directory: plane.directory, server };
  return { ground, close: () => lab.close() };
}

async function takeNamespace(): Promise<Standing> {
  const claim = claimLab();
  const namespace = `${prefixOf(claim)}hub`;
  try {
    await makeHub(namespace);
  } catch (error) {
    await removeLab(claim);
    throw error;
  }
  const ground: Ground = { name: SANDBOX, kind: 'sandbox', namespace, directory: claim.directory };
  return { ground, close: () => removeLab(claim) };
}

/** A kubeconfig without credentials, for the sandbox. */
export function writeKubeconfig(directory: string, url: string): string {
  const file = join(directory, 'sandbox.kubeconfig');
  const text = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster: { server: url } }],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  };
  writeFileSync(file, JSON.stringify(text));
  return file;
}

/** kube-proxy's own health port, and where NodePorts are: Kubernetes' defaults. */
export const KUBE_PROXY_HEALTH_PORT = 10_256;
const NODE_PORT_RANGE = '30000-32767';

/** Sends every NodePort of every node address to one port of ours, so that one socket answers for all of them. */
export async function redirectNodePorts(range: string, to: number): Promise<void> {
  const rules = `table ip bench {
  chain out {
    type nat hook output priority -100;
    ip daddr ${range} tcp dport { ${KUBE_PROXY_HEALTH_PORT}, ${NODE_PORT_RANGE} } redirect to :${to}
  }
}
`;
  const done = await tryRun('nft', ['-f', '-'], { input: rules });
  if (done.code !== 0) throw new Error(`nft: ${done.stderr}`);
}
