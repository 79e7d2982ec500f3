import { networkInterfaces } from 'node:os';

/** How often the machine's addresses are read: nothing tells of a change, and reading them takes a tenth of a millisecond. */
const LOOK_MS = 1_000;

/** Addresses of this machine's interfaces in this network namespace, without loopback and link-local ones. */
export function readAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(
    all
      .filter(({ address, internal }) => !internal && !isLinkLocal(address))
      .map(({ address }) => address)
      .sort(),
  );
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address) || address.startsWith('169.254.');
}

/** Calls `changed` with the addresses whenever they are other ones. @returns how to stop */
export function followAddresses(read: () => ReadonlySet<string>, changed: (addresses: ReadonlySet<string>) => void): () => void {
  let last = [...read()].join();
  const timer = setInterval(() => {
    const addresses = read();
    if ([...addresses].join() === last) return;
    last = [...addresses].join();
    changed(addresses);
  }, LOOK_MS);
  return () => clearInterval(timer);
}
