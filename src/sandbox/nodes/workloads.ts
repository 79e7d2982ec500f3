import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { at, list, text } from '../../kube/objects.ts';
import { type ApiClient, ApiFailure } from './api.ts';
import type { Followed } from './follow.ts';
import { pathOf } from './pods.ts';

/** As many pods are made or deleted for one ReplicaSet in one pass. */
const MAX_STEPS = 50;

type Raw = Record<string, unknown>;

/**
 * Keeps Deployments and ReplicaSets true: pods are made, and replaced when the template changes (new ones first). The API's own
 * garbage collector deletes them with their owner. Passes run one after another; each looks at everything.
 */
export class Workloads {
  readonly #api: ApiClient;
  readonly #deployments: Followed;
  readonly #sets: Followed;
  readonly #pods: Followed;
  #working: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  /** Written by us and not yet seen in the watch, by UID; so that a pass never repeats the one before. */
  readonly #made = new Map<string, unknown>();
  readonly #doomed = new Set<string>();

  constructor(options: { api: ApiClient; deployments: Followed; sets: Followed; pods: Followed }) {
    this.#api = options.api;
    this.#deployments = options.deployments;
    this.#sets = options.sets;
    this.#pods = options.pods;
  }

  look(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#working ??= this.#work();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    await Promise.resolve(); // #working must be set before it is cleared
    while (this.#again && !this.#stopped) {
      this.#again = false;
      await this.#pass();
    }
    this.#working = undefined;
  }

  /** One object's trouble leaves the others alone. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof ApiFailure && error.status !== 409) return; // refused for good; the next change of it is another try
      this.#again = true;
      await sleep(20); // a conflict, or the API server is away for a moment
    }
  }

  async #pass(): Promise<void> {
    const pods = this.#current(this.#pods);
    const sets = this.#current(this.#sets);
    const deployments = [...this.#deployments.objects.values()].filter(alive);
    for (const deployment of deployments) await this.#try(() => this.#roll(deployment, sets.filter(ownedBy(deployment)), pods));
    for (const set of sets) await this.#try(() => this.#fill(set, pods.filter(ownedBy(set))));
    this.#forgetDoomed();
  }

  #forgetDoomed(): void {
    const there = new Set([...this.#pods.objects.values()].map(uidOf));
    for (const uid of this.#doomed) if (!there.has(uid)) this.#doomed.delete(uid);
  }

  /** Brings the ReplicaSets of a Deployment to its template: the new one whole first, then the old ones to nothing. */
  async #roll(deployment: unknown, sets: readonly unknown[], pods: readonly unknown[]): Promise<void> {
    const wanted = replicasOf(deployment);
    const name = `${nameOf(deployment)}-${templateHash(deployment)}`;
    const current = sets.find((s) => nameOf(s) === name);
    if (!current) {
      await this.#make(setsPath(deployment), setFor(deployment, name));
      return;
    }
    if (replicasOf(current) !== wanted) await this.#api.patch(setPath(current), { spec: { replicas: wanted } });
    const fresh = pods.filter(ownedBy(current)).filter(ready).length;
    for (const old of sets) {
      if (old !== current && fresh >= wanted && replicasOf(old) > 0)
        await this.#api.patch(setPath(old), { spec: { replicas: 0 } });
    }
    const all = sets.flatMap((s) => pods.filter(ownedBy(s)));
    await this.#report(deployment, deploymentPath(deployment), {
      replicas: all.length,
      updatedReplicas: pods.filter(ownedBy(current)).length,
      readyReplicas: all.filter(ready).length,
      availableReplicas: all.filter(ready).length,
    });
  }

  async #fill(set: unknown, pods: readonly unknown[]): Promise<void> {
    const missing = replicasOf(set) - pods.length;
    for (let i = 0; i < Math.min(missing, MAX_STEPS); i++) await this.#make(podsPath(set), podFor(set));
    for (const pod of [...pods].reverse().slice(0, Math.max(0, Math.min(-missing, MAX_STEPS)))) {
      await this.#remove(pod);
    }
    await this.#report(set, setPath(set), {
      replicas: pods.length,
      fullyLabeledReplicas: pods.length,
      readyReplicas: pods.filter(ready).length,
      availableReplicas: pods.filter(ready).length,
    });
  }

  async #make(path: string, object: object): Promise<void> {
    const made = await this.#api.create(path, object);
    this.#made.set(uidOf(made), made);
  }

  async #remove(pod: unknown): Promise<void> {
    this.#doomed.add(uidOf(pod));
    this.#made.delete(uidOf(pod));
    await this.#api.remove(pathOf(pod));
  }

  async #report(object: unknown, path: string, counts: Readonly<Record<string, number>>): Promise<void> {
    const status = { observedGeneration: at(at(object, 'metadata'), 'generation'), ...counts };
    const had = at(object, 'status');
    const same = Object.entries(status).every(([key, value]) => (at(had, key) ?? 0) === value);
    if (!same) await this.#api.patch(`${path}/status`, { status });
  }

  /** What the watch has seen, and what we have written since. */
  #current(followed: Followed): readonly unknown[] {
    const seen = [...followed.objects.values()];
    for (const object of seen) this.#made.delete(uidOf(object));
    const kind = followed === this.#pods ? 'Pod' : 'ReplicaSet';
    const unseen = [...this.#made.values()].filter((object) => text(at(object, 'kind')) === kind);
    return [...seen, ...unseen].filter((object) => alive(object) && !this.#doomed.has(uidOf(object)));
  }
}

function setFor(deployment: unknown, name: string): object {
  const hash = { 'pod-template-hash': templateHash(deployment) };
  const spec = at(deployment, 'spec') as Raw;
  const template = spec['template'] as Raw;
  const metadata = (template['metadata'] ?? {}) as Raw;
  const labels = { ...(metadata['labels'] as Raw), ...hash };
  const selector = spec['selector'] as Raw;
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name, labels, ownerReferences: [reference(deployment, 'Deployment')] },
    spec: {
      replicas: replicasOf(deployment),
      selector: { ...selector, matchLabels: { ...(selector['matchLabels'] as Raw), ...hash } },
      template: { ...template, metadata: { ...metadata, labels } },
    },
  };
}

function podFor(set: unknown): object {
  const template = at(at(set, 'spec'), 'template') as Raw;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...(template['metadata'] as Raw),
      generateName: `${nameOf(set)}-`,
      ownerReferences: [reference(set, 'ReplicaSet')],
    },
    spec: template['spec'],
  };
}

function reference(owner: unknown, kind: string): object {
  return { apiVersion: 'apps/v1', kind, name: nameOf(owner), uid: uidOf(owner), controller: true, blockOwnerDeletion: true };
}

function templateHash(deployment: unknown): string {
  const template = JSON.stringify(at(at(deployment, 'spec'), 'template'));
  return createHash('sha256').update(template).digest('hex').slice(0, 10);
}

function ownedBy(owner: unknown): (object: unknown) => boolean {
  const uid = uidOf(owner);
  return (object) => list(at(at(object, 'metadata'), 'ownerReferences')).some((o) => at(o, 'uid') === uid);
}

function replicasOf(object: unknown): number {
  const replicas = at(at(object, 'spec'), 'replicas');
  return typeof replicas === 'number' ? replicas : 1;
}

function alive(object: unknown): boolean {
  return at(at(object, 'metadata'), 'deletionTimestamp') === undefined;
}

function ready(pod: unknown): boolean {
  return list(at(at(pod, 'status'), 'conditions')).some((c) => at(c, 'type') === 'Ready' && at(c, 'status') === 'True');
}

function uidOf(object: unknown): string {
  return text(at(at(object, 'metadata'), 'uid'));
}

function nameOf(object: unknown): string {
  return text(at(at(object, 'metadata'), 'name'));
}

function namespaceOf(object: unknown): string {
  return text(at(at(object, 'metadata'), 'namespace'));
}

function podsPath(object: unknown): string {
  return `/api/v1/namespaces/${namespaceOf(object)}/pods`;
}

function setsPath(object: unknown): string {
  return `/apis/apps/v1/namespaces/${namespaceOf(object)}/replicasets`;
}

function setPath(set: unknown): string {
  return `${setsPath(set)}/${nameOf(set)}`;
}

function deploymentPath(deployment: unknown): string {
  return `/apis/apps/v1/namespaces/${namespaceOf(deployment)}/deployments/${nameOf(deployment)}`;
}
