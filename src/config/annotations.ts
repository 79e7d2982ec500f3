import {
  type AnnotationName,
  AWS_PREFIX,
  annotationTable,
  awsAnnotationNames,
  awsSuffixedNames,
  ownAnnotations,
  PREFIX,
} from './annotation-table.ts';
import {
  readAddresses,
  readArn,
  readBoolean,
  readCheckPort,
  readChoice,
  readDnsLabel,
  readLabels,
  readName,
  readPath,
  readWhole,
} from './annotation-values.ts';
import { readTargetNodeLabels } from './aws-annotations.ts';
import { lintAws, whyWithoutEffect } from './aws-lint.ts';
import { findForeign, listForeign } from './foreign-annotations.ts';
import { editDistance, nearestName } from './nearest.ts';
import { readWeights, type Weights } from './weights.ts';

/** What a Service's author asks for by annotations. A value that is not valid counts as not set and is named in `problems`. */
export interface Annotations {
  readonly share?: string;
  /** In their usual spelling; empty: none asked for. */
  readonly addresses: readonly string[];
  readonly pool?: string;
  readonly proxyProtocol?: 'v1' | 'v2';
  readonly retry?: boolean;
  readonly healthCheck: {
    readonly protocol?: 'tcp' | 'http';
    readonly port?: number | 'traffic-port';
    readonly path?: string;
    readonly intervalSeconds?: number;
    readonly timeoutSeconds?: number;
    readonly healthyThreshold?: number;
    readonly unhealthyThreshold?: number;
  };
  readonly drainSeconds?: number;
  readonly idleTimeoutSeconds?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly publish: 'auto' | 'ip' | 'hostname';
  readonly retain: boolean;
  readonly allowDisruption: boolean;
  readonly awsLoadBalancerArn?: string;
  /** Ports whose connections other Services get a share of. */
  readonly weights: readonly Weights[];
  readonly problems: readonly AnnotationProblem[];
  readonly warnings: readonly AnnotationWarning[];
  /** Annotations of other controllers, and what they mean here where that is not what all of them would mean. */
  readonly understood: readonly AnnotationWarning[];
}

/** An annotation that is set to something that it cannot mean. */
export interface AnnotationProblem {
  readonly annotation: string;
  readonly value: string;
  /** What is allowed. */
  readonly message: string;
}

/** An annotation that has no effect. */
export interface AnnotationWarning {
  readonly annotation: string;
  readonly message: string;
  /** The valid name that was most likely meant. */
  readonly nearest?: string;
}

/** An object may have thousands of annotations; more complaints than this help nobody. */
const MAX_COMPLAINTS = 20;
const MAX_SHOWN_VALUE = 80;

const ownNames: readonly string[] = Object.values(ownAnnotations);
const awsNames = [...awsAnnotationNames, ...awsSuffixedNames];

/**
 * Reads the annotations of a Service. Pure, and never throws, whatever is in them.
 * @param provider when known, annotations that only another provider reads are named as ignored
 */
export function readAnnotations(annotations: Readonly<Record<string, string>>, provider?: string): Annotations {
  const problems: AnnotationProblem[] = [];
  const read = <T>(name: AnnotationName, reader: (text: string) => T | undefined): T | undefined => {
    const own = Object.hasOwn(annotations, PREFIX + name) ? annotations[PREFIX + name] : undefined;
    const foreign = own === undefined && provider === 'local' && isForeign(name) ? findForeign(annotations, name) : undefined;
    const text = own ?? foreign?.value;
    if (typeof text !== 'string') return undefined;
    const value = reader(text.trim());
    if (value === undefined) problems.push(complain(foreign?.annotation ?? PREFIX + name, text, annotationTable[name].allowed));
    return value;
  };
  const values = {
    ...defined('share', read('share', readDnsLabel)),
    addresses: read('addresses', readAddresses) ?? [],
    ...defined('pool', read('pool', readName)),
    ...defined('proxyProtocol', read('proxy-protocol', readChoice('v1', 'v2'))),
    ...defined('retry', read('retry', readBoolean)),
    healthCheck: readHealthCheck(read),
    ...defined('drainSeconds', read('drain-seconds', readWhole(0, 3600))),
    ...defined('idleTimeoutSeconds', read('idle-timeout-seconds', readWhole(0, 86_400))),
    ...defined('nodeSelector', readAwsLabels(annotations, provider) ?? read('node-selector', readLabels)),
    publish: read('publish', readChoice('auto', 'ip', 'hostname')) ?? 'auto',
    retain: read('retain', readBoolean) ?? false,
    allowDisruption: read('allow-disruption', readBoolean) ?? false,
    ...defined('awsLoadBalancerArn', read('aws-load-balancer-arn', readArn)),
  };
  const { weights, problems: unweighable } = readWeights(annotations);
  problems.push(...unweighable);
  const { intervalSeconds, timeoutSeconds } = values.healthCheck;
  if (intervalSeconds !== undefined && timeoutSeconds !== undefined && timeoutSeconds > intervalSeconds) {
    const annotation = `${PREFIX}health-check-timeout-seconds`;
    problems.push(complain(annotation, String(timeoutSeconds), `at most the interval, ${intervalSeconds}`));
  }
  return {
    ...values,
    weights,
    problems,
    warnings: findWarnings(annotations, provider),
    understood: [...describeForeign(annotations, provider), ...(provider === 'aws' ? lintAws(annotations) : [])],
  };
}

/** Whether nodes are chosen by labels, however they are written: what is not valid is in no `nodeSelector`. */
export function selectsNodes(annotations: Readonly<Record<string, string>>): boolean {
  return Object.keys(annotations).some((name) => /(?:\/node-selector|-target-node-labels)$/.test(name));
}

function isForeign(name: AnnotationName): name is 'addresses' | 'pool' | 'share' {
  return name === 'addresses' || name === 'pool' || name === 'share';
}

function describeForeign(annotations: Readonly<Record<string, string>>, provider: string | undefined): AnnotationWarning[] {
  const all = listForeign(annotations).filter(({ meaning }) => provider === 'local' || meaning === 'share');
  return all.map(({ annotation, meaning, value }) => {
    const own = PREFIX + meaning;
    const first = all.find((other) => other.meaning === meaning)?.annotation;
    if (Object.hasOwn(annotations, own)) return { annotation, message: `has no effect beside ${own}` };
    if (first !== annotation) return { annotation, message: `has no effect beside ${first}` };
    if (value === undefined)
      return { annotation, message: `asks for an address from DHCP, which is not done here; it has no effect` };
    return { annotation, message: `is read as ${own}: ${JSON.stringify(value.slice(0, MAX_SHOWN_VALUE))}; better write that` };
  });
}

/** An AWS annotation beats its twin of ours. */
function readAwsLabels(annotations: Readonly<Record<string, string>>, provider: string | undefined): Annotations['nodeSelector'] {
  return provider === 'aws' ? readTargetNodeLabels(annotations) : undefined;
}

type Read = <T>(name: AnnotationName, reader: (text: string) => T | undefined) => T | undefined;

function readHealthCheck(read: Read): Annotations['healthCheck'] {
  return {
    ...defined('protocol', read('health-check-protocol', readChoice('tcp', 'http'))),
    ...defined('port', read('health-check-port', readCheckPort)),
    ...defined('path', read('health-check-path', readPath)),
    ...defined('intervalSeconds', read('health-check-interval-seconds', readWhole(1, 300))),
    ...defined('timeoutSeconds', read('health-check-timeout-seconds', readWhole(1, 120))),
    ...defined('healthyThreshold', read('health-check-healthy-threshold', readWhole(1, 10))),
    ...defined('unhealthyThreshold', read('health-check-unhealthy-threshold', readWhole(1, 10))),
  };
}

function complain(annotation: string, value: string, allowed: string): AnnotationProblem {
  const shown = value.length > MAX_SHOWN_VALUE ? `${value.slice(0, MAX_SHOWN_VALUE)}…` : value;
  return { annotation, value: shown, message: `must be ${allowed}` };
}

function findWarnings(annotations: Readonly<Record<string, string>>, provider: string | undefined): AnnotationWarning[] {
  const warnings: AnnotationWarning[] = [];
  for (const annotation of Object.keys(annotations)) {
    if (warnings.length === MAX_COMPLAINTS) break;
    const warning = judgeName(annotation, provider);
    if (warning) warnings.push(warning);
  }
  return warnings;
}

function judgeName(annotation: string, provider: string | undefined): AnnotationWarning | undefined {
  if (annotation.startsWith(PREFIX)) return judgeOurs(annotation, provider);
  if (annotation.startsWith(AWS_PREFIX)) return judgeAws(annotation, provider);
  const slash = annotation.indexOf('/');
  const prefix = annotation.slice(0, slash + 1);
  if (slash <= 0 || !isSlip(prefix)) return undefined;
  return unknown(annotation, nearestOurs(annotation.slice(slash + 1)));
}

/** Only a prefix that is up to three letters off (`nodeport-lb/`) is a slip; others are somebody else's. */
function isSlip(prefix: string): boolean {
  return Math.abs(prefix.length - PREFIX.length) <= 3 && editDistance(prefix, PREFIX) <= 3;
}

function nearestOurs(name: string): string | undefined {
  const nearest = nearestName(name, Object.keys(annotationTable));
  return nearest === undefined ? undefined : PREFIX + nearest;
}

function judgeOurs(annotation: string, provider: string | undefined): AnnotationWarning | undefined {
  const name = annotation.slice(PREFIX.length);
  if (annotation === ownAnnotations.nodePortMap)
    return { annotation, message: 'is read from nodes only, and has no effect here' };
  if (ownNames.includes(annotation)) return undefined;
  if (!Object.hasOwn(annotationTable, name)) return unknown(annotation, nearestOurs(name));
  const { readBy } = annotationTable[name as AnnotationName];
  return readBy === 'all' ? undefined : judgeReader(annotation, readBy, provider);
}

function judgeAws(annotation: string, provider: string | undefined): AnnotationWarning | undefined {
  const name = annotation.slice(AWS_PREFIX.length);
  const stem = name.slice(0, name.indexOf('.'));
  const idle = provider === 'aws' ? whyWithoutEffect(name) : undefined;
  if (idle !== undefined) return { annotation, message: idle };
  if (awsAnnotationNames.includes(name) || awsSuffixedNames.includes(stem)) return judgeReader(annotation, 'aws', provider);
  const nearest = nearestName(name, awsNames);
  return unknown(annotation, nearest === undefined ? undefined : AWS_PREFIX + nearest);
}

/** A provider that the table does not know (a third party's, or none) may read whatever it likes. */
function judgeReader(annotation: string, reader: string, provider: string | undefined): AnnotationWarning | undefined {
  if ((provider !== 'local' && provider !== 'aws') || provider === reader) return undefined;
  return { annotation, message: `is read by provider ${reader} only; provider ${provider} ignores it` };
}

function unknown(annotation: string, nearest: string | undefined): AnnotationWarning {
  if (nearest === undefined) return { annotation, message: 'is not known, and has no effect' };
  return { annotation, message: `is not known, and has no effect; did you mean ${nearest}?`, nearest };
}

function defined<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: T });
}
