import { type Code, explain, Refusal } from '../../errors.ts';

/** AWS's error names as the SDK gives them, by what they mean here. Names only: messages are for people. */
const MEANINGS: Readonly<Partial<Record<Code, readonly string[]>>> = {
  AwsDenied: ['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation', 'Client.UnauthorizedOperation'],
  AwsCredentials: [
    'CredentialsProviderError',
    'TokenProviderError',
    'ExpiredToken',
    'ExpiredTokenException',
    'InvalidClientTokenId',
    'UnrecognizedClientException',
    'SignatureDoesNotMatch',
    'AuthFailure',
    'MissingAuthenticationToken',
    'RequestExpired',
  ],
  AwsResourceUnknown: [
    'SubnetNotFoundException',
    'InvalidSubnetException',
    'AllocationIdNotFoundException',
    'CertificateNotFoundException',
    'InvalidSecurityGroupException',
    'SSLPolicyNotFoundException',
    'InvalidPrefixListId.NotFound',
    'InvalidPrefixListID.NotFound',
    'InvalidGroup.NotFound',
    'InvalidVpcID.NotFound',
  ],
  QuotaExceeded: [
    'TooManyLoadBalancersException',
    'TooManyTargetGroupsException',
    'TooManyListenersException',
    'TooManyTargetsException',
    'TooManyRegistrationsForTargetIdException',
    'TooManyCertificatesException',
    'TooManyTagsException',
    'RulesPerSecurityGroupLimitExceeded',
    'SecurityGroupLimitExceeded',
    'InsufficientCapacityException',
  ],
  AnnotationInvalid: [
    'ValidationError',
    'ValidationException',
    'InvalidConfigurationRequestException',
    'UnsupportedProtocolException',
    'ALPNPolicyNotSupportedException',
    'InvalidParameterValue',
  ],
  DeletionProtected: ['OperationNotPermittedException'],
  AwsNameInUse: ['DuplicateLoadBalancerNameException', 'DuplicateTargetGroupNameException'],
};

const codes = new Map(Object.entries(MEANINGS).flatMap(([code, names]) => names.map((name) => [name, code as Code])));

/** Something that a call is about does not exist, or not yet. */
export const NOT_THERE = [
  'LoadBalancerNotFoundException',
  'TargetGroupNotFoundException',
  'ListenerNotFoundException',
  'InvalidGroup.NotFound',
  'InvalidSecurityGroupException',
  'InvalidTargetException',
];

/** A quota of the account, of which more seemed to be left. */
export const USED_UP = ['TooManyLoadBalancersException', 'TooManyTargetGroupsException', 'TooManyCertificatesException'];

/** Somebody else has switched the protection on. */
export const PROTECTED = 'OperationNotPermittedException';

/** The one place where AWS's errors become ours; what has no meaning of its own is passed on, with the action's name. */
export function toFailure(action: string, thrown: unknown): Error {
  const name = nameOfFailure(thrown);
  const code = codes.get(name);
  const subject = `${action}: ${name}: ${explain(thrown).replace(/\.$/, '')}`;
  return code === undefined
    ? new AwsFault(action, name, subject, { cause: thrown })
    : new Refusal(code, subject, { cause: thrown });
}

/** AWS did not do what was asked, for a reason that may pass. */
export class AwsFault extends Error {
  override readonly name = 'AwsFault';
  readonly action: string;
  /** AWS's own name of the error. */
  readonly awsName: string;

  constructor(action: string, awsName: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.action = action;
    this.awsName = awsName;
  }
}

/** AWS's name of an error, also of one that `toFailure` has made of it. */
export function nameOfFailure(thrown: unknown): string {
  if (thrown instanceof AwsFault) return thrown.awsName;
  if (thrown instanceof Refusal && thrown.cause instanceof Error) return nameOfFailure(thrown.cause);
  return thrown instanceof Error ? thrown.name : String(thrown);
}

export function isCalled(thrown: unknown, ...names: readonly string[]): boolean {
  return names.includes(nameOfFailure(thrown));
}

/** Whether AWS said that it has not done it; otherwise an answer may have been lost. */
export function wasAnswered(thrown: unknown): boolean {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  const status = (cause as { readonly $metadata?: { readonly httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
  return status !== undefined && status >= 400 && status < 500;
}
