import { expect, test } from '@jest/globals';
import { type AgentPath, type AgentReport, readReport } from '../../../src/agent/report.ts';
import { dns, follow, report, web } from './agent-stage.ts';

const kernel: AgentPath = { datapath: 'nftables', why: 'rights, machine and rule allow it' };
const header: AgentPath = { datapath: 'userspace', why: 'the PROXY protocol is written by userspace' };

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
