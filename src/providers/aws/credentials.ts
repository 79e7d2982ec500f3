import { explain, Refusal } from '../../errors.ts';

/** What sends the SDK to a source of credentials; none of these is secret, and their values are told to nobody.
 *  @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html */
const SOURCES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_ROLE_ARN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
] as const;

/** The SDK found no credentials, or was refused them; the action that needed them has nothing to do with it. */
export function refuseWithoutCredentials(thrown: unknown, env: Readonly<Record<string, string | undefined>>): Refusal {
  const set = SOURCES.filter((name) => env[name] !== undefined && env[name] !== '');
  const from = set.length > 0 ? `set are ${set.join(', ')}` : 'no variable names a source of them';
  const name = thrown instanceof Error ? thrown.name : 'Error';
  const why = explain(thrown).replace(/\.$/, '');
  return new Refusal('AwsCredentials', `AWS credentials: ${name}: ${why} (${from})`, { cause: thrown });
}
