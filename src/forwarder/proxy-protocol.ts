import { isIP, SocketAddress } from 'node:net';
import type { WireEnds } from './wire.ts';

const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V2_PROXY_COMMAND = 0x21;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;

/**
 * Pure. The header that tells the target who the client is and which address it called.
 * Ends that are no IP addresses (the client has gone already) give the version's "unknown" form.
 * @see https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt sections 2.1 and 2.2
 */
export function proxyHeader(version: 'v1' | 'v2', ends: WireEnds): Buffer {
  const from = plainAddress(ends.remoteAddress);
  const to = plainAddress(ends.localAddress);
  const family = commonFamily(from, to);
  if (family === 0)
    return version === 'v1' ? Buffer.from('PROXY UNKNOWN\r\n') : Buffer.concat([V2_SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
  if (version === 'v1') return Buffer.from(`PROXY TCP${family} ${from} ${to} ${ends.remotePort} ${ends.localPort}\r\n`);
  const addresses = [from, to].map((address) => (family === 4 ? ipv4Bytes(address) : ipv6Bytes(address)));
  const length = family === 4 ? 12 : 36;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends.remotePort, 0);
  ports.writeUInt16BE(ends.localPort, 2);
  return Buffer.concat([
    V2_SIGNATURE,
    Buffer.from([V2_PROXY_COMMAND, family === 4 ? V2_TCP4 : V2_TCP6, 0, length]),
    ...addresses,
    ports,
  ]);
}

/** An IPv4 client of a dual-stack socket is an IPv4 client; a scope (`%eth0`) means nothing at the target. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}

function commonFamily(from: string, to: string): 0 | 4 | 6 {
  const family = isIP(from);
  return family === isIP(to) && (family === 4 || family === 6) ? family : 0;
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function ipv6Bytes(address: string): Buffer {
  const groups = new SocketAddress({ address, family: 'ipv6' }).address
    .split('::')
    .map((half) => half.split(':').filter(Boolean));
  const [head = [], tail = []] = groups;
  const zeros: string[] = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  const bytes = Buffer.alloc(16);
  [...head, ...zeros, ...tail].forEach((group, i) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  });
  return bytes;
}
