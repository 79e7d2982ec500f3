import { Refusal } from '../../errors.ts';
import { type Balancer, nameOf } from '../../model.ts';
import { ownerOf, portName } from './choose.ts';
import { DRAIN_SECONDS, isCarried, ONLY_KERNEL, type RenderOptions } from './rules.ts';

/** The balancer with the provider's own defaults, so that they do not look like drift. */
export function withDefaults(balancer: Balancer, held: readonly string[]): Balancer {
  const { drainSeconds = DRAIN_SECONDS } = balancer.settings;
  return { ...balancer, address: { ...balancer.address, held }, settings: { ...balancer.settings, drainSeconds } };
}

/** @throws {Refusal} for a balancer of which nothing could be served, or that asks for something the provider has not got */
export function refuseUncarried(balancer: Balancer, datapath: RenderOptions['datapath']): void {
  if (balancer.settings.publish === 'hostname') {
    throw new Refusal(
      'AnnotationInvalid',
      `nodeport-lb.io/publish asks for a hostname, and the local provider has addresses only`,
    );
  }
  const spread = balancer.listeners.find((listener) => listener.spread);
  if (spread) {
    throw new Refusal(
      'NotSupported',
      `${nameOf(spread.service)}: port ${portName(spread)} shares its connections out by weight (service.beta.kubernetes.io/actions.…), which provider aws can do and the local provider cannot`,
    );
  }
  if (balancer.listeners.some((listener) => isCarried(listener.protocol, datapath))) return;
  const ports = balancer.listeners.map(portName).join(', ');
  throw new Refusal('ProtocolUnsupported', `${ownerOf(balancer)}: port ${ports}: ${ONLY_KERNEL}`);
}
