import { readDnsLabel } from './annotation-values.ts';
import { booleanKind, choiceKind, hostPortKind, type Kind, listKind, mapKind, switchKind, textKind } from './kinds.ts';
import { kubectlTable } from './kubectl-options.ts';
import { poolsKind } from './pools.ts';
import { throttleKind } from './throttle.ts';

/** An option of one or more commands. Its key in the table is its key in the file; flag and variable follow from it. */
export interface Option<T> {
  readonly kind: Kind<T>;
  /** Shown in help and README; the value itself is decided where the option is used. */
  readonly default: string;
  readonly help: string;
  readonly example: string;
  readonly short?: string;
  /** Key of the file, where it is not the option's own name. */
  readonly fileKey?: string;
  /** Not a key of the file. */
  readonly notInFile?: true;
}

const path = textKind('FILE', 'a path', /^[^\0]+$/);
const namespaceList = listKind('A,B', 'namespaces, separated by commas', (item) =>
  readDnsLabel(item) ? undefined : 'is not the name of a namespace: at most 63 lower-case letters, digits and "-"',
);
const addressTypes = listKind('A,B', 'InternalIP, ExternalIP or both, in the order of preference', (item) =>
  item === 'InternalIP' || item === 'ExternalIP' ? undefined : 'must be InternalIP or ExternalIP',
);
const dnsName = '[a-z0-9]([a-z0-9.-]*[a-z0-9])?';

/** Services with this class are ours unless another is configured. */
export const OUR_CLASS = 'nodeport-lb.io/lb';

/** The one table of options: the parser, the help, the variables, the file's keys and the README's table come from here. */
export const options = {
  config: {
    kind: path,
    default: '',
    help: 'YAML file with any of these options, as camel-case keys',
    example: 'nodeport-lb.yaml',
    notInFile: true,
  },
  kubeconfig: {
    kind: path,
    default: 'KUBECONFIG, else ~/.kube/config, else the pod',
    help: 'kubeconfig to use',
    example: 'kind.yaml',
  },
  context: {
    kind: textKind('NAME', 'the name of a context', /^[^\0]+$/),
    default: "the kubeconfig's current one",
    help: 'context of the kubeconfig',
    example: 'kind-kind',
  },
  provider: {
    kind: textKind(
      'none|local|aws|MODULE',
      'none, local, aws, a path that begins with "." or "/", or a package name',
      /^[@./A-Za-z0-9_~-][^\0\s]*$/,
    ),
    default: 'none',
    help: 'who makes the balancers',
    example: 'local',
  },
  providerOptions: {
    kind: mapKind,
    default: '',
    help: 'what a provider that is a MODULE understands',
    example: 'socket=/run/haproxy.sock',
  },
  clusterName: {
    kind: textKind('NAME', 'at most 100 letters, digits, ".", "_" and "-"', /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
    default: 'kubernetes',
    help: 'marks what belongs to this cluster at the provider',
    example: 'staging',
  },
  loadBalancerClass: {
    kind: textKind(
      'CLASS',
      'a label key, such as example.com/lb',
      new RegExp(`^(${dnsName}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`),
    ),
    default: OUR_CLASS,
    help: 'Services with this spec.loadBalancerClass are ours',
    example: 'example.com/lb',
  },
  claimUnsetClass: {
    kind: choiceKind('auto', 'true', 'false'),
    default: 'auto',
    help: 'whether Services without a class are ours; auto: unless another balancer controller is seen',
    example: 'true',
  },
  namespaces: { kind: namespaceList, default: 'all', help: 'only Services of these namespaces', example: 'shop,study' },
  leaderElect: {
    kind: booleanKind,
    default: 'true in a cluster, false outside',
    help: 'only the holder of the Lease writes',
    example: 'true',
  },
  leaderElectNamespace: {
    kind: textKind('NAMESPACE', 'the name of a namespace', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    default: "the pod's own, else kube-system",
    help: 'namespace of the Lease',
    example: 'nodeport-lb',
  },
  leaderElectName: {
    kind: textKind('NAME', 'the name of a Lease: lower-case letters, digits, "." and "-"', new RegExp(`^${dnsName}$`)),
    default: 'after class and namespaces',
    help: 'name of the Lease; controllers of one name take turns',
    example: 'nodeport-lb-blue',
  },
  leaderElectLeaseDuration: {
    kind: textKind('DURATION', 'whole seconds from 2s to 60s', /^([2-9]|[1-5][0-9]|60)s?$/),
    default: '3s',
    help: 'after so long without a renewal another may lead; it is renewed three times in that',
    example: '15s',
  },
  nodeAddressTypes: {
    kind: addressTypes,
    default: 'InternalIP,ExternalIP',
    help: 'node addresses that are tried, in this order',
    example: 'ExternalIP',
  },
  http: {
    kind: hostPortKind,
    default: 'off',
    help: 'where /healthz, /readyz and /metrics are served',
    example: '127.0.0.1:8090',
  },
  dryRun: { kind: booleanKind, default: 'false', help: 'logs what would be done and writes nothing', example: 'true' },
  shareAcrossNamespaces: {
    kind: booleanKind,
    default: 'false',
    help: 'a nodeport-lb.io/share group spans namespaces',
    example: 'true',
  },
  logLevel: {
    kind: choiceKind('debug', 'info', 'warn', 'error'),
    default: 'info',
    help: 'least important lines that are logged',
    example: 'debug',
  },
  localPool: {
    kind: poolsKind,
    default: "127.0.0.32/27 (macOS: 127.0.0.1), with agents the nodes' addresses",
    help: 'addresses for balancers; repeat it for more pools; localPools in the file also takes objects',
    example: '10.0.0.0/28',
    fileKey: 'localPools',
  },
  localDatapath: {
    kind: choiceKind('auto', 'userspace', 'nftables', 'kube-proxy'),
    default: 'auto',
    help: 'what moves the packets; kube-proxy: it does, and agents hold the addresses of pools; the same for controller and agents',
    example: 'userspace',
  },
  localForwarder: {
    kind: choiceKind('embedded', 'agents'),
    default: 'embedded outside a cluster, agents inside',
    help: 'where the forwarder runs',
    example: 'embedded',
  },
  localAgentsNamespace: {
    kind: textKind('NAMESPACE', 'the name of a namespace', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    default: "the pod's own, else kube-system",
    help: 'namespace in which controller and agents keep what they tell each other',
    example: 'nodeport-lb-agents',
  },
  localPortFallback: {
    kind: booleanKind,
    default: 'false',
    help: 'a port that may not be bound is served on a free high port',
    example: 'true',
  },
  awsRegion: {
    kind: textKind('REGION', 'a region, such as eu-west-1', /^[a-z]{2,5}(-[a-z]+){1,3}-\d$/),
    default: "the AWS SDK's",
    help: 'region of the balancers',
    example: 'eu-west-1',
  },
  awsVpcId: {
    kind: textKind('ID', 'a VPC id, such as vpc-0a1b2c3d', /^vpc-[0-9a-f]{8,17}$/),
    default: "the nodes' VPC",
    help: 'VPC of the balancers',
    example: 'vpc-0a1b2c3d',
  },
  awsDefaultScheme: {
    kind: choiceKind('internet-facing', 'internal'),
    default: 'internet-facing',
    help: 'scheme of balancers whose Service names none',
    example: 'internal',
  },
  awsApiThrottle: {
    kind: throttleKind,
    default: "AWS's usual limits",
    help: 'AWS calls a second and at once, where the limits of the account were raised or are shared',
    example: 'register=20:100,describe=5:20',
  },
  namespace: {
    kind: textKind('NAMESPACE', 'the name of a namespace', /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    default: "the context's",
    help: 'namespace to look in',
    example: 'shop',
    short: 'n',
  },
  ...kubectlTable,
  allNamespaces: { kind: switchKind, default: 'false', help: 'look in all namespaces', example: 'true', short: 'A' },
  output: {
    kind: choiceKind('text', 'wide', 'json', 'yaml', 'name'),
    default: 'text',
    help: 'form of the output',
    example: 'json',
    short: 'o',
  },
  watch: { kind: switchKind, default: 'false', help: 'shows every change until interrupted', example: 'true', short: 'w' },
  probe: { kind: switchKind, default: 'false', help: 'tries each way in', example: 'true' },
  undo: { kind: switchKind, default: 'false', help: 'has balancers made again', example: 'true' },
  delete: { kind: switchKind, default: 'false', help: 'takes it down', example: 'true' },
  release: {
    kind: textKind('NAMESPACE/NAME', 'a Service, as NAMESPACE/NAME', /^[a-z0-9-]{1,63}(\/[a-z0-9-]{1,63})?$/),
    default: '',
    help: 'lets go of one Service; what it made at the provider stays there',
    example: 'shop/web',
  },
  keep: { kind: switchKind, default: 'false', help: 'leaves everything running until interrupted', example: 'true' },
  file: {
    kind: path,
    default: '',
    help: 'Services and Nodes as they would be applied; YAML or JSON, - for standard input',
    example: 'web.yaml',
    short: 'f',
    notInFile: true,
  },
  adoptFrom: {
    kind: choiceKind('metallb', 'kube-vip', 'klipper', 'cloud-provider-aws', 'aws-load-balancer-controller'),
    default: '',
    help: "what would come of another controller's configuration and Services, if this one took them over",
    example: 'metallb',
    notInFile: true,
  },
  exitCode: { kind: switchKind, default: 'false', help: 'exits 1 when there is something to do', example: 'true' },
  nodeName: {
    kind: textKind('NODE', 'the name of a Kubernetes node', new RegExp(`^${dnsName}$`)),
    default: 'NODE_NAME, else none: an edge machine',
    help: "node that the agent runs on; it serves that node's addresses",
    example: 'node-1',
  },
  agentName: {
    kind: textKind('NAME', 'at most 150 lower-case letters, digits, "." and "-"', /^[a-z0-9]([a-z0-9.-]{0,148}[a-z0-9])?$/),
    default: "the node's name, else the host's",
    help: 'name of the agent, unlike any other of the cluster',
    example: 'edge-1',
  },
  edge: {
    kind: switchKind,
    default: 'false',
    help: 'the machine is no node of the cluster, whatever NODE_NAME says: only addresses of pools that it has are served',
    example: 'true',
  },
  localVips: {
    kind: booleanKind,
    default: 'false',
    help: 'agents hold the addresses of pools by turns, with keepalived; needs root, NET_ADMIN and NET_RAW',
    example: 'true',
  },
  localVipInterface: {
    kind: textKind('INTERFACE', 'the name of a network interface', /^[A-Za-z0-9_.@-]{1,15}$/),
    default: 'the one in whose subnet each address is',
    help: 'interface that gets the addresses of pools',
    example: 'eth1',
  },
  localVipIds: {
    kind: textKind('FIRST-LAST', 'two numbers from 1 to 255, the lower one first', /^[0-9]{1,3}-[0-9]{1,3}$/),
    default: '1-255',
    help: 'VRRP ids that the agents use, the same for all; a part of them where these machines have other VRRP routers',
    example: '100-149',
  },
  localVipHoldSeconds: {
    kind: textKind('SECONDS', 'whole seconds from 0 to 3600', /^([0-9]{1,3}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)$/),
    default: '15',
    help: 'how long an agent that was away waits before it takes addresses back',
    example: '60',
  },
  stateDir: {
    kind: path,
    default: '/var/lib/nodeport-lb, else a directory of the user',
    help: 'where the agent keeps its rules over a restart',
    example: '/var/lib/nodeport-lb',
  },
  startedFile: {
    kind: path,
    default: '',
    help: 'made once the agent has taken its place, for a startup probe that no other process can answer',
    example: '/run/nodeport-lb/started',
  },
  cleanup: {
    kind: switchKind,
    default: 'false',
    help: 'removes what an agent has left on this machine, and ends',
    example: 'true',
  },
  rules: { kind: path, default: '', help: 'file with a rules document, followed as it changes', example: 'rules.json' },
  datapath: {
    kind: choiceKind('auto', 'userspace', 'nftables'),
    default: 'auto',
    help: 'what moves the packets',
    example: 'userspace',
  },
  drainSeconds: {
    kind: textKind('SECONDS', 'whole seconds from 0 to 3600', /^([0-9]{1,3}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)$/),
    default: '30',
    help: 'how long established connections may live on after the end was asked for',
    example: '5',
  },
} as const satisfies Record<string, Option<unknown>>;

export type OptionName = keyof typeof options;

type ValueOf<O> = O extends { readonly kind: Kind<infer T> } ? T : never;

/** Values that were given, by flag, variable or file; what is absent was not given. */
export type OptionValues = { readonly [K in OptionName]?: ValueOf<(typeof options)[K]> };

/** Every option of `controller`, in the order of its help. */
export const controllerOptions = [
  'config',
  'kubeconfig',
  'context',
  'provider',
  'providerOptions',
  'clusterName',
  'loadBalancerClass',
  'claimUnsetClass',
  'namespaces',
  'leaderElect',
  'leaderElectNamespace',
  'leaderElectName',
  'leaderElectLeaseDuration',
  'nodeAddressTypes',
  'http',
  'dryRun',
  'shareAcrossNamespaces',
  'logLevel',
  'localPool',
  'localDatapath',
  'localForwarder',
  'localAgentsNamespace',
  'localPortFallback',
  'awsRegion',
  'awsVpcId',
  'awsDefaultScheme',
  'awsApiThrottle',
] as const satisfies readonly OptionName[];

/** Every option of `forwarder`, in the order of its help. */
export const forwarderOptions = [
  'config',
  'kubeconfig',
  'context',
  'nodeName',
  'edge',
  'agentName',
  'localAgentsNamespace',
  'loadBalancerClass',
  'localDatapath',
  'localVips',
  'localVipInterface',
  'localVipIds',
  'localVipHoldSeconds',
  'stateDir',
  'startedFile',
  'http',
  'drainSeconds',
  'cleanup',
  'logLevel',
] as const satisfies readonly OptionName[];
