/** Statuses of the codes that are not answered with 400. */
const statuses: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  AuthFailure: 401,
  DryRunOperation: 412,
  ExpiredToken: 403,
  HealthUnavailable: 500,
  InsufficientCapacity: 500,
  InternalError: 500,
  InternalFailure: 500,
  InvalidClientTokenId: 403,
  MissingAuthenticationToken: 403,
  PriorRequestNotComplete: 429,
  RequestLimitExceeded: 503,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  Unavailable: 503,
  UnauthorizedOperation: 403,
};

/** What AWS answers instead of doing what was asked. */
export class AwsFailure extends Error {
  override readonly name = 'AwsFailure';
  /** As it stands in the XML: `LoadBalancerNotFound`, `InvalidGroup.NotFound`. */
  readonly code: string;
  /** HTTP status. */
  readonly status: number;

  constructor(code: string, message: string, status = statuses[code] ?? 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** A parameter that is wrong whatever exists; each service has its own words for it. */
export class BadParameter extends Error {
  override readonly name = 'BadParameter';
  readonly kind: 'missing' | 'unknown' | 'value';
  /** `Targets.1.Port` */
  readonly where: string;
  readonly value: string;
  /** The constraint, for instance `Member must have length less than or equal to 20`. */
  readonly constraint: string;

  constructor(kind: BadParameter['kind'], where: string, value = '', constraint = '') {
    super(`${kind} parameter ${where}`);
    this.kind = kind;
    this.where = where;
    this.value = value;
    this.constraint = constraint;
  }
}

/** The words of Elastic Load Balancing and STS. */
export function validationError(bad: BadParameter): AwsFailure {
  if (bad.kind === 'unknown') return new AwsFailure('ValidationError', `The sandbox does not know the parameter ${bad.where}`);
  const where = bad.where.replace(/(^|\.)([A-Z])/g, (_, dot: string, letter: string) => dot + letter.toLowerCase());
  const [value, constraint] = bad.kind === 'missing' ? ['null', 'Member must not be null'] : [`'${bad.value}'`, bad.constraint];
  return new AwsFailure(
    'ValidationError',
    `1 validation error detected: Value ${value} at '${where}' failed to satisfy constraint: ${constraint}`,
  );
}

/** The words of EC2. */
export function ec2ParameterError(bad: BadParameter): AwsFailure {
  switch (bad.kind) {
    case 'missing':
      return new AwsFailure('MissingParameter', `The request must contain the parameter ${bad.where}`);
    case 'unknown':
      return new AwsFailure('UnknownParameter', `The parameter ${bad.where} is not recognized`);
    case 'value':
      return new AwsFailure(
        'InvalidParameterValue',
        `Value (${bad.value}) for parameter ${bad.where} is invalid. ${bad.constraint}`,
      );
  }
}
