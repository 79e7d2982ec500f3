import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeUnderTest } from '../contracts/kube-api.ts';
import { Process } from './lab/process.ts';
import { prepareTools, type Tools } from './tools.ts';

const TOKEN = 'contract';
const START_MS = 90_000;

interface Ports {
  readonly etcd: number;
  readonly peer: number;
  readonly api: number;
  readonly manager: number;
}

export interface RealKube extends KubeUnderTest {
  /** Of somebody who may do everything. */
  readonly kubeconfig: string;
  /** For files of the test; removed with the rest. */
  readonly directory: string;
  readonly tools: Tools;
}

/** A real etcd, kube-apiserver and kube-controller-manager on loopback, without nodes: what the contract suite needs. */
export async function startRealKube(): Promise<RealKube> {
  const tools = await prepareTools((line) => console.error(`real kube: ${line}`));
  const directory = mkdtempSync(join(tmpdir(), 'nodeport-lb-kube-'));
  const [etcd = 0, peer = 0, api = 0, manager = 0] = await freePorts(4);
  const ports: Ports = { etcd, peer, api, manager };
  writeFiles(directory, ports);
  const url = `https://127.0.0.1:${api}`;
  const store = startEtcd(directory, tools, ports);
  let server = startApiServer(directory, tools, ports);
  await ready(url, server);
  const controllers = startControllers(directory, tools, ports);
  return {
    url,
    headers: { authorization: `Bearer ${TOKEN}` },
    insecure: true,
    kubeconfig: join(directory, 'kubeconfig'),
    directory,
    tools,
    async compact() {
      // The API server's own cache remembers what etcd has forgotten, until it starts anew.
      await compactEtcd(etcd);
      await server.kill();
      server = startApiServer(directory, tools, ports);
      await ready(url, server);
    },
    async close() {
      for (const each of [controllers, server, store]) await each.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function writeFiles(directory: string, ports: Ports): void {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(directory, 'sa.key'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(join(directory, 'sa.pub'), keys.publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(join(directory, 'tokens.csv'), `${TOKEN},admin,u1,"system:masters"\n`, { mode: 0o600 });
  const config = `apiVersion: v1
kind: Config
clusters: [{ name: real, cluster: { server: "https://127.0.0.1:${ports.api}", insecure-skip-tls-verify: true } }]
users: [{ name: real, user: { token: ${TOKEN} } }]
contexts: [{ name: real, context: { cluster: real, user: real } }]
current-context: real
`;
  writeFileSync(join(directory, 'kubeconfig'), config, { mode: 0o600 });
}

function start(directory: string, name: string, command: string, args: readonly string[]): Process {
  return new Process({ name, command, args, logFile: join(directory, `${name}.log`) });
}

function startEtcd(directory: string, tools: Tools, { etcd, peer }: Ports): Process {
  const client = `http://127.0.0.1:${etcd}`;
  const own = `http://127.0.0.1:${peer}`;
  return start(directory, 'etcd', tools.etcd, [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${own}`,
    `--initial-advertise-peer-urls=${own}`,
    `--initial-cluster=default=${own}`,
  ]);
}

function startApiServer(directory: string, tools: Tools, { etcd, api }: Ports): Process {
  return start(directory, 'kube-apiserver', tools.apiServer, [
    `--etcd-servers=http://127.0.0.1:${etcd}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=192.0.2.1',
    `--secure-port=${api}`,
    `--cert-dir=${join(directory, 'pki')}`,
    `--token-auth-file=${join(directory, 'tokens.csv')}`,
    '--authorization-mode=AlwaysAllow',
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(directory, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(directory, 'sa.key')}`,
    '--profiling=false',
  ]);
}

function startControllers(directory: string, tools: Tools, { manager }: Ports): Process {
  const names = ['endpointslice', 'endpointslice-mirroring', 'endpoints', 'namespace', 'garbage-collector'];
  return start(directory, 'kube-controller-manager', tools.controllerManager, [
    `--kubeconfig=${join(directory, 'kubeconfig')}`,
    `--controllers=${names.map((name) => `${name}-controller`).join(',')}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--secure-port=${manager}`,
    `--cert-dir=${join(directory, 'pki-manager')}`,
    `--service-account-private-key-file=${join(directory, 'sa.key')}`,
  ]);
}

async function ready(url: string, server: Process): Promise<void> {
  const deadline = Date.now() + START_MS;
  while ((await statusOf(`${url}/readyz`)) !== 200) {
    if (!server.alive || Date.now() > deadline)
      throw new Error(`kube-apiserver did not become ready:\n${server.log().slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function statusOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    const options = { rejectUnauthorized: false, headers: { authorization: `Bearer ${TOKEN}` }, agent: false };
    const asked = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', () => resolve(0));
    asked.end();
  });
}

/** By etcd's JSON gateway. @see https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/ */
async function compactEtcd(port: number): Promise<void> {
  const ask = async (path: string, body: object): Promise<unknown> => {
    const reply = await fetch(`http://127.0.0.1:${port}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`etcd answered ${reply.status} to ${path}: ${await reply.text()}`);
    return reply.json();
  };
  const range = (await ask('range', { key: Buffer.from('none').toString('base64') })) as { header: { revision: string } };
  await ask('compaction', { revision: range.header.revision, physical: true });
}
