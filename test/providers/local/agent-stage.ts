import { type AgentReport, REPORT_VERSION } from '../../../src/agent/report.ts';
import { AgentLink } from '../../../src/providers/local/agent-link.ts';
import type { AgentNotice } from '../../../src/providers/provider.ts';

/** The listeners that every agent of the stage has. */
export const [web, dns] = ['shop/web 80/TCP 192.0.2.1', 'shop/dns 53/UDP 192.0.2.2'];

/** What an agent says on the board. */
export function report(agent: string, part: Partial<AgentReport>): AgentNotice {
  const whole: AgentReport = {
    version: REPORT_VERSION,
    agent,
    publish: [],
    addresses: [],
    generation: 1,
    holdings: { [web]: 'w', [dns]: 'd' },
    exceptions: {},
    released: [],
    targets: {},
    ...part,
  };
  return { name: agent, alive: true, report: JSON.stringify(whole) };
}

/** A controller's look at agents that said `first` before it started: `changed` has the balancers it was told of since. */
export async function follow(...first: readonly AgentNotice[]) {
  const changed: string[][] = [];
  let tell: (notice: AgentNotice) => void = () => {};
  const link = new AgentLink({
    board: {
      async open(hear) {
        tell = hear;
        for (const notice of first) hear(notice);
      },
      order: () => {},
      close: async () => {},
    },
    orders: () => '',
    mayWrite: () => false,
    leaves: () => false,
    changed: ({ keys }) => changed.push([...keys].sort()),
    nowMs: () => 0,
  });
  await link.start();
  changed.length = 0;
  return { link, changed, tell: (notice: AgentNotice) => tell(notice) };
}
