import { run } from './command.ts';

/**
 * Layout: a bridge in the hub's namespace, where control plane, controller and clients live; each node a namespace with one
 * link to the bridge. Nothing is made in the machine's own namespace, so labs never meet each other or anything else.
 */
export const HUB_ADDRESS = '172.31.77.1';
/** The hub's address in the nodes' second network. */
export const HUB_OUTSIDE = '172.31.78.1';
export const POD_RANGE = '10.244.0.0/16';
export const SERVICE_RANGE = '10.96.0.0/16';
/** The same of the other family, in a lab with both. */
export const HUB_ADDRESS6 = 'fd00:77::1';
export const POD_RANGE6 = 'fd00:244::/32';
export const SERVICE_RANGE6 = 'fd00:96::/112';
/** Where every NodePort is, Kubernetes' own default. */
const NODE_PORTS = '30000-32767';

export interface NodeNet {
  readonly name: string;
  readonly namespace: string;
  /** 1 to 200, in addresses and ranges. */
  readonly index: number;
  /** In 172.31.77.0/24. */
  readonly internal: string;
  /** In 172.31.78.0/24; undefined: the node has one address only. */
  readonly external?: string;
  /** `10.244.INDEX.0/24`. */
  readonly podRange: string;
  /** In fd00:77::/64; undefined: the node has IPv4 alone. */
  readonly internal6?: string;
  /** `fd00:244:INDEX::/64`, with `internal6`. */
  readonly podRange6?: string;
}

export async function makeHub(namespace: string, { dualStack = false } = {}): Promise<void> {
  await run('ip', ['netns', 'add', namespace]);
  await batch(namespace, [
    'link set lo up',
    // Of its own a bridge has the lowest address of its ports, and so another one when a port comes: nodes would lose the hub for half a minute.
    'link add br0 address 02:00:ac:1f:4d:01 type bridge',
    `addr add ${HUB_ADDRESS}/24 dev br0`,
    `addr add ${HUB_OUTSIDE}/24 dev br0`,
    ...(dualStack ? [`addr add ${HUB_ADDRESS6}/64 dev br0 nodad`] : []),
    'link set br0 up',
  ]);
}

/** Gives a node that is connected the other family as well: its address, and routes from it and to it. */
async function addFamily6(node: NodeNet, others: readonly NodeNet[]): Promise<void> {
  const { namespace, internal6, podRange6 } = node;
  if (internal6 === undefined) return;
  const peers = others.filter((other) => other.internal6 !== undefined);
  await inside(namespace, ['echo 1 >/proc/sys/net/ipv6/conf/all/forwarding']);
  await batch(namespace, [
    `addr add ${internal6}/64 dev eth0 nodad`,
    `route add default via ${HUB_ADDRESS6}`,
    ...peers.map((other) => `route add ${other.podRange6} via ${other.internal6}`),
  ]);
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'nft', '-f', '-'], { input: counting('ip6') });
  for (const other of peers) await batch(other.namespace, [`route add ${podRange6} via ${internal6}`]);
}

/** Makes the node's namespace and links, and the routes from it and to it. `others` are the nodes there already. */
export async function makeNodeNet(hub: string, node: NodeNet, others: readonly NodeNet[]): Promise<void> {
  await run('ip', ['netns', 'add', node.namespace]);
  await batch(hub, [
    `link add ${linkOf(node)} type veth peer name eth0 netns ${node.namespace}`,
    `link set ${linkOf(node)} master br0 up`,
  ]);
  await batch(node.namespace, [
    'link set lo up',
    `addr add ${node.internal}/24 dev eth0`,
    ...(node.external ? [`addr add ${node.external}/24 dev eth0`] : []),
    'link set eth0 up',
    `route add default via ${HUB_ADDRESS}`,
    ...others.map((other) => `route add ${other.podRange} via ${other.internal}`),
  ]);
  await inside(node.namespace, [
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done',
  ]);
  await run('nsenter', [`--net=/run/netns/${node.namespace}`, 'nft', '-f', '-'], { input: counting() });
  for (const other of others) await batch(other.namespace, [`route add ${node.podRange} via ${node.internal}`]);
  await addFamily6(node, others);
}

/** A machine beside the nodes that is none: a namespace with an address in 172.31.77.0/24. @returns its name */
export async function makeGuestNet(hub: string, namespace: string, address: string): Promise<string> {
  await run('ip', ['netns', 'add', namespace]);
  await batch(hub, [`link add vguest type veth peer name eth0 netns ${namespace}`, 'link set vguest master br0 up']);
  await batch(namespace, ['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up']);
  return namespace;
}

/** Removes the node's namespace, its links with it, and the others' routes to it. Its processes must have ended. */
export async function removeNodeNet(node: NodeNet, others: readonly NodeNet[]): Promise<void> {
  await run('ip', ['netns', 'delete', node.namespace]);
  for (const other of others) await batch(other.namespace, [`route del ${node.podRange}`]);
}

/** Gives the node another internal address. */
export async function moveNodeNet(node: NodeNet, to: string, others: readonly NodeNet[]): Promise<void> {
  const addresses = [to, ...(node.external ? [node.external] : [])];
  await batch(node.namespace, [
    'addr flush dev eth0', // routes over it go with the addresses
    ...addresses.map((address) => `addr add ${address}/24 dev eth0`),
    `route add default via ${HUB_ADDRESS}`,
    ...others.map((other) => `route add ${other.podRange} via ${other.internal}`),
  ]);
  for (const other of others) await batch(other.namespace, [`route replace ${node.podRange} via ${to}`]);
}

/** Pulls the node's cable, or puts it in again. */
export async function setLink(hub: string, node: NodeNet, state: 'up' | 'down'): Promise<void> {
  await batch(hub, [`link set ${linkOf(node)} ${state}`]);
}

/** Lets nothing new in at the node's address, without an answer, as a firewall does; what is established goes on. */
export async function shutAddress(node: NodeNet, address: string): Promise<void> {
  const rule = `add rule ip nplb_seen shut iifname eth0 ip daddr ${address} ct state new drop`;
  await run('nsenter', [`--net=/run/netns/${node.namespace}`, 'nft', rule]);
}

/** Undoes every `shutAddress` of the node. */
export async function openAddresses(node: NodeNet): Promise<void> {
  await run('nsenter', [`--net=/run/netns/${node.namespace}`, 'nft', 'flush chain ip nplb_seen shut']);
}

/** Puts an address on the node for a pod of its. */
export async function addPodAddress(node: NodeNet, address: string): Promise<void> {
  const whole = address.includes(':') ? '128 dev lo nodad' : '32 dev lo';
  await batch(node.namespace, [`addr replace ${address}/${whole}`]);
}

export type Seen = 'connections' | 'requests' | 'flows';

/**
 * How often the node was entered from outside by way of each NodePort, before kube-proxy sends it on: TCP connections, or
 * only those on which the client said something (a bare health check does not), or flows of UDP.
 */
export async function readSeen(node: NodeNet, what: Seen, family: 'ip' | 'ip6' = 'ip'): Promise<ReadonlyMap<number, number>> {
  const { stdout } = await run('nsenter', [
    `--net=/run/netns/${node.namespace}`,
    'nft',
    '-j',
    'list',
    'set',
    family,
    'nplb_seen',
    what,
  ]);
  const parsed = JSON.parse(stdout) as {
    nftables: { set?: { elem?: { elem: { val: number; counter: { packets: number } } }[] } }[];
  };
  const elements = parsed.nftables.flatMap((entry) => entry.set?.elem ?? []);
  return new Map(elements.map(({ elem }) => [elem.val, elem.counter.packets]));
}

/** Runs shell lines in a namespace. */
export async function inside(namespace: string, lines: readonly string[]): Promise<void> {
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-ec', lines.join('\n')]);
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

function linkOf(node: NodeNet): string {
  return `v${node.index}`;
}

/**
 * Priority -150 is after connection tracking (-200), which tells a new connection from an old one, and before kube-proxy's
 * translation (-100), which takes the NodePort away. The mark makes each connection count once as a request.
 */
function counting(family: 'ip' | 'ip6' = 'ip'): string {
  return `table ${family} nplb_seen {
  set connections { type inet_service; flags dynamic; counter; size 4096; }
  set requests { type inet_service; flags dynamic; counter; size 4096; }
  set flows { type inet_service; flags dynamic; counter; size 4096; }
  chain seen {
    type filter hook prerouting priority -150; policy accept;
    iifname "eth0" tcp dport ${NODE_PORTS} ct state new add @connections { tcp dport }
    iifname "eth0" tcp dport ${NODE_PORTS} tcp flags & psh == psh ct mark & 0x100 == 0 ct mark set 0x100 add @requests { tcp dport }
    iifname "eth0" udp dport ${NODE_PORTS} ct state new add @flows { udp dport }
    jump shut
  }
  chain shut { }
}
`;
}
