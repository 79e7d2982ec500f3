import { isIP, isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Code } from '../../errors.ts';
import { isPlainInterface, labelOf, type Placed } from './render.ts';

/** An address on an interface of this machine. */
export interface LinkAddress {
  readonly address: string;
  /** Length of the prefix, 0 to 128. */
  readonly prefix: number;
  /** IPv4 only; the interface's name, unless somebody chose another. */
  readonly label?: string;
}

export interface Link {
  readonly name: string;
  readonly addresses: readonly LinkAddress[];
}

/** Why an address is not on this machine, and never will be as things stand. */
export interface Failure {
  readonly code: Code;
  readonly message: string;
}

/** Reads `ip -j addr show`. Whatever is not as that command writes it is left out. */
export function readLinks(json: string): readonly Link[] {
  return listOf(parse(json)).flatMap((entry) => {
    const name = fieldOf(entry, 'ifname');
    return typeof name === 'string' ? [{ name, addresses: listOf(fieldOf(entry, 'addr_info')).flatMap(readAddress) }] : [];
  });
}

function readAddress(info: unknown): LinkAddress[] {
  const [address, prefix, label] = ['local', 'prefixlen', 'label'].map((name) => fieldOf(info, name));
  if (typeof address !== 'string' || isIP(address) === 0 || typeof prefix !== 'number') return [];
  return [{ address, prefix, ...(typeof label === 'string' ? { label } : {}) }];
}

/** The interface that has the address, whatever else it has. */
export function interfaceOf(links: readonly Link[], address: string): string | undefined {
  return links.find((link) => link.addresses.some((own) => own.address === address))?.name;
}

/**
 * Where an address goes: on the interface that was chosen, else on the one whose subnet it is in. It must not be there already
 * without being ours, for keepalived would take it away from whoever has put it there.
 * @param ours what the record says that was put on this machine's links by us
 */
export function placeVip(address: string, links: readonly Link[], ours: readonly Placed[], chosen?: string): Placed | Failure {
  const holder = interfaceOf(links, address);
  if (holder !== undefined && !isOurs(links, ours, address)) {
    return { code: 'AddressDuplicate', message: `${address} is on interface ${holder} of this machine, and not by us` };
  }
  const name = chosen ?? linkFor(address, links, ours);
  if (name === undefined) {
    return { code: 'AddressOffLink', message: `${address} is in no subnet of this machine's interfaces (${describe(links)})` };
  }
  if (!links.some((link) => link.name === name)) {
    return { code: 'InterfaceMissing', message: `there is no interface ${name} here for ${address} (${describe(links)})` };
  }
  if (!isPlainInterface(name)) {
    return { code: 'InterfaceMissing', message: `interface ${JSON.stringify(name)} has a name that keepalived does not take` };
  }
  return { address, interface: name };
}

/** What a dead agent or keepalived has left: addresses of the record, or with our label, and anchors. */
export function leftoversOf(links: readonly Link[], ours: readonly Placed[], anchors: readonly string[]): readonly Placed[] {
  return links.flatMap(({ name, addresses }) =>
    addresses
      .filter((own) => own.prefix === lengthOf(own.address))
      .filter(
        ({ address, label }) =>
          ours.some((one) => one.address === address && one.interface === name) ||
          (label !== undefined && label === labelOf(name)) ||
          (name === 'lo' && anchors.includes(address)),
      )
      .map(({ address }) => ({ address, interface: name })),
  );
}

function isOurs(links: readonly Link[], ours: readonly Placed[], address: string): boolean {
  return leftoversOf(links, ours, []).some((one) => one.address === address);
}

/** Of two interfaces with a subnet that fits, the one with the narrower; of equals the first. */
function linkFor(address: string, links: readonly Link[], ours: readonly Placed[]): string | undefined {
  let best: { name: string; prefix: number } | undefined;
  for (const { name, addresses } of links) {
    if (name === 'lo') continue;
    for (const own of addresses) {
      if (own.prefix >= lengthOf(own.address) || ours.some((one) => one.address === own.address)) continue;
      if (within(address, own) && own.prefix > (best?.prefix ?? -1)) best = { name, prefix: own.prefix };
    }
  }
  return best?.name;
}

/** Of the addresses those that are in a subnet of one of the interfaces, by interface. */
export function neighboursOn(links: readonly Link[], addresses: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    links.map(({ name, addresses: own }) => {
      const subnets = own.filter((one) => one.prefix < lengthOf(one.address));
      return [name, addresses.filter((address) => subnets.some((subnet) => within(address, subnet)))];
    }),
  );
}

function within(address: string, subnet: LinkAddress): boolean {
  if (isIPv4(address) !== isIPv4(subnet.address)) return false;
  return ipaddr.parse(address).match(ipaddr.parse(subnet.address), subnet.prefix);
}

function lengthOf(address: string): number {
  return isIPv4(address) ? 32 : 128;
}

const SHOWN = 8;

function describe(links: readonly Link[]): string {
  const names = links.filter(({ name }) => name !== 'lo').map(({ name }) => name);
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return names.length === 0 ? 'there are none' : `there are: ${names.slice(0, SHOWN).join(', ')}${more}`;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json === '' ? '[]' : json);
  } catch {
    return [];
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
