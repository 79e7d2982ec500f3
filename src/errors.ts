/**
 * Every reason that this program gives for not doing what was asked, in one table: a code for machines (it is the
 * condition's `reason`, so CamelCase as metav1.Condition demands) and a cure for people. A test holds the table against the
 * README in both directions.
 */
export const cures = {
  NodePortOnly: 'Reach the Service by a node address and its nodePort, or start the controller with --provider local or aws.',
  OtherProvider: 'Start the controller with that provider again, or let go with `nodeport-lb gc --release NAMESPACE/NAME`.',
  RivalController:
    'Let one of the two serve it: stop the other controller, or make the Service again with the loadBalancerClass of the one that shall.',
  NoPorts: 'Give the Service at least one port.',
  NoNodePort: 'Remove `allocateLoadBalancerNodePorts: false`, or set the nodePort of each port yourself.',
  NoNodes: 'Add a node, or remove the label or taint that excludes the present ones.',
  NoHealthyTargets: 'Check that the Service has ready endpoints and that kube-proxy runs on the nodes.',
  NodesUnreachable:
    'Where the cluster runs in containers or a VM of this machine (kind, minikube, Docker Desktop), publish NodePorts to it and tell each Node by `nodeport-lb.io/node-port-map: "*=127.0.0.1"`, or use `kubectl port-forward`; elsewhere open the way from this machine to the nodes.',
  Headless: 'Remove `clusterIP: None`: a headless Service has no NodePort that a load balancer could send to.',
  ProtocolUnsupported: 'Use a protocol that the provider can carry.',
  FamilyUnsupported: 'Ask for an IP family that a pool and the nodes have.',
  SourceRangeInvalid: 'Write each of loadBalancerSourceRanges as a CIDR, such as 10.0.0.0/8.',
  AffinityUnsupported: 'Use `sessionAffinity: None`, or a provider that can keep a client on its node.',
  AnnotationInvalid: 'Correct the annotation; the README lists each with its type and range.',
  AddressInvalid: 'Ask for an IPv4 or IPv6 address.',
  AddressNotInPool: 'Ask for an address of a pool, or add it with --local-pool.',
  AddressInUse: 'Ask for another address, or put both Services in one `nodeport-lb.io/share` group.',
  AddressReserved: 'Ask for another address: this one belongs to something in the cluster already.',
  AddressUnavailable: 'Add the address to an interface of this machine, or take it out of the pool.',
  PoolUnknown: 'Name a pool of the configuration.',
  PoolNotAllowed: 'Use a pool whose namespaces and serviceSelector admit the Service.',
  PoolExhausted: 'Add addresses with --local-pool, or delete a Service that holds one.',
  PortInUse: 'Stop the process that holds the port, or choose another port or address.',
  PortNotPermitted:
    'Allow low ports (Linux: `sysctl -w net.ipv4.ip_unprivileged_port_start=0`), run as root, or set --local-port-fallback.',
  ShareAcrossNamespaces: 'Share within one namespace, or start the controller with --share-across-namespaces.',
  SharePortClash: 'Give the Services of a share group different ports.',
  ForwarderDown: 'The forwarder is being restarted; if this stays, read the log of the controller.',
  TargetLoops:
    'Give the Service another port or address: where it is now its own NodePort is looked for, or that of a Service which leads back to it.',
  ConnectionsFull:
    'Raise the limit of open files (`ulimit -n`, LimitNOFILE= of systemd): each connection takes two; or spread clients over more forwarders.',
  FlowsTooFast:
    'Find who sends from ever new ports or addresses, and leave them out with `spec.loadBalancerSourceRanges`; or spread clients over more forwarders.',
  BacklogFull:
    'Clients come again after a second; raise `sysctl net.core.somaxconn` (4096 are asked for), or give the forwarder more of a CPU.',
  NftMissing: 'Install nftables, so that the command nft is there, or use the userspace data path.',
  NetAdminMissing: 'Run as root or with CAP_NET_ADMIN, or use the userspace data path.',
  ForwardingOff:
    'Run `sysctl -w net.ipv4.ip_forward=1` (IPv6: `net.ipv6.conf.all.forwarding=1`), and keep it in /etc/sysctl.d; it is never set for you.',
  NeedsUserspace: 'Use --datapath auto, which serves in userspace what the kernel cannot.',
  KernelRefused: 'It is tried again by itself; see what else changes nftables on this machine with `nft monitor`.',
  ConntrackFull: 'Raise `sysctl net.netfilter.nf_conntrack_max`: when the table is full the kernel drops new connections.',
  ConntrackMissing: 'Install conntrack, so that flows of UDP leave targets that went and drained connections are cut in time.',
  KubeProxyUnfit:
    'Run kube-proxy on the node, in mode nftables or iptables, and see its log; or use another data path than kube-proxy.',
  KeepalivedMissing: 'Install keepalived and iproute2 on the machine of the agent, or use its image, which has them.',
  KeepalivedFailed: 'Read the log of the agent; it is tried again by itself.',
  VipsNotPermitted: 'Run the agent as root with CAP_NET_ADMIN and CAP_NET_RAW.',
  InterfaceMissing: 'Bring the interface back, or name another with --local-vip-interface.',
  AddressOffLink:
    "Take addresses of a subnet that the agents' machines are in, or name the interface with --local-vip-interface.",
  AddressDuplicate: 'Take the address out of the pool, or away from the machine that answers for it.',
  NoForwarder: 'Start agents: `forwarder.enabled` of the chart, or `nodeport-lb forwarder` on machines that have the addresses.',
  NodePortReserved:
    'Give the Service another port, or addresses of its own with --local-pool: the nodes need this one themselves.',
  NotSupported: 'Take the annotation or field away, or ask for something that the provider can do.',
  AwsResourceUnknown: 'Name a resource that exists in this account, region and VPC.',
  SubnetUnavailable:
    'Name subnets with aws-load-balancer-subnets, or tag one a zone with kubernetes.io/role/elb (internal: internal-elb).',
  QuotaExceeded: 'Ask for less, or have the quota of the account raised.',
  AwsAddressMismatch:
    'Give each subnet of aws-load-balancer-subnets one address of its range: Elastic IPs to an internet-facing NLB, private ones to an internal one.',
  AwsNameInUse: 'Choose another aws-load-balancer-name, or remove what has it.',
  AwsDenied: 'Allow the action that the message names; docs/aws-iam-policy.json has every one that is needed.',
  AwsCredentials: 'Give the controller valid AWS credentials; the SDK looks for them in its usual places.',
  AwsRegionUnset: 'Start the controller with --aws-region, or set AWS_REGION.',
  DeletionProtected: 'Set deletion_protection.enabled=false in aws-load-balancer-attributes, or switch it off in AWS.',
  TargetsOfOthers:
    'Take them out where they were registered, or set nodeport-lb.io/allow-disruption: "true" to delete it with them, or nodeport-lb.io/retain: "true" to keep it.',
  DisruptionNotAllowed: 'Set nodeport-lb.io/allow-disruption: "true" to let it be made anew, or take the change back.',
  SyncFailed: 'It is tried again by itself; the message says what the provider or the API server answered.',
} as const;

/** A reason code out of the table; stable, and documented in the README. */
export type Code = keyof typeof cures;

/** Something the user asked for that cannot be done as asked. The message says what, where and the cure. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: Code;
  /** What was found wrong, without the code and the cure. */
  readonly subject: string;

  constructor(code: Code, subject: string, options?: ErrorOptions) {
    super(`${subject}. ${cures[code]}`, options);
    this.code = code;
    this.subject = subject;
  }
}

/** One thing wrong with the command line, the environment, a file or a kubeconfig. */
export interface Problem {
  /** Where it stands: `--http`, `NODEPORT_LB_HTTP`, `config.yaml: http`. */
  readonly where: string;
  readonly value?: string;
  /** What is wrong, what is allowed, and what to do. */
  readonly message: string;
}

/** Everything wrong with how the program was called, gathered and told once; the process exits 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], options?: ErrorOptions) {
    super(
      problems.map((p) => `${p.where}${p.value === undefined ? '' : ` ${JSON.stringify(p.value)}`}: ${p.message}`).join('\n'),
      options,
    );
    this.problems = problems;
  }
}

/** Text of whatever was thrown, with the text of its causes. */
export function explain(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `: ${explain(thrown.cause)}`;
  return `${thrown.message || thrown.name}${cause}`;
}
