import { at, text } from '../../kube/objects.ts';
import { type Cause, invalidField, requiredField } from './failure.ts';
import * as format from './formats.ts';
import { type KubeObject, sameJson } from './json.ts';
import type { Resource } from './resources.ts';

/** Faults of an Event; the newer group is stricter than the core one. */
export function checkEvent(draft: KubeObject, old: KubeObject | undefined, resource: Resource): Cause[] {
  return [...checkCore(draft), ...(resource.group === '' ? [] : old ? checkKept(draft, old) : checkStrict(draft))];
}

function checkCore(draft: KubeObject): Cause[] {
  const where = text(at(draft['involvedObject'], 'namespace'));
  const namespace = draft.metadata.namespace ?? '';
  const home = where === '' ? namespace === 'default' || namespace === 'kube-system' : where === namespace;
  const out = home ? [] : [invalidField('involvedObject.namespace', where, 'does not match event.namespace')];
  if (!draft['eventTime']) return out;
  const controller = text(draft['reportingComponent']);
  out.push(
    ...(controller === ''
      ? [requiredField('reportingController')]
      : format.checkQualifiedName('reportingController', controller)),
  );
  for (const field of ['reportingInstance', 'action', 'reason']) out.push(...format.checkPresent(field, text(draft[field])));
  return out;
}

function checkStrict(draft: KubeObject): Cause[] {
  const type = text(draft['type']);
  const unset = ['firstTimestamp', 'lastTimestamp', 'count'].filter((field) => draft[field]);
  const source = draft['source'];
  if (text(at(source, 'component')) !== '' || text(at(source, 'host')) !== '') unset.push('source');
  return [
    ...checkSeries(draft),
    ...(draft['eventTime'] ? [] : [requiredField('eventTime')]),
    ...(type === 'Normal' || type === 'Warning' ? [] : [invalidField('type', '', `has invalid value: ${type}`)]),
    ...unset.map((field) => invalidField(field, '', 'needs to be unset')),
  ];
}

function checkSeries(draft: KubeObject): Cause[] {
  const series = draft['series'];
  if (!series) return [];
  const count = at(series, 'count');
  return [
    ...(typeof count === 'number' && count >= 2 ? [] : [invalidField('series.count', '', 'should be at least 2')]),
    ...(at(series, 'lastObservedTime') ? [] : [requiredField('series.lastObservedTime')]),
  ];
}

const kept = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'type',
  'eventTime',
  'action',
  'related',
  'reportingComponent',
  'reportingInstance',
];

function checkKept(draft: KubeObject, old: KubeObject): Cause[] {
  const changed = kept.filter((field) => !sameJson(draft[field], old[field]));
  const series = sameJson(draft['series'], old['series']) ? [] : checkSeries(draft);
  return [...series, ...changed.map((field) => invalidField(field, draft[field], 'field is immutable'))];
}
