import { at } from '../../kube/objects.ts';
import { type Cause, invalidField, requiredField } from './failure.ts';
import { isMap, type JsonMap, type KubeObject, sameJson } from './json.ts';
import { checkContainers, defaultPodSpec } from './pod-rules.ts';

/** Defaults and faults of what holds a pod template. */

function specOf(draft: KubeObject): JsonMap {
  draft.spec ??= {};
  return draft.spec;
}

function mapAt(parent: JsonMap, key: string): JsonMap {
  const value = parent[key];
  if (isMap(value)) return value;
  const made: JsonMap = {};
  parent[key] = made;
  return made;
}

function fillTemplate(spec: JsonMap): void {
  defaultPodSpec(mapAt(mapAt(spec, 'template'), 'spec'));
}

export function fillDeployment(draft: KubeObject): void {
  const spec = specOf(draft);
  spec['replicas'] ??= 1;
  spec['revisionHistoryLimit'] ??= 10;
  spec['progressDeadlineSeconds'] ??= 600;
  const strategy = mapAt(spec, 'strategy');
  strategy['type'] ??= 'RollingUpdate';
  if (strategy['type'] === 'RollingUpdate')
    strategy['rollingUpdate'] = {
      maxUnavailable: '25%',
      maxSurge: '25%',
      ...(isMap(strategy['rollingUpdate']) ? strategy['rollingUpdate'] : {}),
    };
  fillTemplate(spec);
}

export function fillDaemonSet(draft: KubeObject): void {
  const spec = specOf(draft);
  spec['revisionHistoryLimit'] ??= 10;
  draft.metadata.annotations = { 'deprecated.daemonset.template.generation': '1', ...draft.metadata.annotations };
  const strategy = mapAt(spec, 'updateStrategy');
  strategy['type'] ??= 'RollingUpdate';
  if (strategy['type'] === 'RollingUpdate')
    strategy['rollingUpdate'] = {
      maxUnavailable: 1,
      maxSurge: 0,
      ...(isMap(strategy['rollingUpdate']) ? strategy['rollingUpdate'] : {}),
    };
  fillTemplate(spec);
}

export function fillReplicaSet(draft: KubeObject): void {
  const spec = specOf(draft);
  spec['replicas'] ??= 1;
  fillTemplate(spec);
}

export function checkWorkload(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const selector = at(draft.spec, 'selector');
  const labels = at(at(at(draft.spec, 'template'), 'metadata'), 'labels');
  const wanted = at(selector, 'matchLabels');
  const out: Cause[] = selector === null ? [requiredField('spec.selector')] : [];
  if (isMap(wanted) && Object.entries(wanted).some(([key, value]) => at(labels, key) !== value)) {
    out.push(invalidField('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`'));
  }
  if (old && !sameJson(at(old.spec, 'selector'), selector))
    out.push(invalidField('spec.selector', selector, 'field is immutable'));
  return [...out, ...checkContainers('spec.template.spec', at(at(draft.spec, 'template'), 'spec'))];
}
