import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { spawnForwarder } from '../../../src/forwarder/child.ts';
import { type ListenerState, RULES_VERSION } from '../../../src/forwarder/rules.ts';

/** One balancer under test: one process, one thread. */
export interface Contestant {
  readonly name: string;
  readonly version: string;
  readonly address: string;
  readonly ports: readonly number[];
  readonly pid: number;
  stop(): Promise<void>;
}

export interface Stage {
  readonly directory: string;
  readonly targets: readonly string[];
  readonly targetPort: number;
}

/** Four ports each: a client address has 28,000 ports to each of them. */
const PORTS = 4;

/** @returns undefined when the program is not installed */
export type Starter = (stage: Stage, address: string) => Promise<Contestant | undefined>;

export const startOurs: Starter = async ({ targets, targetPort }, address) => {
  const listening = new Map<string, ListenerState | null>();
  const quiet = () => {};
  const forwarder = spawnForwarder({
    onReport: ({ listeners }) => {
      for (const [id, state] of Object.entries(listeners)) listening.set(id, state);
    },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
  const ports = await freePorts(address);
  forwarder.apply({
    version: RULES_VERSION,
    generation: 1,
    nodes: targets.map((target) => ({ id: target, addresses: [target] })),
    nodeSets: { all: targets },
    listeners: ports.map((port) => ({
      id: String(port),
      protocol: 'TCP' as const,
      address,
      port,
      portFallback: false,
      nodeSet: 'all',
      nodePort: targetPort,
      check: { kind: 'nodePort' as const },
      localOnly: false,
      sourceRanges: [],
      drainMs: 0,
      idleMs: 60_000,
    })),
  });
  await reachable(address, ports);
  return { name: 'nodeport-lb', version: process.version, address, ports, pid: forwarder.pid!, stop: () => forwarder.close(0) };
};

export const startPipe: Starter = async ({ targets, targetPort }, address) => {
  const ports = await freePorts(address);
  const program = join(import.meta.dirname, 'pipe.ts');
  const child = fork(program, [address, ports.join(','), String(targetPort), ...targets]);
  await once(child, 'message');
  return { name: 'pipe()', version: process.version, address, ports, pid: child.pid!, stop: () => end(child) };
};

export const startHaproxy: Starter = async ({ directory, targets, targetPort }, address) => {
  const version = versionOf('haproxy', ['-v'], /version (\S+)/);
  if (version === undefined) return undefined;
  const ports = await freePorts(address);
  const config = `
global
  nbthread 1
  maxconn 9000
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend clients
${ports.map((port) => `  bind ${address}:${port}`).join('\n')}
  default_backend nodes
backend nodes
  balance roundrobin
${targets.map((target, i) => `  server node${i} ${target}:${targetPort}`).join('\n')}
`;
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, config);
  const child = spawn('haproxy', ['-q', '-db', '-f', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  await reachable(address, ports);
  return { name: 'HAProxy', version, address, ports, pid: child.pid!, stop: () => end(child) };
};

export const startNginx: Starter = async ({ directory, targets, targetPort }, address) => {
  const version = versionOf('nginx', ['-v'], /nginx\/(\S+)/);
  if (version === undefined) return undefined;
  const ports = await freePorts(address);
  const module = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules']
    .map((path) => join(path, 'ngx_stream_module.so'))
    .find((path) => existsSync(path));
  const config = `
${module ? `load_module ${module};` : ''}
daemon off;
master_process off;
worker_processes 1;
pid ${join(directory, 'nginx.pid')};
error_log ${join(directory, 'nginx.log')};
events { worker_connections 19000; }
stream {
  access_log off;
  upstream nodes {
${targets.map((target) => `    server ${target}:${targetPort};`).join('\n')}
  }
  server {
${ports.map((port) => `    listen ${address}:${port} backlog=4096;`).join('\n')}
    proxy_pass nodes;
    proxy_timeout 60s;
  }
}
`;
  const file = join(directory, 'nginx.conf');
  writeFileSync(file, config);
  const child = spawn('nginx', ['-q', '-c', file, '-p', directory], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (
    !(await reachable(address, ports).then(
      () => true,
      () => false,
    ))
  ) {
    await end(child);
    return undefined;
  }
  return { name: 'nginx stream', version, address, ports, pid: child.pid!, stop: () => end(child) };
};

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

export async function freePorts(address: string, count = PORTS): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, address));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** @throws after 5 s */
async function reachable(address: string, ports: readonly number[]): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (const port of ports) {
    while (!(await answers(address, port))) {
      if (performance.now() > deadline) throw new Error(`${address}:${port} does not answer`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function versionOf(program: string, args: readonly string[], pattern: RegExp): string | undefined {
  try {
    const text = execFileSync('sh', ['-c', `${program} ${args.join(' ')} 2>&1`], { encoding: 'utf8' });
    return pattern.exec(text)?.[1];
  } catch {
    return undefined;
  }
}
