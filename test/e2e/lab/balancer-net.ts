import { type Addresses, Hand, type World } from '../../contracts/forwarder/world.ts';
import { claimLab, prefixOf, removeLab } from './claim.ts';
import { run } from './command.ts';

const NODES = [2, 3, 4];
const CLIENTS = Array.from({ length: 12 }, (_, i) => i + 2);

const ipv4: Addresses = {
  listener: '10.91.1.1',
  exclusive: '10.91.1.100',
  nodes: NODES.map((n) => `10.91.2.${n}`),
  clients: CLIENTS.map((n) => `10.91.1.${n}`),
  range: '10.91.1.2/32',
};

const ipv6: Addresses = {
  listener: 'fd00:91:1::1',
  exclusive: 'fd00:91:1::100',
  nodes: NODES.map((n) => `fd00:91:2::${n}`),
  clients: CLIENTS.map((n) => `fd00:91:1::${n}`),
  range: 'fd00:91:1::2/128',
};

/** Clients, balancer and nodes, each in a network namespace of its own, with the balancer between. */
export interface BalancerNet extends World {
  readonly namespaces: { readonly client: string; readonly balancer: string; readonly nodes: string };
}

export async function makeBalancerNet({ forwarding = true } = {}): Promise<BalancerNet> {
  const claim = claimLab();
  try {
    const [client, balancer, nodes] = ['client', 'balancer', 'nodes'].map((name) => `${prefixOf(claim)}${name}`) as [
      string,
      string,
      string,
    ];
    for (const name of [client, balancer, nodes]) await run('ip', ['netns', 'add', name]);
    await batch(balancer, [
      'link set lo up',
      `link add front type veth peer name eth0 netns ${client}`,
      `link add back type veth peer name eth0 netns ${nodes}`,
      ...[ipv4.listener, ipv4.exclusive].map((address) => `addr add ${address}/24 dev front`),
      ...[ipv6.listener, ipv6.exclusive].map((address) => `addr add ${address}/64 dev front nodad`),
      'addr add 10.91.2.1/24 dev back',
      'addr add fd00:91:2::1/64 dev back nodad',
      'link set front up',
      'link set back up',
    ]);
    await addresses(client, [ipv4.clients, ipv6.clients]);
    await addresses(nodes, [ipv4.nodes, ipv6.nodes]);
    if (forwarding) await forward(balancer, 1);
    const [clientHand, balancerHand, nodesHand] = await Promise.all([client, balancer, nodes].map((name) => Hand.in(name)));
    return {
      client: clientHand!,
      balancer: balancerHand!,
      nodes: nodesHand!,
      ipv4,
      ipv6,
      table: 'nodeport-lb',
      namespaces: { client, balancer, nodes },
      end: () => removeLab(claim),
    };
  } catch (error) {
    await removeLab(claim);
    throw error;
  }
}

/** Lets a namespace pass packets on, or not. */
export async function forward(namespace: string, value: 0 | 1): Promise<void> {
  const lines = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((path) => `echo ${value} >/proc/sys/net/${path}`);
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-ec', lines.join('\n')]);
}

async function addresses(namespace: string, [four, six]: [readonly string[], readonly string[]]): Promise<void> {
  await batch(namespace, [
    'link set lo up',
    ...four.map((address) => `addr add ${address}/24 dev eth0`),
    ...six.map((address) => `addr add ${address}/64 dev eth0 nodad`),
    'link set eth0 up',
  ]);
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
