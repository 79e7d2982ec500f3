import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/**
 * Certificates made on the spot, so that the tests need neither openssl nor keys in the repository. As much of X.509 as TLS
 * between two of our own ends asks for. https://www.rfc-editor.org/rfc/rfc5280
 */

export interface Authority {
  readonly certificate: string;
  issue(what: Certified): { readonly certificate: string; readonly key: string };
}

export interface Certified {
  readonly commonName: string;
  /** Names as a server; none: a client. */
  readonly dnsNames?: readonly string[];
  /** IPv4 only. */
  readonly ipAddresses?: readonly string[];
  /** Default: from yesterday to tomorrow. */
  readonly notAfter?: Date;
}

export function makeAuthority(commonName: string): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const extensions = [extension('551d13', sequence(boolean(true)), true)];
  const certificate = certify(commonName, commonName, own.publicKey, own.privateKey, extensions, undefined);
  return {
    certificate,
    issue({ commonName: subject, dnsNames = [], ipAddresses = [], notAfter }) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = [
        ...dnsNames.map((name) => der(0x82, Buffer.from(name))),
        ...ipAddresses.map((ip) => der(0x87, Buffer.from(ip.split('.').map(Number)))),
      ];
      const alternatives = names.length === 0 ? [] : [extension('551d11', sequence(...names), false)];
      return {
        certificate: certify(subject, commonName, pair.publicKey, own.privateKey, alternatives, notAfter),
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
  };
}

const ECDSA_SHA256 = sequence(identifier('2a8648ce3d040302'));
const DAY_MS = 86_400_000;

function certify(
  subject: string,
  issuer: string,
  publicKey: KeyObject,
  issuerKey: KeyObject,
  extensions: readonly Buffer[],
  notAfter = new Date(Date.now() + DAY_MS),
): string {
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_SHA256,
    name(issuer),
    sequence(time(new Date(notAfter.getTime() - 2 * DAY_MS)), time(notAfter)),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, sequence(...extensions))]),
  );
  const signature = sign('sha256', body, issuerKey);
  const whole = sequence(body, ECDSA_SHA256, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = whole.toString('base64').replace(/(.{64})/g, '$1\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function der(tag: number, content: Buffer): Buffer {
  const length = content.length;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function identifier(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function boolean(value: boolean): Buffer {
  return der(0x01, Buffer.from([value ? 0xff : 0]));
}

function name(commonName: string): Buffer {
  return sequence(der(0x31, sequence(identifier('550403'), der(0x0c, Buffer.from(commonName)))));
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, '')));
}

function extension(id: string, content: Buffer, critical: boolean): Buffer {
  return sequence(identifier(id), ...(critical ? [boolean(true)] : []), der(0x04, content));
}
