import { type Actions, action } from './action.ts';
import { AwsFailure } from './failure.ts';
import { record, textOf, whole } from './shapes.ts';
import type { World } from './world.ts';
import type { XmlObject } from './xml.ts';

const DURATION = whole(900, 43_200);
const NAME = textOf(2, 64);
const ARN = textOf(20, 2048);
const HOUR_SECONDS = 3_600;

/** Whoever has the secret of a role of the account may have it, and whoever has a web token that is in date.
 *  @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
export const stsActions: Actions = {
  GetCallerIdentity: action(record({}), (world) => ({
    UserId: 'AIDASANDBOX',
    Account: world.accountId,
    Arn: `arn:aws:iam::${world.accountId}:user/sandbox`,
  })),

  AssumeRole: action(
    record({ RoleArn: ARN, RoleSessionName: NAME, DurationSeconds: DURATION, ExternalId: textOf(2, 1224) }, [
      'RoleArn',
      'RoleSessionName',
    ]),
    (world, { RoleArn, RoleSessionName, DurationSeconds }) => {
      checkRole(world, RoleArn, 'AssumeRole');
      return assume(world, RoleArn, RoleSessionName, DurationSeconds);
    },
  ),

  AssumeRoleWithWebIdentity: action(
    record(
      {
        RoleArn: ARN,
        RoleSessionName: NAME,
        WebIdentityToken: textOf(4, 20_000),
        DurationSeconds: DURATION,
        ProviderId: textOf(4, 2048),
      },
      ['RoleArn', 'RoleSessionName', 'WebIdentityToken'],
    ),
    (world, { RoleArn, RoleSessionName, WebIdentityToken, DurationSeconds }) => {
      const { exp, sub } = readToken(WebIdentityToken);
      if (exp * 1_000 <= world.now()) throw new AwsFailure('ExpiredTokenException', `Token expired: it was valid until ${exp}`);
      checkRole(world, RoleArn, 'AssumeRoleWithWebIdentity');
      return { ...assume(world, RoleArn, RoleSessionName, DurationSeconds), SubjectFromWebIdentityToken: sub };
    },
  ),
};

function checkRole({ accountId }: World, arn: string, called: string): void {
  if (arn.startsWith(`arn:aws:iam::${accountId}:role/`)) return;
  throw new AwsFailure('AccessDenied', `Not authorized to perform sts:${called}`, 403);
}

function assume(world: World, roleArn: string, sessionName: string, seconds = HOUR_SECONDS): XmlObject {
  const lifeMs = Math.min(world.sessionMs, seconds * 1_000);
  const { accessKeyId, sessionToken, expiresAtMs } = world.sessions.open(roleArn, world.now() + lifeMs);
  const role = roleArn.slice(roleArn.indexOf('/') + 1);
  return {
    Credentials: {
      AccessKeyId: accessKeyId,
      SecretAccessKey: `secret-of-${accessKeyId}`,
      SessionToken: sessionToken,
      Expiration: new Date(expiresAtMs).toISOString(),
    },
    AssumedRoleUser: {
      AssumedRoleId: `AROASANDBOX:${sessionName}`,
      Arn: `arn:aws:sts::${world.accountId}:assumed-role/${role}/${sessionName}`,
    },
  };
}

/** Claims of a JSON web token; its signature is not looked at. @throws {AwsFailure} InvalidIdentityToken */
function readToken(token: string): { readonly exp: number; readonly sub: string } {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const { exp, sub } = claims as { readonly exp?: unknown; readonly sub?: unknown };
    if (typeof exp === 'number' && typeof sub === 'string') return { exp, sub };
  } catch {
    // no JSON: refused like a token that lacks its claims
  }
  throw new AwsFailure('InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider");
}
