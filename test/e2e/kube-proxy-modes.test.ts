import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { prefixOf } from './lab/claim.ts';
import { Client } from './lab/client.ts';
import { run } from './lab/command.ts';
import { startAgent } from './lab/forwarder-agent.ts';
import { type Lab, startLab } from './lab/lab.ts';
import { makeGuestNet } from './lab/network.ts';
import type { LabNode } from './lab/node.ts';
import { type LabService, makeService, startController } from './lab/product.ts';
import { until } from './lab/until.ts';
import { sliced } from './lab/workload.ts';

const PATIENT_MS = 60_000;
const POOLS = ['--local-pool', '172.31.77.220-172.31.77.229', '--local-pool', 'fd00:77::220-fd00:77::229'];
const GUEST = '172.31.77.200';
const GUEST_6 = 'fd00:77::200';
const SCTP_PORT = 3868;

interface Mode {
  readonly mode: 'nftables' | 'iptables';
  /** Shows what kube-proxy has in the kernel. */
  readonly show: (family: 4 | 6) => readonly string[];
  /** How an address and the SCTP port stand there. */
  readonly rule: (address: string) => RegExp;
}

/**
 * Real kube-proxy in the modes that this kernel has (ipvs it has not), dual stack: what agents hold and the controller publishes is
 * delivered by it in both families. The kernel has no SCTP sockets, so of SCTP the rules are looked at.
 */
describe.each<Mode>([
  {
    mode: 'nftables',
    show: (family) => ['nft', 'list', 'table', family === 4 ? 'ip' : 'ip6', 'kube-proxy'],
    rule: (address) => new RegExp(`${address} \\. sctp \\. ${SCTP_PORT} : goto external-`),
  },
  {
    mode: 'iptables',
    show: (family) => [family === 4 ? 'iptables-save' : 'ip6tables-save', '-t', 'nat'],
    rule: (address) => new RegExp(`-d ${address}/(32|128) -p sctp .*--dport ${SCTP_PORT} -j KUBE-EXT-`),
  },
])('kube-proxy in mode $mode', ({ mode, show, rule }) => {
  const namespace = 'modes';
  let lab: Lab;
  let guest: Client;

  beforeAll(async () => {
    lab = await startLab({ nodes: [{ proxyMode: mode }, { proxyMode: mode }], dualStack: true });
    const guestNet = await makeGuestNet(lab.plane.hub, `${prefixOf(lab.claim)}guest`, GUEST);
    await run('ip', ['-n', guestNet, 'addr', 'add', `${GUEST_6}/64`, 'dev', 'eth0', 'nodad']);
    guest = new Client('client-guest', guestNet, lab.plane.directory);
    await lab.namespace(namespace);
    for (const node of lab.nodes) startAgent(lab, node, { args: ['--local-datapath', 'kube-proxy', '--local-vips'] });
    startController(lab, { args: ['--local-forwarder', 'agents', '--local-datapath', 'kube-proxy', ...POOLS] });
  });

  afterAll(async () => {
    await lab?.close();
  });

  async function make(name: string, externalTrafficPolicy: 'Cluster' | 'Local'): Promise<readonly string[]> {
    const ports = [{ name: 'http', port: 8080 }];
    const pods = await lab.deployment({ namespace, name, labels: { app: name }, nodes: lab.nodes.slice(0, 1), ports });
    const service = await makeService(lab, namespace, name, {
      ports: [
        { name: 'tcp', port: 80, targetPort: 'http' },
        { name: 'udp', port: 5300, targetPort: 8080, protocol: 'UDP' },
        { name: 'sctp', port: SCTP_PORT, targetPort: 8080, protocol: 'SCTP' },
      ],
      spec: { ipFamilyPolicy: 'RequireDualStack', externalTrafficPolicy, selector: { app: name } },
    });
    await sliced(lab.api, service, pods.pods, 'both');
    return published(service);
  }

  /** Both addresses, once every port is served at them and the Service is Ready. */
  function published(service: LabService): Promise<readonly string[]> {
    const ports = ['TCP 80', 'UDP 5300', `SCTP ${SCTP_PORT}`];
    return until(
      async () => {
        const { ingress = [] } = (await service.read()).status.loadBalancer;
        const condition = await service.condition();
        if (ingress.length !== 2 || condition?.reason !== 'Ready') throw new Error(JSON.stringify([ingress, condition]));
        for (const one of ingress) {
          expect(one.ipMode).toBe('VIP');
          expect((one.ports ?? []).map(({ protocol, port, error }) => `${protocol} ${port}${error ?? ''}`)).toEqual(ports);
        }
        return ingress.map(({ ip = '' }) => ip);
      },
      { withinMs: PATIENT_MS, what: `${service.name} is published in both families` },
    );
  }

  /** @returns what the pods saw, over TCP and UDP, as soon as the guest is answered */
  function seenAt(address: string): Promise<readonly string[]> {
    const host = address.includes(':') ? `[${address}]` : address;
    return until(
      async () => {
        const { remote } = await guest.json(`http://${host}/`, 2_000);
        const said = await guest.datagram(address, 5300);
        if (typeof said === 'string') throw new Error(`a datagram: ${said}`);
        return [remote, said.remote];
      },
      { withinMs: PATIENT_MS, what: `a guest is answered at ${address}` },
    );
  }

  const inNode = async (node: LabNode, command: readonly string[]) =>
    (await run('nsenter', [`--net=/run/netns/${node.net.namespace}`, ...command])).stdout;

  test('an address of each family is published as VIP and answers over TCP and UDP; SCTP has its rule', async () => {
    const addresses = await make('web', 'Cluster');
    expect(addresses.map((address) => address.includes(':')).sort()).toEqual([false, true]);
    for (const address of addresses) {
      await seenAt(address);
      for (const node of lab.nodes) {
        const rules = () => inNode(node, show(address.includes(':') ? 6 : 4));
        await until(async () => rule(address).test(await rules()), { withinMs: PATIENT_MS, what: `SCTP at ${address}` });
      }
    }
    for (const node of lab.nodes) expect(await inNode(node, ['nft', 'list', 'tables'])).not.toContain('nodeport-lb');
  });

  test('under policy Local pods see the guest’s own address, in both families', async () => {
    for (const address of await make('local', 'Local')) {
      const own = address.includes(':') ? GUEST_6 : GUEST;
      expect(await seenAt(address)).toEqual([own, own]);
    }
  });
});
