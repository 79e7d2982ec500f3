import { readAddress } from './addresses.ts';
import { AWS_PREFIX } from './annotation-table.ts';
import { isLabel, readBoolean, readChoice, readWhole } from './annotation-values.ts';
import type { AnnotationProblem } from './annotations.ts';

/** What the author of a Service asks of an NLB by the names that the established AWS controllers read. Unset: not said. */
export interface AwsAnnotations {
  readonly name?: string;
  readonly scheme?: 'internal' | 'internet-facing';
  /** The Service carries the marks of AWS Load Balancer Controller, whose default scheme is `internal`. */
  readonly marked: boolean;
  readonly ipAddressType?: 'ipv4' | 'dualstack';
  /** Ids or Name tags. */
  readonly subnets: readonly string[];
  readonly eipAllocations: readonly string[];
  readonly privateIpv4: readonly string[];
  readonly ipv6Addresses: readonly string[];
  readonly ipv6SourceNat?: 'on' | 'off';
  /** One for each subnet: a /80, or `auto_assigned`. */
  readonly ipv6SourceNatPrefixes: readonly string[];
  /** Ids or Name tags; empty: a managed group. */
  readonly securityGroups: readonly string[];
  readonly manageBackendRules?: boolean;
  readonly withoutSecurityGroups: boolean;
  readonly privateLinkRules?: 'on' | 'off';
  readonly sourceRanges: readonly string[];
  readonly prefixLists: readonly string[];
  readonly icmpForPathMtu: boolean;
  readonly groupAttributes: Attributes;
  /** Others register targets in its target groups, too, and those stay. */
  readonly multiCluster: boolean;
  /** By Service port, as number or name. */
  readonly groupAttributesByPort: Readonly<Record<string, Attributes>>;
  /** `all`, or the Service ports that have it. */
  readonly proxyProtocol?: 'all' | readonly string[];
  readonly attributes: Attributes;
  /** By `PROTOCOL-PORT`. */
  readonly listenerAttributes: Readonly<Record<string, Attributes>>;
  readonly certificates: readonly string[];
  /** Names and numbers of Service ports; undefined: all of them. */
  readonly tlsPorts?: readonly string[];
  readonly tlsPolicy?: string;
  readonly backendTls: boolean;
  readonly alpnPolicy?: string;
  readonly tags: Attributes;
  readonly healthCheck: AwsHealthCheck;
  /** Load balancer capacity units; 0 gives the reservation back. */
  readonly capacityUnits?: number;
  readonly problems: readonly AnnotationProblem[];
  /** What instance targets, the API or this version cannot do, by the annotation that asks for it. */
  readonly unsupported: readonly { readonly annotation: string; readonly why: string }[];
}

export type Attributes = Readonly<Record<string, string>>;

export interface AwsHealthCheck {
  readonly protocol?: 'TCP' | 'HTTP' | 'HTTPS';
  /** A number, `traffic-port`, or the name of a Service port. */
  readonly port?: string;
  readonly path?: string;
  readonly intervalSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly healthyThreshold?: number;
  readonly unhealthyThreshold?: number;
  readonly successCodes?: string;
}

/** Without `aws-`, as Kubernetes' own controllers spell it. */
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';
const MAX_LIST = 100;
/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/tls-listener-certificates.html */
const CERTIFICATE =
  /^arn:aws[a-z-]{0,12}:(acm:[a-z0-9-]{3,30}:\d{12}:certificate\/[A-Za-z0-9-]{1,64}|iam::\d{12}:server-certificate\/[\w+=.@/-]{1,600})$/;
const ALPN = ['HTTP1Only', 'HTTP2Only', 'HTTP2Optional', 'HTTP2Preferred', 'None'] as const;

/** Names that are known and that an NLB with instance targets has no use for; each is refused with its reason. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  'quic-enabled-ports': 'QUIC listeners need ip targets',
};

/** Reads them. Pure and total: what is not valid counts as not set and is named in `problems`. */
export function readAwsAnnotations(annotations: Readonly<Record<string, string>>): AwsAnnotations {
  const desk = new Desk(annotations);
  const type = desk.text('type');
  const target = desk.text('nlb-target-type');
  const internal = desk.read('internal', 'true or false', readBoolean);
  const proxy = desk.read('proxy-protocol', '*', readChoice('*'));
  const proxyPorts = desk.list('proxy-protocol-per-target-group');
  const scheme =
    desk.read('scheme', 'internal or internet-facing', readChoice('internal', 'internet-facing')) ??
    (internal === undefined ? undefined : internal ? 'internal' : 'internet-facing');
  const labels = desk.map('target-node-labels');
  desk.refuse(
    'target-node-labels',
    Object.entries(labels).every(([key, value]) => isLabel(key, value)),
    'KEY=VALUE labels',
  );
  const readName = (text: string): string | undefined =>
    /^(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$/.test(text) ? text : undefined;
  return {
    ...given('name', desk.read('name', '1 to 32 letters, digits and "-", not beginning with "internal-"', readName)),
    ...given('scheme', scheme),
    marked: type === 'external' || type === 'nlb-ip' || target !== undefined,
    ...given('ipAddressType', desk.read('ip-address-type', 'ipv4 or dualstack', readChoice('ipv4', 'dualstack'))),
    subnets: desk.list('subnets'),
    eipAllocations: desk.list('eip-allocations'),
    privateIpv4: desk.list('private-ipv4-addresses', isFamily('IPv4'), 'IPv4 addresses, separated by commas'),
    ipv6Addresses: desk
      .list('ipv6-addresses', isFamily('IPv6'), 'IPv6 addresses, separated by commas')
      .map((text) => readAddress(text)?.address ?? text),
    ...given('ipv6SourceNat', desk.read('enable-prefix-for-ipv6-source-nat', 'on or off', readChoice('on', 'off'))),
    ipv6SourceNatPrefixes: desk.list('source-nat-ipv6-prefixes'),
    securityGroups: desk.list('security-groups'),
    ...given('manageBackendRules', desk.boolean('manage-backend-security-group-rules')),
    withoutSecurityGroups: desk.boolean('disable-nlb-sg') ?? false,
    ...given('privateLinkRules', desk.read('inbound-sg-rules-on-private-link-traffic', 'on or off', readChoice('on', 'off'))),
    sourceRanges: desk.listOf(SOURCE_RANGES, isCidr, 'CIDRs, separated by commas'),
    prefixLists: desk.list('security-group-prefix-lists', (text) => /^pl-[0-9a-z]{1,40}$/.test(text), 'prefix list ids (pl-…)'),
    icmpForPathMtu: desk.read('enable-icmp-for-path-mtu-discovery', 'on or off', readChoice('on', 'off')) === 'on',
    groupAttributes: desk.map('target-group-attributes'),
    multiCluster: desk.boolean('multi-cluster-target-group') ?? false,
    groupAttributesByPort: desk.maps('target-group-attributes.'),
    ...given('proxyProtocol', proxy ? ('all' as const) : proxyPorts.length > 0 ? proxyPorts : undefined),
    attributes: { ...readLegacyAttributes(desk), ...desk.map('attributes') },
    listenerAttributes: desk.maps('listener-attributes.'),
    certificates: desk.list('ssl-cert', (text) => CERTIFICATE.test(text), 'ARNs of certificates of ACM or IAM'),
    ...given('tlsPorts', tlsPorts(desk)),
    ...given('tlsPolicy', desk.text('ssl-negotiation-policy')),
    backendTls: desk.read('backend-protocol', 'ssl or tcp', readChoice('ssl', 'tcp')) === 'ssl',
    ...given(
      'alpnPolicy',
      desk.read('alpn-policy', ALPN.join(', '), (text) => ALPN.find((one) => one === text)),
    ),
    tags: desk.map('additional-resource-tags'),
    healthCheck: readHealthCheck(desk),
    ...given('capacityUnits', desk.read('minimum-load-balancer-capacity', 'CapacityUnits=N', readCapacity)),
    problems: desk.problems,
    unsupported: [...desk.unsupported(), ...refuseTargetType(type, target)],
  };
}

/** The label selector of `target-node-labels`; undefined when it is not set or not valid (which `readAwsAnnotations` names). */
export function readTargetNodeLabels(annotations: Readonly<Record<string, string>>): Attributes | undefined {
  const labels = new Desk(annotations).map('target-node-labels');
  return Object.keys(labels).length > 0 && Object.entries(labels).every(([key, value]) => isLabel(key, value))
    ? labels
    : undefined;
}

function readHealthCheck(desk: Desk): AwsHealthCheck {
  const protocol = desk.read('healthcheck-protocol', 'tcp, http or https', readChoice('tcp', 'http', 'https'));
  return {
    ...given('protocol', protocol?.toUpperCase() as AwsHealthCheck['protocol']),
    ...given('port', desk.text('healthcheck-port')),
    ...given(
      'path',
      desk.read('healthcheck-path', 'a path that begins with "/"', (text) =>
        /^\/[\x21-\x7e]{0,1023}$/.test(text) ? text : undefined,
      ),
    ),
    ...given('intervalSeconds', desk.read('healthcheck-interval', '5 to 300', readWhole(5, 300))),
    ...given('timeoutSeconds', desk.read('healthcheck-timeout', '2 to 120', readWhole(2, 120))),
    ...given('healthyThreshold', desk.read('healthcheck-healthy-threshold', '2 to 10', readWhole(2, 10))),
    ...given('unhealthyThreshold', desk.read('healthcheck-unhealthy-threshold', '2 to 10', readWhole(2, 10))),
    ...given(
      'successCodes',
      desk.read('healthcheck-success-codes', 'codes and ranges, such as 200-399', (text) =>
        /^\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*$/.test(text) ? text : undefined,
      ),
    ),
  };
}

/** The names that `attributes` has replaced. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html */
function readLegacyAttributes(desk: Desk): Attributes {
  const enabled = desk.boolean('access-log-enabled');
  const bucket = desk.text('access-log-s3-bucket-name');
  const prefix = desk.text('access-log-s3-bucket-prefix');
  const crossZone = desk.boolean('cross-zone-load-balancing-enabled');
  return {
    ...given('load_balancing.cross_zone.enabled', crossZone === undefined ? undefined : String(crossZone)),
    ...given('access_logs.s3.enabled', enabled === undefined ? undefined : String(enabled)),
    ...given('access_logs.s3.bucket', bucket),
    ...given('access_logs.s3.prefix', prefix),
  };
}

/** `*` means every port, as the in-tree provider has it; AWS Load Balancer Controller matches nothing with it. */
function tlsPorts(desk: Desk): readonly string[] | undefined {
  const ports = desk.list('ssl-ports');
  return ports.length === 0 || ports.includes('*') ? undefined : ports;
}

function refuseTargetType(type: string | undefined, target: string | undefined): AwsAnnotations['unsupported'] {
  const why = 'targets are instances at their NodePorts, never pod addresses';
  if (target !== undefined && target !== 'instance') return [{ annotation: `${AWS_PREFIX}nlb-target-type`, why }];
  return type === 'nlb-ip' ? [{ annotation: `${AWS_PREFIX}type`, why }] : [];
}

function readCapacity(text: string): number | undefined {
  const [, units = ''] = /^CapacityUnits=(\d{1,6})$/.exec(text) ?? [];
  return units === '' ? undefined : Number(units);
}

function isFamily(family: 'IPv4' | 'IPv6'): (text: string) => boolean {
  return (text) => readAddress(text)?.family === family;
}

function isCidr(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/');
  const family = readAddress(address)?.family;
  return (
    rest.length === 0 && family !== undefined && /^\d{1,3}$/.test(length) && Number(length) <= (family === 'IPv4' ? 32 : 128)
  );
}

function given<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: T });
}

/** Reads one annotation after the other and gathers what is wrong. */
class Desk {
  readonly problems: AnnotationProblem[] = [];
  readonly #annotations: Readonly<Record<string, string>>;

  constructor(annotations: Readonly<Record<string, string>>) {
    this.#annotations = annotations;
  }

  text(name: string): string | undefined {
    return this.#at(AWS_PREFIX + name);
  }

  boolean(name: string): boolean | undefined {
    return this.read(name, 'true or false', readBoolean);
  }

  read<T>(name: string, allowed: string, reader: (text: string) => T | undefined): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = reader(text);
    if (value === undefined) this.#complain(AWS_PREFIX + name, text, allowed);
    return value;
  }

  list(name: string, fits?: (text: string) => boolean, allowed?: string): readonly string[] {
    return this.listOf(AWS_PREFIX + name, fits, allowed);
  }

  listOf(annotation: string, fits: (text: string) => boolean = () => true, allowed = 'a list'): readonly string[] {
    const text = this.#at(annotation);
    const parts = (text ?? '')
      .split(',', MAX_LIST)
      .map((part) => part.trim())
      .filter((part) => part !== '');
    const wrong = parts.find((part) => !fits(part));
    if (wrong !== undefined) this.#complain(annotation, wrong, allowed);
    return wrong === undefined ? parts : [];
  }

  map(name: string): Attributes {
    return this.#mapOf(AWS_PREFIX + name);
  }

  /** Every annotation that begins so, by what follows. */
  maps(prefix: string): Readonly<Record<string, Attributes>> {
    const names = Object.keys(this.#annotations).filter((name) => name.startsWith(AWS_PREFIX + prefix));
    return Object.fromEntries(names.map((name) => [name.slice((AWS_PREFIX + prefix).length), this.#mapOf(name)]));
  }

  refuse(name: string, fits: boolean, allowed: string): void {
    if (!fits) this.#complain(AWS_PREFIX + name, this.text(name) ?? '', allowed);
  }

  unsupported(): AwsAnnotations['unsupported'] {
    return Object.entries(UNSUPPORTED)
      .filter(([name]) => this.text(name) !== undefined && this.text(name) !== 'false')
      .map(([name, why]) => ({ annotation: AWS_PREFIX + name, why }));
  }

  #mapOf(annotation: string): Attributes {
    const pairs = (this.#at(annotation) ?? '')
      .split(',', MAX_LIST)
      .map((pair) => pair.trim())
      .filter((pair) => pair !== '');
    const wrong = pairs.find((pair) => pair.indexOf('=') < 1);
    if (wrong !== undefined) this.#complain(annotation, wrong, 'KEY=VALUE pairs, separated by commas');
    if (wrong !== undefined) return {};
    return Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()]),
    );
  }

  #at(annotation: string): string | undefined {
    const value = Object.hasOwn(this.#annotations, annotation) ? this.#annotations[annotation] : undefined;
    return typeof value === 'string' ? value.trim() : undefined;
  }

  #complain(annotation: string, value: string, allowed: string): void {
    this.problems.push({ annotation, value: value.slice(0, 80), message: `must be ${allowed}` });
  }
}
