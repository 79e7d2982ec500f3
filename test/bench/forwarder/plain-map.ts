import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../e2e/lab/command.ts';

/** What is measured of it; each is one call of the command nft. */
export type Step = 'all' | 'more' | 'less' | 'join' | 'leave';

/**
 * The least that many rules can be for the command nft: one verdict map by address, protocol and port, and one chain for all targets. No health
 * checks, no counters, no masquerade, and nobody who finds out what has changed.
 */
export class PlainMap {
  readonly #namespace: string;
  readonly #files: Readonly<Record<Step, string>>;

  /** @param addresses that the listeners are at in turn @param nodes how many */
  constructor(namespace: string, directory: string, addresses: readonly string[], listeners: number, nodes: number) {
    this.#namespace = namespace;
    const key = (i: number) => `${addresses[i % addresses.length]} . tcp . ${1_000 + Math.floor(i / addresses.length)}`;
    const elements = Array.from({ length: listeners }, (_, i) => `${key(i)} : goto t1`);
    const extra = key(20_000);
    const texts: Readonly<Record<Step, readonly string[]>> = {
      all: [
        'table inet plain {}',
        'delete table inet plain',
        'table inet plain {',
        `  map targets { type ipv4_addr . inet_proto . inet_service : verdict; elements = { ${elements.join(', ')} }; }`,
        `  chain t1 { ${send(nodes)}; }`,
        '  chain pre {',
        '    type nat hook prerouting priority -105; policy accept;',
        '    ip daddr . meta l4proto . th dport vmap @targets',
        '  }',
        '}',
      ],
      more: [`add element inet plain targets { ${extra} : goto t1 }`],
      less: [`delete element inet plain targets { ${extra} }`],
      join: ['flush chain inet plain t1', `add rule inet plain t1 ${send(nodes + 1)}`],
      leave: ['flush chain inet plain t1', `add rule inet plain t1 ${send(nodes)}`],
    };
    const write = (step: Step): string => {
      const file = join(directory, `plain-${step}.nft`);
      writeFileSync(file, `${texts[step].join('\n')}\n`);
      return file;
    };
    this.#files = { all: write('all'), more: write('more'), less: write('less'), join: write('join'), leave: write('leave') };
  }

  /** @returns milliseconds from the call of nft until it has ended */
  async take(step: Step): Promise<number> {
    const begunMs = performance.now();
    await run('nsenter', [`--net=/run/netns/${this.#namespace}`, 'nft', '-f', this.#files[step]]);
    return performance.now() - begunMs;
  }
}

function send(nodes: number): string {
  const places = Array.from({ length: nodes }, (_, i) => `${i} : 10.92.2.${i + 2}`);
  return `meta l4proto { tcp, udp } dnat ip to numgen inc mod ${nodes} map { ${places.join(', ')} }`;
}
