import { expect, test } from '@jest/globals';
import { type AgentPath, type AgentReport, REPORT_VERSION, readReport } from '../../../src/agent/report.ts';
import { AgentLink } from '../../../src/providers/local/agent-link.ts';
import type { AgentNotice } from '../../../src/providers/provider.ts';

const [web, dns] = ['shop/web 80/TCP 192.0.2.1', 'shop/dns 53/UDP 192.0.2.2'];
const kernel: AgentPath = { datapath: 'nftables', why: 'rights, machine and rule allow it' };
const header: AgentPath = { datapath: 'userspace', why: 'the PROXY protocol is written by userspace' };

function report(agent: string, part: Partial<AgentReport>): AgentNotice {
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

async function follow(...first: readonly AgentNotice[]) {
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

test('each live agent that serves a listener says by which data path', async () => {
  const two = report('n2', { paths: [header], exceptions: { [dns]: { state: 'pending' } } });
  const { link } = await follow(report('n1', { paths: [kernel, { ...header, of: [web] }] }), two, report('old', {}));
  expect(link.paths(web)).toEqual([{ ...header, of: [web] }, header]);
  expect(link.paths(dns)).toEqual([kernel]);
});

test('another data path is news for the balancers that have it, and for no others', async () => {
  const { changed, tell } = await follow(report('n1', { paths: [kernel] }));
  tell(report('n1', { paths: [kernel, { ...header, of: [web] }] }));
  expect(changed).toEqual([['shop/web']]);
});

test.each<{ why: string; paths: unknown; read: AgentReport['paths'] }>([
  { why: 'what it wrote', paths: [kernel, { ...header, of: [web] }], read: [kernel, { ...header, of: [web] }] },
  { why: 'of an older agent', paths: undefined, read: undefined },
  { why: 'garbage', paths: [1, { datapath: 2 }, { ...kernel, of: [3, web] }], read: [{ ...kernel, of: [web] }] },
])('an agent’s report is read: $why', ({ paths, read }) => {
  const text = JSON.stringify({ ...JSON.parse(report('n1', {}).report), paths });
  expect(readReport(text)?.paths).toEqual(read);
});
