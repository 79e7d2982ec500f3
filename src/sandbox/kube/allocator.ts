import { isIPv4 } from 'node:net';

/** Why a number or address could not be given, in the real server's words. */
export type Refused = string;

export interface Ranges {
  /** IPv4 CIDR with a prefix from /8 to /30. */
  readonly serviceCidr: string;
  /** Inclusive. */
  readonly nodePorts: readonly [number, number];
}

/** Node ports and cluster IPs in use. Each write takes what it needs and gives it back when it fails. */
export class Allocator {
  readonly ranges: Ranges;
  readonly #ports = new Set<number>();
  readonly #ips = new Set<string>();
  readonly #firstIp: number;
  readonly #lastIp: number;
  #nextPort: number;
  #nextIp: number;

  /** @throws {Error} for ranges that are none */
  constructor(ranges: Ranges) {
    const [base = '', prefix = ''] = ranges.serviceCidr.split('/');
    const bits = Number(prefix);
    if (!isIPv4(base) || !Number.isInteger(bits) || bits < 8 || bits > 30) {
      throw new Error(`serviceCidr ${JSON.stringify(ranges.serviceCidr)} is not an IPv4 CIDR from /8 to /30`);
    }
    const [low, high] = ranges.nodePorts;
    if (!(low >= 1 && low <= high && high <= 65_535)) throw new Error(`nodePortRange ${low}-${high} is not within 1-65535`);
    this.ranges = ranges;
    const size = 2 ** (32 - bits);
    this.#firstIp = Math.floor(toNumber(base) / size) * size;
    this.#lastIp = this.#firstIp + size - 2;
    // Automatic picks start in the middle and move on, so that small numbers stay free for people and nothing is reused at once.
    this.#nextPort = low + Math.floor((high - low) * 0.4);
    this.#nextIp = this.#firstIp + Math.min(Math.floor(size / 4), 256);
  }

  begin(): Transaction {
    return new Transaction(this);
  }

  /** @internal used by Transaction */
  takePort(port: number): Refused | undefined {
    const [low, high] = this.ranges.nodePorts;
    if (port < low || port > high) return `provided port is not in the valid range. The range of valid ports is ${low}-${high}`;
    if (this.#ports.has(port)) return 'provided port is already allocated';
    this.#ports.add(port);
    return undefined;
  }

  /** @returns undefined when every port of the range is in use */
  takeAnyPort(): number | undefined {
    const [low, high] = this.ranges.nodePorts;
    for (let tried = low; tried <= high; tried++) {
      const port = this.#nextPort;
      this.#nextPort = port >= high ? low : port + 1;
      if (this.takePort(port) === undefined) return port;
    }
    return undefined;
  }

  takeIp(ip: string): Refused | undefined {
    const number = isIPv4(ip) ? toNumber(ip) : 0;
    // The first and the last address of the range are the network's and the broadcast's.
    if (number <= this.#firstIp || number > this.#lastIp) return 'the provided network does not match the current range';
    if (this.#ips.has(ip)) return 'provided IP is already allocated';
    this.#ips.add(ip);
    return undefined;
  }

  takeAnyIp(): string | undefined {
    for (let tried = this.#firstIp; tried <= this.#lastIp; tried++) {
      const ip = toText(this.#nextIp);
      this.#nextIp = this.#nextIp >= this.#lastIp ? this.#firstIp + 1 : this.#nextIp + 1;
      if (this.takeIp(ip) === undefined) return ip;
    }
    return undefined;
  }

  free(ports: Iterable<number>, ips: Iterable<string>): void {
    for (const port of ports) this.#ports.delete(port);
    for (const ip of ips) this.#ips.delete(ip);
  }
}

/** What one write took and wants to give up; nothing is given up before `commit`. */
export class Transaction {
  readonly #allocator: Allocator;
  readonly #ports: number[] = [];
  readonly #ips: string[] = [];
  readonly #freedPorts: number[] = [];
  readonly #freedIps: string[] = [];

  constructor(allocator: Allocator) {
    this.#allocator = allocator;
  }

  takePort(port: number): Refused | undefined {
    const refused = this.#allocator.takePort(port);
    if (refused === undefined) this.#ports.push(port);
    return refused;
  }

  takeAnyPort(): number | undefined {
    const port = this.#allocator.takeAnyPort();
    if (port !== undefined) this.#ports.push(port);
    return port;
  }

  takeIp(ip: string): Refused | undefined {
    const refused = this.#allocator.takeIp(ip);
    if (refused === undefined) this.#ips.push(ip);
    return refused;
  }

  takeAnyIp(): string | undefined {
    const ip = this.#allocator.takeAnyIp();
    if (ip !== undefined) this.#ips.push(ip);
    return ip;
  }

  free(ports: readonly number[], ips: readonly string[]): void {
    this.#freedPorts.push(...ports);
    this.#freedIps.push(...ips);
  }

  commit(): void {
    this.#allocator.free(this.#freedPorts, this.#freedIps);
  }

  revert(): void {
    this.#allocator.free(this.#ports, this.#ips);
  }
}

function toNumber(ip: string): number {
  return ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(ip: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(ip / 2 ** shift) % 256).join('.');
}
