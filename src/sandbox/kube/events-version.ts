import type { JsonMap } from './json.ts';

/** The two versions in which events are served, by the names of one and the same field. */
const names: readonly (readonly [core: string, events: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
];

const toCore = new Map(names.map(([core, events]) => [events, core]));
const toEvents = new Map(names);

function renamed(object: JsonMap, by: ReadonlyMap<string, string>, apiVersion: string): JsonMap {
  const entries = Object.entries(object).map(([key, value]) => [by.get(key) ?? key, value] as const);
  return { ...Object.fromEntries(entries), apiVersion };
}

export function eventToCore(event: JsonMap): JsonMap {
  return renamed(event, toCore, 'v1');
}

export function eventFromCore(event: JsonMap): JsonMap {
  const { reportingController, reportingInstance, ...rest } = renamed(event, toEvents, 'events.k8s.io/v1');
  return {
    ...rest,
    ...(reportingController ? { reportingController } : {}),
    ...(reportingInstance ? { reportingInstance } : {}),
  };
}
