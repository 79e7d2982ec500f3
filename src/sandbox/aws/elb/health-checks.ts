import { AwsFailure } from '../failure.ts';
import { flag, oneOf, record, text, textOf, whole } from '../shapes.ts';
import type { HealthCheck } from '../world.ts';
import type { XmlObject } from '../xml.ts';

/** Ranges of the API. @see https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html */
export const healthFields = {
  HealthCheckProtocol: oneOf('TCP', 'HTTP', 'HTTPS', 'TLS', 'UDP', 'TCP_UDP', 'GENEVE'),
  HealthCheckPort: text,
  HealthCheckEnabled: flag,
  HealthCheckPath: textOf(1, 1024),
  HealthCheckIntervalSeconds: whole(5, 300),
  HealthCheckTimeoutSeconds: whole(2, 120),
  HealthyThresholdCount: whole(2, 10),
  UnhealthyThresholdCount: whole(2, 10),
  Matcher: record({ HttpCode: text, GrpcCode: text }),
};
const fields = record(healthFields);
export type AskedCheck = ReturnType<typeof fields>;

/** What a new group has where nothing is asked. */
function usual(protocol: HealthCheck['protocol']): HealthCheck {
  const http = protocol !== 'TCP';
  return {
    protocol,
    port: 'traffic-port',
    path: http ? '/' : undefined,
    intervalSeconds: 30,
    timeoutSeconds: protocol === 'HTTP' ? 6 : 10,
    healthyThreshold: 5,
    unhealthyThreshold: 2,
    httpCode: http ? '200-399' : undefined,
  };
}

/** The check that a group will have.
 *  @param present undefined for a new group
 *  @throws {AwsFailure} ValidationError or InvalidConfigurationRequest */
export function askedCheck(present: HealthCheck | undefined, asked: AskedCheck): HealthCheck {
  if (asked.HealthCheckEnabled === false) {
    throw new AwsFailure(
      'InvalidConfigurationRequest',
      'Health check enabled must be true for target groups with this target type',
    );
  }
  const protocol = checkProtocol(asked.HealthCheckProtocol ?? present?.protocol ?? 'TCP');
  const base = present?.protocol === protocol ? present : { ...usual(protocol), ...numbersOf(present) };
  const check: HealthCheck = {
    protocol,
    port: checkPort(asked.HealthCheckPort ?? present?.port ?? base.port),
    path: asked.HealthCheckPath ?? base.path,
    intervalSeconds: asked.HealthCheckIntervalSeconds ?? base.intervalSeconds,
    timeoutSeconds: asked.HealthCheckTimeoutSeconds ?? base.timeoutSeconds,
    healthyThreshold: asked.HealthyThresholdCount ?? base.healthyThreshold,
    unhealthyThreshold: asked.UnhealthyThresholdCount ?? base.unhealthyThreshold,
    httpCode: asked.Matcher?.HttpCode ?? base.httpCode,
  };
  checkTogether(check, asked);
  return check;
}

function numbersOf(present: HealthCheck | undefined): Partial<HealthCheck> {
  if (!present) return {};
  const { intervalSeconds, timeoutSeconds, healthyThreshold, unhealthyThreshold } = present;
  return { intervalSeconds, timeoutSeconds, healthyThreshold, unhealthyThreshold };
}

function checkProtocol(protocol: string): HealthCheck['protocol'] {
  if (protocol === 'TCP' || protocol === 'HTTP' || protocol === 'HTTPS') return protocol;
  throw new AwsFailure(
    'ValidationError',
    `Health check protocol '${protocol}' is not supported: it must be one of TCP, HTTP, HTTPS`,
  );
}

function checkPort(port: string): string {
  if (port === 'traffic-port') return port;
  if (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535) return port;
  throw new AwsFailure('ValidationError', `Health check port '${port}' must be '1-65535' or 'traffic-port'`);
}

function checkTogether(check: HealthCheck, asked: AskedCheck): void {
  const refuse = (message: string) => new AwsFailure('ValidationError', message);
  if (check.timeoutSeconds > check.intervalSeconds) {
    const message = `Health check timeout '${check.timeoutSeconds}' must be smaller than or equal to the interval '${check.intervalSeconds}'`;
    throw refuse(message);
  }
  if (asked.Matcher?.GrpcCode !== undefined) throw refuse('GrpcCode is not supported for target groups of this protocol');
  if (check.protocol === 'TCP') {
    if (asked.HealthCheckPath !== undefined) throw refuse('Health check paths are not supported for health check protocol TCP');
    if (asked.Matcher?.HttpCode !== undefined)
      throw refuse('Health check matchers are not supported for health check protocol TCP');
    return;
  }
  if (!check.path?.startsWith('/')) throw refuse(`Health check path '${check.path}' must begin with a '/' character`);
  if (!isMatcher(check.httpCode ?? '')) {
    throw refuse(`Health check matcher HTTP code '${check.httpCode}' must be within 200-599, as a value, a list or a range`);
  }
}

/** `200`, `200,204`, `200-299`, or such in a row. */
function isMatcher(codes: string): boolean {
  return codes.split(',').every((part) => {
    const match = /^(\d{3})(?:-(\d{3}))?$/.exec(part);
    if (!match) return false;
    const [low, high] = [Number(match[1]), Number(match[2] ?? match[1])];
    return low >= 200 && high <= 599 && low <= high;
  });
}

export function healthXml(check: HealthCheck): XmlObject {
  return {
    HealthCheckProtocol: check.protocol,
    HealthCheckPort: check.port,
    HealthCheckEnabled: true,
    HealthCheckIntervalSeconds: check.intervalSeconds,
    HealthCheckTimeoutSeconds: check.timeoutSeconds,
    HealthyThresholdCount: check.healthyThreshold,
    UnhealthyThresholdCount: check.unhealthyThreshold,
    HealthCheckPath: check.path,
    Matcher: check.httpCode === undefined ? undefined : { HttpCode: check.httpCode },
  };
}
