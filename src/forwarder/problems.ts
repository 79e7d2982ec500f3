import { BlockList, isIP } from 'node:net';
import type { ListenFailure, RuleListener, RuleNode } from './rules.ts';

/** Pure. What is wrong with a listener, each as a sentence; empty: nothing. A wrong listener is reported failed, the rest are served. */
export function listenerProblems(listener: RuleListener): string[] {
  const problems: string[] = [];
  const { address, port, nodePort, nodeSet, drainMs, idleMs, affinitySeconds, proxyProtocol, sourceRanges } = listener;
  demand(problems, isIP(address) !== 0, 'address', address, 'an IP address');
  demand(problems, isPort(port, 0), 'port', port, 'from 0 to 65535');
  demand(problems, isPort(nodePort, 1), 'nodePort', nodePort, 'from 1 to 65535');
  demand(problems, typeof nodeSet === 'string', 'nodeSet', nodeSet, 'the name of a node set');
  demand(problems, isDuration(drainMs), 'drainMs', drainMs, 'milliseconds from 0');
  demand(problems, isDuration(idleMs), 'idleMs', idleMs, 'milliseconds from 0');
  const isTime = affinitySeconds === undefined || isDuration(affinitySeconds);
  demand(problems, isTime, 'affinitySeconds', affinitySeconds, 'seconds from 0');
  demand(problems, isProxyProtocol(proxyProtocol), 'proxyProtocol', proxyProtocol, 'v1 or v2');
  findRangeProblems(problems, sourceRanges);
  findCheckProblems(problems, listener);
  return problems;
}

function demand(problems: string[], isGood: boolean, field: string, value: unknown, wanted: string): void {
  if (!isGood) problems.push(`${field} ${show(value)} must be ${wanted}`);
}

/** Pure. What is wrong with a node; its good addresses are used nevertheless. */
export function nodeProblems(node: RuleNode): string[] {
  const addresses: readonly unknown[] = Array.isArray(node.addresses) ? node.addresses : [];
  const bad = addresses.filter((address) => typeof address !== 'string' || !isIP(address));
  const mapped = Object.entries(node.portMap ?? {}).filter(([, to]) => parseEndpoint(to) === undefined);
  return [
    ...(addresses.length > 0 ? [] : ['addresses must have at least one IP address']),
    ...bad.map((address) => `address ${show(address)} must be an IP address`),
    ...(node.port === undefined || isPort(node.port, 1) ? [] : [`port ${show(node.port)} must be from 1 to 65535`]),
    ...mapped.map(([port, to]) => `portMap ${port}: ${show(to)} must be ADDRESS:PORT`),
  ];
}

/** `10.0.0.1:80` or `[fd00::1]:80`; undefined when it is neither. */
export function parseEndpoint(text: unknown): { address: string; port: number } | undefined {
  const match = typeof text === 'string' ? /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) : null;
  const address = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return address !== undefined && isIP(address) && isPort(port, 1) ? { address, port } : undefined;
}

/** The inverse of `parseEndpoint`. */
export function formatEndpoint(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** @returns undefined when every client is allowed. @throws when a range is no CIDR */
export function allowedSources(ranges: readonly string[]): BlockList | undefined {
  if (ranges.length === 0) return undefined;
  const allowed = new BlockList();
  for (const range of ranges) {
    const [address, bits] = splitRange(range);
    allowed.addSubnet(address, bits, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return allowed;
}

/** @param allowed undefined: every client is */
export function isAllowed(allowed: BlockList | undefined, address: string): boolean {
  if (!allowed) return true;
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  const family = isIP(plain);
  return family !== 0 && allowed.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}

function findRangeProblems(problems: string[], ranges: unknown): void {
  if (!Array.isArray(ranges)) {
    problems.push('sourceRanges must be a list of CIDRs');
    return;
  }
  for (const range of ranges) {
    try {
      splitRange(range);
    } catch {
      problems.push(`source range ${show(range)} must be a CIDR such as 10.0.0.0/8`);
    }
  }
}

function splitRange(range: unknown): [string, number] {
  const match = typeof range === 'string' ? /^\s*([^/\s]+)\/(\d{1,3})\s*$/.exec(range) : null;
  const address = match?.[1] ?? '';
  const bits = Number(match?.[2]);
  const family = isIP(address);
  if (!family || !(bits <= (family === 6 ? 128 : 32))) throw new RangeError(`${show(range)} is no CIDR`);
  return [address, bits];
}

const checkKinds: Readonly<Record<string, readonly unknown[]>> = {
  TCP: ['nodePort', 'tcp', 'http'],
  UDP: ['nodePort', 'tcp', 'http', 'none'],
  SCTP: ['nodePort', 'tcp', 'http', 'none'],
};

/** Of thousands of checks nearly all say nothing beyond their kind. */
function findCheckProblems(problems: string[], { check, protocol }: RuleListener): void {
  const kinds = checkKinds[protocol] ?? [];
  if (typeof check !== 'object' || check === null || !kinds.includes(check.kind)) {
    problems.push(`check.kind must be one of ${kinds.join(', ')}`);
    return;
  }
  const { port, path, intervalMs, timeoutMs, rise, fall } = check;
  demand(problems, port === undefined || isPort(port, 1), 'check.port', port, 'from 1 to 65535');
  demand(problems, path === undefined || /^\/[!-~]*$/.test(path), 'check.path', path, 'a path: it begins with /');
  demand(problems, isTimeLimit(intervalMs), 'check.intervalMs', intervalMs, 'milliseconds greater than 0');
  demand(problems, isTimeLimit(timeoutMs), 'check.timeoutMs', timeoutMs, 'milliseconds greater than 0');
  demand(problems, rise === undefined || isCount(rise), 'check.rise', rise, 'from 1 to 100');
  demand(problems, fall === undefined || isCount(fall), 'check.fall', fall, 'from 1 to 100');
}

function isTimeLimit(value: unknown): boolean {
  return value === undefined || (isDuration(value) && value > 0);
}

function isProxyProtocol(value: unknown): boolean {
  return value === undefined || value === 'v1' || value === 'v2';
}

function isPort(value: unknown, least: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= 65535;
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 100;
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

/** Pure. Why a listener cannot be served at all. */
export function listenerFault(
  rule: RuleListener,
  hasKernel: boolean,
): { readonly code: ListenFailure; readonly message: string } | undefined {
  const carried: readonly string[] = hasKernel ? ['TCP', 'UDP', 'SCTP'] : ['TCP', 'UDP'];
  if (!carried.includes(rule.protocol)) {
    const message = `${String(rule.protocol)} is not forwarded in userspace, only TCP and UDP; SCTP is in the nftables data path`;
    return { code: 'ProtocolUnsupported', message };
  }
  if (rule.protocol !== 'TCP' && rule.proxyProtocol !== undefined) {
    const message =
      'the PROXY protocol is for TCP: servers do not read it in datagrams, and without it they would not see their clients';
    return { code: 'ProtocolUnsupported', message };
  }
  const problems = listenerProblems(rule);
  return problems.length > 0 ? { code: 'SyncFailed', message: problems.join('; ') } : undefined;
}
