import { AwsFailure } from './failure.ts';
import type { Service } from './services.ts';

/** Failures that every call can meet, and that each service words in its own way. */
export type Saying = 'throttled' | 'denied' | 'expired';

type Speaker = Pick<Service, 'name' | 'scope'>;

const CALLER = 'arn:aws:iam::123456789012:user/sandbox';

/** @see https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 *  @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/CommonErrors.html */
export function failureThat(says: Saying, { name, scope }: Speaker, action: string): AwsFailure {
  const ec2 = name === 'ec2';
  switch (says) {
    case 'throttled':
      return ec2
        ? new AwsFailure('RequestLimitExceeded', 'Request limit exceeded.')
        : new AwsFailure('Throttling', 'Rate exceeded');
    case 'denied': {
      const why = `User: ${CALLER} is not authorized to perform: ${scope}:${action} because no identity-based policy allows the ${scope}:${action} action`;
      if (!ec2) return new AwsFailure('AccessDenied', why);
      return new AwsFailure('UnauthorizedOperation', `You are not authorized to perform this operation. ${why}`);
    }
    case 'expired':
      return ec2
        ? new AwsFailure('RequestExpired', 'Request has expired.')
        : new AwsFailure('ExpiredToken', 'The security token included in the request is expired');
  }
}

/** Whether a request is signed for here; the signature itself is not looked at.
 *  @param authorization the header
 *  @returns the access key that it is signed with
 *  @throws {AwsFailure} MissingAuthenticationToken, SignatureDoesNotMatch */
export function checkSigned(authorization: string | undefined, { name, scope }: Speaker, region: string): string {
  const signed = /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/\d{8}\/([^/,]+)\/([^/,]+)\/aws4_request/.exec(authorization ?? '');
  if (!signed) throw new AwsFailure('MissingAuthenticationToken', 'Request is missing Authentication Token');
  const [, accessKeyId = '', forRegion, forService] = signed;
  if (forService !== scope) {
    throw new AwsFailure('SignatureDoesNotMatch', `Credential should be scoped to correct service: '${scope}'.`);
  }
  if (forRegion !== region && name !== 'sts') {
    throw new AwsFailure('SignatureDoesNotMatch', `Credential should be scoped to a valid region, not '${forRegion}'.`);
  }
  return accessKeyId;
}
