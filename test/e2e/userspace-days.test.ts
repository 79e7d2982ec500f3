import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RULES_VERSION, type RuleListener } from '../../src/forwarder/rules.ts';
import { Hand } from '../contracts/forwarder/world.ts';
import { listener } from '../forwarder/builders.ts';
import { type BalancerNet, forward, makeBalancerNet } from './lab/balancer-net.ts';
import { run } from './lab/command.ts';
import { until } from './lab/until.ts';

const PORT = 18_080;
const PATIENCE = { withinMs: 30_000 };
/** Of a link on the way to the targets: less than every other's. */
const SMALL_MTU = 1_300;

type Datapath = 'userspace' | 'nftables';
const datapaths: readonly Datapath[] = ['userspace', 'nftables'];

/** Machines and ways that are not as they should be. */
describe('bad days of a data path', () => {
  let net: BalancerNet;
  let nodePort: number;
  let generation = 0;

  beforeEach(async () => {
    net = await makeBalancerNet();
    nodePort = await net.nodes.do('serve', { addresses: [...net.ipv4.nodes, ...net.ipv6!.nodes], port: 0 });
    generation = 0;
  });
  afterEach(() => net?.end());

  const inside = (namespace: string, ...command: readonly string[]) =>
    run('nsenter', [`--net=/run/netns/${namespace}`, ...command]);
  const web = (part: Partial<RuleListener> = {}) =>
    listener({ address: net.ipv4.listener, port: PORT, nodePort, check: { kind: 'nodePort', intervalMs: 300 }, ...part });
  const dns = (part: Partial<RuleListener> = {}) => web({ id: 'dns', protocol: 'UDP', idleMs: 60_000, ...part });
  const open = (datapath: Datapath) => net.balancer.do('open', { datapath, table: net.table });
  const apply = (listeners: readonly RuleListener[], nodes: readonly string[] = net.ipv4.nodes) =>
    net.balancer.do('apply', {
      version: RULES_VERSION,
      generation: ++generation,
      nodes: nodes.map((address) => ({ id: address, addresses: [address] })),
      nodeSets: { all: nodes },
      listeners,
    });
  const news = (what: object, id = 'web') =>
    until(
      () => {
        expect(net.balancer.known.listeners.get(id)).toMatchObject(what);
        return true;
      },
      { ...PATIENCE, what: `${id} to be ${JSON.stringify(what)}` },
    );
  const place = ({ protocol, address, port }: RuleListener) => ({ protocol: protocol as 'TCP' | 'UDP', address, port });
  const served = (rule: RuleListener) =>
    until(async () => net.ipv4.nodes.includes(await net.client.do('who', place(rule))), {
      ...PATIENCE,
      what: `an answer of ${rule.id}`,
    });

  test.each(datapaths)(
    'an address that leaves the machine is told, the others serve on, and it serves again when it is back: %s',
    async (datapath) => {
      await open(datapath);
      const { listener: one, exclusive: two } = net.ipv4;
      const rules = [web(), dns(), web({ id: 'other', address: two })];
      await apply(rules);
      for (const rule of rules) await served(rule);
      const { balancer } = net.namespaces;
      await inside(balancer, 'ip', 'addr', 'del', `${one}/24`, 'dev', 'front');
      await inside(balancer, 'ip', 'addr', 'replace', `${two}/24`, 'dev', 'front'); // a first address takes its net's others along
      const gone = {
        state: 'failed',
        code: 'AddressUnavailable',
        message: expect.stringContaining(`${one} is no address of this machine`),
      };
      await news(gone);
      await news(gone, 'dns');
      await news({ state: 'listening' }, 'other');
      await served(rules[2]!);
      await inside(balancer, 'ip', 'addr', 'add', `${one}/24`, 'dev', 'front');
      for (const { id } of rules) await news({ state: 'listening' }, id);
      for (const rule of rules) await served(rule);
    },
  );

  test('clients that speak first and find the queue of new connections full get in a moment later, and that is told', async () => {
    await inside(net.namespaces.balancer, 'sysctl', '-qw', 'net.core.somaxconn=8');
    await open('userspace');
    await apply([web()]);
    await served(web());
    await net.client.do('hold', place(web()));
    process.kill(net.balancer.pid!, 'SIGSTOP');
    const all = Array.from({ length: 60 }, () => net.client.do('who', { ...place(web()), withinMs: 60_000, speaks: true }));
    const overflows = async () => {
      const { stdout } = await inside(net.namespaces.balancer, 'nstat', '-asz', 'TcpExtListenOverflows');
      return Number(/ListenOverflows\s+(\d+)/.exec(stdout)?.[1]);
    };
    await until(async () => (await overflows()) > 0, { ...PATIENCE, what: 'the queue to overflow' });
    process.kill(net.balancer.pid!, 'SIGCONT');
    for (const name of await Promise.all(all)) expect(net.ipv4.nodes).toContain(name);
    const told = () => net.balancer.known.history.some(({ warnings }) => typeof warnings?.['BacklogFull'] === 'string');
    await until(told, { ...PATIENCE, what: 'the warning' });
  });

  test.each(datapaths)(
    'over a way with a smaller MTU datagrams of every size and long streams arrive, over IPv4 and IPv6: %s',
    async (datapath) => {
      const far = await addFar();
      const v6 = net.ipv6!.listener;
      const port = await far.do('serve', { addresses: ['10.91.3.2', 'fd00:91:3::2'], port: 0 });
      await open(datapath);
      const four = [web({ nodePort: port, nodeSet: '10' }), dns({ nodePort: port, nodeSet: '10' })];
      const six = four.map((rule) => ({ ...rule, id: `${rule.id}6`, address: v6, nodeSet: 'fd' }));
      await net.balancer.do('apply', {
        version: RULES_VERSION,
        generation: ++generation,
        nodes: ['10.91.3.2', 'fd00:91:3::2'].map((address) => ({ id: address.slice(0, 2), addresses: [address] })),
        nodeSets: { '10': ['10'], fd: ['fd'] },
        listeners: [...four, ...six],
      });
      for (const [stream, datagrams] of [four, six]) {
        await news({ state: 'listening' }, stream!.id);
        await news({ state: 'listening' }, datagrams!.id);
        // What is too long for the link is lost once, as it would be without a balancer, and after that goes in fragments.
        for (const bytes of [0, 1, 1_230, 1_300, 1_472, 9_000, 65_000]) {
          expect([bytes, await net.client.do('bulk', { ...place(datagrams!), bytes })]).toEqual([bytes, expect.any(Number)]);
        }
        expect(await net.client.do('bulk', { ...place(stream!), bytes: 5_000_000 })).toBe(1);
      }
    },
  );

  test.each(datapaths)(
    'nodes to which there is no way are told with what became of each, and serve when there is one: %s',
    async (datapath) => {
      const { balancer } = net.namespaces;
      const [lost, refused, forbidden] = net.ipv4.nodes as [string, string, string];
      await inside(balancer, 'ip', 'route', 'add', 'blackhole', `${lost}/32`);
      await inside(balancer, 'ip', 'route', 'add', 'unreachable', `${refused}/32`);
      await inside(balancer, 'ip', 'route', 'add', 'prohibit', `${forbidden}/32`);
      await open(datapath);
      await apply([web()]);
      const reason = (node: string, text: RegExp) =>
        until(
          () => {
            expect(net.balancer.known.targets.get(node)).toMatchObject({ health: 'unhealthy', unreachable: true });
            expect(net.balancer.known.targets.get(node)?.reason).toMatch(text);
            return true;
          },
          { ...PATIENCE, what: `${node} to be told` },
        );
      await reason(refused, /this machine knows no way to .* \(EHOSTUNREACH\)/);
      await reason(forbidden, /this machine knows no way to .* \(EACCES\)/);
      await reason(lost, /this machine knows no way to .* \(EINVAL\)/); // what Linux says of a route that is a black hole
      expect(net.ipv4.nodes).not.toContain(await net.client.do('who', place(web())));
      for (const node of net.ipv4.nodes) await inside(balancer, 'ip', 'route', 'del', `${node}/32`);
      for (const node of net.ipv4.nodes)
        await until(() => net.balancer.known.targets.get(node)?.health === 'healthy', { ...PATIENCE, what: `${node} is well` });
      await served(web());
    },
  );

  /** One more machine behind the nodes, by a link of a smaller MTU than the balancer's. */
  async function addFar(): Promise<Hand> {
    const { nodes, balancer } = net.namespaces;
    const far = nodes.replace(/nodes$/, 'far');
    await run('ip', ['netns', 'add', far]);
    const at = (namespace: string, ...lines: readonly string[]) =>
      run('ip', ['-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await at(
      nodes,
      `link add far0 type veth peer name eth0 netns ${far}`,
      'addr add 10.91.3.1/24 dev far0',
      'addr add fd00:91:3::1/64 dev far0 nodad',
      `link set far0 mtu ${SMALL_MTU} up`,
    );
    await at(
      far,
      'link set lo up',
      'addr add 10.91.3.2/24 dev eth0',
      'addr add fd00:91:3::2/64 dev eth0 nodad',
      `link set eth0 mtu ${SMALL_MTU} up`,
      'route add default via 10.91.3.1',
    );
    await run('ip', ['-6', '-n', far, 'route', 'add', 'default', 'via', 'fd00:91:3::1']);
    await at(balancer, 'route add 10.91.3.0/24 via 10.91.2.2');
    await run('ip', ['-6', '-n', balancer, 'route', 'add', 'fd00:91:3::/64', 'via', 'fd00:91:2::2']);
    await forward(nodes, 1);
    return Hand.in(far);
  }
});
