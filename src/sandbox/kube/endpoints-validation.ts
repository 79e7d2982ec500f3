import { at, list, text } from '../../kube/objects.ts';
import { type Cause, duplicateField, invalidField, requiredField, unsupportedField } from './failure.ts';
import * as format from './formats.ts';
import { type KubeObject, sameJson } from './json.ts';

/** Defaults and faults of Endpoints and EndpointSlices. */

interface Subset {
  addresses?: { ip: string }[];
  notReadyAddresses?: { ip: string }[];
  ports?: EndpointPort[];
}

interface EndpointPort {
  name?: string;
  port?: number;
  protocol?: string;
}

function subsetsOf(draft: KubeObject): Subset[] {
  return (draft['subsets'] as Subset[] | undefined) ?? [];
}

export function fillEndpoints(draft: KubeObject): void {
  for (const subset of subsetsOf(draft)) for (const port of subset.ports ?? []) port.protocol ??= 'TCP';
}

const protocols = ['SCTP', 'TCP', 'UDP'];

export function checkEndpoints(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  if (old && sameJson(old['subsets'], draft['subsets'])) return [];
  return subsetsOf(draft).flatMap((subset, i) => {
    const field = `subsets[${i}]`;
    const addresses = (name: 'addresses' | 'notReadyAddresses'): Cause[] =>
      (subset[name] ?? []).flatMap(({ ip }, j) => format.checkEndpointIp(`${field}.${name}[${j}].ip`, ip));
    const empty = !subset.addresses && !subset.notReadyAddresses;
    return [
      ...(empty ? [requiredField(field, 'must specify `addresses` or `notReadyAddresses`')] : []),
      ...addresses('addresses'),
      ...addresses('notReadyAddresses'),
      ...(subset.ports ?? []).flatMap((port, j, all) => checkEndpointPort(`${field}.ports[${j}]`, port, all.length > 1)),
    ];
  });
}

function checkEndpointPort(field: string, port: EndpointPort, named: boolean): Cause[] {
  return [
    ...(named ? format.checkPresent(`${field}.name`, port.name) : []),
    ...(port.name ? format.checkLabelName(`${field}.name`, port.name) : []),
    ...format.checkPort(`${field}.port`, port.port ?? 0),
    ...(protocols.includes(port.protocol ?? '') ? [] : [unsupportedField(`${field}.protocol`, port.protocol, protocols)]),
  ];
}

function slicePorts(draft: KubeObject): EndpointPort[] {
  return (draft['ports'] as EndpointPort[] | null) ?? [];
}

export function fillSlice(draft: KubeObject): void {
  for (const port of slicePorts(draft)) {
    port.name ??= '';
    port.protocol ??= 'TCP';
  }
}

const families = ['FQDN', 'IPv4', 'IPv6'];

export function checkSlice(draft: KubeObject, old: KubeObject | undefined): Cause[] {
  const type = text(draft['addressType']);
  const endpoints = old && sameJson(old['endpoints'], draft['endpoints']) ? [] : list(draft['endpoints']);
  return [
    ...(type === ''
      ? [requiredField('addressType')]
      : families.includes(type)
        ? []
        : [unsupportedField('addressType', type, families)]),
    ...(old && old['addressType'] !== type ? [invalidField('addressType', type, 'field is immutable')] : []),
    ...slicePorts(draft).flatMap((port, i, all) => [
      ...(port.name ? format.checkLabelName(`ports[${i}].name`, port.name) : []),
      ...(all.findIndex((other) => other.name === port.name) < i ? [duplicateField(`ports[${i}].name`, port.name)] : []),
    ]),
    ...endpoints.flatMap((endpoint, i) => checkEndpoint(`endpoints[${i}]`, list(at(endpoint, 'addresses')), type)),
  ];
}

function checkEndpoint(field: string, addresses: readonly unknown[], type: string): Cause[] {
  if (addresses.length === 0) return [requiredField(`${field}.addresses`, 'must contain at least 1 address')];
  if (type === 'FQDN') return [];
  return addresses.flatMap((address, i) => {
    const ip = text(address);
    const wrongFamily = ip.includes(':') !== (type === 'IPv6');
    const own =
      wrongFamily && format.checkIp('', ip).length === 0
        ? [invalidField(`${field}.addresses`, ip, `must be an ${type} address`)]
        : [];
    return [...own, ...format.checkEndpointIp(`${field}.addresses[${i}]`, ip)];
  });
}
