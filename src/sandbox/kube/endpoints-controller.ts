import { at, text } from '../../kube/objects.ts';
import {
  endpointsFromPods,
  hasSelector,
  isOurs,
  MANAGED_BY,
  SERVICE_LABEL,
  type SlicePart,
  sliceLabels,
  slicesFromEndpoints,
  slicesFromPods,
} from './endpoints-of.ts';
import { ApiFailure } from './failure.ts';
import { type KubeObject, sameJson } from './json.ts';
import { asService } from './kinds.ts';
import type { Objects } from './objects.ts';
import { keyOf } from './store.ts';

const FROM_PODS = 'endpointslice-controller.k8s.io';
const MIRRORED = 'endpointslicemirroring-controller.k8s.io';
const slices = { resource: 'endpointslices', group: 'discovery.k8s.io' } as const;

/** Keeps EndpointSlices and Endpoints as the real controller manager does, a moment after each change. */
export class EndpointsController {
  readonly #objects: Objects;
  /** Services to look at, as `namespace/name`. */
  readonly #due = new Set<string>();
  /** Names of the slices that this controller keeps, by Service. */
  readonly #slices = new Map<string, Set<string>>();
  readonly #stops: readonly (() => void)[];
  #timer: NodeJS.Immediate | undefined;

  constructor(objects: Objects) {
    this.#objects = objects;
    this.#stops = [
      objects.watch({ resource: 'services' }, (_, service) => this.#look(keyOfObject(service))),
      objects.watch({ resource: 'endpoints' }, (_, endpoints) => this.#look(keyOfObject(endpoints))),
      objects.watch({ resource: 'pods' }, (_, pod, before) => this.#lookForPod(pod, before)),
      objects.watch({ resource: 'nodes' }, (type) => type !== 'MODIFIED' && this.#lookAtAll()),
      objects.watch(slices, (type, slice) => this.#remember(type === 'DELETED', slice)),
    ];
    this.#lookAtAll();
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    if (this.#timer) clearImmediate(this.#timer);
  }

  #lookAtAll(): void {
    for (const service of this.#objects.list({ resource: 'services' })) this.#look(keyOfObject(service));
  }

  #look(key: string): void {
    this.#due.add(key);
    this.#timer ??= setImmediate(() => this.#run());
  }

  #lookForPod(pod: KubeObject, before: KubeObject | undefined): void {
    for (const service of this.#objects.list({ resource: 'services', namespace: pod.metadata.namespace ?? '' })) {
      if (hasSelector(service) && (selects(service, pod) || (before && selects(service, before))))
        this.#look(keyOfObject(service));
    }
  }

  #remember(gone: boolean, slice: KubeObject): void {
    const service = slice.metadata.labels?.[SERVICE_LABEL];
    if (service === undefined || ![FROM_PODS, MIRRORED].includes(slice.metadata.labels?.[MANAGED_BY] ?? '')) return;
    const key = keyOf(slice.metadata.namespace ?? '', service);
    const names = this.#slices.get(key) ?? new Set();
    if (gone) names.delete(slice.metadata.name);
    else names.add(slice.metadata.name);
    if (names.size === 0) this.#slices.delete(key);
    else this.#slices.set(key, names);
    if (gone) this.#look(key);
  }

  #run(): void {
    this.#timer = undefined;
    const due = [...this.#due];
    this.#due.clear();
    for (const key of due) {
      try {
        this.#settle(key);
      } catch (error) {
        // A namespace that is going, or an object changed under our hands: its own event brings the key back.
        if (!(error instanceof ApiFailure)) throw error;
      }
    }
  }

  /** As in the real one, slices stay as they are when a Service loses its selector or becomes an ExternalName. */
  #settle(key: string): void {
    const [namespace = '', name = ''] = key.split('/');
    const service = this.#objects.get({ resource: 'services', namespace, name });
    if (!service) {
      this.#keepSlices(key, undefined, [], FROM_PODS);
      this.#keepSlices(key, undefined, [], MIRRORED);
      return;
    }
    if (asService(service).spec.type === 'ExternalName') return;
    const endpoints = this.#objects.get({ resource: 'endpoints', namespace, name });
    if (hasSelector(service)) {
      const pods = this.#objects.list({ resource: 'pods', namespace });
      this.#keepEndpoints(service, endpoints, pods);
      const placed = pods.filter((pod) => this.#isPlaced(pod));
      const parts = slicesFromPods(service, placed).map((part) => ({ ...part, addressType: 'IPv4' }));
      this.#keepSlices(key, service, parts, FROM_PODS);
    }
    const mirrored = !hasSelector(service) && endpoints && !isOurs(endpoints) ? endpoints : undefined;
    this.#keepSlices(key, mirrored, mirrored ? slicesFromEndpoints(mirrored) : [], MIRRORED);
  }

  /** A pod whose node is unknown is left out of the slices until the node comes. */
  #isPlaced(pod: KubeObject): boolean {
    const name = text(at(pod.spec, 'nodeName'));
    return name === '' || this.#objects.get({ resource: 'nodes', name }) !== undefined;
  }

  #keepEndpoints(service: KubeObject, current: KubeObject | undefined, pods: readonly KubeObject[]): void {
    const { namespace = '', name } = service.metadata;
    const wanted = endpointsFromPods(service, pods);
    if (!current) this.#objects.create({ resource: 'endpoints', namespace }, wanted);
    else this.#objects.replace({ resource: 'endpoints', namespace, name }, wanted);
  }

  /** Makes the Service's slices what they should be: changes those that are there, then adds or removes. */
  #keepSlices(
    key: string,
    owner: KubeObject | undefined,
    parts: readonly (SlicePart & { addressType: string })[],
    managedBy: string,
  ): void {
    const [namespace = ''] = key.split('/');
    const names = [...(this.#slices.get(key) ?? [])];
    const current = names.flatMap((name) => this.#objects.get({ ...slices, namespace, name }) ?? []);
    const fitting = current.filter((slice) => slice.metadata.labels?.[MANAGED_BY] === managedBy);
    for (const part of parts) {
      if (!owner) continue;
      const found = fitting.findIndex((slice) => slice['addressType'] === part.addressType);
      const [reused] = found < 0 ? [] : fitting.splice(found, 1);
      this.#writeSlice(owner, part, managedBy, reused);
    }
    for (const slice of fitting) this.#objects.delete({ ...slices, namespace, name: slice.metadata.name });
  }

  #writeSlice(
    owner: KubeObject,
    part: SlicePart & { addressType: string },
    managedBy: string,
    current: KubeObject | undefined,
  ): void {
    const { namespace = '', name, uid } = owner.metadata;
    const ownerReferences = [{ apiVersion: 'v1', kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true }];
    const metadata = { generateName: `${name}-`, labels: sliceLabels(owner, managedBy), ownerReferences };
    if (!current) {
      this.#objects.create({ ...slices, namespace }, { ...part, metadata });
      return;
    }
    const same =
      sameJson(current['endpoints'], part.endpoints) &&
      sameJson(current['ports'], part.ports) &&
      sameJson(current.metadata.labels, metadata.labels);
    if (!same)
      this.#objects.replace(
        { ...slices, namespace, name: current.metadata.name },
        { ...part, metadata: { ...metadata, name: current.metadata.name } },
      );
  }
}

function keyOfObject(object: KubeObject): string {
  return keyOf(object.metadata.namespace ?? '', object.metadata.name);
}

function selects(service: KubeObject, pod: KubeObject): boolean {
  return Object.entries(asService(service).spec.selector ?? {}).every(([key, value]) => pod.metadata.labels?.[key] === value);
}
