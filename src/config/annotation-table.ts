/** Prefix of every annotation that is ours. */
export const PREFIX = 'nodeport-lb.io/';

/** Prefix of the annotations that the established AWS controllers read. */
export const AWS_PREFIX = 'service.beta.kubernetes.io/aws-load-balancer-';

export interface AnnotationRow {
  readonly type: string;
  readonly unit?: string;
  readonly default: string;
  /** What is allowed, in words. */
  readonly allowed: string;
  /** `all`, or the only provider that reads it. */
  readonly readBy: 'all' | 'local' | 'aws';
  readonly help: string;
  readonly example: string;
}

/**
 * Every annotation that a Service's author may set, without the prefix: the reader's complaints, the warnings about unknown
 * names and the README's table come from here.
 */
export const annotationTable = {
  share: {
    type: 'name',
    default: 'none',
    allowed: '1 to 63 lower-case letters, digits and "-", beginning and ending with a letter or digit',
    readBy: 'all',
    help: 'Services of a namespace with the same group share one balancer; the oldest sets what concerns the whole balancer',
    example: 'web',
  },
  addresses: {
    type: 'list of IP addresses',
    default: 'any address of a pool',
    allowed: 'at most 16 IPv4 or IPv6 addresses, separated by commas',
    readBy: 'all',
    help: 'addresses that the balancer must have; beats spec.loadBalancerIP',
    example: '10.0.0.5,fd00::5',
  },
  pool: {
    type: 'name',
    default: 'the first pool that admits the Service',
    allowed: 'the name of a configured pool',
    readBy: 'local',
    help: 'pool that the addresses are taken from',
    example: 'public',
  },
  'proxy-protocol': {
    type: 'choice',
    default: 'none',
    allowed: 'v1 or v2',
    readBy: 'all',
    help: "tells targets the client's address with a PROXY protocol header in front of each connection",
    example: 'v2',
  },
  retry: {
    type: 'boolean',
    default: 'where userspace serves it',
    allowed: 'true or false',
    readBy: 'local',
    help: 'a connection that a target refuses is made to another one before its client notices; true: needs userspace, which is taken for it',
    example: 'true',
  },
  'health-check-protocol': {
    type: 'choice',
    default: 'tcp; http for externalTrafficPolicy Local',
    allowed: 'tcp or http',
    readBy: 'all',
    help: 'how targets are checked',
    example: 'http',
  },
  'health-check-port': {
    type: 'port',
    default: 'traffic-port; healthCheckNodePort for externalTrafficPolicy Local',
    allowed: 'a whole number from 1 to 65535, or traffic-port',
    readBy: 'all',
    help: 'port of the node that is checked',
    example: '10256',
  },
  'health-check-path': {
    type: 'path',
    default: '/',
    allowed: 'a path that begins with "/", at most 1024 characters without spaces',
    readBy: 'all',
    help: 'path that an http check asks for; 200 is healthy',
    example: '/healthz',
  },
  'health-check-interval-seconds': {
    type: 'whole number',
    unit: 'seconds',
    default: "the provider's",
    allowed: 'a whole number from 1 to 300',
    readBy: 'all',
    help: 'time between two checks of one target',
    example: '10',
  },
  'health-check-timeout-seconds': {
    type: 'whole number',
    unit: 'seconds',
    default: "the provider's",
    allowed: 'a whole number from 1 to 120, not above the interval',
    readBy: 'all',
    help: 'a check that has no answer after this time has failed',
    example: '5',
  },
  'health-check-healthy-threshold': {
    type: 'whole number',
    unit: 'checks',
    default: "the provider's",
    allowed: 'a whole number from 1 to 10',
    readBy: 'all',
    help: 'checks in a row that must pass before a target gets traffic',
    example: '2',
  },
  'health-check-unhealthy-threshold': {
    type: 'whole number',
    unit: 'checks',
    default: "the provider's",
    allowed: 'a whole number from 1 to 10',
    readBy: 'all',
    help: 'checks in a row that must fail before a target gets no more traffic',
    example: '2',
  },
  'drain-seconds': {
    type: 'whole number',
    unit: 'seconds',
    default: "the provider's",
    allowed: 'a whole number from 0 to 3600',
    readBy: 'all',
    help: 'how long established connections live on after their target or listener has gone',
    example: '60',
  },
  'idle-timeout-seconds': {
    type: 'whole number',
    unit: 'seconds',
    default: "the provider's",
    allowed: 'a whole number from 0 to 86400; 0: never',
    readBy: 'all',
    help: 'how long a connection may be silent before it is closed',
    example: '350',
  },
  'node-selector': {
    type: 'labels',
    default: 'every node',
    allowed: 'KEY=VALUE pairs, separated by commas, each a valid label; at most 16',
    readBy: 'all',
    help: 'only nodes that have all of these labels are targets',
    example: 'node-pool=edge',
  },
  publish: {
    type: 'choice',
    default: 'auto',
    allowed: 'auto, ip or hostname',
    readBy: 'all',
    help: 'what is written into status.loadBalancer.ingress',
    example: 'ip',
  },
  retain: {
    type: 'boolean',
    default: 'false',
    allowed: 'true or false',
    readBy: 'all',
    help: 'keeps the external balancer when the Service goes',
    example: 'true',
  },
  'allow-disruption': {
    type: 'boolean',
    default: 'false',
    allowed: 'true or false',
    readBy: 'all',
    help: 'allows changes that cut traffic for a while, such as making the balancer anew',
    example: 'true',
  },
  'aws-load-balancer-arn': {
    type: 'ARN',
    default: 'none: a balancer is created',
    allowed: 'the ARN of a network load balancer',
    readBy: 'aws',
    help: 'existing balancer that is adopted',
    example: 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/net/shop/0123456789abcdef',
  },
} as const satisfies Record<string, AnnotationRow>;

/** Name of an annotation of ours, without the prefix. */
export type AnnotationName = keyof typeof annotationTable;

/** Annotations that the controller writes for itself, or reads from nodes; an author has no need of them. */
export const ownAnnotations = {
  heldBy: `${PREFIX}held-by`,
  heldAddresses: `${PREFIX}held-addresses`,
  targets: `${PREFIX}targets`,
  servedPorts: `${PREFIX}served-ports`,
  datapath: `${PREFIX}datapath`,
  nodePortMap: `${PREFIX}node-port-map`,
} as const;

export const ownAnnotationHelp: Readonly<Record<keyof typeof ownAnnotations, { readonly on: string; readonly help: string }>> = {
  heldBy: {
    on: 'Service',
    help: 'who holds the balancer, as PROVIDER/CLUSTER, or PROVIDER/CLUSTER/CLASS under another class than the default',
  },
  heldAddresses: { on: 'Service', help: 'addresses that the balancer holds, separated by commas; survives a cleared status' },
  targets: { on: 'Service', help: 'HEALTHY/TOTAL targets, while not all of them are healthy' },
  servedPorts: {
    on: 'Service',
    help: 'PORT/PROTOCOL=SERVED pairs, while a port is served on another one for want of permission',
  },
  datapath: {
    on: 'Service',
    help: 'what moves the packets and why, as DATAPATH: REASON, a line for each; status NAMESPACE/NAME shows it, status -o wide with the reason only where userspace is needed',
  },
  nodePortMap: {
    on: 'Node',
    help: 'where NodePorts are published elsewhere, as NODEPORT=ADDRESS:PORT pairs, separated by commas; *=ADDRESS: all others, each under its own number',
  },
};

/** Names behind `AWS_PREFIX` that the established AWS controllers know. */
export const awsAnnotationNames: readonly string[] = (
  'type nlb-target-type name scheme internal ip-address-type subnets eip-allocations private-ipv4-addresses ipv6-addresses ' +
  'enable-prefix-for-ipv6-source-nat source-nat-ipv6-prefixes security-groups manage-backend-security-group-rules ' +
  'disable-nlb-sg inbound-sg-rules-on-private-link-traffic security-group-prefix-lists ' +
  'enable-icmp-for-path-mtu-discovery target-node-labels target-group-attributes proxy-protocol ' +
  'proxy-protocol-per-target-group attributes cross-zone-load-balancing-enabled access-log-enabled ' +
  'access-log-s3-bucket-name access-log-s3-bucket-prefix access-log-emit-interval connection-draining-enabled ' +
  'connection-draining-timeout connection-idle-timeout extra-security-groups ssl-cert ssl-ports ssl-negotiation-policy ' +
  'backend-protocol alpn-policy enable-tcp-udp-listener quic-enabled-ports multi-cluster-target-group ' +
  'minimum-load-balancer-capacity additional-resource-tags healthcheck-protocol healthcheck-port healthcheck-path ' +
  'healthcheck-interval healthcheck-timeout healthcheck-healthy-threshold healthcheck-unhealthy-threshold ' +
  'healthcheck-success-codes'
).split(' ');

/** AWS names that take a suffix: `target-group-attributes.80`, `listener-attributes.TCP-80`. */
export const awsSuffixedNames: readonly string[] = ['target-group-attributes', 'listener-attributes'];
