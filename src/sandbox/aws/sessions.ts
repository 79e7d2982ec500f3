import { AwsFailure } from './failure.ts';
import type { Service } from './services.ts';
import { failureThat } from './words.ts';

/** Temporary credentials that STS has given out. */
export interface Session {
  readonly accessKeyId: string;
  readonly sessionToken: string;
  readonly roleArn: string;
  readonly expiresAtMs: number;
}

/** Keys of STS begin so; all others are those of users, and are not looked at. */
const TEMPORARY = 'ASIASANDBOX';
const MAX_SESSIONS = 1_000; // the oldest are forgotten, and are invalid then

/** What STS has given out, by access key. */
export class Sessions {
  readonly #byKey = new Map<string, Session>();
  #count = 0;

  open(roleArn: string, expiresAtMs: number): Session {
    const number = String(++this.#count).padStart(9, '0');
    const session = {
      accessKeyId: `${TEMPORARY}${number}`,
      sessionToken: `session-of-${roleArn}-${number}`,
      roleArn,
      expiresAtMs,
    };
    this.#byKey.set(session.accessKeyId, session);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > MAX_SESSIONS && oldest !== undefined) this.#byKey.delete(oldest);
    return session;
  }

  /** @param accessKeyId that a request is signed with
   *  @throws {AwsFailure} unless it is a user's, or STS's with its token and within its time */
  check(accessKeyId: string, sessionToken: string | undefined, service: Service, action: string, now: number): void {
    if (!accessKeyId.startsWith(TEMPORARY)) return;
    const session = this.#byKey.get(accessKeyId);
    if (session === undefined || session.sessionToken !== sessionToken) throw invalid(service);
    if (now >= session.expiresAtMs) throw failureThat('expired', service, action);
  }
}

function invalid({ name }: Service): AwsFailure {
  return name === 'ec2'
    ? new AwsFailure('AuthFailure', 'AWS was not able to validate the provided access credentials')
    : new AwsFailure('InvalidClientTokenId', 'The security token included in the request is invalid');
}
