import { at, list, text } from '../../kube/objects.ts';
import { decode } from './decode.ts';
import { checkEndpoints, checkSlice, fillEndpoints, fillSlice } from './endpoints-validation.ts';
import { checkEvent } from './event-validation.ts';
import { type Cause, forbiddenField, invalidField, unsupportedField } from './failure.ts';
import * as format from './formats.ts';
import { isMap, type JsonMap, type KubeObject, sameJson } from './json.ts';
import { admitPod, checkContainers, defaultPod, qosClassOf } from './pod-rules.ts';
import type { Resource } from './resources.ts';
import { structOf } from './schema.ts';
import type { ServiceObject } from './service.ts';
import { defaultService, dropForType } from './service-defaults.ts';
import { checkService, checkServiceStatus } from './service-validation.ts';
import { warningsOf } from './service-warnings.ts';
import { checkWorkload, fillDaemonSet, fillDeployment, fillReplicaSet } from './workload-rules.ts';

/** What is particular to a kind. The first three change the draft that they are given, which nobody else has yet. */
export interface Rules {
  /** Defaulting: on every decoded body, before anything else. */
  readonly fill?: (draft: KubeObject) => void;
  /** Admission and strategy of a new object. */
  readonly begin?: (draft: KubeObject) => void;
  readonly change?: (draft: KubeObject, old: KubeObject) => void;
  readonly check?: (draft: KubeObject, old: KubeObject | undefined, resource: Resource) => Cause[];
  readonly checkStatus?: (draft: KubeObject) => Cause[];
  /** Status given at creation stays. */
  readonly keepsStatus?: boolean;
  /** Last touches, after the checks. */
  readonly seal?: (draft: KubeObject) => void;
  /** Texts for the Warning header of a write that was taken. */
  readonly warn?: (draft: KubeObject) => string[];
  readonly checkName?: (field: string, name: string) => Cause[];
}

const rules: Readonly<Record<string, Rules>> = {
  Service: {
    fill: (draft) => defaultService(asService(draft)),
    change: (draft, old) => dropForType(asService(draft), asService(old)),
    check: (draft, old) => checkService(asService(draft), old && asService(old)),
    checkStatus: (draft) => checkServiceStatus(asService(draft)),
    warn: (draft) => warningsOf(asService(draft).spec),
    seal: sealService,
    checkName: format.checkLabelName,
  },
  Namespace: { fill: fillNamespace, begin: beginNamespace, change: keepNamespaceSpec, checkName: format.checkLabelName },
  Node: { fill: fillNode, begin: beginNode, keepsStatus: true, check: checkNode },
  Pod: { fill: (draft) => defaultPod(specOf(draft)), begin: beginPod, check: checkPod },
  Endpoints: { fill: fillEndpoints, check: checkEndpoints },
  EndpointSlice: { fill: fillSlice, check: checkSlice },
  Event: { check: checkEvent },
  Lease: { check: checkLease },
  ConfigMap: { check: checkConfigMap },
  Secret: { fill: fillSecret, check: checkConfigMap },
  Deployment: { fill: fillDeployment, check: checkWorkload },
  DaemonSet: { fill: fillDaemonSet, check: checkWorkload },
  ReplicaSet: { fill: fillReplicaSet, check: checkWorkload },
};

const none: Rules = {};

export function rulesOf(kind: string): Rules {
  return rules[kind] ?? none;
}

export function asService(object: KubeObject): ServiceObject {
  return object as unknown as ServiceObject;
}

export function emptyStatus(resource: Resource): JsonMap {
  const type = structOf(resource.kind).fields.get('status')?.type;
  return type?.is === 'struct' ? decode(structOf(type.name), {}, []) : {};
}

/** The status that a new object starts with. */
export function firstStatus(resource: Resource): JsonMap {
  if (resource.kind === 'Namespace') return { ...emptyStatus(resource), phase: 'Active' };
  if (resource.kind === 'Pod') return { ...emptyStatus(resource), phase: 'Pending' };
  return emptyStatus(resource);
}

function specOf(draft: KubeObject): JsonMap {
  draft.spec ??= {};
  return draft.spec;
}

/** An ExternalName may say this, but it is never shown. */
function sealService(draft: KubeObject): void {
  const { spec } = asService(draft);
  if (spec.type === 'ExternalName') delete spec.internalTrafficPolicy;
}

function fillNamespace(draft: KubeObject): void {
  if (draft.metadata.name)
    draft.metadata.labels = { ...draft.metadata.labels, 'kubernetes.io/metadata.name': draft.metadata.name };
}

function beginNamespace(draft: KubeObject): void {
  draft.spec = { finalizers: ['kubernetes'] };
}

/** Only /finalize may change a namespace's own finalizers. */
function keepNamespaceSpec(draft: KubeObject, old: KubeObject): void {
  draft.spec = old.spec ?? {};
}

function fillNode(draft: KubeObject): void {
  const spec = specOf(draft);
  if (typeof spec['podCIDR'] === 'string') spec['podCIDRs'] ??= [spec['podCIDR']];
  const capacity = at(draft.status, 'capacity');
  if (draft.status && isMap(capacity)) draft.status['allocatable'] ??= { ...capacity };
}

const NOT_READY = 'node.kubernetes.io/not-ready';

/** The real server's admission taints a new node until somebody says that it is ready. */
function beginNode(draft: KubeObject): void {
  const spec = specOf(draft);
  const taints = Array.isArray(spec['taints']) ? spec['taints'] : [];
  if (taints.some((taint) => at(taint, 'key') === NOT_READY && at(taint, 'effect') === 'NoSchedule')) return;
  spec['taints'] = [...taints, { key: NOT_READY, effect: 'NoSchedule' }];
}

function checkNode(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const taints = list(at(draft.spec, 'taints'));
  const before = text(at(old?.spec, 'providerID'));
  const after = text(at(draft.spec, 'providerID'));
  const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
  const range = text(at(old?.spec, 'podCIDR'));
  const moved = range !== '' && range !== text(at(draft.spec, 'podCIDR'));
  return [
    ...(moved ? [forbiddenField('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid')] : []),
    ...(before !== '' && before !== after
      ? [forbiddenField('spec.providerID', 'node updates may not change providerID except from "" to valid')]
      : []),
    ...taints.flatMap((taint, i) => [
      ...format.checkQualifiedName(`metadata.taints[${i}].key`, text(at(taint, 'key'))),
      ...(effects.includes(text(at(taint, 'effect')))
        ? []
        : [unsupportedField(`metadata.taints[${i}].effect`, at(taint, 'effect'), effects)]),
    ]),
  ];
}

function beginPod(draft: KubeObject): void {
  admitPod(specOf(draft));
  draft.status = { ...draft.status, qosClass: qosClassOf(list(at(draft.spec, 'containers'))) };
}

function checkPod(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  return old ? [] : checkContainers('spec', draft.spec);
}

function checkLease(draft: KubeObject): Cause[] {
  const positive = (field: string, low: number): Cause[] => {
    const value = at(draft.spec, field);
    return typeof value === 'number' && value < low
      ? [invalidField(`spec.${field}`, value, `must be greater than ${low === 1 ? '' : 'or equal to '}0`)]
      : [];
  };
  return [...positive('leaseDurationSeconds', 1), ...positive('leaseTransitions', 0)];
}

/** ConfigMaps and Secrets: their keys, and that an immutable one stays as it is. */
function checkConfigMap(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const keys = Object.keys(draft['data'] ?? {}).filter((key) => !/^[-._a-zA-Z0-9]{1,253}$/.test(key));
  const text =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
  const out = keys.map((key) => invalidField(`data[${key}]`, key, text));
  if (old?.['immutable'] !== true) return out;
  if (draft['immutable'] !== true) out.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'));
  if (!sameJson(old['data'], draft['data'])) out.push(forbiddenField('data', 'field is immutable when `immutable` is set'));
  return out;
}

function fillSecret(draft: KubeObject): void {
  draft['type'] ??= 'Opaque';
  const given = draft['stringData'];
  if (!isMap(given)) return;
  const encoded = Object.entries(given).map(([key, value]) => [key, Buffer.from(String(value)).toString('base64')]);
  draft['data'] = { ...(isMap(draft['data']) ? draft['data'] : {}), ...Object.fromEntries(encoded) };
  delete draft['stringData'];
}
