import { AWS_PREFIX } from './annotation-table.ts';
import type { AnnotationWarning } from './annotations.ts';
import { readAwsAnnotations } from './aws-annotations.ts';

/**
 * Where AWS Load Balancer Controller and cloud-provider-aws mean different things by an annotation, its author is told which
 * meaning it has here. Pure.
 * @see https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/
 * @see https://cloud-provider-aws.sigs.k8s.io/service_controller/
 */

/** Of classic load balancers: no controller gives them to an NLB. The other half says what an NLB has in their place. */
const CLASSIC: Readonly<Record<string, string>> = {
  'access-log-emit-interval': 'the interval of an NLB cannot be set',
  'connection-draining-enabled': 'write nodeport-lb.io/drain-seconds',
  'connection-draining-timeout': 'write nodeport-lb.io/drain-seconds',
  'connection-idle-timeout': 'write nodeport-lb.io/idle-timeout-seconds',
  'extra-security-groups': `write ${AWS_PREFIX}security-groups`,
};

/** Why an annotation that the other controllers know has no effect on an NLB; undefined: it has one. @param name without its prefix */
export function whyWithoutEffect(name: string): string | undefined {
  const instead = Object.hasOwn(CLASSIC, name) ? CLASSIC[name] : undefined;
  return instead === undefined ? undefined : `is read for classic load balancers only, and has no effect on an NLB: ${instead}`;
}

/** Annotations that another controller would have understood otherwise. */
export function lintAws(annotations: Readonly<Record<string, string>>): readonly AnnotationWarning[] {
  const at = (name: string): string | undefined =>
    Object.hasOwn(annotations, AWS_PREFIX + name) ? annotations[AWS_PREFIX + name]?.trim() : undefined;
  const asked = readAwsAnnotations(annotations);
  const labels = (at('target-node-labels') ?? '').split(',').map((pair) => pair.trim());
  const found: Readonly<Record<string, string | undefined>> = {
    internal:
      at('internal') !== undefined && at('scheme') !== undefined && (at('internal') === 'true') !== (asked.scheme === 'internal')
        ? `has no effect beside ${AWS_PREFIX}scheme; cloud-provider-aws reads this one`
        : undefined,
    'ssl-ports':
      at('ssl-ports')?.includes('*') === true
        ? 'is every port, as cloud-provider-aws has it; AWS Load Balancer Controller finds no port of that name'
        : undefined,
    'proxy-protocol':
      asked.proxyProtocol === 'all'
        ? 'has targets get PROXY protocol v2, as with AWS Load Balancer Controller; cloud-provider-aws ignores it for NLBs'
        : undefined,
    'target-node-labels': labels.some((pair) => pair.endsWith('='))
      ? 'selects nodes whose label is empty, as with AWS Load Balancer Controller; cloud-provider-aws takes every node that has the label'
      : undefined,
    'healthcheck-timeout':
      asked.healthCheck.timeoutSeconds === undefined
        ? undefined
        : 'is set, as with AWS Load Balancer Controller; cloud-provider-aws leaves the timeout at its default',
    'enable-tcp-udp-listener':
      at('enable-tcp-udp-listener') === 'false'
        ? 'changes nothing: TCP and UDP on one port are always one listener, where AWS Load Balancer Controller would keep one of them'
        : undefined,
  };
  return Object.entries(found).flatMap(([name, message]) =>
    message === undefined ? [] : [{ annotation: AWS_PREFIX + name, message }],
  );
}
