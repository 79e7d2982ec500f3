import { at, list, text } from '../../kube/objects.ts';
import { type Cause, requiredField } from './failure.ts';
import * as format from './formats.ts';
import { isMap, type JsonMap, sameJson } from './json.ts';

/** Fills in a pod's (or pod template's) spec. @see https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ */
export function defaultPodSpec(spec: JsonMap): void {
  spec['restartPolicy'] ??= 'Always';
  spec['terminationGracePeriodSeconds'] ??= 30;
  spec['dnsPolicy'] ??= 'ClusterFirst';
  spec['securityContext'] ??= {};
  spec['schedulerName'] ??= 'default-scheduler';
  for (const container of [...maps(spec['initContainers']), ...maps(spec['containers'])]) defaultContainer(container);
}

function defaultContainer(container: JsonMap): void {
  const image = String(container['image'] ?? '');
  const tag = /:([^/@]+)$/.exec(image)?.[1];
  const latest = image !== '' && !image.includes('@') && (tag === undefined || tag === 'latest');
  container['terminationMessagePath'] ??= '/dev/termination-log';
  container['terminationMessagePolicy'] ??= 'File';
  container['imagePullPolicy'] ??= latest ? 'Always' : 'IfNotPresent';
  for (const port of maps(container['ports'])) port['protocol'] ??= 'TCP';
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'])
    if (isMap(container[probe])) defaultProbe(container[probe]);
}

function defaultProbe(probe: JsonMap): void {
  probe['timeoutSeconds'] ??= 1;
  probe['periodSeconds'] ??= 10;
  probe['successThreshold'] ??= 1;
  probe['failureThreshold'] ??= 3;
  if (!isMap(probe['httpGet'])) return;
  probe['httpGet']['path'] ??= '/';
  probe['httpGet']['scheme'] ??= 'HTTP';
}

/** What defaulting and the usual admission plugins add to a pod, and not to a template. */
export function defaultPod(spec: JsonMap): void {
  defaultPodSpec(spec);
  spec['enableServiceLinks'] ??= true;
}

export function admitPod(spec: JsonMap): void {
  spec['priority'] ??= 0;
  spec['preemptionPolicy'] ??= 'PreemptLowerPriority';
  const tolerations = maps(spec['tolerations']);
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    if (tolerations.some((toleration) => toleration['key'] === key)) continue;
    tolerations.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  spec['tolerations'] = tolerations;
}

export function checkContainers(field: string, spec: unknown): Cause[] {
  const containers = list(at(spec, 'containers'));
  if (containers.length === 0) return [requiredField(`${field}.containers`)];
  return containers.flatMap((container, i) => [
    ...format.checkPresent(`${field}.containers[${i}].name`, text(at(container, 'name'))),
    ...format.checkPresent(`${field}.containers[${i}].image`, text(at(container, 'image'))),
  ]);
}

/** @see https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ */
export function qosClassOf(containers: readonly unknown[]): string {
  const all = containers.map((container) => at(container, 'resources'));
  if (all.every((each) => !at(each, 'requests') && !at(each, 'limits'))) return 'BestEffort';
  const whole = (each: unknown): boolean => {
    const limits = at(each, 'limits');
    const asked = at(each, 'requests') ?? limits;
    return isMap(limits) && 'cpu' in limits && 'memory' in limits && sameJson(asked, limits);
  };
  return all.every(whole) ? 'Guaranteed' : 'Burstable';
}

function maps(value: unknown): JsonMap[] {
  return Array.isArray(value) ? value.filter(isMap) : [];
}
