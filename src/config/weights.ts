import { readDnsLabel } from './annotation-values.ts';
import type { AnnotationProblem } from './annotations.ts';

/** A port whose connections are shared out by weight, as its Service's author asks for it by AWS Load Balancer Controller's name. */
export interface Weights {
  readonly annotation: string;
  /** Of the listener. */
  readonly protocol: (typeof PROTOCOLS)[number];
  /** 1 to 65535. */
  readonly port: number;
  /** Of the Service's own target group, 0 to 999. */
  readonly weight: number;
  /** Clients stay with the target group that they were given first. Absent: not said. */
  readonly sticky?: boolean;
  /** At most 4. */
  readonly others: readonly WeightedTarget[];
}

/** Another Service of the namespace, by number or name of its port; or a target group that others made, by its ARN. */
export type WeightedTarget =
  | {
      readonly weight: number;
      readonly service: string;
      readonly port: number | string;
      /** A TLS listener sends there without TLS. */
      readonly decrypt: boolean;
    }
  | { readonly weight: number; readonly id: string };

/** Without `aws-load-balancer-`, as that controller spells it; a protocol and port follow: `TCP-80`. */
export const ACTIONS = 'service.beta.kubernetes.io/actions.';

const PROTOCOLS = ['TCP', 'UDP', 'TCP_UDP', 'TLS'] as const;
/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#default-actions */
const WEIGHT_MAX = 999;
/** Beside the Service's own: an action has at most 5. */
const OTHERS_MAX = 4;
/** A listener has one action, and an NLB has at most 50 listeners. */
const ACTIONS_MAX = 50;
const GROUP_ARN =
  /^arn:aws[a-z-]{0,12}:elasticloadbalancing:[a-z0-9-]{3,30}:\d{12}:targetgroup\/[A-Za-z0-9-]{1,32}\/[0-9a-f]{8,32}$/;
const SERVICE_FIELDS = ['serviceName', 'servicePort', 'weight', 'decrypt'];
const GROUP_FIELDS = ['targetGroupARN', 'weight'];

/** What is wrong at which place of the JSON. */
class Wrong extends Error {
  readonly value: unknown;

  constructor(place: string, value: unknown, allowed: string) {
    super(`${place} must be ${allowed}`);
    this.value = value;
  }
}

/** Reads them. Pure and total: of what is not valid nothing counts, and the first place that is wrong is named. */
export function readWeights(annotations: Readonly<Record<string, string>>): {
  readonly weights: readonly Weights[];
  readonly problems: readonly AnnotationProblem[];
} {
  const weights: Weights[] = [];
  const problems: AnnotationProblem[] = [];
  for (const annotation of Object.keys(annotations)) {
    if (!annotation.startsWith(ACTIONS) || weights.length + problems.length === ACTIONS_MAX) continue;
    try {
      weights.push(readAction(annotation, String(annotations[annotation])));
    } catch (thrown) {
      if (!(thrown instanceof Wrong)) throw thrown;
      problems.push({ annotation, value: show(thrown.value), message: thrown.message });
    }
  }
  return { weights, problems };
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function readAction(annotation: string, text: string): Weights {
  const suffix = annotation.slice(ACTIONS.length);
  const [, word, number = ''] = /^([A-Z_]+)-([1-9]\d{0,4})$/.exec(suffix) ?? [];
  const protocol = PROTOCOLS.find((one) => one === word);
  if (!protocol || Number(number) > 65_535) {
    throw new Wrong('what follows "actions."', suffix, `PROTOCOL-PORT, such as TCP-80, with ${PROTOCOLS.join(', ')}`);
  }
  const action = fieldsOf(parse(text), 'it', ['type', 'forwardConfig']);
  if (action['type'] !== 'forward') throw new Wrong('type', action['type'], '"forward"');
  const config = fieldsOf(action['forwardConfig'], 'forwardConfig', [
    'baseServiceWeight',
    'targetGroups',
    'targetGroupStickinessConfig',
  ]);
  const weight = readWeight(config['baseServiceWeight'], 'forwardConfig.baseServiceWeight');
  const sticky = readStickiness(config['targetGroupStickinessConfig']);
  const others = readTargets(config['targetGroups']);
  if (weight === 0 && others.every((one) => one.weight === 0)) {
    throw new Wrong('the sum of the weights', 0, 'at least 1');
  }
  return { annotation, protocol, port: Number(number), weight, ...(sticky === undefined ? {} : { sticky }), others };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Wrong('it', text, 'JSON: {"type": "forward", "forwardConfig": {…}}');
  }
}

function fieldsOf(value: unknown, place: string, allowed: readonly string[]): Readonly<Record<string, unknown>> {
  const all = allowed.join(', ');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Wrong(place, value, `an object of ${all}`);
  const stray = Object.keys(value).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw new Wrong(`a field of ${place === 'it' ? 'the action' : place}`, stray, `one of ${all}`);
  return value as Record<string, unknown>;
}

function readWeight(value: unknown, place: string): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= WEIGHT_MAX) return value as number;
  throw new Wrong(place, value, `a whole number from 0 to ${WEIGHT_MAX}`);
}

function readStickiness(value: unknown): boolean | undefined {
  if (value === undefined) return undefined;
  const { enabled } = fieldsOf(value, 'forwardConfig.targetGroupStickinessConfig', ['enabled']);
  if (enabled === undefined || typeof enabled === 'boolean') return enabled;
  throw new Wrong('forwardConfig.targetGroupStickinessConfig.enabled', enabled, 'true or false');
}

function readTargets(value: unknown): readonly WeightedTarget[] {
  const place = 'forwardConfig.targetGroups';
  if (!Array.isArray(value)) throw new Wrong(place, value, `a list of at most ${OTHERS_MAX}`);
  if (value.length > OTHERS_MAX)
    throw new Wrong(place, value.length, `a list of at most ${OTHERS_MAX}, beside the Service's own`);
  const targets = value.map((one, at) => readTarget(one, `${place}[${at}]`));
  const names = targets.map((one) => ('id' in one ? one.id : `${one.service}:${one.port}`));
  const twice = names.findIndex((name, at) => names.indexOf(name) < at);
  if (twice >= 0) throw new Wrong(`${place}[${twice}]`, names[twice], 'another one than those before');
  return targets;
}

function readTarget(value: unknown, place: string): WeightedTarget {
  const named = typeof value === 'object' && value !== null && Object.hasOwn(value, 'targetGroupARN');
  const fields = fieldsOf(value, place, named ? GROUP_FIELDS : SERVICE_FIELDS);
  const { serviceName, servicePort, targetGroupARN, decrypt = false } = fields;
  const weight = readWeight(fields['weight'], `${place}.weight`);
  if (named) {
    if (typeof targetGroupARN === 'string' && GROUP_ARN.test(targetGroupARN)) return { weight, id: targetGroupARN };
    throw new Wrong(`${place}.targetGroupARN`, targetGroupARN, 'the ARN of a target group');
  }
  const service = typeof serviceName === 'string' ? readDnsLabel(serviceName) : undefined;
  if (service === undefined) throw new Wrong(`${place}.serviceName`, serviceName, 'the name of a Service of this namespace');
  if (typeof decrypt !== 'boolean') throw new Wrong(`${place}.decrypt`, decrypt, 'true or false');
  return { weight, service, port: readPort(servicePort, `${place}.servicePort`), decrypt };
}

function readPort(value: unknown, place: string): number | string {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65_535) return port as number;
  if (typeof port === 'string' && readDnsLabel(port) !== undefined) return port;
  throw new Wrong(place, value, 'the number or the name of a port of that Service');
}
