import { randomInt, randomUUID } from 'node:crypto';
import { type Cause, forbiddenField, invalidField, requiredField } from './failure.ts';
import * as format from './formats.ts';
import type { KubeObject, Meta, OwnerReference } from './json.ts';
import { rulesOf } from './kinds.ts';

/** No vowels and nothing that is read wrongly, as the real server picks them. */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
/** Longest generated name: a DNS label. */
const NAME_LIMIT = 63;
/** 256 KiB over all annotations of an object. */
const ANNOTATIONS_LIMIT = 262_144;
const standardFinalizers = new Set(['orphan', 'foregroundDeletion', 'kubernetes']);

export function generateName(base: string): string {
  const suffix = Array.from({ length: SUFFIX_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return base.slice(0, NAME_LIMIT - SUFFIX_LENGTH) + suffix;
}

export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Metadata of a new object: the server's own fields are its own, whatever the author wrote. */
export function firstMeta(given: Meta, nowMs: number): Meta {
  const { deletionTimestamp: _deleting, deletionGracePeriodSeconds: _grace, managedFields: _managed, ...meta } = given;
  return {
    ...meta,
    name: given.name || (given.generateName ? generateName(given.generateName) : ''),
    uid: randomUUID(),
    resourceVersion: '',
    creationTimestamp: timeText(nowMs),
  };
}

/** Metadata of a changed object: what the author may not change or left out comes from before. */
export function nextMeta(given: Meta, old: Meta): Meta {
  const {
    deletionTimestamp,
    deletionGracePeriodSeconds: _grace,
    managedFields: _managed,
    generation: _generation,
    ...meta
  } = given;
  return {
    ...meta,
    name: given.name || old.name,
    ...(old.namespace ? { namespace: given.namespace || old.namespace } : {}),
    uid: given.uid || old.uid,
    resourceVersion: old.resourceVersion,
    ...(old.generation === undefined ? {} : { generation: old.generation }),
    creationTimestamp: old.creationTimestamp,
    ...asGiven('deletionTimestamp', deletionTimestamp ?? old.deletionTimestamp),
    ...(old.deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds: old.deletionGracePeriodSeconds }),
  };
}

function asGiven(key: string, value: string | undefined): object {
  return value === undefined ? {} : { [key]: value };
}

export function checkMeta(draft: KubeObject, old: Meta | undefined): Cause[] {
  const { metadata } = draft;
  const named = rulesOf(draft.kind).checkName ?? format.checkSubdomain;
  const annotations = Object.entries(metadata.annotations ?? {});
  const size = annotations.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return [
    ...(metadata.name
      ? old
        ? []
        : named('metadata.name', metadata.name)
      : [requiredField('metadata.name', 'name or generateName is required')]),
    ...format.checkLabels('metadata.labels', metadata.labels),
    ...annotations.flatMap(([key]) => format.checkQualifiedName('metadata.annotations', key.toLowerCase())),
    ...(size > ANNOTATIONS_LIMIT
      ? [
          {
            reason: 'FieldValueTooLong',
            message: `Too long: may not be more than ${ANNOTATIONS_LIMIT} bytes`,
            field: 'metadata.annotations',
          },
        ]
      : []),
    ...(metadata.finalizers ?? []).flatMap(checkFinalizer),
    ...(metadata.ownerReferences ?? []).flatMap(checkOwner),
    ...(old ? checkKept(metadata, old) : []),
  ];
}

function checkFinalizer(name: string, i: number): Cause[] {
  if (standardFinalizers.has(name)) return [];
  const field = `metadata.finalizers[${i}]`;
  const faults = format.checkQualifiedName('metadata.finalizers', name);
  if (faults.length > 0 || name.includes('/')) return faults;
  return [invalidField(field, name, 'name is neither a standard finalizer name nor is it fully qualified')];
}

function checkOwner(owner: OwnerReference): Cause[] {
  const field = 'metadata.ownerReferences';
  const missing = (['kind', 'name', 'uid'] as const).filter((key) => owner[key] === '');
  return [
    ...(owner.apiVersion === '' ? [invalidField(`${field}.apiVersion`, '', 'version must not be empty')] : []),
    ...missing.map((key) => invalidField(`${field}.${key}`, '', 'must not be empty')),
  ];
}

function checkKept(metadata: Meta, old: Meta): Cause[] {
  const out: Cause[] = [];
  for (const field of ['name', 'namespace', 'uid', 'deletionTimestamp'] as const) {
    if ((metadata[field] ?? '') !== (old[field] ?? ''))
      out.push(invalidField(`metadata.${field}`, metadata[field], 'field is immutable'));
  }
  if (old.deletionTimestamp === undefined) return out;
  const added = (metadata.finalizers ?? []).filter((name) => !old.finalizers?.includes(name));
  if (added.length === 0) return out;
  const names = `[]string{${added.map((name) => JSON.stringify(name)).join(', ')}}`;
  const text = `no new finalizers can be added if the object is being deleted, found new finalizers ${names}`;
  return [...out, forbiddenField('metadata.finalizers', text)];
}
