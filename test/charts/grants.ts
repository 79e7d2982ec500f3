import { parse } from 'yaml';
import { calls } from '../../src/kube/api.ts';
import { readChartFile } from './chart.ts';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** The chart's blocks of rules, by their name. They are plain YAML, but for the name of the Lease. */
export function readBlocks(): ReadonlyMap<string, readonly Rule[]> {
  const define = /\{\{- define "nodeport-lb\.rights\.(\w+)" -\}\}\n([\s\S]*?)\{\{- end \}\}/g;
  const found = readChartFile('templates/_rights.tpl').matchAll(define);
  return new Map([...found].map(([, name = '', body = '']) => [name, parse(body.replaceAll(/\{\{.*?\}\}/g, 'x')) as Rule[]]));
}

/** `VERB GROUP/RESOURCE` for each right. */
export function grantsOf(some: readonly Rule[]): string[] {
  return some.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))),
  );
}

export interface Asked {
  readonly verb: string;
  /** Empty: the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
}

/** In the words of `grantsOf`. */
export function describeCall({ verb, group, resource, subresource = '' }: Asked): string {
  return `${verb} ${group}/${resource}${subresource === '' ? '' : `/${subresource}`}`;
}

/** What the program may ask for by its own table of calls. */
export function callsOfTable(): readonly string[] {
  return Object.values<Asked>(calls).map(describeCall);
}

export interface Verdict {
  /** Asked for, and not granted by the chart. */
  readonly tooFew: readonly string[];
  /** Granted, and never asked for. */
  readonly tooMany: readonly string[];
}

/** Holds what was asked for against what is granted. Pure. */
export function judgeRequests(asked: Iterable<string>, granted: Iterable<string>): Verdict {
  const [wanted, given] = [new Set(asked), new Set(granted)];
  const without = (some: ReadonlySet<string>, others: ReadonlySet<string>) => [...some].filter((one) => !others.has(one)).sort();
  return { tooFew: without(wanted, given), tooMany: without(given, wanted) };
}
