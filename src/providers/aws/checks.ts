import type { AwsHealthCheck } from '../../config/aws-annotations.ts';
import { Refusal } from '../../errors.ts';
import type { Listener, TargetGroup } from '../../model.ts';
import type { SeenCheck } from './picture.ts';

/** AWS Load Balancer Controller's own, so that moving between the two changes nothing. */
const CLUSTER = { intervalSeconds: 10, timeoutSeconds: 10, healthyThreshold: 3, unhealthyThreshold: 3 };
const LOCAL = { intervalSeconds: 10, timeoutSeconds: 6, healthyThreshold: 2, unhealthyThreshold: 2 };

/** @see https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html */
const RANGES = {
  intervalSeconds: [5, 300],
  timeoutSeconds: [2, 120],
  healthyThreshold: [2, 10],
  unhealthyThreshold: [2, 10],
} as const;
const SUCCESS_CODES = '200-399';

/**
 * The health check of one target group: the AWS annotations, then the neutral ones, then the defaults.
 * @param siblings every listener of the Service, for a port that is named
 * @throws {Refusal} for numbers that AWS does not take
 */
export function describeCheck(group: TargetGroup, asked: AwsHealthCheck, siblings: readonly Listener[]): SeenCheck {
  const neutral = group.healthCheck;
  const usual = group.localOnly ? LOCAL : CLUSTER;
  const protocol = asked.protocol ?? (neutral.protocol === 'http' ? 'HTTP' : 'TCP');
  const port = asked.port === undefined ? String(neutral.port) : readPort(asked.port, siblings);
  const numbers = {
    intervalSeconds: asked.intervalSeconds ?? neutral.intervalSeconds ?? usual.intervalSeconds,
    timeoutSeconds: asked.timeoutSeconds ?? neutral.timeoutSeconds ?? usual.timeoutSeconds,
    healthyThreshold: asked.healthyThreshold ?? neutral.healthyThreshold ?? usual.healthyThreshold,
    unhealthyThreshold: asked.unhealthyThreshold ?? neutral.unhealthyThreshold ?? usual.unhealthyThreshold,
  };
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = numbers[name as keyof typeof numbers];
    if (value < least || value > most) {
      throw new Refusal('AnnotationInvalid', `Health check ${name} ${value}: an NLB takes ${least} to ${most}`);
    }
  }
  const http = { path: asked.path ?? neutral.path ?? '/', successCodes: asked.successCodes ?? SUCCESS_CODES };
  return {
    protocol,
    port: port === String(group.nodePort) ? 'traffic-port' : port,
    ...(protocol === 'TCP' ? {} : http),
    ...numbers,
    timeoutSeconds: Math.min(numbers.timeoutSeconds, numbers.intervalSeconds),
  };
}

function readPort(text: string, siblings: readonly Listener[]): string {
  if (text === 'traffic-port') return text;
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return text;
  const named = siblings.find(({ name }) => name === text);
  if (named) return String(named.targetGroup.nodePort);
  const names = siblings.map(({ name, port }) => name || String(port)).join(', ');
  throw new Refusal(
    'AnnotationInvalid',
    `aws-load-balancer-healthcheck-port: ${JSON.stringify(text)} is no port of the Service (${names})`,
  );
}
