import { setTimeout as sleepFor } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { toConfig } from '../config/read.ts';
import { CONDITION } from '../controller/claim.ts';
import { leaseName } from '../controller/leadership.ts';
import { isRetired, stillHeld, withRetired } from '../controller/retire.ts';
import { UsageError } from '../errors.ts';
import { type KubeApi, KubeError } from '../kube/api.ts';
import { describeKube } from '../kube/client.ts';
import type { Service } from '../kube/objects.ts';
import { nameOf } from '../model.ts';
import type { Call } from './command.ts';
import { kubeChoice, withCluster } from './connect.ts';
import { listServices } from './read.ts';

/** A load balancer of a cloud takes minutes to go; what has not gone then needs a person. */
const LIMIT_MS = 10 * 60_000;
const LOOK_MS = 1_000;
/** The leader writes its Lease every second, and one of two writes that meet is refused. */
const TRIES = 10;
const NAMED = 5;
/** Agents renew their Leases every 5 s (src/agent/presence.ts), and hand them over with that. */
const HAND_OVER_MS = 6_000;

interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** `retire`: has the controller that runs take every balancer down, and waits. @returns 0, or 1 when some were still there */
export async function runRetire(call: Call): Promise<number> {
  const config = toConfig(call.values);
  const { namespace, inCluster } = await describeKube(kubeChoice(call.values));
  const place = {
    namespace: config.leaderElectNamespace ?? ((inCluster && namespace) || 'kube-system'),
    name: leaseName(config),
  };
  return await withCluster(call.values, async (api) => {
    await mark(api, place, !call.values.undo);
    if (!call.values.undo) return await waitForAll(call, api, config);
    call.out.write('balancers are made again\n');
    return 0;
  });
}

async function mark(api: KubeApi, place: Place, retired: boolean): Promise<void> {
  for (let tries = 1; ; tries++) {
    const lease = await readLease(api, place);
    if (isRetired(lease) === retired) return;
    try {
      await api.update('updateLease', place.namespace, place.name, withRetired(lease, retired));
      return;
    } catch (thrown) {
      if (!(thrown instanceof KubeError) || thrown.status !== 409 || tries === TRIES) throw thrown;
    }
  }
}

async function readLease(api: KubeApi, { namespace, name }: Place): Promise<unknown> {
  try {
    return await api.get('getLease', namespace, name);
  } catch (thrown) {
    if (!(thrown instanceof KubeError) || thrown.status !== 404) throw thrown;
    const message = `there is no Lease ${namespace}/${name}, so no controller with these options runs with --leader-elect; give the options of the one that does`;
    throw new UsageError([{ where: '--leader-elect-namespace', value: namespace, message }]);
  }
}

async function waitForAll(call: Call, api: KubeApi, config: Config): Promise<number> {
  const stop = call.interrupted();
  const { loadBalancerClass, namespaces, provider } = config;
  const end = Date.now() + LIMIT_MS;
  let said = '';
  while (!stop.aborted) {
    const held = stillHeld(await listServices(api, namespaces), { loadBalancerClass, claimUnset: true });
    if (held.length === 0) {
      if (provider === 'local') await sleepFor(HAND_OVER_MS, undefined, { signal: stop }).catch(() => {}); // woken to stop
      call.out.write('no Service has a balancer any more\n');
      return 0;
    }
    const text = sayHeld(held);
    if (text !== said) call.err.write(text);
    said = text;
    if (Date.now() >= end) break;
    await sleepFor(LOOK_MS, undefined, { signal: stop }).catch(() => {}); // woken to stop
  }
  call.err.write('gave up waiting; the controller goes on. nodeport-lb gc --release NAMESPACE/NAME lets go of one by force\n');
  return 1;
}

function sayHeld(held: readonly Service[]): string {
  const named = held.slice(0, NAMED).map((service) => {
    const condition = service.conditions.find(({ type }) => type === CONDITION);
    return condition?.status === 'False' ? `${nameOf(service)} (${condition.reason})` : nameOf(service);
  });
  const more = held.length > NAMED ? ' and more' : '';
  return `${held.length} ${held.length === 1 ? 'Service' : 'Services'} left: ${named.join(', ')}${more}\n`;
}
