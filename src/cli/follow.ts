import type { KubeApi } from '../kube/api.ts';
import { type Node, readNode, readService, type Service } from '../kube/objects.ts';
import { watchObjects } from '../kube/watch.ts';
import { nameOf } from '../model.ts';
import type { Log } from '../providers/provider.ts';
import { describeStatus, isOfInterest, type ServiceStatus, targetCounter } from './status-rows.ts';

export interface FollowOptions {
  readonly api: KubeApi;
  readonly log: Log;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  readonly loadBalancerClass: string;
  /** `NAMESPACE/NAME`; undefined: every Service of interest. */
  readonly only: string | undefined;
  /** Told of everything there is first, then of each change; `all` has what was shown before, the change included. */
  show(changed: readonly ServiceStatus[], all: readonly ServiceStatus[]): void;
}

/** Shows what Services have, and every change of it, until `stop`. */
export async function followStatus(options: FollowOptions, stop: AbortSignal): Promise<void> {
  const known = new Map<string, ServiceStatus>();
  let live = false;
  const shared = { api: options.api, log: options.log };
  const nodes = watchObjects<Node>({
    ...shared,
    list: 'listNodes',
    watch: 'watchNodes',
    namespaces: [],
    read: readNode,
    changed() {},
  });
  const services = watchObjects<Service>({
    ...shared,
    list: 'listServices',
    watch: 'watchServices',
    namespaces: options.namespaces,
    read: readService,
    changed(before, after) {
      if (live) note(before, after);
    },
  });

  function note(before: Service | undefined, after: Service | undefined): void {
    const name = nameOf((after ?? before)!);
    const shown = after && isShown(after, options.only) ? describeStatus(after, surroundings()) : undefined;
    const had = known.get(name);
    if (!shown && !had) return;
    if (shown && had && JSON.stringify(shown) === JSON.stringify(had)) return;
    const status = shown ?? {
      ...had!,
      reason: 'Deleted',
      message: 'It is gone, or no longer of type LoadBalancer.',
      ready: false,
    };
    known.set(name, status);
    options.show([status], [...known.values()]);
    if (!shown) known.delete(name);
  }

  const surroundings = () => ({ count: targetCounter([...nodes.all()]), loadBalancerClass: options.loadBalancerClass });
  const ended = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const started = Promise.all([nodes.synced, services.synced]).then(() => {
    const now = surroundings();
    const first = [...services.all()]
      .filter((service) => isShown(service, options.only))
      .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    for (const service of first) known.set(nameOf(service), describeStatus(service, now));
    if (known.size > 0) options.show([...known.values()], [...known.values()]);
    live = true;
  });
  await Promise.race([ended, started]);
  await ended;
  started.catch(() => {}); // stopped before the first list came
  await Promise.all([services.stop(), nodes.stop()]);
}

function isShown(service: Service, only: string | undefined): boolean {
  return only === undefined ? isOfInterest(service) : nameOf(service) === only;
}
