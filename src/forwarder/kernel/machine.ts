import type { Machine } from '../paths.ts';
import type { ListenFailure, RuleListener } from '../rules.ts';
import type { KernelListener } from './listener.ts';

/** Pure. Why this machine does not serve a listener that the kernel has; undefined: it does. @param exclusive addresses that are ours alone */
export function faultOf(
  { family, address, rule }: Pick<KernelListener, 'family' | 'address' | 'rule'>,
  machine: Machine,
  exclusive: ReadonlySet<string>,
): { readonly code: ListenFailure; readonly message: string } | undefined {
  if (!machine.forwards.has(family)) {
    const sysctl = family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
    return { code: 'ForwardingOff', message: `this machine does not forward IPv${family}: ${sysctl} is 0` };
  }
  if (machine.own.has(address) || exclusive.has(address)) return undefined;
  return { code: 'AddressUnavailable', message: `${rule.address} is no address of this machine` };
}

/** Pure. @param by who has the port */
export function portInUse({ address, port, protocol }: RuleListener, by: string): { code: 'PortInUse'; message: string } {
  return { code: 'PortInUse', message: `${address} port ${port}/${protocol} is held by ${by}` };
}
