import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { claimLab, prefixOf, removeLab } from '../../e2e/lab/claim.ts';
import { run, tryRun } from '../../e2e/lab/command.ts';

/** Where balancers are measured side by side: clients, nodes, and each balancer between in a network namespace of its own. */
export interface Grounds {
  readonly client: string;
  readonly nodes: string;
  /** Of the nodes, reached from every balancer. */
  readonly targets: readonly string[];
  /** Of the nodes, reached by clients without a balancer. */
  readonly direct: string;
  readonly directory: string;
  balancer(): Promise<Balancer>;
  end(): Promise<void>;
}

export interface Balancer {
  readonly namespace: string;
  readonly address: string;
}

const TARGETS = [201, 202, 203].map((last) => `10.92.2.${last}`);

/** Network namespaces and nftables are to be had: root on Linux, with iproute2 and nft. */
export async function canMeasure(): Promise<boolean> {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') return false;
  try {
    const outputs = await Promise.all([tryRun('ip', ['netns', 'list']), tryRun('nft', ['list', 'tables'])]);
    return outputs.every(({ code }) => code === 0);
  } catch {
    return false;
  }
}

export async function makeGrounds(): Promise<Grounds> {
  const claim = claimLab();
  const name = (part: string) => `${prefixOf(claim)}${part}`;
  const [client, nodes] = [name('client'), name('nodes')];
  for (const namespace of [client, nodes]) await run('ip', ['netns', 'add', namespace]);
  // A bridge without an address of its own takes the lowest of its ports': with each port that comes it may become another one, and
  // whoever has learnt the one before gets no answers until that is forgotten.
  const bridge = (address: string) => [
    'link set lo up',
    'link add br0 address 02:00:00:00:00:01 type bridge',
    `addr add ${address}/24 dev br0`,
    'link set br0 up',
  ];
  await batch(client, [
    ...bridge('10.92.1.1'),
    `link add past type veth peer name past netns ${nodes}`,
    'addr add 10.92.3.1/24 dev past',
    'link set past up',
  ]);
  await batch(nodes, [
    ...bridge('10.92.2.1'),
    ...TARGETS.map((address) => `addr add ${address}/24 dev br0`),
    'addr add 10.92.3.2/24 dev past',
    'link set past up',
  ]);
  let last = 9;
  const balancer = async (): Promise<Balancer> => {
    const at = ++last;
    const namespace = name(`b${at}`);
    await run('ip', ['netns', 'add', namespace]);
    for (const [place, link] of [
      [client, 'front'],
      [nodes, 'back'],
    ] as const) {
      await batch(place, [
        `link add ${link}${at} type veth peer name ${link} netns ${namespace}`,
        `link set ${link}${at} master br0 up`,
      ]);
    }
    await batch(namespace, [
      'link set lo up',
      `addr add 10.92.1.${at}/24 dev front`,
      `addr add 10.92.2.${at}/24 dev back`,
      'link set front up',
      'link set back up',
    ]);
    await run('nsenter', [`--net=/run/netns/${namespace}`, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    return { namespace, address: `10.92.1.${at}` };
  };
  return {
    client,
    nodes,
    targets: TARGETS,
    direct: '10.92.3.2',
    directory: claim.directory,
    balancer,
    end: () => removeLab(claim),
  };
}

/** A program of this directory in a namespace, once it says that it is ready. */
export async function startIn(namespace: string, file: string, args: readonly string[]): Promise<ChildProcess> {
  const command = ['--expose-gc', '--disable-warning=ExperimentalWarning', join(import.meta.dirname, file), ...args];
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, process.execPath, ...command], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  return child;
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
