/**
 * Ports at a node's own addresses that are never given to a Service: whoever took them would cut off the machine, its kubelet or
 * the control plane. ssh; etcd; the API server; the kubelet.
 * @see https://kubernetes.io/docs/reference/networking/ports-and-protocols/
 */
const OWN: readonly { readonly port: number; readonly of: string }[] = [
  { port: 22, of: 'ssh' },
  { port: 2379, of: 'etcd' },
  { port: 2380, of: 'etcd' },
  { port: 6443, of: 'the API server' },
  { port: 10_250, of: 'the kubelet' },
];

/** Whether a node needs the port itself, whatever the protocol. */
export function isNodePortOfItsOwn(port: number): boolean {
  return OWN.some((own) => own.port === port);
}

/** Who has the port on a node, in words. */
export function whoseNodePort(port: number): string {
  return OWN.find((own) => own.port === port)?.of ?? 'nobody';
}
