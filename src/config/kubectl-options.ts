import { listKind, secretKind, switchKind, textKind } from './kinds.ts';
import type { Option } from './options.ts';

const path = textKind('FILE', 'a path', /^[^\0]+$/);
const word = (metavar: string, allowed: string) => textKind(metavar, allowed, /^[^\0\n]+$/);

/**
 * kubectl's own flags for the cluster and who asks, in the order of the help; `-n`, `--kubeconfig` and `--context` are options of
 * everybody's. https://kubernetes.io/docs/reference/kubectl/kubectl-options/
 */
export const kubectlTable = {
  server: {
    kind: textKind('URL', 'an http or https URL', /^https?:\/\/[^\s\0]+$/),
    default: "the cluster's",
    help: 'API server',
    example: 'https://10.0.0.1:6443',
    short: 's',
    notInFile: true,
  },
  cluster: {
    kind: word('NAME', 'the name of a cluster of the kubeconfig'),
    default: "the context's",
    help: 'cluster of the kubeconfig',
    example: 'kind-kind',
    notInFile: true,
  },
  user: {
    kind: word('NAME', 'the name of a user of the kubeconfig'),
    default: "the context's",
    help: 'user of the kubeconfig',
    example: 'kind-kind',
    notInFile: true,
  },
  token: {
    kind: secretKind('TOKEN', 'a token without spaces', /^\s*[!-~]+\s*$/),
    default: '',
    help: 'bearer token to ask with',
    example: 'eyJhbGciOi.eyJzdWIi.c2ln',
    notInFile: true,
  },
  as: {
    kind: word('USER', 'the name of a user'),
    default: '',
    help: 'user to impersonate',
    example: 'system:serviceaccount:shop:reader',
    notInFile: true,
  },
  asGroup: {
    kind: listKind('GROUP,…', 'groups, separated by commas', () => undefined),
    default: '',
    help: 'groups to impersonate; repeat it for more',
    example: 'shop-readers',
    notInFile: true,
  },
  asUid: {
    kind: word('UID', 'a UID'),
    default: '',
    help: 'UID to impersonate, with --as',
    example: '06f6ce97-e2c5-4ab8-7ba5-7654dd08d52b',
    notInFile: true,
  },
  certificateAuthority: {
    kind: path,
    default: "the cluster's",
    help: 'PEM file of who signed the API server’s certificate',
    example: 'ca.crt',
    notInFile: true,
  },
  clientCertificate: {
    kind: path,
    default: "the user's",
    help: 'PEM file of the certificate to ask with',
    example: 'me.crt',
    notInFile: true,
  },
  clientKey: {
    kind: path,
    default: "the user's",
    help: 'PEM file of its key',
    example: 'me.key',
    notInFile: true,
  },
  insecureSkipTlsVerify: {
    kind: switchKind,
    default: 'false',
    help: 'takes any certificate for the API server’s, also that of somebody in between',
    example: 'true',
    notInFile: true,
  },
  tlsServerName: {
    kind: word('NAME', 'a host name'),
    default: "the server's host",
    help: 'name that the API server’s certificate must be for',
    example: 'kubernetes',
    notInFile: true,
  },
  requestTimeout: {
    kind: textKind('DURATION', 'such as 5s, 2m or 30', /^([1-9][0-9]{0,3})(s|m)?$/),
    default: '30s',
    help: 'how long one answer of the API server may take',
    example: '5s',
    notInFile: true,
  },
} as const satisfies Record<string, Option<unknown>>;

export type KubectlOption = keyof typeof kubectlTable;

export const kubectlOptions = Object.keys(kubectlTable) as readonly KubectlOption[];
