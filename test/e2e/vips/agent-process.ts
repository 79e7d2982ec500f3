import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Vips, VipWish } from '../../../src/agent/vips/face.ts';
import { startVips } from '../../../src/agent/vips/vips.ts';
import type { ForwarderLog } from '../../../src/forwarder/rules.ts';

/**
 * One agent of the test: holds addresses, and answers on them with its name, then with whatever it is sent. Orders come as JSON
 * lines on standard input; what changes goes out as JSON lines. SIGTERM is a planned goodbye.
 */
export interface AgentOrders {
  readonly self: string;
  readonly runDir: string;
  readonly holdMs: number;
  readonly port: number;
  readonly interface?: string;
}

export interface AgentLine {
  readonly atMs: number;
  readonly holdings: Readonly<Record<string, { readonly state: string; readonly code?: string; readonly message?: string }>>;
}

const { self, runDir, holdMs, port, interface: name } = JSON.parse(process.argv[2] ?? '{}') as AgentOrders;
const say = (level: string) => (fields: object, message: string) =>
  console.error(
    `${new Date().toISOString().slice(14, 23)} ${level} ${message} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? value.message : value))}`,
  );
const log: ForwarderLog = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };

const vips: Vips = startVips({
  self,
  runDir,
  log,
  holdMs,
  onChange: () => console.log(JSON.stringify({ atMs: Date.now(), holdings: Object.fromEntries(vips.holdings()) })),
  ...(name === undefined ? {} : { interface: name }),
});

const bound = new Set<string>();
createInterface({ input: process.stdin }).on('line', (line) => {
  const wish = JSON.parse(line) as VipWish;
  for (const { address } of wish.addresses) {
    if (bound.has(address)) continue;
    bound.add(address);
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.write(`${self}\n`);
      socket.pipe(socket);
    });
    server.on('error', (error) => log.error({ error }, 'cannot listen'));
    server.listen(port, address); // before the address is here: net.ipv4.ip_nonlocal_bind
  }
  vips.apply(wish);
});

process.on('SIGTERM', () => {
  void vips.close({ drain: true }).then(() => process.exit(0));
});
