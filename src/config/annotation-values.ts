import { readAddress } from './addresses.ts';

/**
 * Readers of annotation values: text in, value out, `undefined` when the text is not valid. What is allowed stands in words in
 * `annotationTable`; the two are held together by the tests.
 */

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const LABEL_PREFIX = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const MAX_ADDRESSES = 16;
const MAX_LABELS = 16;
const MAX_PORT_MAP_ENTRIES = 10_000;

export function readName(text: string): string | undefined {
  return NAME.test(text) ? text : undefined;
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names */
export function readDnsLabel(text: string): string | undefined {
  return DNS_LABEL.test(text) ? text : undefined;
}

export function readChoice<const T extends string>(...allowed: readonly T[]): (text: string) => T | undefined {
  return (text) => allowed.find((one) => one === text.toLowerCase());
}

/** The spellings that Kubernetes' own booleans take. @see https://pkg.go.dev/strconv#ParseBool */
export function readBoolean(text: string): boolean | undefined {
  if (/^(1|t|true)$/i.test(text)) return true;
  return /^(0|f|false)$/i.test(text) ? false : undefined;
}

/** A whole number in plain decimal digits, both ends included. */
export function readWhole(least: number, most: number): (text: string) => number | undefined {
  return (text) => {
    if (!/^\d{1,9}$/.test(text)) return undefined;
    const value = Number(text);
    return value >= least && value <= most ? value : undefined;
  };
}

const readPort = readWhole(1, 65_535);

export function readCheckPort(text: string): number | 'traffic-port' | undefined {
  return text === 'traffic-port' ? text : readPort(text);
}

export function readPath(text: string): string | undefined {
  return /^\/[\x21-\x7e]{0,1023}$/.test(text) ? text : undefined;
}

/** Addresses in their usual spelling, each once. */
export function readAddresses(text: string): readonly string[] | undefined {
  const parts = text.split(/[\s,]+/, MAX_ADDRESSES + 2).filter((part) => part !== '');
  const addresses = parts.map((part) => readAddress(part)?.address);
  if (parts.length === 0 || parts.length > MAX_ADDRESSES || addresses.includes(undefined)) return undefined;
  return [...new Set(addresses as string[])];
}

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
export function isLabel(key: string, value: string): boolean {
  const slash = key.indexOf('/');
  const prefixFits = slash === -1 || LABEL_PREFIX.test(key.slice(0, slash));
  return prefixFits && NAME.test(key.slice(slash + 1)) && (value === '' || NAME.test(value));
}

/** `KEY=VALUE` pairs; a key given twice is an error. */
export function readLabels(text: string): Readonly<Record<string, string>> | undefined {
  const pairs = text.split(',', MAX_LABELS + 1).map((pair) => pair.trim().split('='));
  const valid = pairs.every(([key = '', value, ...more]) => value !== undefined && more.length === 0 && isLabel(key, value));
  const labels = Object.fromEntries(pairs);
  return valid && pairs.length <= MAX_LABELS && Object.keys(labels).length === pairs.length ? labels : undefined;
}

/** @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html */
export function readArn(text: string): string | undefined {
  const arn =
    /^arn:aws[a-z-]{0,20}:elasticloadbalancing:[a-z0-9-]{5,30}:\d{12}:loadbalancer\/net\/[A-Za-z0-9-]{1,32}\/[0-9a-f]{16}$/;
  return arn.test(text) ? text : undefined;
}

/**
 * Reads a node's `nodeport-lb.io/node-port-map`: `30123=127.0.0.1:49153,30124=[::1]:49154`, or `*=127.0.0.1` for every NodePort
 * under its own number.
 * @returns the entries that are valid, and the text of those that are not
 */
export function readNodePortMap(value: string): {
  readonly map: Readonly<Record<number, string>>;
  /** Where all NodePorts are published that `map` has not; undefined: nowhere. */
  readonly all?: string;
  readonly bad: readonly string[];
} {
  const map: Record<number, string> = {};
  const bad: string[] = [];
  let all: string | undefined;
  for (const entry of value.split(',', MAX_PORT_MAP_ENTRIES)) {
    if (entry.trim() === '') continue;
    const everywhere = readEverywhere(entry);
    if (everywhere !== undefined) {
      all ??= everywhere;
      continue;
    }
    const [, nodePort = '', host = '', port = ''] = /^\s*(\d+)=(\[[^\]]*\]|[^:]*):(\d+)\s*$/.exec(entry) ?? [];
    const address = readAddress(host.replace(/^\[(.*)\]$/, '$1'));
    const [from, to] = [readPort(nodePort), readPort(port)];
    if (from === undefined || to === undefined || !address) bad.push(entry.trim());
    else map[from] = address.family === 'IPv6' ? `[${address.address}]:${to}` : `${address.address}:${to}`;
  }
  return { map, ...(all === undefined ? {} : { all }), bad };
}

/** `*=ADDRESS`, with or without brackets. */
function readEverywhere(entry: string): string | undefined {
  const [, host] = /^\s*\*=([^\s=]+)\s*$/.exec(entry) ?? [];
  return host === undefined ? undefined : readAddress(host.replace(/^\[(.*)\]$/, '$1'))?.address;
}
