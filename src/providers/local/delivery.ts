import type { LocalConfig } from '../../config/config.ts';
import { type Problem, Refusal } from '../../errors.ts';
import type { Balancer, Note } from '../../model.ts';
import { ownerOf } from './choose.ts';
import { DRAIN_SECONDS, IDLE_SECONDS, UDP_IDLE_SECONDS, type WantedListener } from './rules.ts';

/** What cannot go together with agents that leave delivery to kube-proxy. Pure. */
export function kubeProxyProblems({ datapath, pools = [], portFallback }: Partial<LocalConfig>): readonly Problem[] {
  if (datapath !== 'kube-proxy') return [];
  const problems: Problem[] = [];
  if (pools.length === 0) {
    const message =
      "needs addresses that no machine has by itself. At a node's own address kube-proxy would take each of a Service's ports away from whatever runs on the node, ssh, the kubelet and other Services' nodePorts among them, without anybody noticing. Name a pool, or use another data path.";
    problems.push({ where: '--local-pool', message: `--local-datapath kube-proxy ${message}` });
  }
  if (portFallback) {
    const message = '--local-datapath kube-proxy serves a port at its own number or not at all; leave this out.';
    problems.push({ where: '--local-port-fallback', message });
  }
  return problems;
}

/** @throws {Refusal} for a balancer that asks for what kube-proxy does not do: its address would be served without it */
export function refuseUndelivered(balancer: Balancer): void {
  if (balancer.settings.proxyProtocol !== undefined) {
    throw new Refusal(
      'NotSupported',
      `${ownerOf(balancer)} asks for the PROXY protocol, and with --local-datapath kube-proxy nobody is there to write it`,
    );
  }
  const locals = new Set(balancer.listeners.filter(isLocal).map(({ service }) => service.uid));
  if (locals.size < 2) return;
  throw new Refusal('NotSupported', `${locals.size} Services of one address are under ${WHY_ALONE}`);
}

const WHY_ALONE =
  'externalTrafficPolicy Local, and kube-proxy delivers these only on nodes with endpoints of each; the address is on one node at a time';

function isLocal({ targetGroup }: Balancer['listeners'][number]): boolean {
  return targetGroup.localOnly;
}

/** Which balancers are under policy Local at which addresses: no two at one. */
export class LocalOnes {
  readonly #taken = new Map<string, { readonly owner: string; readonly addresses: readonly string[] }>();
  readonly #refused = new Set<string>();

  /**
   * Writes down what the balancer has got. @returns the keys for which there may be room now
   * @throws {Refusal} when another that is under policy Local has it, too
   */
  enter(balancer: Balancer, addresses: readonly string[]): readonly string[] {
    const { key } = balancer;
    if (!balancer.listeners.some(isLocal)) return this.leave(key);
    const rival = [...this.#taken].find(
      ([other, taken]) => other !== key && taken.addresses.some((one) => addresses.includes(one)),
    );
    if (rival) {
      this.#refused.add(key);
      throw new Refusal(
        'AddressInUse',
        `Address ${addresses.join(', ')} is that of ${rival[1].owner}; both are under ${WHY_ALONE}`,
      );
    }
    this.#refused.delete(key);
    this.#taken.set(key, { owner: ownerOf(balancer), addresses });
    return [];
  }

  /** @returns the keys for which there may be room now */
  leave(key: string): readonly string[] {
    this.#refused.delete(key);
    if (!this.#taken.delete(key)) return [];
    const keys = [...this.#refused];
    this.#refused.clear();
    return keys;
  }

  clear(): void {
    this.#taken.clear();
    this.#refused.clear();
  }
}

/** Pure. Settings that have no effect on this listener: what is established is in the kernel of a node, and not ours to end. */
export function ignoredBy({ delivery, service, protocol, drainMs, idleMs, retry }: WantedListener): readonly Note[] {
  if (delivery === undefined) return [];
  const usualIdle = protocol === 'UDP' ? UDP_IDLE_SECONDS : IDLE_SECONDS;
  const annotations = [
    ...(idleMs === usualIdle * 1_000 ? [] : ['nodeport-lb.io/idle-timeout-seconds']),
    ...(drainMs === DRAIN_SECONDS * 1_000 ? [] : ['nodeport-lb.io/drain-seconds']),
  ];
  const notes = annotations.map((name): Note => {
    const why = "kube-proxy delivers, and connections live as long as the node's kernel lets them";
    return { code: 'NotSupported', message: `${name} of ${service} has no effect: ${why}` };
  });
  if (!retry) return notes;
  const message = `nodeport-lb.io/retry of ${service} has no effect: kube-proxy delivers, and tries no second pod`;
  return [...notes, { code: 'NotSupported', message }];
}
