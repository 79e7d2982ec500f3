import { type Actions, action } from '../action.ts';
import { AwsFailure } from '../failure.ts';
import { flag, list, record, text } from '../shapes.ts';
import type { Listener, World } from '../world.ts';
import { listener } from './found.ts';
import { pageFields, pageOf } from './paging.ts';

const certificates = list(record({ CertificateArn: text, IsDefault: flag }, ['CertificateArn']));
const change = record({ ListenerArn: text, Certificates: certificates }, ['ListenerArn', 'Certificates']);
const find = record({ ListenerArn: text, ...pageFields }, ['ListenerArn']);

export const certificateActions: Actions = {
  AddListenerCertificates: action(change, (world, { ListenerArn, Certificates }) => {
    const one = tlsListener(world, ListenerArn);
    const asked = arnsOf(Certificates);
    for (const arn of asked) {
      if (!world.certificates.has(arn)) throw new AwsFailure('CertificateNotFound', `Certificate '${arn}' not found`);
    }
    const [asDefault = '', ...present] = one.certificates;
    const after = [...new Set([...present, ...asked])]; // the default one may be among them, too
    checkCount(world, one, after.length - present.length);
    one.certificates = [asDefault, ...after];
    return { Certificates: asked.map((CertificateArn) => ({ CertificateArn, IsDefault: false })) };
  }),
  RemoveListenerCertificates: action(change, (world, { ListenerArn, Certificates }) => {
    const one = tlsListener(world, ListenerArn);
    const asked = arnsOf(Certificates);
    const [asDefault = '', ...present] = one.certificates;
    if (asked.includes(asDefault) && !present.includes(asDefault)) {
      throw new AwsFailure('OperationNotPermitted', 'Default certificate cannot be removed from the listener');
    }
    one.certificates = [asDefault, ...present.filter((arn) => !asked.includes(arn))];
    return {};
  }),
  DescribeListenerCertificates: action(find, (world, input) => {
    const one = tlsListener(world, input.ListenerArn);
    const listed = one.certificates.map((CertificateArn, at) => ({ CertificateArn, IsDefault: at === 0 }));
    const { page: told, next } = pageOf(listed, ({ CertificateArn, IsDefault }) => `${CertificateArn} ${IsDefault}`, input);
    return { Certificates: told, NextMarker: next };
  }),
};

function tlsListener(world: World, arn: string): Listener {
  const one = listener(world, arn);
  if (one.protocol === 'TLS') return one;
  throw new AwsFailure('InvalidConfigurationRequest', `Certificates are not supported for ${one.protocol} listeners`);
}

function arnsOf(asked: ReturnType<typeof certificates>): readonly string[] {
  if (asked.length === 0) throw new AwsFailure('ValidationError', 'At least one certificate must be specified');
  if (asked.some(({ IsDefault }) => IsDefault !== undefined)) {
    throw new AwsFailure('ValidationError', 'You cannot set IsDefault when adding or removing certificates');
  }
  return asked.map(({ CertificateArn }) => CertificateArn);
}

/** Default certificates are not counted. */
function checkCount(world: World, one: Listener, more: number): void {
  const all = world.loadBalancers.get(one.loadBalancerArn)?.listeners ?? [];
  const extra = [...all].map((arn) => Math.max((world.listeners.get(arn)?.certificates.length ?? 0) - 1, 0));
  const { certificatesPerLoadBalancer: most } = world.limits;
  if (extra.reduce((sum, count) => sum + count, more) > most) {
    throw new AwsFailure('TooManyCertificates', `The maximum number of certificates per load balancer has been reached: ${most}`);
  }
}
