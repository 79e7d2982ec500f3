import { BlockList, isIP, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { type Cause, invalidField, requiredField } from './failure.ts';

/** Texts with a shape: names, labels, addresses. Each check answers with the faults that it found. */

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const qualifiedText =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const keyText =
  "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const valueText =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

function shaped(field: string, value: string, limit: number, shape: RegExp, text: string): Cause[] {
  return [
    ...(value.length > limit ? [invalidField(field, value, `must be no more than ${limit} characters`)] : []),
    ...(shape.test(value) ? [] : [invalidField(field, value, text)]),
  ];
}

export function checkLabelName(field: string, value: string): Cause[] {
  return shaped(field, value, 63, LABEL, labelText);
}

export function checkSubdomain(field: string, value: string): Cause[] {
  return shaped(field, value, 253, SUBDOMAIN, subdomainText);
}

/** `name` or `prefix/name`, as of labels, finalizers and classes. */
export function checkQualifiedName(field: string, value: string): Cause[] {
  const parts = value.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length > 2)
    return [invalidField(field, value, `${keyText} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`)];
  if (name === '') return [invalidField(field, value, 'name part must be non-empty'), invalidField(field, value, qualifiedText)];
  const prefix =
    parts.length === 2
      ? checkSubdomain(field, parts[0] ?? '').map((cause) => ({
          ...cause,
          message: cause.message.replace(': ', ': prefix part '),
        }))
      : [];
  return [...prefix, ...shaped(field, name, 63, QUALIFIED, qualifiedText)];
}

export function checkLabels(field: string, labels: Readonly<Record<string, string>> | undefined): Cause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...checkQualifiedName(field, key),
    ...(value === '' ? [] : shaped(field, value, 63, QUALIFIED, valueText)),
  ]);
}

export function checkPort(field: string, value: number): Cause[] {
  return value >= 1 && value <= 65_535 ? [] : [invalidField(field, value, 'must be between 1 and 65535, inclusive')];
}

/** A port number or the name of a container's port. */
export function checkPortOrName(field: string, value: number | string): Cause[] {
  if (typeof value === 'number') return checkPort(field, value);
  const faults: string[] = [];
  if (value.length > 15) faults.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]+$/.test(value)) faults.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) faults.push('must contain at least one letter (a-z)');
  if (value.includes('--')) faults.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) faults.push('must not begin or end with a hyphen');
  return faults.map((fault) => invalidField(field, value, fault));
}

export function checkIp(field: string, value: string): Cause[] {
  return isIP(value) !== 0 ? [] : [invalidField(field, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')];
}

export function checkCidr(field: string, value: string): Cause[] {
  const [ip = '', prefix = '', ...more] = value.split('/');
  const bits = isIPv6(ip) ? 128 : 32;
  const valid = more.length === 0 && isIP(ip) !== 0 && /^(0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= bits;
  if (!valid) return [invalidField(field, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')];
  const base = ipaddr.parse(ip).toByteArray();
  const host = base.some((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, Number(prefix) - i * 8)))) !== 0);
  return host ? [invalidField(field, value, 'must not have bits set beyond the prefix length')] : [];
}

function rangeOf(...subnets: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[]): BlockList {
  const range = new BlockList();
  for (const [base, bits, family] of subnets) range.addSubnet(base, bits, family);
  return range;
}

const special: readonly (readonly [BlockList, string])[] = [
  [rangeOf(['0.0.0.0', 32, 'ipv4'], ['::', 128, 'ipv6']), 'may not be unspecified'],
  [rangeOf(['127.0.0.0', 8, 'ipv4'], ['::1', 128, 'ipv6']), 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  [
    rangeOf(['169.254.0.0', 16, 'ipv4'], ['fe80::', 10, 'ipv6']),
    'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
  ],
  [
    rangeOf(['224.0.0.0', 24, 'ipv4'], ['ff02::', 16, 'ipv6']),
    'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
  ],
];

/** An address that packets of a Service could be sent to. */
export function checkEndpointIp(field: string, value: string): Cause[] {
  if (isIP(value) === 0) return checkIp(field, value);
  const family = isIPv6(value) ? 'ipv6' : 'ipv4';
  return special
    .filter(([range]) => range.check(value, family))
    .map(([, text]) => invalidField(field, value, text === 'may not be unspecified' ? `${text} (${value})` : text));
}

export function checkPresent(field: string, value: string | undefined): Cause[] {
  return value ? [] : [requiredField(field)];
}
